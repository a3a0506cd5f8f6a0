"""Text files of users: a byte order mark, as Notepad and Excel write it, changes nothing."""

import pytest

from pipeline.clip_model.conventions import _read as read_json
from pipeline.datasets.rows import csv_rows, jsonl_rows
from pipeline.errors import FileError
from pipeline.own_dir import OwnDir
from pipeline.plain_file import read_given_text
from trainer.ablate.spec import read_spec_text
from trainer.class_map import read_class_map
from trainer.config_choice import chosen_config
from trainer.config_file import to_toml
from trainer.prediction.people_file import read_people_file
from trainer.prediction.source import read_cut_times
from trainer.presets import smoke
from trainer.run_directory import CONFIG_FILE, load_config

CONFIG = to_toml(smoke())


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_class_map, 'contempt = "disgust"\n'),
        (chosen_config, CONFIG),
        (lambda path: chosen_config(path.parent), CONFIG),
        (lambda path: load_config(path.parent), CONFIG),
        (read_spec_text, 'title = "t"\n'),
        (read_people_file, "P2 = Anna\n"),
        (read_cut_times, "1.5\n2.5\n"),
        (lambda path: OwnDir.of(path.parent).read_text(path.name, 100), '{"a": 1}'),
        (lambda path: [row.get("path") for row in csv_rows(path, ("path",))], "path,label\na.mp4,happy\n"),
        (lambda path: [row.get("path") for row in jsonl_rows(path)], '{"path": "a.mp4"}\n'),
        (read_json, '{"model_cfg": {}}'),
    ],
    ids=["classes", "config", "run", "run-read", "spec", "people", "shots", "own", "csv", "jsonl", "json"],
)
def test_a_byte_order_mark_changes_nothing(tmp_path, read, text):
    path = tmp_path / CONFIG_FILE
    path.write_text(text)
    plain = read(path)
    path.write_text(text, encoding="utf-8-sig")
    assert read(path) == plain


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_named_with_the_remedy(tmp_path, encoding):
    path = tmp_path / "classes.toml"
    path.write_text('"Wut\u00e4" = ""', encoding=encoding)
    place = 0 if encoding == "utf-16" else 4
    with pytest.raises(
        FileError, match=rf"classes.toml' is not UTF-8 text \(byte {place}\); save it as UTF-8"
    ):
        read_given_text(path, 100)
    assert read_given_text(path, 100, errors="replace")

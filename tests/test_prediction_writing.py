import csv
import json

import pytest

from pipeline.errors import ConfigError, FileError
from pipeline.own_dir import OwnDir
from tests.small_predictions import RANDOM, face, prediction, windows
from trainer.prediction.people_file import parse_people, with_people
from trainer.prediction.person_section import PageExtras
from trainer.prediction.results import NOTICE, WindowAnswer
from trainer.prediction.writing import write

ALL = ("jsonl", "json", "csv", "eaf", "srt", "vtt", "html")
FILES = (
    "windows.jsonl", "prediction.json", "windows.csv", "frames.csv", "people.csv", "fex.csv",
    "timeline.eaf", "subtitles.srt", "subtitles.vtt", "index.html",
)  # fmt: skip


def made(**fields):
    return prediction(windows("hhs-"), faces=[face(0), face(3)], banners=(RANDOM,), **fields)


def test_every_format_is_written_and_carries_notice_and_banner(tmp_path):
    done = write(made(), OwnDir(tmp_path), ALL, video_link="a.mp4", extras=PageExtras(video="a.mp4"))
    assert (done.files, done.skipped) == (FILES, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in set(FILES) - {"windows.jsonl"}:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert NOTICE in text, name
        assert RANDOM in text, name


def test_windows_are_read_back(tmp_path):
    write(made(), OwnDir(tmp_path), ["jsonl"])
    lines = (tmp_path / "windows.jsonl").read_text().splitlines()
    assert tuple(WindowAnswer.of_values(json.loads(line)) for line in lines) == made().windows


def test_files_agree_on_people_and_numbers(tmp_path):
    write(made(), OwnDir(tmp_path), ALL)
    document = json.loads((tmp_path / "prediction.json").read_text())
    with (tmp_path / "people.csv").open() as file:
        (row,) = csv.DictReader(file)
    (person,) = document["people"]
    assert (row["person"], float(row["seconds_with_answer"])) == (person["name"], person["with_answer"])
    assert float(row["share_sadness"]) == pytest.approx(person["share"]["sadness"], abs=1e-6)
    with (tmp_path / "windows.csv").open() as file:
        assert [one["answer"] for one in csv.DictReader(file)] == ["happiness", "happiness", "sadness", ""]


def test_files_are_written_again_with_other_names(tmp_path):
    out = OwnDir(tmp_path)
    write(made(), out, ALL)
    write(with_people(made(), parse_people("P1 = Anna", "p")), out, ALL)
    for name in ("windows.csv", "people.csv", "fex.csv", "timeline.eaf", "subtitles.vtt", "index.html"):
        text = (tmp_path / name).read_text()
        assert "Anna" in text, name
        assert "P1" not in text, name


def test_formats_that_need_times_are_skipped_with_the_reason(tmp_path):
    images = prediction(windows("h", has_times=False), seconds=None)
    done = write(images, OwnDir(tmp_path), ALL)
    assert list(done.skipped) == ["eaf", "srt", "vtt"]
    assert done.skipped["eaf"] == "'a.mp4' has no times, which ELAN needs; give --rate."
    assert set(done.files) == {path.name for path in tmp_path.iterdir()}
    assert "index.html" in done.files


def test_other_formats_are_rejected_before_anything_is_written(tmp_path):
    with pytest.raises(
        ConfigError, match=r"formats is 'xls'; allowed: jsonl, json, csv, eaf, srt, vtt, html\."
    ):
        write(made(), OwnDir(tmp_path), ["csv", "xls"])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_page_leaves_the_earlier_one(tmp_path):
    write(made(), OwnDir(tmp_path), ["html"])
    before = (tmp_path / "index.html").read_bytes()
    large = PageExtras(video="a.mp4", embedded=bytes(20 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="--embed"):
        write(made(), OwnDir(tmp_path), ["html"], extras=large)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_bytes() == before


def test_a_link_in_the_place_of_a_file_is_rejected(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/people.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="people.csv"):
        write(made(), OwnDir(tmp_path / "out"), ["csv"])
    assert not (tmp_path / "elsewhere").exists()

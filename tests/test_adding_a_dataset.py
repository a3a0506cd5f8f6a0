"""docs/adding-a-dataset.md and the README's table say what is there."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.datasets import READERS, read_dataset
from pipeline.datasets.page import datasets_table
from pipeline.errors import ConfigError, DatasetError
from pipeline.process import process_block
from pipeline.types import ClipDone, ReadOptions, Split
from tests.small_clips import small_models, write_video

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/adding-a-dataset.md").read_text()


def test_the_readme_holds_the_table_of_the_registry():
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"<!-- datasets -->\n\n(.*?)\n\n<!-- end -->", readme, re.DOTALL)
    assert shown is not None
    assert shown[1] == datasets_table(), "write it anew: python -m pipeline.datasets.page"


def test_the_table_has_a_row_for_every_data_set():
    rows = [line.split("|")[1].strip() for line in datasets_table().splitlines()[2:]]
    assert rows == [f"`{name}`" for name in READERS]


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """The page's reader in the registry, by the page's name, and a small Studio on disk."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (name,) = re.findall(r'^Dataset = Literal\[.*"(\w+)"\]$', PAGE, re.MULTILINE)
    path = f"pipeline.datasets.{name}"
    module = ModuleType(path)
    monkeypatch.setitem(sys.modules, path, module)
    monkeypatch.setitem(READERS, name, path)
    exec(compile(code, path, "exec"), module.__dict__)
    for number, clip in enumerate(("anna_happy_03", "anna_sad_1", "bert_joy_2")):
        write_video(tmp_path / f"clips/{clip}.mp4", num_frames=5, seed=number)
    (tmp_path / "clips/notes.txt").touch()
    return tmp_path


def test_the_example_is_about_a_hundred_lines_at_most():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 100


def test_the_example_reads_its_clips_and_folds(studio):
    index = read_dataset("studio", studio)
    assert [(clip.clip_id, index.class_names[clip.label], clip.splits) for clip in index.clips] == [
        ("anna_happy_03", "happiness", (Split.TEST, Split.TRAIN)),
        ("anna_sad_1", "sadness", (Split.TEST, Split.TRAIN)),
        ("bert_joy_2", "happiness", (Split.TRAIN, Split.TEST)),
    ]
    assert index.fold_names == ("anna", "bert")
    assert index.notes == ("ignored, because its name is not that of a clip: clips/notes.txt",)


def test_the_example_refuses_in_one_line(studio):
    with pytest.raises(
        DatasetError, match=r"^No Studio at .*looked for clips; there: .*, notes.txt. Give --root '"
    ):
        read_dataset("studio", studio / "clips")
    with pytest.raises(ConfigError, match="--all-clips does not apply to --dataset studio"):
        read_dataset("studio", studio, ReadOptions(all_clips=True))
    for path in (studio / "clips").glob("*.mp4"):
        path.unlink()
    with pytest.raises(DatasetError, match="has no clips; allowed: clips/PERSON_EMOTION_NUMBER.mp4"):
        read_dataset("studio", studio)


def test_the_examples_clips_become_features(studio):
    outcomes = process_block(studio, read_dataset("studio", studio).clips, small_models()).outcomes
    assert [type(outcome) for outcome in outcomes] == [ClipDone] * 3

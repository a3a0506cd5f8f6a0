import json

import numpy as np
import pytest
import torch

from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.errors import ConfigError, DatasetError
from pipeline.preview_faces import load
from pipeline.samples import choose, sample
from pipeline.sheet import read_picture, text_card
from pipeline.types import ClipRef, DatasetIndex, Split
from tests.small_clips import write_clips


@pytest.fixture(scope="module")
def models():
    return load({"frames": {"num_frames": 3}, "faces": {"source": "boxes"}}, torch.device("cpu"))


def index_of(tmp_path, counts):
    clips = [
        ClipRef(clip_id=f"{label}-{number:03d}", path="x", label=label, splits=(Split.TRAIN,))
        for label, many in counts.items()
        for number in range(many)
    ]
    return DatasetIndex(
        name="own", root=tmp_path, class_names=("joy", "rage", "none"), fold_names=("1",),
        clips=tuple(sorted(clips, key=lambda clip: clip.clip_id)),
    )  # fmt: skip


def ids(rows):
    return [[clip.clip_id for clip in row] for row in rows]


def test_every_class_gives_as_many_clips_as_it_has_up_to_the_number(tmp_path):
    rows = choose(index_of(tmp_path, {0: 30, 1: 2, -1: 5}), 3, seed=0)
    assert [(row[0].label, len(row)) for row in rows] == [(0, 3), (1, 2), (-1, 3)]
    assert all(row == sorted(set(row)) for row in ids(rows))


def test_a_seed_draws_the_same_clips_and_another_seed_others(tmp_path):
    index = index_of(tmp_path, {0: 100, 1: 100})
    assert ids(choose(index, 3, 7)) == ids(choose(index, 3, 7))
    assert ids(choose(index, 3, 7)) != ids(choose(index, 3, 8))
    more = index_of(tmp_path, {0: 120, 1: 100})
    assert ids(choose(more, 3, 7))[1] == ids(choose(index, 3, 7))[1]


def test_numbers_that_no_sheet_holds_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--per-class is 0"):
        choose(index_of(tmp_path, {0: 3}), 0, 0)
    with pytest.raises(DatasetError, match="--per-class 150 of 2 .* 300 clips; a sheet has at most 200"):
        choose(index_of(tmp_path, {0: 150, 1: 150}), 150, 0)


def test_the_sheet_shows_frame_and_streams_and_why_a_clip_fails(models, tmp_path):
    index = write_clips(tmp_path / "set", num_good=3)
    seen = []
    report = sample(index, models, tmp_path / "sheet.png", per_class=4, on_clip=lambda: seen.append(1))
    assert len(seen) == len(report.shown) == len(index.clips) == 5
    assert {clip_id for clip_id, _ in report.failures} == {"clips/bad.mp4", "clips/empty.mp4"}
    assert report.without_face == ("clips/good2.mp4",)
    sheet = read_picture(tmp_path / "sheet.png")
    assert (sheet.shape[1], sheet.shape[0]) == report.size
    cell_height, cell_width = 22 + 160 + 4, 284 + 2 * 164 + 4
    assert sheet.shape[:2] == (2 * cell_height + 4, 4 * cell_width + 4), "two classes, four clips at most"
    bad, good = sheet[26:186, 4:616], sheet[26:186, 2 * cell_width + 4 : 2 * cell_width + 616]
    assert (bad[..., 0].astype(int) - bad[..., 1] > 80).any(), "the reason is written in red"
    assert (good == (60, 220, 90)).all(axis=-1).any(), "the subject's box is green"
    blank = sheet[4 + cell_height :, 4 + 2 * cell_width :]
    assert (blank == 24).all(), "a class with one clip leaves the rest of its row empty"
    assert lines(report)[-1].endswith(f"5 clips, {report.size[0]}x{report.size[1]} pixels")
    json.dumps(to_json_values(report))


def test_a_long_id_and_strange_letters_stay_on_their_card():
    card = text_card("", "ä" * 300 + " tail", 160)
    assert card.shape == (182, 612, 3)
    np.testing.assert_array_equal(card, text_card("", "..." + "?" * 500 + " tail", 160))

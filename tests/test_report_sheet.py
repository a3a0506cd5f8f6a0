import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.config import override
from pipeline.runner import executor_of, extract
from tests.small_clips import small_models, write_clips
from trainer.pages.document import Figure, Text
from trainer.presets import smoke
from trainer.report import report
from trainer.report.sheet import decided_sheets
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Videos, and a pair of runs on them whose decided clips are laid down."""
    folder = tmp_path_factory.mktemp("sheet")
    index = write_clips(folder / "data", num_good=8)
    extract(index, small_models().config, executor_of(small_models()), folder / "feats.zarr")
    settings = ["schedule.max_steps=1", "model.polarity=false", "data.validation=train"]
    for name, more in (("face", ["model.scene=false"]), ("full", [])):
        config = override(smoke(), [*settings, *more])
        train(folder / "feats.zarr", folder / name, config, device="cpu")
    rigid = (folder / "face", folder / "full")
    (pair,) = report([], folder / "out", lambda _: None, device="cpu", rigid=rigid).pairs
    ids = pair.full.clip_ids
    assert ids == ("clips/good5.mp4", "clips/good6.mp4", "clips/good7.mp4")
    return folder, replace(pair, found=replace(pair.found, won=ids[:2], lost=ids[2:]))


@pytest.fixture
def videos(made):
    """The folder of videos, put back afterwards."""
    folder, _ = made
    kept = shutil.copytree(folder / "data", folder / "kept")
    yield folder / "data"
    shutil.rmtree(folder / "data", ignore_errors=True)
    kept.rename(folder / "data")


def sheets(pair, most=6):
    return decided_sheets(pair, most, lambda _: None)


def picture(figure):
    return cv2.imdecode(np.frombuffer(figure.image, np.uint8), cv2.IMREAD_COLOR)


def test_clips_won_and_lost_are_shown_with_their_streams(made):
    won, lost = sheets(made[1])
    assert isinstance(won, Figure)
    assert (won.title, lost.title) == ("Clips that the full run has won", "Clips that the full run has lost")
    assert won.note.startswith("2 of 2. ")
    assert "its licence may forbid sharing this page" in won.note
    assert won.image.startswith(b"\xff\xd8")
    assert picture(won).shape[1] > 1.9 * picture(lost).shape[1]
    assert picture(won).std() > 30


def test_clips_that_ous_has_drawn_have_no_licence_to_mind(made, videos):
    (videos / "synthetic.json").write_text("{}")
    assert "licence" not in sheets(made[1])[0].note


def test_more_clips_than_are_shown_are_drawn_from(made):
    won, _ = sheets(made[1], most=1)
    assert won.note.startswith("1 of 2, drawn at random. ")


def test_nothing_decided_is_no_sheet(made):
    pair = made[1]
    assert sheets(replace(pair, found=replace(pair.found, won=(), lost=()))) == []


def test_a_data_set_that_is_gone_is_a_line(made, videos):
    shutil.rmtree(videos)
    (text,) = sheets(made[1])
    assert isinstance(text, Text)
    assert text.text.startswith("No contact sheet of the clips won and lost: ")


def test_one_video_that_is_gone_is_a_card_and_all_of_them_a_line(made, videos):
    whole = picture(sheets(made[1])[0])
    (videos / "clips/good5.mp4").unlink()
    (videos / "clips/good7.mp4").unlink()
    won, lost = sheets(made[1])
    assert isinstance(won, Figure)
    assert picture(won).shape == whole.shape
    assert isinstance(lost, Text)
    assert "no video can be shown; clips/good7.mp4: open: " in lost.text

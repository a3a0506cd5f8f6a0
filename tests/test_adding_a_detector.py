"""One entry in `pipeline.faces.DETECTORS` adds a detector to settings, previews and extraction."""

from dataclasses import replace
from pkgutil import resolve_name
from typing import get_args

import numpy as np
import pytest
import torch

from pipeline.choices import DetectorName
from pipeline.errors import ConfigError
from pipeline.faces import (
    DETECTORS,
    DetectorConfig,
    DetectorEntry,
    has_weights_here,
    load_detector,
    resolve_precision,
    untrained_detector,
)
from pipeline.faces.detector import no_landmarks
from pipeline.process import process_block
from pipeline.types import Faces, ProvidedBoxes
from tests.small_clips import small_models_with, write_clips

CPU = torch.device("cpu")
TOY = DetectorEntry(load="tests.test_adding_a_detector:load_toy", precision="fp32")
BOX = (20, 10, 60, 70)


class Toy:
    """A detector that finds one face at the same place of every frame."""

    precision, warnings, weights_sha256 = "fp32", (), ""

    def __init__(self, name: str = "toy") -> None:
        self.name = name

    def detect(self, rgb_UHWC):
        face = Faces(
            box_xyxy_px=np.array([BOX], np.float32),
            score=np.ones(1, np.float32),
            landmark_xy_px=no_landmarks(1),
        )
        return [face for _ in rgb_UHWC]


def load_toy(config, device, device_lock=None):
    return Toy(config.name)


def untrained_toy(config, device, device_lock=None):
    return Toy(f"untrained {config.name}")


@pytest.fixture
def add(monkeypatch):
    """Adds an entry to the table, under the name `toy`."""
    return lambda entry: monkeypatch.setitem(DETECTORS, "toy", entry)


def test_the_command_line_lists_the_table():
    assert get_args(DetectorName) == tuple(DETECTORS)


def test_every_entry_names_functions():
    for entry in DETECTORS.values():
        assert callable(resolve_name(entry.load))
        assert not entry.takes_weights or callable(resolve_name(entry.untrained))


def test_a_detector_of_one_entry_finds_the_faces_of_an_extraction(add, tmp_path):
    add(TOY)
    index = write_clips(tmp_path, num_good=1)
    models = small_models_with(detector={"name": "toy"})
    assert models.detector.name == "toy"
    assert models.identity()["detector"] == {"version": 1, "name": "toy", "precision": "fp32", "sha256": ""}
    (clip,) = (clip for clip in index.clips if "good" in clip.clip_id)
    (detected,) = process_block(index.root, [clip], models).outcomes
    box = ProvidedBoxes(box_xyxy=np.array([BOX], np.float32))
    (given,) = process_block(index.root, [replace(clip, provided_boxes=box)], small_models_with()).outcomes
    np.testing.assert_array_equal(detected.track.box_xyxy_px, given.track.box_xyxy_px)
    np.testing.assert_array_equal(detected.features.face_embedding, given.features.face_embedding)


def test_an_unknown_name_lists_it(add):
    add(TOY)
    with pytest.raises(ConfigError, match=r"detector.name is 'mtcnn'; allowed: .*, haar, toy\."):
        DetectorConfig(name="mtcnn")


def test_one_without_weights_takes_none_and_has_one_precision(add):
    add(TOY)
    config = DetectorConfig(name="toy", precision="bf16")
    assert resolve_precision(config, CPU) == "fp32"
    assert has_weights_here(config)
    with pytest.raises(ConfigError, match="weights is 'a.pth', but toy takes none"):
        DetectorConfig(name="toy", weights="a.pth")
    with pytest.raises(ConfigError, match="toy takes no weights"):
        untrained_detector(config, CPU)


def test_one_with_weights_takes_a_file_and_the_precision_of_the_settings(add, tmp_path):
    add(replace(TOY, untrained="tests.test_adding_a_detector:untrained_toy", precision=None))
    path = tmp_path / "a.pth"
    config = DetectorConfig(name="toy", weights=str(path), precision="bf16")
    assert load_detector(config, CPU).name == "toy"
    assert untrained_detector(config, CPU).name == "untrained toy"
    assert resolve_precision(config, CPU) == "bf16"
    with pytest.raises(ConfigError, match=r"allowed with: retinaface-.*, toy\."):
        DetectorConfig(name="haar", weights=str(path))

"""Folders of pictures that are not to be trusted: each gives frames or a recorded failure."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.types import STAGES
from tests.mutants import ROUNDS, mutate, read_in_children

NAMES = ("1.jpg", "2.png", "3.webp", "4.bmp", "5.jpg", "6.webp")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Undamaged pictures of every kind, with EXIF and a palette among them."""
    folder = tmp_path_factory.mktemp("whole")
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in NAMES:
        picture = Image.fromarray(pixels)
        how = {"exif": exif.tobytes()} if name != "4.bmp" else {}
        how |= {"progressive": True} if name == "5.jpg" else {}
        how |= {"lossless": True} if name == "6.webp" else {}
        (picture.convert("P") if name == "2.png" else picture).save(folder / name, **how)
    return folder


def outcomes_of_mutants(whole: Path, folder: Path, seeds: list[int]) -> list[str]:
    """Write and read one folder per seed, every picture in it another mutant."""
    clips = []
    for seed in seeds:
        clip = folder / str(seed)
        clip.mkdir()
        for number, name in enumerate(NAMES):
            (clip / name).write_bytes(mutate((whole / name).read_bytes(), seed * len(NAMES) + number))
        clips.append(clip)
    outcomes = read_in_children("videos", clips)
    assert outcomes.deaths == {}
    for path, told in outcomes.told.items():
        assert told == "done" or told.split()[1] in STAGES[1:], (path, told)
        assert "unexpected" not in told, (path, told)
        shutil.rmtree(path)
    return list(outcomes.told.values())


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=2)
@given(first=st.integers(0, 1 << 30))
def test_mutants_give_frames_or_a_clip_error(whole, tmp_path, first):
    told = outcomes_of_mutants(whole, tmp_path, list(range(first, first + 60)))
    assert len(told) == 60
    assert "done" in told


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=ROUNDS)
@given(first=st.integers(0, 1 << 30))
def test_many_mutants_give_frames_or_a_clip_error(whole, tmp_path, first):
    assert len(outcomes_of_mutants(whole, tmp_path, list(range(first, first + 300)))) == 300


def test_pipes_and_devices_with_a_picture_s_name_are_never_opened(whole, tmp_path):
    clip = tmp_path / "clip"
    shutil.copytree(whole, clip)
    os.mkfifo(clip / "0.jpg")
    (clip / "9.jpg").symlink_to("/dev/zero")
    only = tmp_path / "only"
    only.mkdir()
    os.mkfifo(only / "0.jpg")
    outcomes = read_in_children("videos", [clip, only])
    assert outcomes.told[str(clip)] == "done"
    assert "no image in the directory" in outcomes.told[str(only)]
    assert "found 0.jpg" in outcomes.told[str(only)]

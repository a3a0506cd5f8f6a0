"""The file of weights in a directory: by a known name, in a snapshot of the hub, or what is there instead."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.clip_model.directory import find_in_directory
from pipeline.errors import WeightsError
from tests.clip_files import load, load_bare, saved, state, write_open_clip_config
from tests.tiny_clip import tiny_clip, tiny_model

IMAGES = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
KNOWN = "open_clip_pytorch_model.bin"


def test_a_directory_is_read_by_the_names_that_the_hub_gives_its_files(tmp_path):
    saved(tmp_path, state(), KNOWN)
    saved(tmp_path, {}, "pytorch_model.bin")
    assert load(tmp_path).visual_sha256 == tiny_clip().visual_sha256


def test_a_directory_without_weights_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    message = r"is a directory without any of open_clip_model.safetensors, .*; give the path of the file\.$"
    with pytest.raises(WeightsError, match=message):
        find_in_directory(tmp_path / ".")


def snapshot(repository: Path, revision: str) -> Path:
    """A revision in the hub's cache: links to blobs."""
    blobs, place = repository / "blobs", repository / "snapshots" / revision
    blobs.mkdir(exist_ok=True, parents=True)
    place.mkdir(parents=True)
    saved(blobs, state(), "0a1b")
    write_open_clip_config(blobs, tiny_model(), IMAGES).rename(blobs / "2c3d")
    (place / KNOWN).symlink_to("../../blobs/0a1b")
    (place / "open_clip_config.json").symlink_to("../../blobs/2c3d")
    return place


def test_a_repository_of_the_hubs_cache_is_read_by_its_one_snapshot(tmp_path):
    repository = tmp_path / "models--someone--tiny"
    snapshot(repository, "abc")
    (repository / "snapshots" / "of-another-file").mkdir()
    assert load_bare(repository).mean == (0.5, 0.4, 0.3), "by the config in the snapshot"
    snapshot(repository, "def")
    with pytest.raises(
        WeightsError, match=r"holds 2 snapshots of weights; give the path of one: '.*/abc', '.*/def'\.$"
    ):
        find_in_directory(repository)


@pytest.mark.parametrize("place", [".", "snapshots/abc"])
def test_an_adapter_is_named_as_one(tmp_path, place):
    directory = tmp_path / place
    directory.mkdir(parents=True, exist_ok=True)
    changes = {"base_model.model.visual.proj.lora_A.weight": torch.ones(2, 2)}
    file = saved(directory, changes, "adapter_model.bin")
    (directory / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    message = r"does not hold weights of .* It is an adapter \(such as LoRA\), .*: merge it into the model"
    for path in (tmp_path, file):
        with pytest.raises(WeightsError, match=message):
            load(path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["model.pt"], r"; found model.pt: give its path\.$"),
        (
            ["a.ckpt", "b.SAFETENSORS", "c.pth", "d.bin"],
            r"; found a.ckpt, b.SAF.*, c.pth and 1 more: give the",
        ),
        (["snapshots/abc/epoch_3.pt"], r"; found snapshots/abc/epoch_3.pt: give its path\.$"),
        (
            ["model.safetensors.incomplete"],
            r"holds an unfinished download \(model.safetensors.inc.*\); finish",
        ),
        (["x\x1b\u202e.pt"], r"; found x\?\?\.pt: give its path\.$"),
    ],
)
def test_other_weights_in_a_directory_are_named(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(WeightsError, match=message) as caught:
        find_in_directory(tmp_path)
    assert str(caught.value).isprintable()

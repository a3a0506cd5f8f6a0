"""Scenes beside a run: which ones, read back or drawn again from the cache, and hostile files."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.config import override
from pipeline.errors import CheckpointError
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.batches import Batch
from trainer.demo import face_only
from trainer.presets import smoke
from trainer.runs import load_run
from trainer.scene_sample import FILE, MOST_SCENES, NUM_USED, SceneSample, balanced, find_scenes
from trainer.training import train
from trainer.weights_file import to_bytes

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
QUICK = override(smoke(), ["schedule.max_epochs=1"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    cache = tiny_cache(folder / "feats.zarr", tiny_meta(num_tokens=5))
    patches = override(QUICK, ["model.tfe_tokens=patches"])
    for name, config in (("pooled", QUICK), ("patches", patches), ("face", face_only(QUICK))):
        train(cache, folder / name, config, device="cpu")
    return folder


@pytest.fixture
def copied(made, tmp_path):
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def test_classes_come_by_turns_and_without_repetition():
    label_N = np.array([0] * 100 + [1] * 3 + [2] * 50)
    places = balanced(label_N, 0)
    assert len(set(places.tolist())) == len(places) == MOST_SCENES
    assert label_N[places[:9]].tolist() == [0, 1, 2] * 3
    assert np.bincount(label_N[places]).tolist() == [31, 3, 30]
    assert places.tolist() == balanced(label_N, 0).tolist() != balanced(label_N, 1).tolist()
    assert balanced(np.array([4]), 0).tolist() == [0]


@pytest.mark.parametrize("name", ["pooled", "patches"])
def test_the_file_and_the_cache_give_equal_scenes(copied, name):
    stored, note = find_scenes(load_run(copied / name, device="cpu"))
    assert note == ""
    assert set(stored.tensors) == {"scene_NTF", "early_N43D"} | (
        {"patches_NJD"} if name == "patches" else set()
    )
    (copied / name / FILE).unlink()
    drawn, note = find_scenes(load_run(copied / name, device="cpu"))
    assert note == ""
    for part, value in stored.tensors.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, drawn.tensors[part])
    assert stored.sha256() == drawn.sha256()


def test_training_numbers_do_not_depend_on_the_scenes(made, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.training_task.save_scenes", lambda *_: torch.rand(5))
    train(made / "feats.zarr", tmp_path / "run", QUICK, device="cpu")
    assert not (tmp_path / "run" / FILE).exists()
    assert (tmp_path / "run/best.safetensors").read_bytes() == (made / "pooled/best.safetensors").read_bytes()


def test_a_face_only_run_has_none_and_a_run_without_its_cache_a_remark(copied):
    assert not (copied / "face" / FILE).exists()
    assert find_scenes(load_run(copied / "face", device="cpu")) == (None, "")
    (copied / "pooled" / FILE).unlink()
    run = load_run(copied / "pooled", device="cpu")
    info = replace(run.info, cache_path="/nothing/is.zarr", cache_from_run="")
    found, note = find_scenes(replace(run, checkpoint=replace(run.checkpoint, info=info)))
    assert found is None
    assert "has no scenes.safetensors, and its training cache is not there" in note


def spoilt(run):
    """Files that are not those of the run, by what is wrong."""
    sample, _ = find_scenes(run)
    origin = {"training_sha256": run.info.training_sha256}
    tensors = dict(sample.tensors)
    scene = tensors["scene_NTF"]
    bad = scene.clone()
    bad[0, 0, 0] = torch.inf
    return {
        "its scenes are not of the clips": to_bytes(tensors, {"training_sha256": "0"}),
        "finite": to_bytes({**tensors, "scene_NTF": bad}, origin),
        "float16": to_bytes({**tensors, "scene_NTF": scene.float()}, origin),
        "are needed": to_bytes({**tensors, "more": scene.clone()}, origin),
        "scenes are needed": to_bytes({"scene_NTF": scene}, origin),
        "1 to 64 scenes": to_bytes({k: v[:1].expand(65, *v.shape[1:]) for k, v in tensors.items()}, origin),
        "cannot be used": b"no tensors at all",
        "its header has": b"\xff" * 64,
    }  # fmt: skip


def test_hostile_files_are_refused_in_one_line(copied):
    run = load_run(copied / "pooled", device="cpu")
    for words, content in spoilt(run).items():
        (copied / "pooled" / FILE).write_bytes(content)
        with pytest.raises(CheckpointError, match=words) as error:
            find_scenes(run)
        assert "\n" not in str(error.value)
    (copied / "pooled" / FILE).unlink()
    (copied / "pooled" / FILE).symlink_to("/dev/zero")
    with pytest.raises(CheckpointError):
        find_scenes(run)


def batch(n=2):
    valid = torch.tensor([[True, True, False]] * n)
    return Batch(
        face_BTF=torch.arange(n * 6.0).reshape(n, 3, 2), scene_BTF=torch.zeros(n, 3, 2),
        early_B43D=torch.zeros(n, 4, 3, 2), valid_BT=valid,
        label_B=torch.full((n,), -1), polarity_B=torch.full((n,), -1),
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 5, 64])
def test_a_face_is_put_before_each_scene_and_each_counts_once(count):
    scenes = torch.arange(count * 6).reshape(count, 3, 2).half()
    sample = SceneSample(scene_NTF=scenes, early_N43D=torch.ones(count, 4, 3, 2).half())
    made = sample.behind(batch())
    assert torch.equal(made.face_BTF, batch().face_BTF[:1])
    assert torch.equal(made.valid_BT, batch().valid_BT[:1])
    assert torch.equal(made.scene_BTF[: min(count, NUM_USED)], scenes[:NUM_USED].float())
    assert len(made.scene_BTF) == len(made.early_B43D) == NUM_USED
    used = min(count, NUM_USED)
    assert sample.mean_of(torch.arange(NUM_USED * 1.0)[:, None]).item() == (used - 1) / 2
    assert sample.sha256() != replace(sample, scene_NTF=scenes + 1).sha256()

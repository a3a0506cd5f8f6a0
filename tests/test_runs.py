import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import trainer
from pipeline.config import override
from pipeline.errors import CacheError, CheckpointError, ConfigError
from tests.tiny_cache import CLASSES, tiny_cache, tiny_meta
from trainer.evaluation import evaluate
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.run_directory import load_info, save_info
from trainer.runs import load_run
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
QUICK = override(smoke(), ["schedule.max_epochs=1"])
UNRECORDED = r"^'.*run': this run does not record how its features were made; name its cache with --cache\.$"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache and a run."""
    folder = tmp_path_factory.mktemp("runs")
    home = str(Path.home())
    config = {
        "encoder": {"name": "modest", "weights": f"{home}/weights/clip.pt"},
        "dataset": {"root": f"{home}/DFEW"},
    }
    cache = tiny_cache(folder / "feats.zarr", tiny_meta(config=config))
    train(cache, folder / "run", QUICK, device="cpu")
    return cache, folder / "run"


@pytest.fixture
def run_dir(made, tmp_path):
    """A copy of the run, its cache beside it as before."""
    shutil.copytree(made[0], tmp_path / "feats.zarr")
    return Path(shutil.copytree(made[1], tmp_path / "run"))


NEW = (
    "identity", "extract_config", "clip_seconds", "temperature", "ece_before", "ece_after", "not_calibrated",
)  # fmt: skip


def as_earlier(run_dir, **changes):
    """Make a run one of a version that did not record the origin of its features; change other values."""
    path = run_dir / "best.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["ous"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    values = json.loads((run_dir / "run.json").read_text()) | changes
    run = {name: values[name] for name in metadata["run"]}
    run, values = ({name: one[name] for name in one if name not in NEW} for one in (run, values))
    save_file(tensors, path, metadata={"ous": json.dumps(metadata | {"run": run})})
    (run_dir / "run.json").write_text(json.dumps(values))


def set_temperature(run_dir, temperature):
    save_info(run_dir, replace(load_info(run_dir), temperature=temperature, not_calibrated=""))


def first_batch(run_dir):
    measured = measure(run_dir, device="cpu")
    return measured, next(measured.data.evaluation_batches(torch.arange(16), 16))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_run_is_loaded_from_a_text_and_from_a_path(made, kind):
    run = trainer.load_run(kind(made[1]))
    assert (run.path, run.class_names, run.config) == (made[1], CLASSES, QUICK)
    assert run.info == load_info(made[1])
    assert run.banners == ("RANDOM ENCODER WEIGHTS: these numbers say nothing about the method",)


def test_probabilities_are_those_of_the_logits_divided_by_the_temperature(run_dir):
    measured, batch = first_batch(run_dir)
    logits = torch.from_numpy(measured.scores.logits_NC)
    plain = load_run(run_dir, device="cpu")
    assert (plain.is_calibrated, plain.temperature) == (False, 1.0)
    assert torch.equal(plain.outputs(batch).logits_BC, logits)
    assert torch.equal(plain.probabilities(batch), torch.softmax(logits, dim=1))
    set_temperature(run_dir, 2.5)
    run = load_run(run_dir, device="cpu")
    assert (run.is_calibrated, run.temperature) == (True, 2.5)
    probabilities = run.probabilities(batch)
    assert (probabilities.dtype, probabilities.shape) == (torch.float32, (16, 3))
    assert torch.equal(probabilities, torch.softmax(logits / 2.5, dim=1))
    assert torch.equal(probabilities.argmax(dim=1), plain.probabilities(batch).argmax(dim=1))
    assert not probabilities.requires_grad


def test_its_text_names_classes_encoder_and_fold_and_the_war_once_it_is_known(run_dir):
    text = repr(load_run(run_dir))
    expected = (
        f"Run('{run_dir}': 3 classes (happiness, neutral, sadness); encoder modest with random weights; "
        "tiny, fold 1, seed 0)"
    )
    assert text == expected
    war = evaluate(run_dir, device="cpu").metrics.war
    assert repr(load_run(run_dir)) == f"{expected[:-1]}, test WAR {war:.1%})"


TEST = {"war": 0.5, "split": "test", "is_own_fold": True}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "[" * 100_000, '{"war": 0.5}', json.dumps(TEST | {"war": "0.5"}),
     json.dumps(TEST | {"war": 2.5}), json.dumps(TEST | {"war": math.nan}),
     json.dumps(TEST | {"split": "validation"}),
     json.dumps(TEST | {"is_own_fold": 0})],
)  # fmt: skip
def test_another_content_of_its_measurement_is_no_war(run_dir, content):
    (run_dir / "confusion.json").write_text(content)
    assert load_run(run_dir).test_war is None


def test_the_origin_of_the_features_is_in_the_run_without_the_users_name(run_dir):
    shutil.rmtree(run_dir.parent / "feats.zarr")
    config, identity = load_run(run_dir).extraction()
    assert identity == tiny_meta().identity
    assert config == {
        "encoder": {"name": "modest", "weights": "~/weights/clip.pt"},
        "dataset": {"root": "~/DFEW"},
    }
    for name in ("run.json", "best.safetensors"):
        assert str(Path.home()).encode() not in (run_dir / name).read_bytes()


def test_the_paths_of_an_earlier_cache_are_stored_without_the_users_name(tmp_path):
    """Caches of earlier versions hold absolute paths."""
    config = {"encoder": {"name": "modest"}, "dataset": {"root": "/gone/DFEW"}}
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(config=config))
    attributes = cache / "zarr.json"
    attributes.write_text(attributes.read_text().replace("/gone/DFEW", f"{Path.home()}/DFEW"))
    train(cache, tmp_path / "run", QUICK, device="cpu")
    assert load_run(tmp_path / "run").extraction()[0]["dataset"] == {"root": "~/DFEW"}


def test_an_earlier_run_takes_the_origin_from_its_training_cache(run_dir):
    as_earlier(run_dir)
    run = load_run(run_dir)
    assert (run.info.identity, run.info.clip_seconds, run.temperature) == ({}, (), 1.0)
    config, identity = run.extraction()
    assert identity == tiny_meta().identity
    assert config["dataset"] == {"root": "~/DFEW"}


def test_an_earlier_run_whose_cache_is_gone_names_the_option(run_dir, tmp_path):
    origin = tmp_path / "gone.zarr"
    as_earlier(run_dir, cache_path=str(origin), cache_from_run="../gone.zarr")
    run = load_run(run_dir)
    with pytest.raises(ConfigError, match=UNRECORDED):
        run.extraction()
    assert run.extraction(str(tmp_path / "feats.zarr"))[1] == tiny_meta().identity
    with pytest.raises(CacheError, match="^No cache at"):
        run.extraction(tmp_path / "nowhere.zarr")
    tiny_cache(origin, tiny_meta(fingerprint="0" * 64))
    with pytest.raises(ConfigError, match=UNRECORDED):
        run.extraction()
    with pytest.raises(
        ConfigError, match=r"^'.*gone.zarr' has features of fingerprint 0{64}; .* on f{64}\. Give its"
    ):
        run.extraction(origin)


def test_a_directory_that_is_no_run_is_rejected(tmp_path):
    with pytest.raises(CheckpointError, match="^Nothing is at '.*none'"):
        load_run(str(tmp_path / "none"))

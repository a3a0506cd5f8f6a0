"""The whole way with the cache in a bucket: extract, resume, verify, export, train, evaluate."""

import dataclasses
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from pipeline import runner
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.runner import RunOptions, executor_of
from pipeline.store.export import export_hdf5
from pipeline.store.location import Location
from pipeline.store.lock import Shard
from pipeline.store.reader import FeatureCache
from pipeline.store.summary import summarise
from pipeline.verify import verify, verify_stored
from tests.command_line import call
from tests.small_clips import small_models, write_clips
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.clip_loading import load_clips
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.training import train


def few_blocks(where):
    """The tiny cache in two blocks: a request to the local server costs much more than a file."""
    return tiny_cache(where, tiny_meta(block_clips=24))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), num_good=9)


def extract(index, where, **options):
    models = small_models()
    return runner.extract(index, models.config, executor_of(models), where, RunOptions(**options))


@pytest.mark.slow
def test_extracted_resumed_and_by_shares_it_is_the_same_as_on_disk(index, bucket, tmp_path):
    whole = extract(index, tmp_path / "feats.zarr")
    extract(index, bucket.url("a/feats.zarr"), limit=3)
    assert extract(index, bucket.url("a/feats.zarr")).counts == whole.counts
    for i in (2, 1):
        extract(index, bucket.url("b/feats.zarr"), shard=Shard(i, 2))
    with FeatureCache.open(tmp_path / "feats.zarr") as local:
        for url in (bucket.url("a/feats.zarr"), bucket.url("b/feats.zarr")):
            with FeatureCache.open(url) as remote:
                assert remote.meta.fingerprint == local.meta.fingerprint
                for spec in local.meta.arrays():
                    np.testing.assert_array_equal(remote.read(spec.name), local.read(spec.name))
    assert {key.rpartition("feats.zarr/")[0] for key in bucket.objects()} == {"a/", "b/"}, "no lock is left"


@pytest.mark.slow
def test_verified_summarised_and_exported_like_a_local_one(index, bucket, tmp_path):
    extract(index, bucket.url("feats.zarr"))
    with FeatureCache.open(bucket.url("feats.zarr")) as cache:
        assert verify(cache, 0).findings == ()
        assert lines(verify(cache, 0))[-1] == f"{bucket.url('feats.zarr')}: nothing wrong"
        assert to_json_values(summarise(cache))["cache"] == bucket.url("feats.zarr")
        export_hdf5(cache, tmp_path / "feats.h5")
    with FeatureCache.open(tmp_path / "feats.h5") as exported:
        assert verify_stored(exported) == []


@pytest.mark.usefixtures("one_tiny_encoder")
def test_trained_and_evaluated_from_a_bucket_with_the_same_numbers(bucket, tmp_path):
    config = dataclasses.replace(smoke(), schedule=dataclasses.replace(smoke().schedule, max_epochs=2))
    url = few_blocks(bucket.url("feats.zarr"))
    remote = train(url, tmp_path / "remote", config, device="cpu")
    local = train(few_blocks(tmp_path / "feats.zarr"), tmp_path / "local", config, device="cpu")
    assert remote.info.cache_path == url
    assert remote.best.validation == local.best.validation
    assert (
        evaluate(tmp_path / "remote", device="cpu").metrics.war
        == evaluate(tmp_path / "local", cache=url, device="cpu").metrics.war
    )
    assert (tmp_path / "local" / "confusion_feats.json").is_file()


@pytest.mark.usefixtures("one_tiny_encoder")
def test_a_bucket_that_only_a_run_of_somebody_else_names_is_not_contacted(
    bucket, tmp_path, monkeypatch, capsys
):
    """The run is trained by one user, and measured by another: state directories distinguish them."""
    config = dataclasses.replace(smoke(), schedule=dataclasses.replace(smoke().schedule, max_epochs=1))
    url = few_blocks(bucket.url("feats.zarr"))
    train(url, tmp_path / "run", config, device="cpu")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    commands = (["evaluate", tmp_path / "run"], ["report", tmp_path / "run", "--out", tmp_path / "report"])
    with monkeypatch.context() as patch:
        patch.setattr(Location, "object_store", Mock(side_effect=AssertionError("the bucket was contacted")))
        for arguments in commands:
            code, out, err = call(monkeypatch, capsys, *arguments, "--device", "cpu")
            assert (code, out) == (1, "")
            assert f"if you trust this address, give --cache {url}." in err
    arguments = ["evaluate", tmp_path / "run", "--cache", url, "--device", "cpu"]
    assert call(monkeypatch, capsys, *arguments)[0] == 0
    assert (tmp_path / "run" / "confusion.json").is_file(), "it is the run's own cache: named as such"
    assert not (tmp_path / "another user").exists(), "measuring records nothing"


@pytest.mark.usefixtures("one_tiny_encoder")
def test_a_home_that_cannot_be_written_is_a_note_of_training(bucket, tmp_path, monkeypatch):
    config = dataclasses.replace(smoke(), schedule=dataclasses.replace(smoke().schedule, max_epochs=1))
    (tmp_path / "state").write_text("no directory")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    trained = train(few_blocks(bucket.url("feats.zarr")), tmp_path / "run", config, device="cpu")
    assert any("cannot be recorded" in note for note in trained.notes)


def test_clips_are_loaded_the_same(bucket, tmp_path):
    rows = np.random.default_rng(0).permutation(48)[:20]
    with (
        FeatureCache.open(few_blocks(bucket.url("c.zarr"))) as remote,
        FeatureCache.open(few_blocks(tmp_path / "c.zarr")) as local,
    ):
        one, other = (load_clips(cache, rows, smoke(), torch.device("cpu")) for cache in (remote, local))
    for name in ("face_NVTF", "scene_NVTF", "early_NV43D", "valid_NVT", "label_N"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0, equal_nan=True)

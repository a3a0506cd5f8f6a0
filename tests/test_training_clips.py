import json

import numpy as np
import pytest

from pipeline.config import override
from pipeline.errors import CheckpointError
from pipeline.types import Split
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static
from trainer.config import smoke
from trainer.evaluate import evaluate
from trainer.train import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cache = tiny_cache(folder / "feats.zarr")
    return train(cache, folder / "run", override(smoke(), ["schedule.max_epochs=1"]), device="cpu").run_dir


def moved(path, row, split, **meta):
    """The same clips in other folds: one of them has another place."""
    membership = tiny_static()["membership"].copy()
    membership[row, 0] = split
    return tiny_cache(path, tiny_meta(**meta), membership=membership)


def rows_of(run_dir, split):
    own = {clip_id for clip_id, _ in json.loads((run_dir / "training_clips.json").read_text())[split]}
    return [row for row, name in enumerate(tiny_static()["clip_id"].tolist()) if name in own]


def test_every_training_and_validation_clip_is_kept_and_no_test_clip(run):
    kept = sorted(rows_of(run, "train") + rows_of(run, "validation"))
    assert kept == np.flatnonzero(tiny_static()["membership"][:, 0] == Split.TRAIN).tolist()


@pytest.mark.parametrize(("split", "what"), [("train", "trained it"), ("validation", "chose its checkpoint")])
def test_a_clip_that_the_run_has_seen_is_no_test_clip(run, tmp_path, split, what):
    row = rows_of(run, split)[0]
    cache = moved(tmp_path / "moved.zarr", row, Split.TEST)
    name = tiny_static()["clip_id"][row]
    with pytest.raises(
        CheckpointError, match=rf"1 of the 17 test clips of .*moved.zarr' {what}, first '{name}': the folds"
    ):
        evaluate(run, cache=cache, device="cpu")


def test_fewer_test_clips_and_another_data_set_are_measured(run, tmp_path):
    row = int(np.flatnonzero(tiny_static()["membership"][:, 0] == Split.TEST)[0])
    fewer = moved(tmp_path / "fewer.zarr", row, Split.ABSENT)
    assert evaluate(run, cache=fewer, device="cpu").metrics.num_clips == 15
    other = moved(tmp_path / "other.zarr", rows_of(run, "train")[0], Split.TEST, dataset="other")
    assert evaluate(run, cache=other, device="cpu").metrics.num_clips == 17


def test_what_selects_on_the_test_split_may_be_measured_on_it(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr")
    config = override(smoke(), ["schedule.max_epochs=1", "data.validation=test"])
    run_dir = train(cache, tmp_path / "run", config, device="cpu").run_dir
    assert evaluate(run_dir, device="cpu").info.banners[-1] == "SELECTED ON TEST"


@pytest.mark.parametrize("text", [None, "", "[1]", '{"train": 3}', '{"train": [["a"]]}'])
def test_a_run_that_cannot_tell_its_clips_is_not_measured(run, tmp_path, text):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in run.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    if text is None:
        (copy / "training_clips.json").unlink()
        message = (
            r"copy' has no training_clips.json, so that nobody knows which clips trained it\. Train again\."
        )
    else:
        (copy / "training_clips.json").write_text(text)
        message = r"training_clips.json', .* cannot be read: .*Train again\."
    with pytest.raises(CheckpointError, match=message):
        evaluate(copy, device="cpu")

"""A training on several caches: its clips, its numbers, its leaks."""

import json
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.torch import load_file

from pipeline.config import override
from pipeline.display.text import lines as lines_of
from pipeline.errors import CheckpointError
from pipeline.store.location import Location
from pipeline.types import Split
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static
from tests.two_caches import (
    CPU,
    NUM,
    QUICK,
    SEVERAL,
    TRAIN,
    contempt_cache,
    given_validation,
    joined_cache,
    other_cache,
    records,
    write_two,
)
from trainer import block_reading, clip_loading, evaluate, train
from trainer.checkpoint import load_checkpoint, origin_of
from trainer.class_balance import class_counts, drawing_shares, mixture_shares
from trainer.config import TrainConfig, learnt
from trainer.run_directory import load_info
from trainer.runs import load_run
from trainer.scene_sample import find_scenes

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """The tiny cache with given validation clips, and a cache of another dataset."""
    return write_two(tmp_path_factory.mktemp("caches"))


@pytest.fixture(scope="module")
def run(caches, tmp_path_factory):
    """A run on both."""
    return train(list(caches), tmp_path_factory.mktemp("runs") / "run", QUICK, device="cpu")


# How often a clip is drawn


FIRST, SECOND = np.array([0, 0, 0, 1]), np.array([1, 2])


@pytest.mark.parametrize(
    ("mixture", "sampling", "expected"),
    [
        ("size", "natural", [1 / 6] * 6),
        ("size", "balanced", [1 / 9, 1 / 9, 1 / 9, 1 / 6, 1 / 6, 1 / 3]),
        ("equal", "natural", [1 / 8] * 4 + [1 / 4] * 2),
        ("equal", "balanced", [1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 4, 1 / 4]),
        ("equal", "square_root", [3**-0.5 / (3**0.5 + 1) / 2] * 3 + [1 / (3**0.5 + 1) / 2, 1 / 4, 1 / 4]),
    ],
)
def test_shares_of_two_caches_are_those_computed_by_hand(mixture, sampling, expected):
    share_N = mixture_shares([FIRST, SECOND], sampling, mixture)
    assert share_N == pytest.approx(expected)
    assert share_N.sum() == pytest.approx(1)


def test_counts_of_classes_are_those_of_the_clips_as_drawn():
    share_N = mixture_shares([FIRST, SECOND], "natural", "equal")
    target_NC = np.eye(3)[np.concatenate([FIRST, SECOND])]
    assert class_counts(target_NC, share_N) == pytest.approx([6 * 3 / 8, 6 * 3 / 8, 6 / 4])


def test_shares_of_one_cache_are_those_of_its_classes():
    expected = drawing_shares(FIRST, "square_root")
    for mixture in ("size", "equal"):
        assert mixture_shares([FIRST], "square_root", mixture) == pytest.approx(expected)


def test_the_setting_leaves_older_identities_as_they_are():
    assert "mixture" not in learnt(TrainConfig())["data"]
    assert learnt(override(TrainConfig(), ["data.mixture=equal"]))["data"]["mixture"] == "equal"


# The clips that train


@pytest.mark.parametrize(
    "settings", [[], ["data.sampling=balanced"], ["losses.class_weights=inverse", "losses.terms=contrast"]]
)
def test_two_caches_train_like_one_that_holds_the_clips_of_both(tmp_path, settings):
    first = tiny_cache(tmp_path / "a.zarr", membership=given_validation())
    added = other_cache(tmp_path / "b.zarr")
    config = override(SEVERAL, settings)
    joined = joined_cache(tmp_path / "joined.zarr", first, added)
    one = train(joined, tmp_path / "one", config, device="cpu")
    two = train([first, added], tmp_path / "two", config, device="cpu")
    assert one.num_train == two.num_train + TRAIN == 2 * TRAIN - 6
    assert two.info.num_training_clips == one.num_train
    assert records(tmp_path / "one") == records(tmp_path / "two")
    weights = [load_file(tmp_path / name / "best.safetensors") for name in ("one", "two")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert one.residence == two.residence


def test_the_memory_is_chosen_for_the_clips_of_all_caches(tmp_path, caches, monkeypatch):
    home = Mock(side_effect=clip_loading._home)
    monkeypatch.setattr(clip_loading, "_home", home)
    train(list(caches), tmp_path / "run", QUICK, device="cpu")
    (call,) = home.call_args_list
    assert call.args[0] == block_reading.bytes_needed(tiny_meta(), QUICK, TRAIN + TRAIN - 2)


def test_an_equal_mixture_draws_other_clips(tmp_path, caches):
    found = {
        mixture: train(
            list(caches), tmp_path / mixture, override(QUICK, [f"data.mixture={mixture}"]), device="cpu"
        )
        for mixture in ("size", "equal")
    }
    assert found["size"].num_steps == found["equal"].num_steps
    assert records(tmp_path / "size") != records(tmp_path / "equal")


def test_training_and_given_validation_clips_are_added_and_no_test_clips(tmp_path):
    membership = tiny_static()["membership"].copy()
    membership[:6] = Split.VALIDATION
    added = contempt_cache(tmp_path / "b.zarr", membership=membership)
    first = tiny_cache(tmp_path / "a.zarr")
    result = train([first, added], tmp_path / "run", QUICK, device="cpu")
    (recorded,) = result.info.added_caches
    assert recorded.num_train == TRAIN - 2  # two of the class contempt
    stored = json.loads((tmp_path / "run" / "training_clips.json").read_text())
    ids = {clip[0] for clip in stored["train"] if len(clip) == 6}
    assert ids == {f"other{row:03d}" for row in range(TRAIN) if row % 12 != 11}
    assert {clip[5] for clip in stored["train"] if len(clip) == 6} == {"other"}
    assert all(len(clip) == 5 for clip in stored["validation"])


def test_the_run_records_the_added_cache(run, caches):
    info = load_info(run.run_dir)
    (added,) = info.added_caches
    assert (added.dataset, added.fold, added.num_train) == ("other", "1", TRAIN - 2)
    assert added.left_out == {"of class contempt": 2}
    assert added.classes == {"joy": "happiness", "neutral": "neutral", "sad": "sadness", "contempt": ""}
    assert added.training_cache(run.run_dir) == Location(str(caches[1]))
    assert (info.dataset, info.num_train, info.class_names) == ("tiny", TRAIN - 6, tiny_meta().class_names)
    assert info.num_training_clips == 2 * TRAIN - 8
    assert load_checkpoint(run.run_dir, CPU).info == info


def test_the_result_names_the_clips_that_were_left_out_and_the_classes(run):
    shown = lines_of(run)
    assert any(line.startswith("  trained on 26 clips and 30 clips of other, fold 1, ") for line in shown)
    assert "  left out of b.zarr: 2 of class contempt" in shown
    assert "  classes of b.zarr: joy is happiness, sad is sadness; left out: contempt" in shown


def test_the_names_of_classes_may_be_given(caches, tmp_path):
    classes = {"contempt": "sadness", "joy": ""}
    info = train(list(caches), tmp_path / "run", QUICK, classes=classes, device="cpu").info
    (added,) = info.added_caches
    assert added.classes == {"joy": "", "neutral": "neutral", "sad": "sadness", "contempt": "sadness"}
    assert added.left_out == {"of class joy": 11}


def test_votes_of_an_added_cache_are_mapped_to_the_classes_of_the_run(tmp_path):
    votes = np.tile(np.float32([0.2, 0.2, 0.2, 0.4]), (NUM, 1))
    votes[0] = [0, 0, 0, 1]
    added = contempt_cache(tmp_path / "b.zarr", votes=votes)
    first = tiny_cache(tmp_path / "a.zarr")
    seen = Mock()
    config = override(QUICK, ["losses.targets=votes"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trainer.training_task.ClassLoss.of", lambda *given: seen(*given))
        patched.setattr("trainer.training_task.steps_of", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train([first, added], tmp_path / "run", config, classes={"joy": "sadness"}, device="cpu")
    _, _, target_NC, _ = seen.call_args.args
    own = len(target_NC) - (TRAIN - 2)
    assert np.array_equal(np.sort(target_NC[:own], axis=1), np.tile([0.0, 0.0, 1.0], (own, 1)))
    assert target_NC[own] == pytest.approx([0, 0, 1])  # all votes are for contempt: the label, joy
    assert target_NC[own + 1] == pytest.approx([0, 1 / 3, 2 / 3])  # joy and sad are merged


def test_the_quartiles_of_lengths_are_of_all_training_clips(caches, tmp_path, monkeypatch):
    found = Mock(return_value=(1.0, 2.0, 3.0))
    monkeypatch.setattr("trainer.training_task.length_quartiles", found)
    info = train(list(caches), tmp_path / "run", QUICK, device="cpu").info
    assert [len(rows) for _, rows in found.call_args.args[0]] == [TRAIN - 6, TRAIN - 2]
    assert info.clip_seconds == (1.0, 2.0, 3.0)


def test_one_cache_may_be_given_as_a_list_and_records_nothing_new(caches, tmp_path):
    one, listed = (
        train(cache, tmp_path / name, QUICK, device="cpu")
        for name, cache in (("one", str(caches[0])), ("listed", [Location(str(caches[0]))]))
    )
    assert records(one.run_dir) == records(listed.run_dir)
    assert "added_caches" not in origin_of(one.info)
    values = json.loads((one.run_dir / "run.json").read_text())
    assert values.pop("added_caches") == []
    (one.run_dir / "run.json").write_text(json.dumps(values))
    assert load_checkpoint(one.run_dir, CPU).info.added_caches == ()


def test_scenes_are_those_of_the_first_cache(run, tmp_path):
    copy = shutil.copytree(run.run_dir, tmp_path / "run")
    (copy / "scenes.safetensors").unlink()
    stored, drawn = (find_scenes(load_run(path))[0] for path in (run.run_dir, copy))
    assert stored.sha256() == drawn.sha256()
    assert len(stored) == len(drawn) == TRAIN - 6


# Leaks


def test_test_clips_of_the_run_that_an_added_cache_trains_are_noted_and_rejected(caches, tmp_path):
    sha256 = np.array([f"{row:064x}" for row in range(NUM)], dtype=object)
    first = tiny_cache(tmp_path / "a.zarr", membership=given_validation(), source_sha256=sha256)
    same = np.array([f"{NUM + row:064x}" for row in range(NUM)], dtype=object)
    same[0], same[1] = sha256[40], sha256[4]  # a test clip, and a validation clip, of the first
    added = contempt_cache(tmp_path / "b.zarr", source_sha256=same)
    events = []
    result = train(
        [first, added], tmp_path / "run", QUICK, device="cpu",
        on_epoch=lambda report: events.append(report.epoch), on_remark=events.append,
    )  # fmt: skip
    assert result.info.validation_leak == 1
    assert events == [*result.notes[:2], 1]
    assert events[0].startswith(
        "1 of 6 validation clips share footage with training clips: 'clip004' with 'other001 (other)'"
    )
    assert (
        "1 of 16 test clips share footage with training clips: 'clip040' with 'other000 (other)'; evaluate "
        "rejects them without --allow-leak"
    ) in result.notes
    with pytest.raises(CheckpointError, match=r"trained '.*': 'clip040' with 'other000 \(other\)'\. Measure"):
        evaluate(tmp_path / "run", device="cpu")


def test_clips_that_train_in_two_caches_are_noted_before_the_training(caches, tmp_path):
    sha256 = np.array([f"{row:064x}" for row in range(NUM)], dtype=object)
    first = tiny_cache(tmp_path / "a.zarr", membership=given_validation(), source_sha256=sha256)
    same = np.array([f"{NUM + row:064x}" for row in range(NUM)], dtype=object)
    same[[0, 1]], same[40] = sha256[[10, 20]], sha256[12]  # the last is a test clip, which does not train
    added = contempt_cache(tmp_path / "b.zarr", source_sha256=same)
    third = other_cache(tmp_path / "c.zarr", tiny_meta(dataset="third"), source_sha256=np.roll(same, -1))
    remarks = []
    result = train([first, added, third], tmp_path / "run", QUICK, device="cpu", on_remark=remarks.append)
    assert remarks[0] == (
        f"2 of 30 training clips of '{added}' share footage with training clips of another cache, so that it "
        "trains more than once: 'other000' with 'clip010 (tiny)', 'other001' with 'clip020 (tiny)'"
    )
    shared = [row for row in range(TRAIN) if row + 1 < TRAIN and (row + 1) % 12 != 11]
    assert remarks[1].startswith(
        f"{len(shared)} of 32 training clips of '{third}' share footage with training"
    )
    assert list(result.notes[:2]) == remarks
    quiet = []
    train(list(caches), tmp_path / "quiet", QUICK, device="cpu", on_remark=quiet.append)
    assert quiet == []


def test_clips_of_an_added_cache_that_trained_are_no_test_clips_of_it(run, caches, tmp_path):
    assert evaluate(run.run_dir, cache=caches[1], device="cpu").metrics.num_clips == 14
    membership = tiny_static()["membership"].copy()
    membership[[0, 11]] = Split.TEST  # the second is of the class that was left out
    moved = contempt_cache(tmp_path / "b.zarr", membership=membership)
    with pytest.raises(
        CheckpointError, match=r"1 of the 15 test clips of .*: 'other000' with 'other000 \(other\)'"
    ):
        evaluate(run.run_dir, cache=moved, device="cpu")


@pytest.mark.parametrize(("fold", "is_rejected"), [("1", False), ("2", True)])
def test_copies_in_official_splits_are_reported_for_the_fold_that_trained(tmp_path, fold, is_rejected):
    """The test split of both folds has a copy, under another id, of a clip that trains fold 1."""
    membership = np.repeat(tiny_static()["membership"], 2, axis=1)
    meta = tiny_meta(dataset="dfew", fold_names=("1", "2"))
    sha256 = np.array([f"{NUM + row:064x}" for row in range(NUM)], dtype=object)
    sha256[40] = sha256[0]
    added = other_cache(tmp_path / "b.zarr", meta, membership=membership, source_sha256=sha256)
    run_dir = train([tiny_cache(tmp_path / "a.zarr"), added], tmp_path / "run", QUICK, device="cpu").run_dir
    if is_rejected:
        with pytest.raises(CheckpointError, match=r"'other040' with 'other000 \(dfew\)'"):
            evaluate(run_dir, cache=added, fold=fold, device="cpu")
    else:
        result = evaluate(run_dir, cache=added, fold=fold, device="cpu")
        assert result.leak.reported == (("other040", "other000 (dfew)"),)


def test_a_list_that_lacks_an_added_clip_is_rejected(run, tmp_path):
    copy = shutil.copytree(run.run_dir, tmp_path / "run")
    path = copy / "training_clips.json"
    lists = json.loads(path.read_text())
    lists["train"].pop()
    path.write_text(json.dumps(lists))
    with pytest.raises(CheckpointError, match=r"holds 55 training clips; 56 trained it"):
        evaluate(copy, device="cpu")
    lists["train"].append(["x", "x.mp4", "", 0.0, None, 3])
    path.write_text(json.dumps(lists))
    with pytest.raises(CheckpointError, match=r"'x.mp4'.* is not a clip"):
        evaluate(copy, device="cpu")


def test_evaluate_shows_the_clips_of_every_cache(run):
    result = evaluate(run.run_dir, device="cpu")
    assert result.is_own_fold
    assert any(
        line
        == "  trained on 26 clips, 6 to validate; left out: none; and 30 clips of other, fold 1 (left out: "
        "2 of class contempt)"
        for line in lines_of(result)
    )

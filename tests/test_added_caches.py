"""Further caches of a training: what is rejected, resumed, and read from the record."""

import json
import shutil
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.errors import CacheError, CheckpointError, ConfigError
from pipeline.fingerprint import default_settings
from pipeline.process.identity import STEPS
from pipeline.store.location import Location
from pipeline.types import Split
from tests.command_line import call
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static
from tests.two_caches import (
    CONTEMPT,
    CPU,
    NUM,
    QUICK,
    SEVERAL,
    contempt_cache,
    contempt_static,
    given_validation,
    other_cache,
    records,
    write_two,
)
from trainer import evaluate, resume, train, train_command, transfer
from trainer.added_cache import cache_names
from trainer.checkpoint import load_checkpoint
from trainer.export import export_model
from trainer.export.push import require_rights
from trainer.report import report
from trainer.runs import load_run

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """The tiny cache with given validation clips, and a cache of another dataset."""
    return write_two(tmp_path_factory.mktemp("caches"))


@pytest.fixture(scope="module")
def run(caches, tmp_path_factory):
    """A run on both."""
    return train(list(caches), tmp_path_factory.mktemp("runs") / "run", QUICK, device="cpu")


# What is rejected


def test_folds_are_given_for_all_caches_or_for_each(caches, tmp_path):
    membership = np.repeat(tiny_static()["membership"], 2, axis=1)
    meta = tiny_meta(dataset="other", class_names=CONTEMPT, fold_names=("x", "y"))
    two = other_cache(tmp_path / "two.zarr", meta, membership=membership, **contempt_static())
    with pytest.raises(
        ConfigError,
        match=r"two.zarr' has no fold '3'; it has: x, y. Give one --fold for each --cache, in their order, "
        r"such as --fold 1 --fold x\.$",
    ) as caught:
        train([caches[0], two], tmp_path / "run", QUICK, fold="3", device="cpu")
    assert "a.zarr' has no fold '3'; it has: 1. " in str(caught.value)
    with pytest.raises(ConfigError, match=r"^3 folds and 2 caches are given\. Given once, --fold applies"):
        train([caches[0], two], tmp_path / "run", QUICK, fold=[1, "x", "y"], device="cpu")
    assert not (tmp_path / "run").exists()
    info = train([caches[0], two], tmp_path / "run", QUICK, fold=[1, "y"], device="cpu").info
    assert (info.fold, info.added_caches[0].fold) == ("1", "y")


OTHER_IDENTITY = {**tiny_meta().identity, "detector": {"version": 1, "name": "haar"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"meta": tiny_meta(dataset="other", identity=OTHER_IDENTITY)},
            r"c.zarr' \('there'\) has other features than '.*a.zarr' \('here'\): detector.name: "
            r'"retinaface-resnet50" here, "haar" there\. Extract both with the same settings',
        ),
        (
            {"meta": tiny_meta(dataset="other", num_views=3)},
            r"c.zarr' .* other features than .*: num_views: 2 here, 3 there\. Extract",
        ),
        (
            {"meta": tiny_meta(dataset="other", class_names=("x", "y", "z"))},
            r"No class of the cache \(x, y, z\) is a class of the run \(happiness, neutral, sadness\)",
        ),
        (
            {"membership": np.full((NUM, 1), Split.TEST, dtype=np.uint8)},
            r"Fold '1' of '.*c.zarr' adds no clip to the training \(left out: none\); give another fold",
        ),
    ],
)
def test_a_cache_that_does_not_fit_is_rejected(caches, tmp_path, change, message):
    added = other_cache(tmp_path / "c.zarr", **change)
    with pytest.raises(ConfigError, match=message):
        train([caches[0], added], tmp_path / "run", QUICK, device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_cache_that_spells_out_the_defaults_has_the_same_features(caches, tmp_path):
    identity = tiny_meta().identity
    earlier = identity | {
        section: {**identity[section], **default_settings(kind)} for section, (_, kind) in STEPS.items()
    }
    added = other_cache(tmp_path / "c.zarr", tiny_meta(dataset="other", identity=earlier))
    assert train([caches[0], added], tmp_path / "run", QUICK, device="cpu").info.added_caches
    earlier["track"]["max_gap"] += 1
    other = other_cache(tmp_path / "d.zarr", tiny_meta(dataset="other", identity=earlier))
    with pytest.raises(ConfigError, match=r"\('here'\): track.max_gap: \d+ here, \d+ there\. Extract"):
        train([caches[0], other], tmp_path / "none", QUICK, device="cpu")


def test_a_polarity_may_be_given_by_the_class_of_the_run(caches, tmp_path):
    added = other_cache(tmp_path / "c.zarr", polarity=np.full(NUM, -1, dtype=np.int8))
    given = "data.polarity_map=happiness:positive,neutral:neutral,sadness:negative"
    settings = override(QUICK, [given])
    known = train([caches[0], added], tmp_path / "known", settings, device="cpu")
    plain = train([caches[0], other_cache(tmp_path / "d.zarr")], tmp_path / "plain", QUICK, device="cpu")
    assert records(known.run_dir) == records(plain.run_dir)


def test_a_run_with_given_polarities_is_measured_on_a_cache_with_other_classes(caches, tmp_path):
    settings = override(QUICK, ["data.polarity_map=happiness:negative,sadness:negative"])
    run_dir = train(caches[0], tmp_path / "run", settings, device="cpu").run_dir
    assert evaluate(run_dir, cache=caches[1], device="cpu").metrics.num_clips == 14
    made = report([run_dir], tmp_path / "out", lambda _: None, cache=caches[1], device="cpu", num_shown=0)
    (found,) = made.runs
    assert {tuple(pair) for pair in zip(found.label_N.tolist(), found.polarity_N.tolist(), strict=True)} == {
        (0, 0), (1, 1), (2, 0),
    }  # fmt: skip


ENTHUSIASM = ("Begeisterung", "neutral", "sad")
"""Classes of which one has no polarity by its name, and no class of the run by its meaning."""


def enthusiasm_cache(path, **changes):
    """A cache whose clips of "Begeisterung" have no polarity; clip 3 has one that is not of its class."""
    polarity = np.where(np.arange(NUM) % 3 == 0, -1, tiny_static()["polarity"]).astype(np.int8)
    polarity[3] = 0
    meta = tiny_meta(dataset="other", class_names=ENTHUSIASM)
    return other_cache(path, meta, **{"polarity": polarity, **changes})


def test_a_clip_without_a_polarity_has_that_of_its_class(caches, tmp_path):
    classes = {"Begeisterung": "happiness"}
    added = enthusiasm_cache(tmp_path / "c.zarr")
    remarks = []
    taken = train(
        [caches[0], added], tmp_path / "taken", QUICK, classes=classes, device="cpu", on_remark=remarks.append
    )
    polarity = tiny_static()["polarity"].copy()
    polarity[3] = 0
    stated = enthusiasm_cache(tmp_path / "d.zarr", polarity=polarity)
    given = train([caches[0], stated], tmp_path / "given", QUICK, classes=classes, device="cpu")
    assert records(taken.run_dir) == records(given.run_dir)
    (remark,) = [one for one in taken.notes if "polarity" in one]
    assert (
        remark == f"10 clips of '{added}' without a polarity: that of the class is used (happiness positive)"
    )
    assert remark in remarks
    assert not any("polarity" in note for note in given.notes)


def test_the_polarity_of_a_class_is_that_of_the_first_cache_before_that_of_its_name(tmp_path):
    turned = np.where(np.arange(NUM) % 3 == 0, 1, tiny_static()["polarity"]).astype(np.int8)
    first = tiny_cache(tmp_path / "a.zarr", membership=given_validation(), polarity=turned)
    none = np.full(NUM, -1, dtype=np.int8)
    taken = train(
        [first, other_cache(tmp_path / "c.zarr", polarity=none)], tmp_path / "t", QUICK, device="cpu"
    )
    plain = train(
        [first, other_cache(tmp_path / "d.zarr", polarity=turned)], tmp_path / "p", QUICK, device="cpu"
    )
    assert records(taken.run_dir) == records(plain.run_dir)
    assert any("(happiness neutral, neutral neutral, sadness negative)" in note for note in taken.notes)


def test_a_class_of_several_or_no_polarities_gives_none(tmp_path):
    mixed = tiny_static()["polarity"].copy()
    mixed[0] = 0
    first = tiny_cache(tmp_path / "a.zarr", polarity=mixed)
    added = enthusiasm_cache(tmp_path / "c.zarr")
    with pytest.raises(
        ConfigError,
        match=r"10 clips of '.*c.zarr', of happiness \(several polarities in the first cache\), without "
        r"a known polarity .* --set data.polarity_map=happiness:positive",
    ):
        train([first, added], tmp_path / "run", QUICK, classes={"Begeisterung": "happiness"}, device="cpu")
    names = ("odd", "neutral", "sadness")
    unnamed = np.where(np.arange(NUM) % 3 == 0, -1, mixed).astype(np.int8)
    other = tiny_cache(tmp_path / "d.zarr", tiny_meta(class_names=names), polarity=unnamed)
    with pytest.raises(ConfigError, match=r"10 clips of '.*c.zarr', of odd, without a known polarity"):
        train([other, added], tmp_path / "run", QUICK, classes={"Begeisterung": "odd"}, device="cpu")
    assert not (tmp_path / "run").exists()


def test_without_the_polarity_loss_no_polarity_is_filled_in(caches, tmp_path):
    added = enthusiasm_cache(tmp_path / "c.zarr")
    settings = override(QUICK, ["model.polarity=false"])
    classes = {"Begeisterung": "happiness"}
    result = train([caches[0], added], tmp_path / "run", settings, classes=classes, device="cpu")
    assert not any("polarity" in note for note in result.notes)


def test_arguments_without_effect_are_rejected(caches, tmp_path):
    link = tmp_path / "same.zarr"
    link.symlink_to(caches[0])
    with pytest.raises(
        ConfigError, match=r"--cache '.*same.zarr' is given twice: its clips would train twice"
    ):
        train([caches[0], link], tmp_path / "run", QUICK, device="cpu")
    with pytest.raises(
        ConfigError, match="--classes applies to the further caches .*, and one cache is given"
    ):
        train(caches[0], tmp_path / "run", QUICK, classes={"joy": "happiness"}, device="cpu")
    with pytest.raises(
        ConfigError, match=r"--classes names 'glee'; the further cache has: joy, neutral, sad"
    ):
        train(list(caches), tmp_path / "run", QUICK, classes={"glee": "happiness"}, device="cpu")
    with pytest.raises(
        ConfigError, match=r"data.mixture is 'equal', which is a choice between several caches"
    ):
        train(caches[0], tmp_path / "run", override(QUICK, ["data.mixture=equal"]), device="cpu")
    with pytest.raises(ConfigError, match="an empty list of caches"):
        train([], tmp_path / "run", QUICK, device="cpu")
    assert not (tmp_path / "run").exists()


# Resuming


def interrupted(caches, run_dir, config=SEVERAL):
    cancel = CancelToken()
    with pytest.raises(TaskCancelledError):
        train(
            list(caches), run_dir, config, device="cpu", cancel=cancel, classes={"Contempt ": "Sadness"},
            on_epoch=lambda report: cancel.cancel() if report.epoch == 1 else None,
        )  # fmt: skip


def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(caches, tmp_path):
    config = override(SEVERAL, ["data.mixture=equal"])
    train(list(caches), tmp_path / "whole", config, classes={"contempt": "sadness"}, device="cpu")
    interrupted(caches, tmp_path / "run", config)
    result = resume(tmp_path / "run", device="cpu")
    assert result.num_epochs == 3
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    for name in ("best.safetensors", "scenes.safetensors", "training_clips.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_moved_cache_is_given_with_the_others(caches, tmp_path):
    moved = shutil.copytree(caches[1], tmp_path / "moved.zarr")
    interrupted(caches, tmp_path / "run")
    with pytest.raises(
        ConfigError,
        match=r"2 caches trained the run, and 1 is given; give --cache once for each, .*: .*a.zarr,",
    ):
        resume(tmp_path / "run", cache=caches[0], device="cpu")
    info = resume(tmp_path / "run", cache=[caches[0], moved], device="cpu").info
    assert info.added_caches[0].name == "moved.zarr"
    assert load_checkpoint(tmp_path / "run", CPU).info == info


def test_a_cache_with_other_clips_does_not_resume(caches, tmp_path):
    interrupted(caches, tmp_path / "run")
    changed = contempt_cache(tmp_path / "b.zarr", membership=given_validation())
    with pytest.raises(
        ConfigError, match=r"b.zarr' has other clips or features than .* \(clips_sha256\); give"
    ):
        resume(tmp_path / "run", cache=[caches[0], changed], device="cpu")


def test_caches_in_another_order_are_named(caches, tmp_path):
    third = contempt_cache(tmp_path / "third.zarr", label=np.roll(contempt_static()["label"], 1))
    first, second = caches
    interrupted([first, second, third], tmp_path / "run")
    for given, message in [
        (
            [second, first, third],
            r"another order than .*: '.*b.zarr' was cache 2 of 3 and is given as cache 1;",
        ),
        (
            [first, third, second],
            r": '.*third.zarr' was cache 3 of 3 and is given as cache 2; give --cache in",
        ),
    ]:
        with pytest.raises(ConfigError, match=message):
            resume(tmp_path / "run", cache=given, device="cpu")
    assert resume(tmp_path / "run", cache=[first, second, third], device="cpu").num_epochs == 3


def test_a_wrong_cache_is_recognised_before_the_options_that_the_run_gives(caches, tmp_path):
    interrupted(caches, tmp_path / "run")
    meta = tiny_meta(dataset="other", class_names=("joy", "neutral", "sad", "pride"), fold_names=("x",))
    other = other_cache(tmp_path / "c.zarr", meta, **contempt_static())
    with pytest.raises(ConfigError, match=r"c.zarr' has other clips or features than .* give the earlier"):
        resume(tmp_path / "run", cache=[caches[0], other], device="cpu")
    with pytest.raises(ConfigError, match=r"run': the cache has other clips .* give the earlier cache with"):
        resume(tmp_path / "run", cache=[other, caches[1]], device="cpu")


def test_object_storage_is_contacted_only_if_the_user_named_it(caches, tmp_path, monkeypatch):
    remembered = Mock(return_value="")
    monkeypatch.setattr("trainer.training_task.remember", remembered)
    interrupted(caches, tmp_path / "run")
    assert [call.args[0] for call in remembered.call_args_list] == [Location(str(path)) for path in caches]
    values = json.loads((tmp_path / "run" / "run.json").read_text())
    values["added_caches"][0] |= {"cache_path": "s3://bucket/b.zarr", "cache_from_run": ""}
    (tmp_path / "run" / "run.json").write_text(json.dumps(values))
    monkeypatch.setattr("trainer.training.run_task", Mock(side_effect=AssertionError("contacted")))
    with pytest.raises(CacheError, match="names the cache 's3://bucket/b.zarr', and no training of yours"):
        resume(tmp_path / "run", device="cpu")


# The command line


def test_the_command_trains_on_several_caches(caches, tmp_path, monkeypatch, capsys):
    names = tmp_path / "names.toml"
    names.write_text('contempt = "sadness"\n')
    monkeypatch.chdir(tmp_path)
    quick = ["--preset", "smoke", "--set", "schedule.max_epochs=1", "--device", "cpu"]
    given = ["--cache", caches[0], "--cache", caches[1], "--fold", "1", "--fold", "1", "--classes", names]
    code, out, err = call(monkeypatch, capsys, "train", *given, *quick)
    assert code == 0, err
    assert "trained on 26 clips and 32 clips of other, fold 1" in out
    assert "classes of b.zarr: joy is happiness, sad is sadness, contempt is sadness" in out
    assert (tmp_path / "runs" / "a+b-fold1-seed0" / "best.safetensors").is_file()


def test_an_interrupted_command_names_the_run_and_resumes_it(caches, tmp_path, monkeypatch, capsys):
    quick = ["--preset", "smoke", "--set", "schedule.max_epochs=2", "--device", "cpu"]
    both, where = ["--cache", caches[0], "--cache", caches[1]], tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(train_command, "_show_epoch", Mock(side_effect=KeyboardInterrupt))
        code, _, err = call(patched, capsys, "train", *both, *quick, "--run", where)
    assert code == 130
    assert f"`cli.py evaluate {where}` measures it." in " ".join(err.split())
    code, _, err = call(monkeypatch, capsys, "train", "--resume", where, "--fold", "1")
    assert code == 2
    assert "--fold: the run has its own settings" in " ".join(err.split())
    code, out, err = call(monkeypatch, capsys, "train", "--resume", where, *both, "--device", "cpu")
    assert code == 0, err
    assert "best epoch" in out


# Others who read the record


def test_runs_with_other_further_caches_are_not_averaged(caches, run, tmp_path):
    alone = train(caches[0], tmp_path / "alone", QUICK, seed=1, device="cpu").run_dir
    more = train(list(caches), tmp_path / "more", QUICK, seed=2, device="cpu").run_dir
    made = report([run.run_dir, alone, more], tmp_path / "out", lambda _: None, device="cpu", num_shown=0)
    labels = [(row.label, len(row.runs)) for row in made.run_rows]
    assert labels == [("ours, smoke, with other", 2), ("ours, smoke", 1)]
    page = (tmp_path / "out" / "report.md").read_text()
    assert "was trained with other further caches, or with other clips or classes of them" in page
    assert "30 clips of other, fold 1" in page
    assert "(other), classes: joy is happiness, sad is sadness; left out: contempt" in page


def test_a_cache_that_added_clips_is_measured_on_its_own_fold_in_a_table_of_transfer(tmp_path):
    first = tiny_cache(tmp_path / "a.zarr")
    membership = np.repeat(tiny_static()["membership"], 2, axis=1)
    membership[:, 1] = np.where(np.arange(NUM) < NUM // 3, Split.TEST, Split.TRAIN)
    meta = tiny_meta(dataset="other", fold_names=("x", "y"), fingerprint="e" * 64)
    added = other_cache(tmp_path / "b.zarr", meta, membership=membership)
    config = override(QUICK, ["optim.batch_size=16"])
    run_dir = train([first, added], tmp_path / "run", config, fold=[1, "y"], device="cpu").run_dir
    found = transfer([run_dir], [first, added], tmp_path / "out", device="cpu")
    cells = {(cell.trained_on, cell.measured_on): cell for cell in found.cells}
    assert {key: (cell.is_own, cell.num_clips) for key, cell in cells.items()} == {
        ("a with b", "a"): (True, 16), ("a with b", "b"): (True, 16),
    }  # fmt: skip


def two_folds(path, **changes):
    """A cache of two folds, whose first one has other training clips than the second."""
    membership = np.repeat(tiny_static()["membership"], 2, axis=1)
    membership[:, 0] = np.where(np.arange(NUM) < NUM // 3, Split.TEST, Split.TRAIN)
    meta = tiny_meta(dataset="other", fold_names=("x", "y"), fingerprint="e" * 64)
    return other_cache(path, meta, **{"membership": membership, **changes})


@pytest.fixture(scope="module")
def on_second_fold(tmp_path_factory):
    """A run on the tiny cache and on fold y of a cache of two folds, and this cache."""
    folder = tmp_path_factory.mktemp("folds")
    added = two_folds(folder / "b.zarr")
    caches = [tiny_cache(folder / "a.zarr", membership=given_validation()), added]
    return train(caches, folder / "run", QUICK, fold=[1, "y"], device="cpu").run_dir, added


def test_a_cache_that_added_clips_is_measured_on_the_fold_that_added_them(on_second_fold, tmp_path):
    run_dir, added = on_second_fold
    found = evaluate(run_dir, cache=added, device="cpu")
    assert (found.fold, found.is_own_fold, found.metrics.num_clips) == ("y", False, 16)
    moved = shutil.copytree(added, tmp_path / "moved.zarr")
    assert evaluate(run_dir, cache=moved, device="cpu").fold == "y"
    with pytest.raises(CheckpointError, match="16 of the 16 test clips of .* with clips that trained"):
        evaluate(run_dir, cache=added, fold="x", device="cpu")
    other = two_folds(tmp_path / "c.zarr", label=np.arange(NUM, dtype=np.int16)[::-1] % 3)
    with pytest.raises(
        ConfigError, match=r"has 2 folds \(x, y\), and fold '1', which trained the run, is not"
    ):
        evaluate(run_dir, cache=other, device="cpu")


def test_a_changed_cache_at_the_recorded_location_keeps_its_fold(tmp_path):
    added = two_folds(tmp_path / "b.zarr")
    caches = [tiny_cache(tmp_path / "a.zarr"), added]
    run_dir = train(caches, tmp_path / "run", QUICK, fold=[1, "y"], device="cpu").run_dir
    shutil.rmtree(added)
    label = tiny_static()["label"].copy()
    label[-1] = (label[-1] + 1) % 3
    two_folds(added, label=label)
    assert evaluate(run_dir, cache=added, device="cpu").fold == "y"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_training_clips_of_a_further_cache_are_rejected_with_this_reason(on_second_fold, split):
    run_dir, added = on_second_fold
    with pytest.raises(
        CheckpointError,
        match=rf"^--split {split}: '.*b.zarr' is a further cache of '.*run', which was trained on 32 clips "
        r"of its fold 'y', those marked as validation included; measure --split test, or leave out --cach",
    ):
        evaluate(run_dir, split, cache=added, device="cpu")


def test_the_map_of_the_training_is_that_of_the_measurement(caches, tmp_path):
    label = np.where(np.arange(NUM) % 6 == 5, 3, np.arange(NUM) % 3).astype(np.int16)
    added = contempt_cache(tmp_path / "b.zarr", label=label)
    classes = {"contempt": "sadness"}
    run_dir = train([caches[0], added], tmp_path / "run", QUICK, classes=classes, device="cpu").run_dir
    found = evaluate(run_dir, cache=added, device="cpu")
    assert (found.metrics.num_clips, "of class contempt" in found.left_out) == (16, False)
    assert "OTHER CLASSES: joy is happiness, sad is sadness, contempt is sadness" in found.banners
    cells = transfer([run_dir], [caches[0], added], tmp_path / "out", device="cpu").cells
    assert [cell.classes for cell in cells] == ["", "joy is happiness, sad is sadness, contempt is sadness"]
    assert cells[1].num_clips == 16
    other = evaluate(run_dir, cache=added, classes={"contempt": ""}, device="cpu")
    assert other.left_out["of class contempt"] == int((label[2 * NUM // 3 :] == 3).sum())


def test_a_map_of_an_added_cache_is_not_that_of_the_first_one(tmp_path):
    """Both are of the dataset 'tiny', with the same classes."""
    first = tiny_cache(tmp_path / "a.zarr", membership=given_validation())
    added = other_cache(tmp_path / "b.zarr", tiny_meta())
    classes = {"neutral": "sadness"}
    run_dir = train([first, added], tmp_path / "run", QUICK, classes=classes, device="cpu").run_dir
    assert evaluate(run_dir, cache=first, device="cpu").class_map is None
    assert "neutral is sadness" in str(evaluate(run_dir, cache=added, device="cpu").class_map)


def test_an_exported_model_names_every_dataset_and_no_path(tmp_path):
    config = {"detector": {"name": "haar"}, "encoder": {"name": "modest"}, "dataset": {"name": "tiny"}}
    first = tiny_cache(tmp_path / "a.zarr", tiny_meta(config=config))
    added = other_cache(tmp_path / "b.zarr", tiny_meta(dataset="mafw"))
    run_dir = train([first, added], tmp_path / "run", QUICK, device="cpu").run_dir
    model = export_model(run_dir, tmp_path / "model")
    assert model.licensed == "MAFW"
    card = (tmp_path / "model" / "README.md").read_text()
    assert "# OUS, trained on tiny and MAFW" in card
    assert "- MAFW, fold 1: 32 clips added to the training." in card
    assert "**MAFW is under a licence for research." in card
    assert "Whether the clips are under a licence is not known" in card
    assert str(tmp_path) not in (tmp_path / "model" / "config.json").read_text()
    assert "b.zarr" not in (tmp_path / "model" / "config.json").read_text()
    loaded = load_run(tmp_path / "model")
    assert loaded.info.trained_on == "tiny, fold 1, with mafw, fold 1"
    with pytest.raises(ConfigError, match="--push: the model was trained on MAFW"):
        require_rights(loaded.info, has_rights=False)
    values = json.loads((tmp_path / "model" / "config.json").read_text())
    values["run"]["added_caches"][0]["cache_path"] = "/home/kim/b.zarr"
    (tmp_path / "model" / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="it names a cache"):
        load_run(tmp_path / "model")


@pytest.fixture(scope="module")
def of_one_dataset(tmp_path_factory):
    """Three caches of one dataset with equal ids; talks has a test clip and a training clip of films."""
    folder = tmp_path_factory.mktemp("manifests")
    sha256 = [
        np.array([f"{48 * number + row:064x}" for row in range(NUM)], dtype=object) for number in range(3)
    ]
    sha256[1][[0, 1]] = sha256[0][[40, 10]]
    sha256[2][3] = sha256[1][5]
    meta = tiny_meta(dataset="manifest")
    return [
        tiny_cache(folder / f"{name}.zarr", meta, source_sha256=one, membership=given_validation())
        for name, one in zip(("films", "talks", "shows"), sha256, strict=True)
    ]


def test_caches_of_one_dataset_are_named_by_the_cache(of_one_dataset, tmp_path):
    run_dir = tmp_path / "run"
    result = train(of_one_dataset, run_dir, QUICK, device="cpu")
    assert (
        "26 clips and 32 clips of talks.zarr (manifest), fold 1 and 32 clips of shows.zarr"
        in lines(result)[2]
    )
    assert "'clip040' with 'clip000 (talks.zarr (manifest))'; evaluate" in result.notes[0]
    assert "'clip001' with 'clip010 (films.zarr (manifest))'" in result.notes[1]
    assert "'clip003' with 'clip005 (talks.zarr (manifest))'" in result.notes[2]
    assert result.info.trained_on == ", with ".join(
        f"{name}.zarr (manifest), fold 1" for name in ("films", "talks", "shows")
    )
    with pytest.raises(
        CheckpointError, match=r"'clip040' with 'clip000 \(talks.zarr \(manifest\)\)'\. Measure"
    ):
        evaluate(run_dir, device="cpu")
    found = evaluate(run_dir, device="cpu", allow_leak=True)
    assert "; and 32 clips of talks.zarr (manifest), fold 1; and 32 clips of shows" in str(found.training_set)
    assert "added_clips" not in to_json_values(found)["training_set"]
    (path,) = run_dir.glob("events*")
    assert b"talks.zarr (manifest), fold 1; shows.zarr (manifest), fold 1" in path.read_bytes()


def test_caches_of_one_dataset_and_one_file_name_are_numbered():
    caches = [("manifest", "/a/feats.zarr"), ("manifest", "/b/feats.zarr"), ("dfew", "/c/feats.zarr")]
    assert cache_names(caches) == ("cache 1: feats.zarr (manifest)", "cache 2: feats.zarr (manifest)", "dfew")


def test_a_model_card_names_caches_of_one_dataset_and_no_directory(of_one_dataset, tmp_path):
    config = {"detector": {"name": "haar"}, "encoder": {"name": "modest"}, "dataset": {"name": "manifest"}}
    first = tiny_cache(tmp_path / "films.zarr", tiny_meta(dataset="manifest", config=config))
    run_dir = train([first, of_one_dataset[2]], tmp_path / "run", QUICK, device="cpu").run_dir
    export_model(run_dir, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "\n- films.zarr (manifest), fold 1, seed 0: " in card
    assert "\n- shows.zarr (manifest), fold 1: 32 clips added to the training." in card
    assert str(tmp_path) not in card
    assert (
        load_run(tmp_path / "model").info.trained_on
        == "cache 1: manifest, fold 1, with cache 2: manifest, fold 1"
    )


def test_tensorboard_compares_runs_by_their_further_caches(run):
    (path,) = run.run_dir.glob("events*")
    assert b"other, fold 1" in path.read_bytes()


def test_the_parts_of_a_record_are_checked(run, tmp_path):
    copy = shutil.copytree(run.run_dir, tmp_path / "run")
    whole = json.loads((copy / "run.json").read_text())
    (added,) = whole["added_caches"]
    for wrong, message in [
        (3, "added_caches is 3; a list of caches is needed"),
        ([added] * 1001, "a list of at most 1000 caches is needed"),
        (["b"], r"added_caches has 'b'; an object with cache_fingerprint, .* is needed"),
        ([{}], r"added_caches has {}; an object with"),
        ([added | {"more": 1}], "an object with"),
        ([added | {"dataset": 3}], "dataset of added_caches is 3, of another type"),
        ([added | {"num_train": 0}], "num_train of added_caches is 0"),
        ([added | {"num_train": True}], "num_train of added_caches is True"),
        ([added | {"left_out": {"failed": -1}}], "left_out of added_caches is {'failed': -1}"),
        ([added | {"classes": {"joy": 1}}], "classes of added_caches is {'joy': 1}"),
        ([added | {"classes": []}], r"classes of added_caches is \[\]"),
        ([added | {"num_train": 5}], "is not of the run that run.json beside it describes"),
    ]:
        (copy / "run.json").write_text(json.dumps(whole | {"added_caches": wrong}))
        with pytest.raises(CheckpointError, match=message) as caught:
            load_checkpoint(copy, CPU)
        assert len(str(caught.value).splitlines()) == 1


def test_text_of_a_record_is_shown_on_one_line(run):
    (added,) = run.info.added_caches
    odd = replace(added, dataset="a\n\x1b[31mb", cache_path="/x/\x1b.zarr", fold="\n")
    (name,) = cache_names([(odd.dataset, odd.cache_path)])
    assert odd.clips_of(name) == "30 clips of a??[31mb, fold ?"
    assert odd.name == "?.zarr"

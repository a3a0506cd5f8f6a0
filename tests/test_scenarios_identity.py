"""What a run is: the clips, fold and precision behind its numbers, as users meet them on the command line.

Each scenario gave a wrong number, or a right one without its condition, in an earlier version.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import override
from pipeline.display.text import lines as lines_of
from pipeline.errors import CheckpointError, ConfigError
from pipeline.types import Split, Status
from tests.command_line import call
from tests.test_report import write
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static
from tests.tiny_grid import Heard, quick_spec
from trainer.ablate import SweepExecutorOptions, ablate
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.run_directory import load_info, save_info
from trainer.run_info import RunInfo
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

QUICK = override(smoke(), ["schedule.max_steps=1", "model.polarity=false"])
ON_CPU = "model fp32, text tower fp32"
IDS = tiny_static()["clip_id"].tolist()
UNRECORDED = ("usable_sha256", "num_train", "num_validation", "left_out_of_training", "precision")


def hashes(of=range(48)):
    return np.array([f"{row:064x}" for row in of], dtype=object)


def half_done(path, **static):
    """The tiny cache with 24 of its 32 training clips pending."""
    status = np.full(48, Status.DONE, dtype=np.uint8)
    status[:24] = Status.PENDING
    return tiny_cache(path, status=status, **static)


def finish(path, meta=None, **static):
    """The cache after its extraction has gone on to the end."""
    shutil.rmtree(path)
    return tiny_cache(path, meta, **static)


def as_older(run: Path) -> Path:
    """The run as a version left it that did not record which clips trained it. Its weights name it too."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    weights = run / "best.safetensors"
    with safe_open(weights, framework="pt") as file:
        metadata = json.loads(file.metadata()["ous"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    values = json.loads((run / "run.json").read_text())
    for name in UNRECORDED:
        del values[name], metadata["run"][name]
    save_file(tensors, weights, metadata={"ous": json.dumps(metadata)})
    (run / "run.json").write_text(json.dumps(values))
    return run


# 1. Runs on a half-extracted cache and on the whole one


@pytest.fixture(scope="module")
def half_and_whole(tmp_path_factory):
    """A run on the half cache, seed 0, and two on the whole one, seeds 1 and 2."""
    folder = tmp_path_factory.mktemp("half")
    cache = half_done(folder / "feats.zarr")
    train(cache, folder / "half", QUICK, seed=0, device="cpu")
    finish(cache)
    for seed in (1, 2):
        train(cache, folder / f"whole{seed}", QUICK, seed=seed, device="cpu")
    return folder


def test_a_run_on_a_half_extracted_cache_shares_no_mean_with_runs_on_the_whole(half_and_whole, tmp_path):
    names = ("half", "whole1", "whole2")
    made, page, document = write([half_and_whole / name for name in names], tmp_path)
    assert [len(group.runs) for group in made.run_rows] == [1, 2]
    assert [group["label"] for group in document["groups"]] == [
        "ours, smoke (unfinished cache)", "ours, smoke (2)",
    ]  # fmt: skip
    half, whole = (group["trained_on"] for group in document["groups"])
    assert half == ("5 clips, 3 to validate; left out: 24 pending; the cache has 24 more training clips now")
    assert whole == "29 clips, 3 to validate; left out: none"
    why = (
        "ours, smoke (2) and ours, smoke (unfinished cache) have separate means: ours, smoke (2) was "
        "trained on other clips or groups of clips."
    )
    assert document["settings_apart"] == [why]
    assert f"note: {why}" in lines_of(made)
    assert why in page.text
    assert why in (tmp_path / "report.md").read_text()
    for text in (half, whole):
        assert any(text in line for line in lines_of(made))
        assert any(text in line for line in page.text)
    banner = "UNFINISHED CACHE: trained while 24 clips of the fold had no features yet"
    assert f"{banner} (1 of 3 runs)" in made.banners


def test_evaluate_prints_what_trained_the_run_and_that_the_cache_has_more_now(half_and_whole):
    result = evaluate(half_and_whole / "half", device="cpu")
    (line,) = [line for line in lines_of(result) if line.startswith("  trained on ")]
    assert line == (
        "  trained on 5 clips, 3 to validate; left out: 24 pending; the cache has 24 more training clips now"
    )
    written = json.loads((half_and_whole / "half" / "confusion.json").read_text())
    assert written["training_set"] == {
        "usable_sha256": load_info(half_and_whole / "half").usable_sha256,
        "num_train": 5, "num_validation": 3, "left_out": {"pending": 24}, "added": [],
        "num_without_face": 0, "num_more_now": 24,
    }  # fmt: skip
    whole = evaluate(half_and_whole / "whole1", device="cpu")
    assert "  trained on 29 clips, 3 to validate; left out: none" in lines_of(whole)
    assert not any("UNFINISHED" in banner for banner in whole.banners)


def test_numbers_measured_while_test_clips_are_pending_carry_that(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr")
    run = train(cache, tmp_path / "run", QUICK, device="cpu").run_dir
    status = np.full(48, Status.DONE, dtype=np.uint8)
    status[40:] = Status.PENDING
    finish(cache, status=status)
    banner = "UNFINISHED CACHE: measured while 8 clips of the fold had no features yet"
    result = evaluate(run, device="cpu")
    assert (result.metrics.num_clips, banner in result.banners) == (8, True)
    assert f"!! {banner}" in lines_of(result)


def test_older_runs_join_the_others_where_the_cache_proves_their_clips_and_else_stand_alone(
    half_and_whole, tmp_path
):
    for name in ("half", "whole1"):
        as_older(Path(shutil.copytree(half_and_whole / name, tmp_path / name)))
    runs = [tmp_path / "half", tmp_path / "whole1", half_and_whole / "whole2"]
    made, _, document = write(runs, tmp_path / "out")
    assert [[run.run_dir.name for run in group.runs] for group in made.run_rows] == [
        ["half"], ["whole1", "whole2"],
    ]  # fmt: skip
    assert document["groups"][0]["trained_on"] == (
        "5 clips, 3 to validate; which clips were left out is not recorded; the cache has 24 more training "
        "clips now"
    )
    assert "TRAINED ON FEWER CLIPS: the cache has 24 more for this fold now (1 of 3 runs)" in made.banners
    assert [group["precision"] for group in document["groups"]] == [ON_CPU, ON_CPU]


def test_older_runs_whose_clips_nothing_proves_are_each_apart(half_and_whole, tmp_path):
    other = tiny_cache(tmp_path / "other.zarr", tiny_meta(fingerprint="0" * 64))
    runs = [as_older(Path(shutil.copytree(half_and_whole / n, tmp_path / n))) for n in ("whole1", "whole2")]
    made, _, _ = write(runs, tmp_path / "out", cache=other)
    assert [len(group.runs) for group in made.run_rows] == [1, 1]
    recorded = [half_and_whole / name for name in ("whole1", "whole2")]
    made, _, _ = write(recorded, tmp_path / "out", cache=other)
    assert [len(group.runs) for group in made.run_rows] == [2]


def in_groups(path, size):
    """The tiny cache, each `size` clips in a row of one group."""
    names = np.array([f"{row // size}" for row in range(48)], dtype=object)
    return tiny_cache(path, tiny_meta(num_groups=len(set(names))), group=names)


@pytest.mark.slow
def test_runs_before_and_after_a_cache_got_other_groups_share_no_mean(tmp_path):
    """Their validation clips differ, and so do the groups that the intervals of pooled clips are over."""
    cache = tiny_cache(tmp_path / "feats.zarr")
    runs = [train(cache, tmp_path / "clips", QUICK, seed=0, device="cpu").run_dir]
    for seed, size in ((1, 2), (2, 4)):
        shutil.rmtree(cache)
        in_groups(cache, size)
        runs.append(train(cache, tmp_path / f"by{size}", QUICK, seed=seed, device="cpu").run_dir)
    made, _, document = write(runs, tmp_path / "out")
    assert [len(group.runs) for group in made.run_rows] == [1, 1, 1]
    assert document["settings_apart"] == [
        "ours, smoke (2) and ours, smoke have separate means: ours, smoke (2) was selected on validation "
        "clips that another rule chose; trained on other clips or groups of clips.",
        "ours, smoke (3) and ours, smoke have separate means: ours, smoke (3) was selected on validation "
        "clips that another rule chose.",
    ]
    assert not any("FEWER CLIPS" in banner for banner in made.banners)
    assert not any("more training clips now" in group["trained_on"] for group in document["groups"])


@pytest.mark.slow
def test_folds_that_a_half_extracted_cache_leaves_unequal_are_named_one_by_one(tmp_path):
    membership = np.full((48, 2), Split.TRAIN, dtype=np.uint8)
    membership[:16, 0] = membership[32:, 1] = Split.TEST
    membership[16:24, 1] = Split.ABSENT
    status = np.full(48, Status.DONE, dtype=np.uint8)
    status[16:24] = Status.PENDING
    meta = tiny_meta(fold_names=("1", "2"))
    cache = tiny_cache(tmp_path / "feats.zarr", meta, membership=membership, status=status)
    runs = [train(cache, tmp_path / f"{f}", QUICK, fold=f, device="cpu").run_dir for f in (1, 2)]
    made, _, document = write(runs, tmp_path / "out")
    (group,) = document["groups"]
    assert group["label"] == "ours (unfinished cache)"
    assert group["trained_on"] == (
        "fold 1: 21 clips, 3 to validate; left out: 8 pending; "
        "fold 2: 21 clips, 3 to validate; left out: none"
    )
    assert any("UNFINISHED CACHE" in banner for banner in made.banners)


@pytest.mark.slow
def test_a_pair_trained_on_other_clips_is_not_taken_for_the_work_of_the_scene(half_and_whole, tmp_path):
    cache = half_and_whole / "feats.zarr"
    face = override(QUICK, ["model.scene=false"])
    run = train(cache, tmp_path / "face", face, seed=0, device="cpu").run_dir
    made, _, _ = write([run, half_and_whole / "half"], tmp_path / "out", num_shown=0)
    assert made.pairs == ()
    made, _, _ = write([], tmp_path / "out", rigid=(run, half_and_whole / "half"), num_shown=0)
    (note,) = [note for note in made.pairs[0].notes if "different clips" in note]
    assert "the face-only run on 29 clips" in note
    assert "the full run on 5 clips" in note


def test_a_grid_whose_cache_gets_more_clips_done_mixes_nothing(tmp_path):
    """Between two commands the folder is refused; during one, the runs fail."""
    cache = half_done(tmp_path / "feats.zarr")
    here = SweepExecutorOptions(scheduler="sync")

    class Extracting(Heard):
        def on_outcome(self, outcome):
            super().on_outcome(outcome)
            if len(self.outcomes) == 1:
                finish(cache)

    heard = Extracting()
    report = ablate(cache, quick_spec(), tmp_path / "grid", heard, num_seeds=2, options=here)
    assert [outcome.state for outcome in heard.outcomes] == ["finished", "failed", "failed", "failed"]
    assert (
        "has features of other clips, or other groups of clips, than when this sweep started"
        in heard.outcomes[1].reason
    )
    assert heard.outcomes[0].num_train == 5
    assert any("UNFINISHED CACHE" in banner for banner in report.result.banners)
    assert "L_ce (unfinished cache)" in (tmp_path / "grid/table.md").read_text()
    assert "Training clips: 5 in fold 1." in report.result.notes
    with pytest.raises(ConfigError, match=r"holds another grid; .*cache.done_sha256"):
        ablate(cache, quick_spec(), tmp_path / "grid", Heard(), num_seeds=2, options=here)


# 3. Test clips are compared with training clips by content, wherever both are


@pytest.mark.slow
def test_report_and_rigid_find_training_footage_in_another_cache_under_another_name(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr", source_sha256=hashes())
    face = override(QUICK, ["model.scene=false"])
    runs = [train(cache, tmp_path / n, c, device="cpu").run_dir for n, c in (("face", face), ("full", QUICK))]
    names = np.array([f"other{row:03d}" for row in range(48)], dtype=object)
    sha256 = hashes(range(100, 148))
    seen = [row for row in range(32) if IDS[row] in (runs[1] / "training_clips.json").read_text()][0]
    sha256[40] = f"{seen:064x}"
    meta = tiny_meta(dataset="other", fold_names=("all",))
    other = tiny_cache(tmp_path / "o.zarr", meta, clip_id=names, path=names, source_sha256=sha256)
    for given in ({"folders": runs[1:]}, {"folders": [], "rigid": tuple(runs)}):
        folders = given.pop("folders")
        with pytest.raises(CheckpointError, match=r"1 of the 16 test clips .*'other040' with "):
            write(folders, tmp_path / "out", cache=other, **given)
        made, _, _ = write(folders, tmp_path / "out", cache=other, allow_leak=True, num_shown=0, **given)
        assert any(banner.startswith("LEAK: 1 of 16 test clips") for banner in made.banners)


def test_a_copy_in_published_splits_is_no_excuse_on_another_fold(tmp_path):
    """Copies within a published fold are reported; another fold was not published as a test of this run."""
    membership = np.full((48, 2), Split.TRAIN, dtype=np.uint8)
    membership[32:, 0] = Split.TEST
    membership[:, 1] = Split.ABSENT
    membership[40:44, 1] = Split.TEST
    sha256 = hashes()
    sha256[40] = sha256[0]
    meta = tiny_meta(dataset="dfew", fold_names=("1", "2"))
    cache = tiny_cache(tmp_path / "feats.zarr", meta, membership=membership, source_sha256=sha256)
    run = train(cache, tmp_path / "run", QUICK, device="cpu").run_dir
    assert evaluate(run, device="cpu").leak.reported == (("clip040", "clip000"),)
    with pytest.raises(CheckpointError, match="1 of the 4 test clips .*'clip040' with 'clip000'"):
        evaluate(run, fold="2", device="cpu")


# 4. Folds


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A cache of two folds whose test clips are disjoint and train the other, and a run on the second."""
    folder = tmp_path_factory.mktemp("folds")
    membership = np.full((48, 2), Split.TRAIN, dtype=np.uint8)
    membership[:16, 0] = membership[32:, 1] = Split.TEST
    cache = tiny_cache(
        folder / "feats.zarr", tiny_meta(fold_names=("1", "2")), membership=membership, source_sha256=hashes()
    )
    return cache, train(cache, folder / "run", QUICK, fold=2, device="cpu").run_dir


def other_cache(path, fold_names):
    """A cache of other files, whose folds have these names."""
    names = np.array([f"other{row:03d}" for row in range(48)], dtype=object)
    meta = tiny_meta(dataset="other", fold_names=fold_names)
    return tiny_cache(path, meta, clip_id=names, path=names, source_sha256=hashes(range(100, 148)))


def test_the_runs_own_fold_is_the_default_and_another_fold_is_decided_by_its_clips(folds):
    _, run = folds
    result = evaluate(run, device="cpu")
    assert (result.fold, result.is_own_fold, result.files[0].name) == ("2", True, "confusion.json")
    assert lines_of(result)[1:2] == ["tiny, fold 2, test split: 16 clips; 95% intervals over clips"]
    with pytest.raises(CheckpointError, match="16 of the 16 test clips|14 of the 16 test clips"):
        evaluate(run, fold=1, device="cpu")
    leaking = evaluate(run, fold=1, device="cpu", allow_leak=True)
    assert lines_of(leaking)[2].startswith("tiny, fold 1 (trained on fold 2 of tiny), test split: 16 clips; ")
    assert [path.name for path in leaking.files] == [
        "confusion_fold1.json", "confusion_fold1.png", "predictions_fold1.csv",
    ]  # fmt: skip
    assert json.loads((run / "confusion.json").read_text())["measured_fold"] == "2"
    with pytest.raises(
        CheckpointError, match="--split validation: fold '1' did not train '.*run', fold '2' did"
    ):
        evaluate(run, "validation", fold=1, device="cpu")


def test_the_only_fold_of_another_cache_is_measured_and_named(folds, tmp_path, monkeypatch, capsys):
    other = other_cache(tmp_path / "other.zarr", ("all",))
    code, out, _ = call(monkeypatch, capsys, "evaluate", folds[1], "--cache", other, "--device", "cpu")
    assert code == 0
    assert "other, fold all (trained on fold 2 of tiny), test split: 16 clips" in out
    assert f"measured on another cache than it was trained on: {other}" in out
    written = json.loads((folds[1] / "confusion_other.json").read_text())
    assert (written["fold"], written["measured_fold"], written["is_own_fold"]) == ("2", "all", False)
    assert written["measured_cache"] == str(other)


def test_an_equal_name_of_a_fold_of_another_cache_is_named_as_the_other_fold(folds, tmp_path):
    other = other_cache(tmp_path / "other.zarr", ("2",))
    result = evaluate(folds[1], cache=other, device="cpu")
    assert "other, fold 2 (trained on fold 2 of tiny), test split" in result.title


def test_several_folds_of_another_cache_need_a_choice(folds, tmp_path, monkeypatch, capsys):
    other = other_cache(tmp_path / "other.zarr", ("1", "2", "a/b"))
    command = ("evaluate", folds[1], "--cache", other, "--device", "cpu")
    code, _, err = call(monkeypatch, capsys, *command)
    assert (code, err.count("\n")) == (2, 1)
    assert "has 3 folds (1, 2, a/b), and fold '2', which trained the run, is not known to be one" in err
    assert "add --fold" in err
    names = set()
    for fold in ("1", "2", "a/b"):
        code, out, _ = call(monkeypatch, capsys, *command, "--fold", fold)
        assert (code, f"other, fold {fold} (trained on fold 2 of tiny)" in out) == (0, True)
        names |= {path.name for path in folds[1].glob("confusion_*_other.json")}
    assert names == {f"confusion_{fold}_other.json" for fold in ("fold1", "fold2", "fold-3")}


def test_a_published_fold_is_the_same_fold_in_every_cache_of_its_dataset(tmp_path):
    membership = np.full((48, 2), Split.TRAIN, dtype=np.uint8)
    membership[:16, 0] = membership[32:, 1] = Split.TEST
    meta = tiny_meta(dataset="dfew", fold_names=("1", "2"))
    cache = tiny_cache(tmp_path / "feats.zarr", meta, membership=membership)
    run = train(cache, tmp_path / "run", QUICK, fold=2, device="cpu").run_dir
    again = tiny_cache(tmp_path / "again.zarr", replace(meta, fingerprint="0" * 64), membership=membership)
    result = evaluate(run, cache=again, device="cpu")
    assert (result.fold, result.is_own_fold, result.same_cache) == ("2", True, False)


@pytest.mark.slow
def test_report_measures_runs_of_any_fold_on_another_cache_and_takes_no_mean_of_folds(folds, tmp_path):
    cache, second = folds
    first = train(cache, tmp_path / "first", QUICK, fold=1, device="cpu").run_dir
    other = other_cache(tmp_path / "other.zarr", ("1", "2"))
    with pytest.raises(ConfigError, match="add --fold"):
        write([first, second], tmp_path / "out", cache=other)
    made, page, document = write([first, second], tmp_path / "out", cache=other, fold="1")
    (group,) = document["groups"]
    assert group["folds"] == ["1 on 1", "2 on 1"]
    assert not any("mean of" in cell for row in page.rows for cell in row)
    assert any('A fold such as "2 on 1"' in text for text in page.text)
    assert [run["measured_on"]["fold"] for run in group["runs"]] == ["1", "1"]
    one_fold = other_cache(tmp_path / "one.zarr", ("all",))
    made, _, _ = write([first, second], tmp_path / "out", cache=one_fold)
    assert made.run_rows[0].folds == ("1 on all", "2 on all")


# 8. Precisions


def with_precision(run: Path, to: Path, precision: str, seed: int) -> Path:
    """The run, as if it had been trained elsewhere: all that a GPU would have left in its place."""
    copy = Path(shutil.copytree(run, to))
    info: RunInfo = replace(load_info(copy), precision=precision, seed=seed)
    save_info(copy, info)
    return copy


def test_runs_in_other_precisions_are_other_settings(half_and_whole, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.checkpoint._require_origin", lambda *_: None)
    whole = half_and_whole / "whole1"
    in_bf16 = with_precision(whole, tmp_path / "gpu", "model bf16, text tower bf16", seed=1)
    made, page, document = write([whole, half_and_whole / "whole2", in_bf16], tmp_path / "out")
    assert [len(group.runs) for group in made.run_rows] == [2, 1]
    assert [group["precision"] for group in document["groups"]] == [ON_CPU, "model bf16, text tower bf16"]
    why = (
        "ours, smoke (2) and ours, smoke have separate means: ours, smoke (2) was trained in another "
        "precision."
    )
    assert document["settings_apart"] == [why]
    assert any("model bf16, text tower bf16" in line for line in lines_of(made))
    assert any("Precision: training model bf16, text tower bf16; measuring fp32" in t for t in page.text)

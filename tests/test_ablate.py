import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.cancel import CancelToken
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from pipeline.errors import CheckpointError, ConfigError, OusError
from pipeline.executor import LocalExecutor
from pipeline.executor.machine import available_cores
from pipeline.types import Split
from tests.real_runs import wait_for
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static, write_feature
from tests.tiny_clip import PYTHONPATH
from tests.tiny_grid import DIVERGING, QUICK, Heard, quick_spec, stamps
from trainer.ablate import SweepExecutorOptions, ablate
from trainer.ablate.executors import workers_that_pay
from trainer.ablate.run_one import RunWorkerSetup, do_run
from trainer.ablate.sweep_plan import plan_sweep, read_folds
from trainer.block_reading import bytes_needed
from trainer.evaluation import evaluate
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

HERE = SweepExecutorOptions(scheduler="sync")
CLI = Path(__file__).parents[1] / "cli.py"


def run(cache, out, spec=None, heard=None, **more):
    return ablate(
        cache, spec or quick_spec(), out, heard or Heard(), **{"num_seeds": 2, "options": HERE, **more}
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture(scope="module")
def finished(path, tmp_path_factory):
    """A grid of two rows that work and one that diverges, and what was told of it."""
    heard = Heard()
    out = tmp_path_factory.mktemp("grid") / "out"
    return run(path, out, quick_spec(DIVERGING), heard), heard


def by_hand(cache, spec, row, seed, run_dir):
    """The confusion matrix and the best epoch of a run without any grid."""
    trained = train(cache, run_dir, spec.configs(None, [])[row], fold="1", seed=seed, device="cpu")
    return evaluate(run_dir, device="cpu").metrics.confusion.tolist(), trained.info.best_epoch


def test_the_runs_are_those_that_one_makes_by_hand(path, finished, tmp_path):
    report, _ = finished
    spec = quick_spec(DIVERGING)
    for row, seed in zip(report.result.rows, (0, 1), strict=False):
        outcome, run_dir = row.outcomes[seed], tmp_path / row.row.folder
        confusion, best_epoch = by_hand(path, spec, row.row.name, seed, run_dir)
        assert outcome.metrics().confusion.tolist() == confusion
        assert outcome.best_epoch == best_epoch
        there = report.out / row.row.folder / f"fold1-seed{seed}"
        assert (there / "best.safetensors").read_bytes() == (run_dir / "best.safetensors").read_bytes()


def test_a_grid_with_a_leak_is_rejected_before_it_trains_or_is_marked(tmp_path):
    sha256 = np.array([f"{row:064x}" for row in range(48)], dtype=object)
    sha256[40] = sha256[0]
    cache = tiny_cache(tmp_path / "feats.zarr", source_sha256=sha256)
    with pytest.raises(CheckpointError, match="that trained 'a run on fold 1': 'clip040' with 'clip000'"):
        run(cache, tmp_path / "out", num_seeds=1)
    assert not (tmp_path / "out").exists()
    report = run(cache, tmp_path / "out", num_seeds=1, allow_leak=True)
    assert [outcome.num_leaked for outcome in report.result.outcomes] == [1, 1]
    assert any(banner.startswith("LEAK: 1 of 16 test clips") for banner in report.result.banners)
    assert "L_ce (LEAK)" in (tmp_path / "out/table.md").read_text()


def test_a_diverged_run_is_recorded_and_does_not_end_the_grid(finished):
    report, heard = finished
    assert heard.started == (6, 0)
    assert [len(row.having("finished")) for row in report.result.rows] == [2, 2, 0]
    assert [len(row.having("diverged")) for row in report.result.rows] == [0, 0, 2]
    report.require_no_failure()
    reasons = {o.reason.split(" (")[0] for o in report.result.rows[2].outcomes}
    assert reasons <= {"The loss at step 1", "The loss at step 2"}
    written = json.loads((report.out / "far-too-fast/fold1-seed1/outcome.json").read_text())
    assert written["state"] == "diverged"


def test_a_row_whose_batches_have_no_contrast_is_refused_by_its_name(path, tmp_path):
    row = '\n[[rows]]\nname = "one"\nsettings = ["losses.contrast=batch", "optim.batch_size=1"]\n'
    with pytest.raises(ConfigError, match=r"^Row 'one': losses.contrast is 'batch', .*optim.batch_size is 1"):
        run(path, tmp_path / "out", quick_spec(row))
    assert not (tmp_path / "out").exists()


def test_runs_on_features_that_are_no_numbers_fail_and_do_not_diverge(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr")
    write_feature(cache, 40, np.nan)
    report = run(cache, tmp_path / "out", num_seeds=1)
    assert {outcome.state for outcome in report.result.outcomes} == {"failed"}
    with pytest.raises(OusError, match=r"2 runs failed, first .*1 clip hold NaN or infinity: 'clip040'"):
        report.require_no_failure()


def test_a_learning_rate_that_is_far_too_high_is_refused_or_diverges(path, tmp_path):
    row = '\n[[rows]]\nname = "lr"\nsettings = ["optim.lr=1e9"]\n'
    with pytest.raises(ConfigError, match=r"Row 'lr': optim.lr is 1000000000.0; allowed: 1e-12 to 10"):
        run(path, tmp_path / "out", quick_spec(row))
    assert not (tmp_path / "out").exists()


def test_results_and_table_are_written_as_they_are_shown(finished):
    report, _ = finished
    document = json.loads((report.out / "results.json").read_text())
    assert document == json.loads(json.dumps(to_json_values(report)))
    first = document["rows"][0]
    assert first["paper_percent"]["recalls"] == {"happiness": 93.01, "sadness": 80.45}
    wars = [run["war"] for run in first["runs"]]
    assert first["over_runs"]["war"] == {
        "mean": pytest.approx(np.mean(wars)), "std": pytest.approx(np.std(wars, ddof=1)), "n": 2
    }  # fmt: skip
    assert document["selection"] == ["holdout"]
    page = (report.out / "table.md").read_text()
    assert page.startswith("> **!! RANDOM ENCODER WEIGHTS")
    (row,) = [line for line in page.splitlines() if line.startswith("| L_ce |")]
    assert "| 55.12 | 67.82 |" in row


def test_run_again_nothing_is_done_and_the_table_is_the_same(path, finished):
    report, _ = finished
    before, heard = stamps(report.out), Heard()
    again = run(path, report.out, quick_spec(DIVERGING), heard)
    assert heard.started == (0, 6)
    assert heard.outcomes == []
    assert stamps(report.out) == before
    assert to_json_values(again) == to_json_values(report)


def test_a_copied_outcome_of_another_run_ends_the_grid_before_it_trains(path, finished, tmp_path):
    out, heard = shutil.copytree(finished[0].out, tmp_path / "out"), Heard()
    row = out / finished[0].result.rows[0].row.folder
    shutil.copytree(row / "fold1-seed0", row / "fold1-seed2")
    with pytest.raises(
        OusError, match=r"fold1-seed2' holds the outcome of another run \(L_ce, fold 1, seed 0"
    ):
        run(path, out, quick_spec(DIVERGING), heard, num_seeds=3)
    assert heard.started is None


def test_more_seeds_are_added_and_fewer_are_shown(path, finished, tmp_path):
    report, _ = finished
    out = shutil.copytree(report.out, tmp_path / "out")
    heard = Heard()
    more = run(path, out, quick_spec(DIVERGING), heard, num_seeds=3)
    assert heard.started == (3, 6)
    assert len(more.result.rows[0].outcomes) == 3
    assert len(run(path, out, quick_spec(DIVERGING), num_seeds=1).result.rows[0].outcomes) == 1


def test_another_speed_is_no_other_grid(path, finished, tmp_path):
    """Where the features lie changes no number; other labels of polarity do."""
    heard = Heard()
    out = shutil.copytree(finished[0].out, tmp_path / "out")
    run(path, out, quick_spec(DIVERGING), heard, settings=["data.residence=host"])
    assert heard.outcomes == []


def test_other_polarities_are_another_grid(finished, tmp_path):
    report, _ = finished
    polarity = tiny_static()["polarity"]
    other = tiny_cache(tmp_path / "feats.zarr", polarity=np.roll(polarity, 1))
    with pytest.raises(ConfigError, match="clips_sha256"):
        run(other, report.out, quick_spec(DIVERGING))


def test_ctrl_c_keeps_what_is_finished(path, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path, heard=Heard(stop_after=1), num_seeds=1)
    before, heard = stamps(tmp_path), Heard()
    report = run(path, tmp_path, heard=heard, num_seeds=1)
    assert heard.started == (1, 1)
    assert before.items() <= stamps(tmp_path).items()
    assert len(report.result.outcomes) == 2


def test_a_failed_run_is_recorded_told_and_tried_again(path, tmp_path, monkeypatch):
    def broken(*_, seed, **__):
        message = "no such luck\nmore"
        raise RuntimeError(message) if seed else OusError("No such thing.")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.ablate.run_one.train", broken)
        report = run(path, tmp_path)
    assert [o.reason for o in report.result.rows[0].outcomes] == [
        "No such thing.", "RuntimeError: no such luck"
    ]  # fmt: skip
    with pytest.raises(OusError, match=r"^4 runs failed, first L_ce, fold 1, seed 0: FAILED: No such thing"):
        report.require_no_failure()
    heard = Heard()
    run(path, tmp_path, heard=heard, num_seeds=1).require_no_failure()
    assert heard.started == (2, 0)


@pytest.mark.slow
def test_a_grid_killed_in_the_middle_goes_on_where_it_was(path, finished, tmp_path):
    """The process is killed during its second run; that one is redone, the first one is not touched."""
    (tmp_path / "quick.toml").write_text(QUICK)
    out = tmp_path / "out"
    words = ("ablate", "--cache", path, "--spec", tmp_path / "quick.toml", "--seeds", "2", "--out", out)
    killed = subprocess.Popen(
        [sys.executable, CLI, *map(str, words), "--scheduler", "sync"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PYTHONPATH}, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: _is_held_in_the_middle(killed.pid, out) or killed.poll() is not None, "a second run")
        assert killed.poll() is None, killed.stderr.read()
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
    before, heard = stamps(out), Heard()
    num_before = len(list(out.glob("*/fold*")))
    assert list(out.glob("*/.fold*.partial"))
    report = run(path, out, heard=heard)
    assert heard.started == (4 - num_before, num_before)
    assert before.items() <= stamps(out).items()
    assert not list(out.glob("*/.*"))
    assert found(report.result.rows) == found(finished[0].result.rows[:2])


def found(rows):
    """What was found in the runs of some rows."""
    return [(outcome.confusion, outcome.best_epoch) for row in rows for outcome in row.outcomes]


def _is_held_in_the_middle(pid, out):
    """Hold the process when one run is finished and another one has begun to write."""
    if not list(out.glob("*/fold*")):
        return False
    os.killpg(pid, signal.SIGSTOP)
    if list(out.glob("*/.fold*.partial/run.json")):
        return True
    os.killpg(pid, signal.SIGCONT)
    return False


@pytest.fixture
def one_core():
    """This process, and what it starts, on one core: as many threads as the other runs here."""
    cores = available_cores()
    os.sched_setaffinity(0, cores[:1])
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
def test_workers_of_this_machine_give_the_same_numbers(path, finished, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    report = run(path, tmp_path, quick_spec(DIVERGING), options=SweepExecutorOptions(workers=1))
    assert found(report.result.rows) == found(finished[0].result.rows)
    assert {(o.device, o.threads) for o in report.result.rows[0].outcomes} == {("cpu", 1)}


def test_a_run_whose_workers_die_is_recorded_and_the_others_are_done(path, tmp_path, monkeypatch):
    class Dying(LocalExecutor):
        where, warnings = "on workers that die", ("tcp://host:1 is without TLS",)

        def run(self, tasks, observer):
            observer.on_waiting()
            for task in tasks:
                yield task, None if task.seed else do_run(task, CancelToken())

    monkeypatch.setattr("trainer.ablate.run.make_run_executor", lambda *_: Dying(RunWorkerSetup()))
    heard = Heard()
    report = run(path, tmp_path, heard=heard)
    assert heard.said == [
        "on workers that die", "!! tcp://host:1 is without TLS", "waiting for workers"
    ]  # fmt: skip
    assert [o.state for o in report.result.rows[0].outcomes] == ["finished", "failed"]
    assert "two workers died in this run, perhaps out of memory" in report.result.rows[0].outcomes[1].reason
    assert json.loads((tmp_path / "l-ce/fold1-seed1/outcome.json").read_text())["state"] == "failed"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"folds": "2"}, "fold is '2'; this cache has 1: 1"),
        ({"num_seeds": 0}, "--seeds is 0; allowed: 1 to 1000"),
        ({"settings": ["optim.nope=1"]}, "Unknown setting 'optim.nope'"),
        ({"settings": ["losses.terms=all"]}, "row 'L_ce' sets it itself"),
        ({"settings": ["model.tfe_tokens=patches"]}, "Row 'L_ce': model.tfe_tokens is 'patches', but"),
        ({"settings": ["data.validation=given"]}, "Row 'L_ce': Fold '1' has no usable clips in split 'valid"),
        ({"settings": ["data.mixture=equal"]}, "Row 'L_ce': data.mixture is 'equal', which is a choice"),
        ({"preset": "best"}, "--preset is 'best'; allowed"),
    ],
)  # fmt: skip
def test_what_no_run_could_do_is_refused_before_any_starts(path, tmp_path, more, message):
    with pytest.raises(ConfigError, match=message):
        run(path, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_classes_and_polarities_that_a_cache_lacks_are_refused(tmp_path):
    unknown = tiny_cache(tmp_path / "a.zarr", polarity=np.full(48, -1, dtype=np.int8))
    with pytest.raises(ConfigError, match=r"Row 'L_global . TFE': .* have no known polarity"):
        run(unknown, tmp_path / "out")
    other = tiny_cache(tmp_path / "b.zarr", tiny_meta(class_names=("happiness", "neutral", "rage")))
    with pytest.raises(ConfigError, match="'Quick table' names class 'sadness'; this cache has: happiness"):
        run(other, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_gpu": 2}, "--per-gpu 2 without --gpus: give the number of GPUs"),
        ({"per_gpu": 0, "gpus": 1}, "--per-gpu is 0; allowed: 1 to 64"),
        ({"workers": 0}, "--workers is 0; allowed: 1 or more"),
        ({"workers": 2, "scheduler": "sync"}, "leave out one of them"),
        ({"scheduler": "slurm"}, "--scheduler is 'slurm', which is not a file"),
    ],
)
def test_choices_of_workers_that_contradict_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SweepExecutorOptions(**options)


def test_more_gpus_than_there_are_are_refused(path, tmp_path):
    with pytest.raises(ConfigError, match="--gpus 1, but this machine has 0 CUDA devices"):
        run(path, tmp_path, options=SweepExecutorOptions(gpus=1))


def test_workers_are_as_many_as_cores_runs_and_memory_allow(monkeypatch):
    monkeypatch.setattr("trainer.ablate.executors.available_cores", lambda: list(range(8)))
    monkeypatch.setattr("trainer.ablate.executors.available_bytes", lambda: 40e9)
    assert workers_that_pay(num_runs=100, feature_bytes=int(1e9)) == 8
    assert workers_that_pay(num_runs=3, feature_bytes=int(1e9)) == 3
    assert workers_that_pay(num_runs=100, feature_bytes=int(10e9)) == 3
    assert workers_that_pay(num_runs=100, feature_bytes=int(100e9)) == 1


def test_memory_is_planned_for_the_heaviest_row(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_tokens=5, num_clips=8))
    heavy = '\n[[rows]]\nname = "patches"\nsettings = ["model.tfe_tokens=patches"]\n'
    grid = plan_sweep(cache, quick_spec(heavy), "1", 1, None, [])
    assert grid.feature_bytes == bytes_needed(tiny_meta(num_tokens=5), grid.configs["patches"], 8)
    assert grid.feature_bytes > bytes_needed(tiny_meta(num_tokens=5), grid.configs["L_ce"], 8)


def test_folds_by_numbers_ranges_and_names():
    meta = tiny_meta(fold_names=("1", "2", "3", "4-5", "last"))
    assert read_folds(meta, "all") == meta.fold_names
    assert read_folds(meta, "1-3") == ("1", "2", "3")
    assert read_folds(meta, "3, 1,3") == ("3", "1")
    assert read_folds(meta, "4-5,last") == ("4-5", "last")
    with pytest.raises(ConfigError, match="'3-1', which counts down; write 1-3"):
        read_folds(meta, "3-1")
    with pytest.raises(ConfigError, match="fold is ''; this cache has 5"):
        read_folds(meta, "1,")


def test_folds_have_folders_whatever_their_names(tmp_path):
    meta = tiny_meta(fold_names=("1", "../x"))
    membership = np.repeat(tiny_static()["membership"], 2, axis=1)
    cache = tiny_cache(tmp_path / "feats.zarr", meta, membership=membership)
    grid = plan_sweep(cache, quick_spec(), "all", 1, None, [])
    folders = {task.run_dir.name for task in grid.tasks(tmp_path, "cpu", None)}
    assert folders == {"fold1-seed0", "fold-2-seed0"}


def test_two_folds_and_their_mean_are_told_apart(tmp_path):
    membership = np.repeat(tiny_static()["membership"], 3, axis=1)
    membership[:, 1] = Split.TRAIN
    membership[:16, 1] = Split.TEST
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(fold_names=("1", "2", "3")), membership=membership)
    assert [plan_sweep(cache, quick_spec(), folds, 1, None, []).request.num_shared_clips
            for folds in ("1", "1,2", "1-3", "2,3")] == [0, 0, 16, 0]  # fmt: skip
    report = run(cache, tmp_path / "out", folds="1,2", num_seeds=1)
    text = "\n".join(lines_of(report))
    assert "UAR by fold, percent, one run a fold: no spread" in text
    assert "mean of these 2 of 3 folds" in text
    assert "clips of these 2 of 3 folds pooled" in text
    by_fold = to_json_values(report)["rows"][0]["over_folds"]["by_fold"]
    runs = to_json_values(report)["rows"][0]["runs"]
    assert [by_fold[run["fold"]]["war"]["mean"] for run in runs] == [run["war"] for run in runs]


def test_a_fault_of_the_gpu_is_no_outcome_of_a_run(path, tmp_path, monkeypatch):
    def faulty(*_args, **_more):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")  # noqa: TRY003

    monkeypatch.setattr("trainer.ablate.run_one.train", faulty)
    (task, *_) = plan_sweep(path, quick_spec(), "1", 1, None, []).tasks(tmp_path, "cpu", None)
    with pytest.raises(
        OusError, match=r"^The GPU on .* reports an error \(CUDA error: CUBLAS.*finished runs are safe"
    ):
        do_run(task, CancelToken())
    assert not task.run_dir.exists()


def test_a_run_that_was_settled_is_not_repeated(path, finished, monkeypatch):
    monkeypatch.setattr("trainer.ablate.run_one.train", lambda *_, **__: pytest.fail("trained again"))
    grid = plan_sweep(path, quick_spec(DIVERGING), "1", 2, None, [])
    outcomes = [do_run(task, CancelToken()) for task in grid.tasks(finished[0].out, "cpu", None)]
    assert {o.state for o in outcomes} == {"finished", "diverged"}


def test_outcomes_hold_the_groups_of_their_test_clips(tmp_path):
    names = np.array([f"subject {n // 4}" for n in range(48)], dtype=object)
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_groups=12), group=names)
    report = run(cache, tmp_path / "out", quick_spec(), num_seeds=1)
    (first, *_) = report.result.finished
    assert [row[0] for row in first.groups] == [32, 36, 40, 44]
    assert type(first).from_dict(json.loads(json.dumps(first.to_dict()))) == first
    assert first.metrics().interval_basis == "95% intervals over 4 groups of clips"
    assert any(note.startswith("Test clips: 16 of 4 groups in fold 1.") for note in report.result.notes)

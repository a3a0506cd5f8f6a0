"""The scripts of docs/slurm, with a stand-in for the program that records its commands."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "docs/slurm"
RUN = "runs/dfew-fold2-seed0"
STAND_IN = """#!/bin/bash
shift # cli.py
echo "$*" >> "$SLURM_SUBMIT_DIR/commands"
if [ "$1" = train ] && [ "$2" != --resume ]; then
    run=$(sed 's/.*--run \\([^ ]*\\).*/\\1/' <<< "$*")
    [ ! -e "$run" ] || exit 1 # as `train --run` on a directory that exists
    mkdir -p "$run"
fi
exit "${CODE:-0}"
"""


@pytest.fixture
def submit(tmp_path):
    """Return a function that runs a script as a task of a job array, and the commands that it has given."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name, text in (("python", STAND_IN), ("sleep", '#!/bin/bash\necho "sleep $1" >> commands\n')):
        program = tmp_path / ".venv/bin" / name
        program.write_text(text)
        program.chmod(0o755)

    def run(script, *arguments, **variables):
        environment = {
            "PATH": f"{tmp_path / '.venv/bin'}:{os.environ['PATH']}",
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_ARRAY_TASK_ID": "2",
            "SLURM_ARRAY_TASK_COUNT": "5",
            "CACHE": str(tmp_path / "dfew.zarr"),
            **variables,
        }
        command = ["bash", str(SCRIPTS / script), *arguments]
        (tmp_path / "commands").unlink(missing_ok=True)
        ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        there = tmp_path / "commands"
        given = there.read_text().replace(f"{tmp_path}/", "").splitlines() if there.exists() else []
        return ran, given

    return run


def make_run(tmp_path, *files):
    (tmp_path / RUN).mkdir(parents=True)
    for name in ("config.toml", "run.json", ".training.lock", *files):
        (tmp_path / RUN / name).write_text(name)


TRAIN = f"train --cache dfew.zarr --fold 2 --seed 0 --run {RUN} --preset paper"
RESUME = f"train --resume {RUN}"
EVALUATE = f"evaluate {RUN} --cache dfew.zarr"


def test_a_new_run_is_trained_and_measured(submit):
    ran, given = submit("train.sbatch", "--preset", "paper")
    assert (ran.returncode, given) == (0, [TRAIN, EVALUATE])


@pytest.mark.parametrize(
    "files",
    [["training_state.safetensors"], ["training_state.safetensors", "curves.png", "best.safetensors"]],
)
def test_a_run_with_a_state_is_continued(submit, tmp_path, files):
    make_run(tmp_path, *files)
    ran, given = submit("train.sbatch", "--preset", "paper")
    assert (ran.returncode, given) == (0, [RESUME, EVALUATE])


def test_a_run_on_several_caches_is_continued(submit, tmp_path):
    _, given = submit("train.sbatch", "--cache", "b.zarr")
    assert given[0] == f"train --cache dfew.zarr --fold 2 --seed 0 --run {RUN} --cache b.zarr"
    (tmp_path / RUN / "training_state.safetensors").touch()
    assert submit("train.sbatch", "--cache", "b.zarr")[1] == [RESUME, EVALUATE]


def test_a_training_that_has_ended_is_only_measured(submit, tmp_path):
    make_run(tmp_path, "best.safetensors", "curves.png")
    ran, given = submit("train.sbatch", "--preset", "paper")
    assert (ran.returncode, given) == (0, [EVALUATE])
    assert "has ended" in ran.stdout


@pytest.mark.parametrize("files", [[], ["best.safetensors"]])
def test_a_run_without_a_state_is_kept_and_trained_from_the_start(submit, tmp_path, files):
    make_run(tmp_path, *files)
    ran, given = submit("train.sbatch", "--preset", "paper")
    assert (ran.returncode, given) == (0, [TRAIN, EVALUATE])
    (kept,) = (tmp_path / "runs").glob("dfew-fold2-seed0.stopped-*")
    assert {path.name for path in kept.iterdir()} == {"config.toml", "run.json", ".training.lock", *files}
    assert [path.name for path in (tmp_path / "runs").glob("dfew-fold*-seed0")] == ["dfew-fold2-seed0"]


def test_a_run_that_another_job_trains_is_not_moved(submit, tmp_path):
    make_run(tmp_path)
    with (tmp_path / RUN / ".training.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ran, given = submit("train.sbatch")
    assert (ran.returncode, given) == (1, [])
    assert "another job trains" in ran.stderr
    assert (tmp_path / RUN / "config.toml").exists()


def test_nothing_is_measured_after_an_interrupted_training(submit):
    ran, given = submit("train.sbatch", "--preset", "paper", CODE="130")
    assert (ran.returncode, given) == (130, [TRAIN])


def test_seed_directory_and_object_storage_can_be_given(submit, tmp_path):
    _, given = submit("train.sbatch", SEED="3", RUNS=str(tmp_path / "other"), CACHE="s3://bucket/feats.zarr")
    run = "other/feats-fold2-seed3"
    assert given == [
        f"train --cache s3://bucket/feats.zarr --fold 2 --seed 3 --run {run}",
        f"evaluate {run} --cache s3://bucket/feats.zarr",
    ]


def test_a_task_that_was_requeued_waits_for_the_lock_of_its_killed_attempt(submit):
    extract = "extract --cache dfew.zarr --blocks 2/5 --dataset dfew"
    assert submit("array.sbatch", "--dataset", "dfew")[1] == [extract]
    assert submit("array.sbatch", "--dataset", "dfew", SLURM_RESTART_COUNT="1")[1] == ["sleep 65", extract]

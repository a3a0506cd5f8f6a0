"""Steps run one after the other by the GPU benchmark's runner: their limits, errors, and ends."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu_steps import runner
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.plan import Step
from benchmarks.gpu_steps.records import read_rows
from benchmarks.gpu_steps.runner import Outcome
from tests.stub_gpu_steps import ran, results, stub

ROOT = Path(__file__).parents[1]


def states(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.step, outcome.state) for outcome in outcomes]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def test_results_are_rows_with_settings_and_numbers(tmp_path: Path) -> None:
    assert states(ran(tmp_path, stub("measures"))) == [("measures", "done")]
    assert results(tmp_path, "measures") == [
        {
            "measurement": "first",
            "settings": {"size": 4},
            "numbers": {"value": 1.23457, "nested": {"list": [1, 2]}},
        },
        {"measurement": "second", "settings": {}, "skipped": "needs CUDA"},
    ]
    assert all(row["at_seconds"] >= 0 for row in read_rows(tmp_path / RESULTS))


def test_an_error_stops_neither_its_step_nor_the_next(tmp_path: Path) -> None:
    outcomes = ran(tmp_path, stub("fails_once"), stub("raises"), stub("crashes"), stub("measures"))
    assert states(outcomes) == [
        ("fails_once", "failed"), ("raises", "failed"), ("crashes", "failed"), ("measures", "done")
    ]  # fmt: skip
    assert [row["measurement"] for row in results(tmp_path, "fails_once")] == ["before", "wrong", "after"]
    assert results(tmp_path, "fails_once")[1]["error"] == "ValueError: no such"
    assert results(tmp_path, "raises")[0]["error"] == "ValueError: cpu"
    assert results(tmp_path, "crashes")[0]["numbers"] == {"value": 1}
    assert outcomes[2].reason == "its process ended by SIGSEGV"
    assert gpu.exit_code(outcomes) == 1


def test_too_little_memory_for_a_setting_is_a_result(tmp_path: Path) -> None:
    outcomes = ran(tmp_path, stub("runs_out_of_memory"))
    assert states(outcomes) == [("runs_out_of_memory", "done")]
    (row,) = results(tmp_path, "runs_out_of_memory")
    assert row["error"] == "OutOfMemoryError: tried to allocate 2.00 GiB"


def test_too_little_memory_for_a_step_is_a_failure(tmp_path: Path) -> None:
    outcomes = ran(tmp_path, stub("runs_out_of_memory_at_once"))
    assert states(outcomes) == [("runs_out_of_memory_at_once", "failed")]
    (row,) = results(tmp_path, "runs_out_of_memory_at_once")
    assert (row["measurement"], row["error"][:17]) == ("whole step", "OutOfMemoryError:")


def ran_until_it_hangs(out: Path, *steps: Step, **limit: float) -> tuple[list[Outcome], float]:
    """Run steps of which the first hangs, with more time until it comes so far; return the limit too."""
    seconds = 1.0
    while True:
        first = replace(steps[0], seconds=limit.get("step", seconds))
        outcomes = ran(out, first, *steps[1:], seconds=limit.get("budget", seconds))
        if results(out, "hangs"):
            return outcomes, seconds
        seconds *= 4
        assert seconds < 100


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60  # the child's new parent has to take note of its end
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_step_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    outcomes, seconds = ran_until_it_hangs(tmp_path, stub("hangs"), stub("measures"), budget=600)
    assert states(outcomes) == [("hangs", "timed out"), ("measures", "done")]
    assert outcomes[0].reason == f"stopped after {seconds:.0f} s"
    (row,) = results(tmp_path, "hangs")
    assert len(row["numbers"]["pids"]) == 2
    wait_until_gone(row["numbers"]["pids"])
    assert gpu.exit_code(outcomes) == 1


def test_a_budget_cuts_a_step_off_and_skips_the_next_without_failure(tmp_path: Path) -> None:
    outcomes, seconds = ran_until_it_hangs(tmp_path, stub("hangs"), stub("measures"), step=600)
    assert states(outcomes) == [("hangs", "cut off"), ("measures", "skipped")]
    assert outcomes[1].reason == f"the budget of {seconds:.0f} s is used up"
    assert [row["measurement"] for row in results(tmp_path, "hangs")] == ["processes"]
    assert gpu.exit_code(outcomes) == 0


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_process_that_cannot_be_killed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = os.killpg
    monkeypatch.setattr(runner, "_KILL_SECONDS", 0.1)
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    try:
        outcomes, seconds = ran_until_it_hangs(tmp_path, stub("hangs"), budget=600)
    finally:
        for row in results(tmp_path, "hangs"):
            kill(row["numbers"]["pids"][0], signal.SIGKILL)
    process = results(tmp_path, "hangs")[0]["numbers"]["pids"][0]
    assert outcomes[0].reason == (
        f"stopped after {seconds:.0f} s; process {process} does not end: later numbers are measured beside it"
    )


def test_nothing_runs_without_a_required_step(tmp_path: Path) -> None:
    outcomes = ran(tmp_path, replace(stub("raises"), is_required=True), stub("measures"))
    assert states(outcomes) == [("raises", "failed"), ("measures", "skipped")]
    assert outcomes[1].reason == "step raises is not done"


def start_and_hang(out: Path) -> "subprocess.Popen[bytes]":
    """Start a run in a process of its own and return when its first step hangs."""
    command = [sys.executable, "-m", "tests.stub_gpu_steps", str(out), "hangs", "measures"]
    process = subprocess.Popen(command, cwd=ROOT)
    while not any("numbers" in row for row in read_rows(out / RESULTS)):
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_keeps_what_is_measured(tmp_path: Path, number: signal.Signals) -> None:
    process = start_and_hang(tmp_path)
    process.send_signal(number)
    assert process.wait() == 130
    lines = (tmp_path / "summary.txt").read_text().splitlines()
    assert [line.split()[:2] for line in lines[3:5]] == [["hangs", "interrupted"], ["measures", "skipped"]]
    (row,) = results(tmp_path, "hangs")
    wait_until_gone(row["numbers"]["pids"])


def test_a_runner_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    process = start_and_hang(tmp_path)
    process.kill()
    process.wait()
    (row,) = results(tmp_path, "hangs")
    wait_until_gone(row["numbers"]["pids"])

"""The GPU benchmark's command and runner on small steps, and every real step once, small, on the CPU."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu, page
from benchmarks.gpu_steps import runner, same_run, setup
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.plan import STEPS, Step
from benchmarks.gpu_steps.records import Recorder, read_rows
from benchmarks.gpu_steps.runner import Budget, Outcome
from benchmarks.gpu_steps.summary import document_of, summary_lines, write_summary
from benchmarks.gpu_steps.work_dir import WorkDirectoryError, open_work_directory
from pipeline.errors import ConfigError
from tests.stub_gpu_steps import context_of, ran, stub

ROOT = Path(__file__).parents[1]


def states(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.step, outcome.state) for outcome in outcomes]


def results(out: Path, step: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document_of(out)["steps"][step]["results"]
    return found


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


# The runner


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


# Rows and summary


def test_rows_are_complete_lines_of_the_last_run_of_each_step(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    for value in (1, 2):
        recorder = Recorder(path, "a", time.time())
        recorder.state("started")
        recorder.measure("x", lambda value=value: {"value": value})
        assert path.read_text().endswith("\n")
    Recorder(path, "b", time.time()).state("skipped", seconds=0.0, reason="no time")
    with path.open("a") as file:
        file.write('{"step": "a", "measurem')
    assert [row.get("numbers", row.get("state")) for row in read_rows(path)] == [
        "started", {"value": 2}, "skipped"
    ]  # fmt: skip


def test_a_row_after_one_that_was_cut_off_is_whole(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    path.write_text('{"step": "a", "measurem')
    Recorder(path, "a", time.time()).numbers("x", {"value": np.float32(0.5), "count": np.int64(3)})
    assert [row["numbers"] for row in read_rows(path)] == [{"value": 0.5, "count": 3}]


def test_a_step_that_a_later_run_skips_keeps_its_results(tmp_path: Path) -> None:
    ran(tmp_path, stub("measures"))
    ran(tmp_path, stub("measures"), seconds=0)
    step = document_of(tmp_path)["steps"]["measures"]
    assert (step["state"], len(step["results"])) == ("done", 2)


def test_the_summary_names_states_errors_and_numbers(tmp_path: Path) -> None:
    ran(tmp_path, stub("measures"), stub("fails_once"))
    about = {
        "date": "2026-11-28T00:00:00", "commit": "abc", "versions": {"torch": "2", "python": "3"},
        "machine": {"cpu": "CPU", "cores": 2, "gpu": "NVIDIA X", "driver": "1.2"},
    }  # fmt: skip
    (tmp_path / "about.json").write_text(json.dumps(about))
    lines = write_summary(tmp_path)
    assert lines[0] == "NVIDIA X, CPU, 2 cores, driver 1.2; torch 2, Python 3; commit abc, 2026-11-28"
    assert lines[2].split() == ["step", "state", "seconds", "reason"]
    assert lines[4].split()[:2] == ["fails_once", "failed"]
    assert lines[-3:] == ["  before: value=1", "  wrong: ERROR ValueError: no such", "  after: value=2"]
    assert "  first [size=4]: value=1.235" in lines
    document = json.loads((tmp_path / "gpu.json").read_text())
    assert document["machine"] == about["machine"]
    assert document["steps"]["fails_once"]["reason"] == "see its errors below"
    assert summary_lines(document) == lines
    assert "| fails_once | before | | value 1 |" in page.gpu_table(document)


# The command line


def test_only_takes_known_steps_and_the_setup(capsys: pytest.CaptureFixture[str]) -> None:
    assert [step.name for step in gpu.choose_steps("sweep,encoder", 1)] == ["setup", "encoder", "sweep"]
    assert gpu.choose_steps("", 1) == STEPS
    assert gpu.choose_steps("setup", 2.5)[0].seconds == 2.5 * STEPS[0].seconds
    with pytest.raises(SystemExit):
        gpu.parse_arguments(["--only", "encoder,speed"])
    assert "--only names 'speed'; allowed: setup, environment, gpu-tests" in capsys.readouterr().err


def test_the_steps_are_listed_with_what_they_decide(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [step.name for step in STEPS]


@pytest.mark.parametrize("option", ["--clips", "--detector-weights", "--wheels"])
def test_a_path_that_is_missing_is_rejected(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.parse_arguments([option, "/no/such"])
    assert f"{option} '/no/such' is not a " in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--seconds", "--patience"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "long"])
def test_a_time_is_a_number_above_0(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.parse_arguments([option, value])
    assert f"argument {option}: '{value}' is not a number above 0" in capsys.readouterr().err


def test_all_steps_have_the_time_of_their_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets: list[Budget] = []

    def run(_steps: Any, _options: Any, budget: Budget, *_: Any) -> list[Outcome]:
        budgets.append(budget)
        return []

    monkeypatch.setattr(gpu, "run_steps", run)
    for options in ([], ["--patience", "2"], ["--seconds", "7"]):
        assert gpu.main(["--device", "cpu", "--out", str(tmp_path), *options]) == 0
    limits = sum(step.seconds for step in STEPS)
    assert [budget.seconds for budget in budgets] == [limits, 2 * limits, 7]


# Directories


def test_files_of_the_user_are_never_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = tmp_path / "ous-gpu" / "clips" / "mine.mp4"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"video")
    out = str(tmp_path / "out")
    assert gpu.main(["--device", "cpu", "--out", out, "--work", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message == (
        f"'{tmp_path}/ous-gpu' has files that the benchmark did not write; "
        "move them, or give another --work.\n"
    )
    assert foreign.read_bytes() == b"video"


def test_the_steps_work_in_a_directory_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "mine.mp4").write_bytes(b"video")
    work = open_work_directory(tmp_path, tmp_path / "clips")
    assert work == tmp_path / "ous-gpu"
    assert open_work_directory(tmp_path) == work  # has a marker
    with pytest.raises(WorkDirectoryError, match="whose files are deleted; move the videos"):
        open_work_directory(tmp_path, work / "clips")


def test_a_disk_that_is_full_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RESULTS).symlink_to("/dev/full")
    assert gpu.main(["--device", "cpu", "--out", str(tmp_path)]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"[Errno 28] No space left on device; --out is '{tmp_path}', --work is '")


def test_an_output_directory_that_is_a_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").touch()
    assert gpu.main(["--device", "cpu", "--out", str(tmp_path / "out")]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"[Errno 17] File exists: '{tmp_path}/out'; --out is")


def test_a_disk_without_space_is_rejected_by_the_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "free_bytes", lambda _: 10**9)
    context = context_of(tmp_path, is_tiny=False)
    with pytest.raises(ConfigError, match=r"has 1.0 GB free, and the steps need 3.0 GB"):
        setup.check_free_disk(context)


@pytest.fixture
def out_with_results(tmp_path: Path) -> Path:
    about = setup.about_of(context_of(tmp_path, commit="abc"))
    about["machine"]["gpu"] = "NVIDIA X"
    (tmp_path / "about.json").write_text(json.dumps(about))
    Recorder(tmp_path / RESULTS, "encoder", time.time()).numbers("pass", {"value": 1})
    return tmp_path


def test_results_are_compared_with_this_machine_code_and_options(
    out_with_results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = out_with_results / "options.json"
    monkeypatch.setattr(sys, "argv", ["same_run", str(options)])
    context_of(out_with_results, commit="def", is_tiny=True).options.write(options)
    same_run.main()
    assert capsys.readouterr().out == "commit is 'def', was 'abc'; machine.gpu is '', was 'NVIDIA X'"
    about = out_with_results / "about.json"
    about.write_text(about.read_text().replace("NVIDIA X", "").replace("abc", "def"))
    same_run.main()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_results_of_another_run_are_not_mixed_in(
    out_with_results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (out_with_results / RESULTS).read_bytes()
    assert gpu.main(["--device", "cpu", "--tiny", "--commit", "abc", "--out", str(out_with_results)]) == 1
    assert capsys.readouterr().err == (
        f"'{out_with_results}' has results of another run (machine.gpu is '', was 'NVIDIA X'); "
        "give another --out.\n"
    )
    assert (out_with_results / RESULTS).read_bytes() == before


def test_a_directory_that_another_run_uses_is_refused(tmp_path: Path) -> None:
    message = r"^Another run uses '.*'; wait for its end"
    with gpu.held(tmp_path), pytest.raises(gpu.RunError, match=message), gpu.held(tmp_path):
        pass
    with gpu.held(tmp_path):
        pass


def test_a_line_that_is_no_row_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    path.write_text('[1]\n3\n{"a": 1}\n{"step": "setup", "state": "done"}\n')
    assert read_rows(path) == [{"step": "setup", "state": "done"}]


def test_a_stale_description_without_results_is_removed(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text("{}")
    Recorder(tmp_path / RESULTS, "setup", time.time()).numbers("clips", {"clips": 4})
    assert not same_run.has_earlier_results(tmp_path)
    assert not (tmp_path / "about.json").exists()


def test_wheels_are_installed_for_the_steps_alone(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    info = "brought-1.0.dist-info"
    with zipfile.ZipFile(wheels / "brought-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("brought.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    environment = gpu.environment_of(GpuOptions(out=tmp_path, work=tmp_path, device="cpu"), wheels)
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    code = "import brought, benchmarks.gpu_steps; print(brought.answer)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "42\n"
    assert find_spec("brought") is None


def test_every_step_is_a_function_of_a_context() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS)
    for step in STEPS:
        module, _, function = step.function.partition(":")
        assert list(inspect.signature(getattr(import_module(module), function)).parameters) == ["context"]


# Everything

NUMBERS = {
    "setup": {"clips": {"clips", "seconds"}},
    "environment": {"square product": {"tflops"}, "start of the product": {"imports_seconds"}},
    "gpu-tests": {"tests marked gpu, found": {"tests"}},
    "encoder": {"pass": {"images_per_second", "tflops", "of_square_product"}},
    "extraction": {"extract": {"clips_per_second", "images_per_second", "busy"}},
    "detector": {"detect": {"frames_per_second"}, "streams of a clip": {"ms"}},
    "agreement": {"features": {"embedding_difference"}, "batch": {"is_independent"}},
    "training": {"training step": {"step_ms"}, "loading a cache": {"clips_per_second"}},
    "decoding": {"one core": {"clips_per_second"}, "children": {"clips_per_second", "busy"}},
    "encoder-changes": {"blocks compiled": {"times_faster", "difference"}},
    "command-line": {"extract": {"seconds"}, "cache verify": {"findings", "largest_difference"}},
    "sweep": {"ablate": {"seconds"}},
    "bench": {"goal": {"value", "met"}},
}


@pytest.mark.slow
def test_every_step_runs_small_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--device", "cpu", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--seconds", "3000"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    log = (tmp_path / "log.txt").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log[-5000:]
    document = json.loads((tmp_path / "gpu.json").read_text())
    assert {"date", "commit", "machine", "versions", "options", "seconds", "steps"} <= document.keys()
    assert list(document["steps"]) == list(NUMBERS) == [step.name for step in STEPS]
    assert {step["state"] for step in document["steps"].values()} == {"done"}
    for name, measurements in NUMBERS.items():
        rows = document["steps"][name]["results"]
        assert not [row for row in rows if "error" in row]
        assert {row["skipped"] for row in rows if "skipped" in row} <= {"needs CUDA"}
        for measurement, keys in measurements.items():
            found = [row["numbers"] for row in rows if row["measurement"] == measurement and "numbers" in row]
            assert found, f"{name}: {measurement}"
            assert all(keys <= numbers.keys() for numbers in found), f"{name}: {measurement}"
    assert document["steps"]["command-line"]["results"][1]["numbers"]["findings"] == 0
    assert not re.search(rf"{tmp_path}", (tmp_path / "gpu.json").read_text())
    assert done.stdout == (tmp_path / "summary.txt").read_text()

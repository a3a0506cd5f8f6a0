"""The GPU benchmark's command, and every real step once, small, on the CPU."""

import inspect
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.plan import STEPS
from benchmarks.gpu_steps.runner import Budget, Outcome
from tests import modest
from tests.tiny_clip import PYTHONPATH

ROOT = Path(__file__).parents[1]


def test_the_steps_are_the_setup_and_those_named() -> None:
    assert [step.name for step in gpu.choose_steps(("sweep", "encoder"), 1)] == ["setup", "encoder", "sweep"]
    assert gpu.choose_steps((), 1) == STEPS
    assert gpu.choose_steps(("setup",), 2.5)[0].seconds == 2.5 * STEPS[0].seconds


def test_the_steps_are_listed_with_what_they_decide(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [step.name for step in STEPS]


@pytest.mark.parametrize("closed", ["pipe", "descriptor"])
def test_a_reader_that_is_gone_is_no_error(closed: str) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--list"]
    if closed == "descriptor":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


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
    command += ["--encoder", modest.NAME, "--seconds", "3000"]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
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

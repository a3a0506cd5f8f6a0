"""The GPU benchmark's runner on small steps, and every real step once, small, on the CPU."""

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

import pytest
import torch

from benchmarks import gpu, page
from benchmarks.gpu_steps import changes, fp8
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.encoder_changes import backend_pass, class_token_pass
from benchmarks.gpu_steps.inputs import random_images, relative_difference
from benchmarks.gpu_steps.monitor import GpuMonitor, query_gpu
from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.passes import eager_pass
from benchmarks.gpu_steps.plan import STEPS
from benchmarks.gpu_steps.records import Recorder, UnavailableError, read_rows
from benchmarks.gpu_steps.runner import Outcome
from benchmarks.gpu_steps.summary import document_of, summary_lines, write_summary
from pipeline.features import Encoder, FeatureConfig
from pipeline.process import block
from tests.stub_gpu_steps import ran, stub
from tests.tiny_clip import tiny_clip

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


def test_a_step_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    outcomes = ran(tmp_path, stub("hangs", seconds=5), stub("measures"))
    assert states(outcomes) == [("hangs", "timed out"), ("measures", "done")]
    assert outcomes[0].reason == "stopped after 5 s"
    (row,) = results(tmp_path, "hangs")
    assert len(row["numbers"]["pids"]) == 2
    deadline = time.monotonic() + 10  # the child's new parent has to take note of its end
    while any(map(is_alive, row["numbers"]["pids"])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert gpu.exit_code(outcomes) == 1


def test_a_budget_cuts_a_step_off_and_skips_the_next_without_failure(tmp_path: Path) -> None:
    outcomes = ran(tmp_path, stub("hangs"), stub("measures"), seconds=5)
    assert states(outcomes) == [("hangs", "cut off"), ("measures", "skipped")]
    assert outcomes[1].reason == "the budget of 5 s is used up"
    assert [row["measurement"] for row in results(tmp_path, "hangs")] == ["processes"]
    assert gpu.exit_code(outcomes) == 0


def test_nothing_runs_without_a_required_step(tmp_path: Path) -> None:
    outcomes = ran(tmp_path, replace(stub("raises"), is_required=True), stub("measures"))
    assert states(outcomes) == [("raises", "failed"), ("measures", "skipped")]
    assert outcomes[1].reason == "step raises is not done"


def test_an_interruption_keeps_what_is_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.stub_gpu_steps", str(tmp_path), "hangs", "measures"]
    process = subprocess.Popen(command, cwd=ROOT)
    while not any("numbers" in row for row in read_rows(tmp_path / RESULTS)):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    lines = (tmp_path / "summary.txt").read_text().splitlines()
    assert [line.split()[:2] for line in lines[3:5]] == [["hangs", "interrupted"], ["measures", "skipped"]]
    assert len(results(tmp_path, "hangs")) == 1


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
    assert [step.name for step in gpu.chosen("sweep,encoder", 1)] == ["setup", "encoder", "sweep"]
    assert gpu.chosen("", 1) == STEPS
    assert gpu.chosen("setup", 2.5)[0].seconds == 2.5 * STEPS[0].seconds
    with pytest.raises(SystemExit):
        gpu.parsed(["--only", "encoder,speed"])
    assert "--only names speed; allowed: setup, environment, gpu-tests" in capsys.readouterr().err


def test_the_steps_are_listed_with_what_they_decide(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [step.name for step in STEPS]


@pytest.mark.parametrize("option", ["--clips", "--detector-weights", "--wheels"])
def test_a_path_that_is_missing_is_rejected(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.parsed([option, "/no/such"])
    assert f"{option} is '/no/such', which is no" in capsys.readouterr().err


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


# What only a GPU runs


def test_changes_replace_names_that_exist() -> None:
    with changes.detection_aside(is_cuda=False), changes.threads(3):
        pass
    with pytest.raises(RuntimeError, match="the change had no effect"), changes.fill_without_wait():
        pass


def test_the_filled_colour_is_the_copied_one() -> None:
    from pipeline import streams

    with changes.fill_without_wait():
        made = streams.torch.tensor((122, 116, 104), dtype=torch.uint8, device=torch.device("cpu"))
    assert made.tolist() == [122, 116, 104]
    assert made.dtype == torch.uint8


def test_detection_aside_passes_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "_attempt", lambda *given: ("attempt", *given))
    monkeypatch.setattr(block, "_encode_clips", lambda *given: ("encode", *given))
    with changes.detection_aside(is_cuda=False):
        assert block._attempt(1, 2) == ("attempt", 1, 2)
        assert block._encode_clips([3], 4) == ("encode", [3], 4)


def test_changed_passes_compute_the_same() -> None:
    clip = tiny_clip()
    encoder = Encoder(clip, FeatureConfig(precision="fp32", batch_pictures=3), torch.device("cpu"))
    images = random_images(clip, 3, torch.device("cpu"))
    expected = eager_pass(encoder, early=False)(images)[0]
    for changed in (class_token_pass(encoder), backend_pass(encoder, "FLASH_ATTENTION")):
        assert relative_difference(changed(images)[0], expected) < 2e-6
    with pytest.raises(UnavailableError, match="No (available|viable)"):
        backend_pass(encoder, "CUDNN_ATTENTION")(images)


def test_the_gpu_is_sampled_while_the_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "nvidia-smi"
    loop = "while :; do echo 50, 1000, '[N/A]', 1980; echo no device; sleep 0.05; done"
    script.write_text(f'#!/bin/sh\ncase "$*" in *loop-ms*) {loop};; esac\necho 999.9\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert query_gpu("driver_version") == "999.9"
    with GpuMonitor(is_cuda=True) as monitor:
        while not monitor.numbers:
            time.sleep(0.01)
    numbers = monitor.numbers
    assert numbers.pop("gpu_samples") > 0
    assert numbers == {"gpu_utilisation": 0.5, "gpu_memory_mib": 1000, "gpu_clock_mhz": 1980}


def test_without_nvidia_smi_nothing_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such")
    assert query_gpu("driver_version") == ""
    with GpuMonitor(is_cuda=True) as monitor:
        pass
    assert monitor.numbers == {}


def test_fp8_rows_are_the_layer_within_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU without fp8 products, which are written out here."""

    def product(x: torch.Tensor, w: torch.Tensor, **given: Any) -> torch.Tensor:
        y = (x.float() @ w.float()) * given["scale_a"] * given["scale_b"]
        assert given["scale_a"].shape == (len(x), 1)
        assert given["scale_b"].shape == (1, w.shape[1])
        assert w.stride(0) == 1  # columns lie together, as fp8 products need them
        return (y + given["bias"].float()).to(given["out_dtype"])

    monkeypatch.setattr(torch, "_scaled_mm", product)
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 32).to(torch.bfloat16)
    x = torch.randn(2, 5, 64, dtype=torch.bfloat16)
    with torch.no_grad():
        expected, found = layer(x).float(), fp8.Fp8Linear(layer)(x).float()
    assert found.shape == (2, 5, 32)
    assert float((found - expected).norm() / expected.norm()) < 0.05


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

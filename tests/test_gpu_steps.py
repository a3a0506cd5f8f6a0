"""What the steps of the GPU benchmark compute, as far as a CPU can check it."""

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.gpu_steps import agreement, changes, fp8, gpu_tests, kernels, training
from benchmarks.gpu_steps.encoder_changes import backend_pass, class_token_pass
from benchmarks.gpu_steps.inputs import random_images, relative_difference
from benchmarks.gpu_steps.monitor import GpuMonitor, query_gpu
from benchmarks.gpu_steps.passes import eager_pass
from benchmarks.gpu_steps.records import UnavailableError
from pipeline.features import Encoder, FeatureConfig
from pipeline.process import block
from pipeline.process.encode import EncodeQueue
from tests.stub_gpu_steps import context_of
from tests.tiny_clip import tiny_clip
from trainer.config import OptimConfig
from trainer.optim import build_adam

# Changes and passes that only a GPU measures


def test_changes_replace_names_that_exist() -> None:
    with changes.detection_on_own_stream(is_cuda=False), changes.threads(3):
        pass


def test_detection_on_own_stream_passes_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "_attempt", lambda *given: ("attempt", *given))
    monkeypatch.setattr(EncodeQueue, "encode", lambda queue, *, to_end: ("encode", queue, to_end))
    with changes.detection_on_own_stream(is_cuda=False):
        assert block._attempt(1, 2) == ("attempt", 1, 2)
        queue = EncodeQueue(None, None)
        assert queue.encode(to_end=True) == ("encode", queue, True)


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


# Steps


@pytest.mark.parametrize(
    ("cosine", "is_finite", "precision", "message"),
    [
        (0.99995, True, "fp32", ""),
        (0.995, True, "bf16", ""),
        (0.995, True, "fp32", "cosine 0.995000, at least 0.9999 expected"),
        (0.98, True, "fp16", "cosine 0.980000, at least 0.99 expected"),
        (float("nan"), True, "fp16", "cosine nan"),
        (1.0, False, "fp16", "values that are not finite"),
    ],
)
def test_features_must_agree_with_the_cpu(
    cosine: float, is_finite: bool, precision: str, message: str
) -> None:
    found = {"least_cosine": cosine, "is_finite": is_finite}
    if not message:
        assert agreement.check_features(found, precision)["least_cosine_allowed"] <= cosine
        return
    with pytest.raises(RuntimeError, match=message):
        agreement.check_features(found, precision)


def test_the_training_cache_is_of_the_encoder_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def write(path: Path, _num_clips: int, clip: str) -> None:
        path.mkdir()  # fails where one is left
        written.append(clip)
        if len(written) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "synthetic_cache", write)
    monkeypatch.setattr(training, "load_encoder", lambda context: context.options.encoder_name)
    context = context_of(tmp_path, encoder="a/b")
    with pytest.raises(KeyboardInterrupt):
        training.training_cache(context)
    path = training.training_cache(context)
    assert training.training_cache(context) == path
    assert training.training_cache(context_of(tmp_path, encoder="c")) != path
    assert training.training_cache(context_of(tmp_path, encoder="a/b", is_tiny=False)) != path
    assert written == ["a/b", "a/b", "c", "a/b"]


def test_the_trainer_builds_a_fused_adam() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(2, device="meta"))]  # on a CPU, it is fused anyway
    with training.fused_adam():
        assert build_adam(parameters, OptimConfig()).defaults["fused"]
    assert not build_adam(parameters, OptimConfig()).defaults["fused"]
    with pytest.raises(RuntimeError, match="the change had no effect"), training.fused_adam():
        pass


def test_launches_and_waits_are_those_of_the_host() -> None:
    def event(device: str, key: str, count: int, microseconds: float = 0) -> SimpleNamespace:
        kind = SimpleNamespace(name=device)
        return SimpleNamespace(device_type=kind, key=key, count=count, self_device_time_total=microseconds)

    events = [
        event("CPU", "cudaLaunchKernel", 5), event("CPU", "cudaStreamSynchronize", 2),
        event("CPU", "cudaDeviceSynchronize", 1), event("CUDA", "Stream Synchronize", 7, 1),
        event("CUDA", "LaunchedKernel", 3, 1e6),
    ]  # fmt: skip
    found = kernels.times_of(events, own_waits=1)
    assert (found.launches, found.waits, found.count) == (5, 2, 10)
    assert found.seconds == pytest.approx(1.000001)
    assert found.longest[0] == ["LaunchedKernel", 3, 1e3]


def test_a_report_of_pytest_is_that_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pytest.xml").write_text("<stale/>")
    ended = subprocess.CompletedProcess([], 4, "", "")
    monkeypatch.setattr(gpu_tests, "_pytest", lambda *_: ended)
    with pytest.raises(RuntimeError, match="exit code 4 and wrote no report"):
        gpu_tests._passed([], tmp_path, ())

import pytest
import torch

from pipeline.config import override
from trainer.precision import model_precision, recorded_precision, training_precision
from trainer.presets import smoke

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
AUTO = smoke()
EXACT = override(AUTO, ["model.precision=fp32", "prompts.precision=fp32"])


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of a compute capability, and torch's choices for float32 products."""
    parts = torch.backends.cuda.matmul, torch.backends.cudnn.rnn
    before = [part.fp32_precision for part in parts]

    def set_up(capability, matmul="none", rnn="tf32"):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        for part, precision in zip(parts, (matmul, rnn), strict=True):
            part.fp32_precision = precision

    yield set_up
    for part, precision in zip(parts, before, strict=True):
        part.fp32_precision = precision


def test_auto_is_float32_on_a_cpu_and_bf16_on_a_gpu_that_has_it(gpu):
    assert training_precision(AUTO, CPU) == "model fp32, text tower fp32"
    gpu((9, 0))
    assert training_precision(AUTO, CUDA) == "model bf16, text tower bf16"
    gpu((7, 0))
    assert training_precision(AUTO, CUDA) == "model fp32, text tower fp32"


@pytest.mark.parametrize(
    ("matmul", "rnn", "model", "tower"),
    [
        ("none", "tf32", "fp32 with the LSTM in tf32", "fp32"),
        ("ieee", "ieee", "fp32", "fp32"),
        ("tf32", "tf32", "tf32", "tf32"),
        ("tf32", "ieee", "tf32 with the LSTM in fp32", "tf32"),
    ],
)
def test_float32_on_a_gpu_names_what_is_rounded_to_tf32(gpu, monkeypatch, matmul, rnn, model, tower):
    gpu((8, 0), matmul, rnn)
    assert training_precision(EXACT, CUDA) == f"model {model}, text tower {tower}"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert model_precision(EXACT, CUDA) == "fp32"


def test_the_model_and_the_text_tower_may_differ():
    config = override(AUTO, ["model.precision=bf16"])
    assert training_precision(config, CPU) == "model bf16, text tower fp32"
    assert model_precision(config, CPU) == "bf16"


@pytest.mark.parametrize(
    ("recorded", "hardware", "shown"),
    [
        ("model bf16, text tower bf16", "NVIDIA H100", "model bf16, text tower bf16"),
        ("", "CPU, 2 threads", "model fp32, text tower fp32"),
        ("", "NVIDIA H100", "not recorded, on NVIDIA H100"),
        ("", "", "not recorded, on hardware that is not recorded"),
    ],
)
def test_older_runs_have_the_precision_that_their_hardware_leaves_open(recorded, hardware, shown):
    assert recorded_precision(recorded, AUTO, hardware) == shown

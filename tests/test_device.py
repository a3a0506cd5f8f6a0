import pytest
import torch

from pipeline.device import (
    choose_device,
    device_fault,
    exact_float32,
    has_bf16,
    is_device_fault,
    precision_on,
)
from pipeline.errors import ConfigError


def test_devices_go_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device is 'tpu'; allowed here: auto, cpu"):
        choose_device("tpu")


def test_cuda_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no usable CUDA device; use auto or cpu"):
        choose_device("cuda:0")
    with pytest.raises(ConfigError, match=r"--device is 'cpu:1'; allowed here: auto, cpu\.$"):
        choose_device("cpu:1")


def test_a_gpu_is_named_with_its_number(monkeypatch):
    """`cuda` and `cuda:0` are not equal, and tensors are on the latter."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    for wrong in ("cuda:2", "cuda:x", "cuda:-1", "cpu:0"):
        with pytest.raises(ConfigError, match=f"'{wrong}'; allowed here: auto, cpu, cuda:0, cuda:1."):
            choose_device(wrong)


@pytest.mark.parametrize(
    ("capability", "kinds", "expected"),
    [
        ((9, 0), {}, "bf16"),
        ((7, 0), {}, "fp32"),
        ((9, 0), {"on_gpu": "fp16"}, "fp16"),
        ((7, 0), {"on_gpu": "fp16"}, "fp16"),
        ((9, 0), {"on_cpu": "fp32"}, "bf16"),
        (None, {"on_cpu": "fp32"}, "fp32"),
    ],
)
def test_auto_is_bf16_where_the_device_has_it_unless_a_user_of_it_has_another_rule(
    monkeypatch, capability, kinds, expected
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: True)
    device = torch.device("cuda", 0) if capability else torch.device("cpu")
    assert precision_on(device, "auto", **kinds) == expected
    assert precision_on(device, "fp32", **kinds) == "fp32", "what is asked for is not changed"


def test_gpus_before_ampere_have_no_bf16(monkeypatch):
    for capability, has in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert has_bf16(torch.device("cuda", 0)) == has


def test_tf32_is_off_inside_alone():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with exact_float32():
            assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (torch.OutOfMemoryError("CUDA out of memory."), False),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
        (ValueError("CUDA error"), False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_devices_own_faults_are_known(error, expected):
    assert is_device_fault(error) == expected


def test_a_fault_is_told_in_one_line():
    message = str(device_fault(RuntimeError("CUDA error: bad\nmore"), "stored clips are safe"))
    assert "reports an error (CUDA error: bad); stored clips are safe. Run again; if the error" in message
    assert "\n" not in message


def test_short_memory_is_told_as_such():
    message = str(
        device_fault(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "finished runs are safe")
    )
    assert message.endswith(
        "Its memory is full: let fewer processes share it, or lower the batch size, and run again."
    )

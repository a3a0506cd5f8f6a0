import pytest
import torch

from pipeline.device import device_fault, exact_float32, has_bf16, is_device_fault


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
    told = str(device_fault(RuntimeError("CUDA error: bad\nmore"), "finished blocks are safe"))
    assert "reports an error (CUDA error: bad); finished blocks are safe. Run again; if it comes" in told
    assert "\n" not in told


def test_short_memory_is_told_as_such():
    told = str(device_fault(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "finished runs are safe"))
    assert told.endswith(
        "Its memory is short: let fewer processes share it, or lower the batch size, and run again."
    )

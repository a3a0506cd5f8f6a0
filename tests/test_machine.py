import math
import os
import platform
import subprocess
import sys

import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.executor.machine import (
    available_bytes,
    available_cores,
    cpu_quota,
    decoders_for,
    keep_memory,
    require_gpus,
    shares_of_cores,
    use_cores,
    visible_gpus,
)


def four_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="--gpus 1, but this machine has 0 CUDA devices; give --gpus 0"):
        require_gpus(1)
    require_gpus(0)


def test_gpus_are_counted_and_named(monkeypatch):
    four_gpus(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1", "2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,6,7")
    assert visible_gpus() == ["2", "3", "6", "7"]
    with pytest.raises(ConfigError, match="--gpus 5, but this machine has 4 CUDA devices; give --gpus 4"):
        require_gpus(5)
    with pytest.raises(ConfigError, match="--gpus is -1; allowed: 0 or more"):
        require_gpus(-1)


@pytest.mark.parametrize(
    ("cores", "workers", "shares"),
    [
        (range(8), 2, [(0, 1, 2, 3), (4, 5, 6, 7)]),
        ([0, 2, 5], 2, [(0, 2), (5,)]),
        (range(2), 3, [(0,), (1,), (0,)]),
        (range(4), 1, [(0, 1, 2, 3)]),
    ],
)
def test_cores_are_shared_out(cores, workers, shares):
    assert shares_of_cores(list(cores), workers) == shares


def test_a_worker_keeps_to_its_cores():
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    try:
        assert use_cores([min(before)]) == [min(before)] == available_cores()
        assert torch.get_num_threads() == 1
    finally:
        os.sched_setaffinity(0, before)
        use_cores(None)
        torch.set_num_threads(threads)


_FAULTS_OF_A_THREAD = """
import ctypes, resource, threading
import torch
from pipeline.executor.machine import keep_memory

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of 4 kB, whatever the machine's choice

def rounds(number):
    for _ in range(number):
        torch.ones(40 << 18)  # 40 MB

def work():
    rounds(20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    rounds(10)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

torch.set_num_threads(1)
{call}
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


_PAGES = (40 << 20) // 4096
"""Of one array."""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt's settings are glibc's")
@pytest.mark.parametrize("environment", [{}, {"MALLOC_TRIM_THRESHOLD_": "65536"}], ids=["plain", "dask"])
def test_a_thread_uses_its_memory_again(environment):
    """Ten arrays touch no more new pages than one has; without the call, each touches all of its own."""
    foreign = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}

    def new_pages(call):
        program = [sys.executable, "-c", _FAULTS_OF_A_THREAD.format(call=call)]
        answer = subprocess.run(program, env=clean | environment, capture_output=True, check=True)
        return int(answer.stdout)

    assert new_pages("keep_memory()") < _PAGES
    assert new_pages("pass") >= 10 * _PAGES


class OldGlibc:
    """Takes no mapping threshold above 32 MB."""

    def __init__(self):
        self.taken = {}

    def mallopt(self, parameter, value):
        if parameter == -3 and value > 32 << 20:
            return 0
        self.taken[parameter] = value
        return 1


def test_an_older_glibc_maps_nothing_by_itself(monkeypatch):
    old = OldGlibc()
    monkeypatch.setattr("pipeline.executor.machine.ctypes.CDLL", lambda _: old)
    keep_memory()
    assert old.taken == {-8: 1, -4: 0, -1: 2**31 - 1}
    monkeypatch.setattr("pipeline.executor.machine.ctypes.CDLL", lambda _: object())
    keep_memory()


@pytest.mark.parametrize(
    ("free", "cores", "quota", "expected"),
    [
        (64e9, 16, math.inf, 15),
        (64e9, 1, math.inf, 1),
        (7e9, 64, math.inf, 10),
        (7e9, 32, math.inf, 5),  # half of the machine's cores, and so of its memory
        (1e8, 64, math.inf, 1),
        (1e12, 64, math.inf, 32),
        (64e9, 16, 4.0, 3),
        (64e9, 16, 0.5, 1),
    ],
)
def test_decoders_beside_a_gpu_follow_cores_and_memory(free, cores, quota, expected, monkeypatch):
    monkeypatch.setattr("pipeline.executor.machine.available_bytes", lambda: free)
    monkeypatch.setattr("pipeline.executor.machine.cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "cpu_count", lambda: 64 if cores > 16 else 16)
    assert decoders_for(torch.device("cuda"), cores) == expected


def test_the_limits_of_a_container_count(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.executor.machine._CONTROL_GROUPS", tmp_path)
    free = available_bytes()
    assert cpu_quota() == math.inf
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert cpu_quota() == math.inf
    assert available_bytes() == pytest.approx(free, rel=0.2)
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    assert (cpu_quota(), available_bytes()) == (2.5, 3_000_000)
    (tmp_path / "memory.current").write_text("6000000\n")
    assert available_bytes() == 0


def test_available_memory_is_that_of_the_system():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.001 * total < available_bytes() <= total


def test_decoders_beside_a_cpu_follow_the_cores():
    assert decoders_for(torch.device("cpu"), 64) == 2
    assert decoders_for(torch.device("cpu"), 1) == 1

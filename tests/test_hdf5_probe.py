import subprocess
import sys

import h5py
import pytest

from pipeline import children
from pipeline.errors import CacheError
from pipeline.store import hdf5_probe, hdf5_probe_child


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as out:
        out.attrs["said"] = "x"
        out.create_dataset("texts", data=["a", "b"], dtype=h5py.string_dtype())
    return path


def test_a_good_file_and_one_that_only_raises_errors_pass(file, tmp_path):
    hdf5_probe.require_harmless(file, "said", ["texts"])
    hdf5_probe.require_harmless(file, "none", ["none"])
    (tmp_path / "text.h5").write_text("hello")
    hdf5_probe.require_harmless(tmp_path / "text.h5", "said", ["texts"])


def test_a_crash_is_told(file, tmp_path, monkeypatch):
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with pytest.raises(
        CacheError, match=r"a.h5' is not a readable HDF5 file: the HDF5 library crashes on it .SIGSEGV."
    ):
        hdf5_probe.require_harmless(file, "said", ["texts"])


def test_a_trial_that_does_not_take_place_is_no_pass(file, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no module >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(CacheError, match=r"a test read failed \(no module\)"):
        hdf5_probe.require_harmless(file, "said", ["texts"])


def test_the_trial_is_bounded_in_memory(file, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["trial", "0", str(file), "said", "texts"])
    limits = []
    monkeypatch.setattr(hdf5_probe_child, "keep_memory_below", limits.append)
    hdf5_probe_child.main()
    assert limits == [16 << 30]


def test_the_trial_loads_nothing_heavy_of_this_program():
    program = (
        "import pipeline.store.hdf5_probe_child, sys; "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('pipeline', 'zarr', 'torch')))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=children.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    expected = ["pipeline", "pipeline.children", "pipeline.store", "pipeline.store.hdf5_probe_child"]
    assert done.stdout.strip() == str(expected)

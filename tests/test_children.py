import os
import resource
import subprocess
import sys

import pytest

from pipeline import children


@pytest.mark.parametrize(
    ("hard", "most"), [(resource.RLIM_INFINITY, 6 << 30), (8 << 30, 6 << 30), (1 << 30, 1 << 30)]
)
def test_memory_is_bounded_and_a_lower_limit_stays(monkeypatch, hard, most):
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: limits.append((kind, limit)))
    children.keep_memory_below(6 << 30)
    assert limits == [(resource.RLIMIT_AS, (most, most)), (resource.RLIMIT_CORE, (0, 0))]


def test_a_bounded_process_gets_no_more_memory():
    program = "from pipeline import children; children.keep_memory_below(1 << 30); bytearray(2 << 30)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=children.environment(), capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "MemoryError"


def test_a_child_finds_this_program_from_anywhere_and_takes_nothing_from_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "resource.py").write_text("raise SystemExit('this is not the standard library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "of the user"))
    done = subprocess.run(
        children.command("pipeline.children"),
        env=children.environment(), cwd=tmp_path, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert children.environment()["PYTHONPATH"].split(os.pathsep) == [
        str(children.PACKAGE_ROOT),
        str(tmp_path / "of the user"),
    ]


def test_a_child_runs_the_libraries_in_one_thread_each():
    assert {children.environment()[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"1"}


def test_worker_processes_of_a_command_take_nothing_from_the_current_directory(tmp_path):
    """Python starts them by ``-c``, for which the current directory is first on the path."""
    for name in ("multiprocessing", "runpy", "signal"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n")
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "import multiprocessing, sys, cli\n"
        "def start():\n"
        "    process = multiprocessing.get_context('spawn').Process(target=print, args=('worked',))\n"
        "    process.start()\n"
        "    process.join()\n"
        "    sys.exit(process.exitcode)\n"
        "if __name__ == '__main__':\n"
        "    cli.app = start\n"
        "    cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=children.environment(), capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "worked\n"), done.stderr
    assert not (tmp_path / "ran").exists()

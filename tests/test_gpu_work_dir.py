"""Where the GPU benchmark writes and deletes, and what becomes of its temporary directories."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_steps.work_dir import (
    MARKER,
    WorkDirectoryError,
    held,
    open_work_directory,
    remove_abandoned,
    work_parent,
)

ROOT = Path(__file__).parents[1]
WAITS_WITH_A_DIRECTORY = """
import time
from benchmarks.gpu import interruptible
from benchmarks.gpu_steps.work_dir import work_parent
with interruptible(), work_parent(None) as parent:
    (parent / "clips").mkdir()
    print(parent, flush=True)
    time.sleep(600)
"""


def test_the_steps_work_in_a_directory_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "mine.mp4").write_bytes(b"video")
    work = open_work_directory(tmp_path, tmp_path / "clips")
    assert work == tmp_path / "ous-gpu"
    assert open_work_directory(tmp_path) == work  # has a marker
    with pytest.raises(WorkDirectoryError, match="whose files are deleted; move the videos"):
        open_work_directory(tmp_path, work / "clips")


def test_a_directory_that_another_run_uses_is_refused(tmp_path: Path) -> None:
    message = r"^Another run uses '.*'; wait for its end"
    with held(tmp_path), pytest.raises(WorkDirectoryError, match=message), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_a_directory_of_the_user_stays(tmp_path: Path) -> None:
    with work_parent(tmp_path) as parent:
        assert parent == tmp_path
    assert tmp_path.is_dir()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_ends_or_is_killed_leaves_no_temporary_directory(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", WAITS_WITH_A_DIRECTORY]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        parent = Path(process.stdout.readline().strip())
        remove_abandoned(tmp_path)
        assert (parent / "clips").is_dir()  # of a run that is alive
        process.send_signal(number)
    assert parent.parent == tmp_path
    assert parent.exists() == (number == signal.SIGKILL)
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_directories_are_never_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / MARKER).touch()
    (tmp_path / "ous-gpu-link").symlink_to(elsewhere)
    (tmp_path / "ous-gpu-file").touch()
    (tmp_path / "ous-gpu-of-the-user" / "clips").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before

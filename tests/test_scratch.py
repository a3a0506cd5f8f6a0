import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.scratch import ScratchDirectory

ROOT = Path(__file__).parents[1]
HOLD = """
import sys
from pathlib import Path
from pipeline.scratch import ScratchDirectory
held = ScratchDirectory("test", Path(sys.argv[1]))
(held.path / "worker-1").mkdir()
(held.path / "worker-1/large").write_text("large")
print(held.path, flush=True)
sys.stdin.read()
"""


def holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process with a scratch directory below `parent`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def names(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


def test_a_directory_is_private_and_removed_with_its_contents_at_the_end(tmp_path):
    with ScratchDirectory("test", tmp_path) as path:
        assert path.name.startswith("ous-test-")
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        (path / "deep/er").mkdir(parents=True)
        (path / "deep/er/file").write_text("x")
        assert names(path) == ["deep", "lock"]
    assert names(tmp_path) == []


def test_closing_twice_is_closing_once(tmp_path):
    directory = ScratchDirectory("test", tmp_path)
    directory.close()
    directory.close()
    assert names(tmp_path) == []


def test_one_of_a_killed_process_is_removed_by_the_next_one_of_its_kind(tmp_path):
    process, left = holder(tmp_path)
    process.kill()
    process.communicate()
    assert names(left) == ["lock", "worker-1"]
    with ScratchDirectory("other", tmp_path):
        assert left.exists()
    with ScratchDirectory("test", tmp_path) as path:
        assert names(tmp_path) == [path.name]


def test_one_in_use_is_left_alone_by_other_processes_and_by_its_own(tmp_path):
    process, used = holder(tmp_path)
    try:
        with ScratchDirectory("test", tmp_path) as first, ScratchDirectory("test", tmp_path) as second:
            assert names(tmp_path) == sorted([used.name, first.name, second.name])
            assert names(used) == ["lock", "worker-1"]
    finally:
        process.communicate()


@pytest.fixture
def outside(tmp_path):
    """A directory that looks like one that is no longer used, in another place than the temporary one."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/lock").touch()
    (tmp_path / "outside/thesis.tex").write_text("dear")
    (tmp_path / "tmp").mkdir()
    return tmp_path / "outside"


def test_a_link_in_place_of_a_directory_is_not_followed(outside, tmp_path):
    (tmp_path / "tmp/ous-test-link").symlink_to(outside)
    with ScratchDirectory("test", tmp_path / "tmp"):
        assert names(outside) == ["lock", "thesis.tex"]


def test_links_inside_one_that_is_left_over_are_removed_and_not_followed(outside, tmp_path):
    process, left = holder(tmp_path / "tmp")
    process.kill()
    process.communicate()
    (left / "link").symlink_to(outside)
    (left / "worker-1/link").symlink_to(outside)
    with ScratchDirectory("test", tmp_path / "tmp"):
        assert not left.exists()
    assert names(outside) == ["lock", "thesis.tex"]


@pytest.mark.parametrize("kind", ["none", "link", "pipe", "directory"])
def test_a_directory_whose_lock_is_no_file_of_ours_is_left_alone(kind, outside, tmp_path):
    odd = tmp_path / "tmp/ous-test-odd"
    odd.mkdir()
    (odd / "thesis.tex").write_text("dear")
    match kind:
        case "link":
            (odd / "lock").symlink_to(outside / "lock")
        case "pipe":
            os.mkfifo(odd / "lock")
        case "directory":
            (odd / "lock").mkdir()
    with ScratchDirectory("test", tmp_path / "tmp"):
        assert (odd / "thesis.tex").read_text() == "dear"


def test_a_directory_of_another_user_is_left_alone(outside, tmp_path, monkeypatch):
    outside.rename(tmp_path / "tmp/ous-test-theirs")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with ScratchDirectory("test", tmp_path / "tmp"):
        assert names(tmp_path / "tmp/ous-test-theirs") == ["lock", "thesis.tex"]


def test_without_locks_a_directory_works_and_is_never_taken_for_unused(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    first = ScratchDirectory("test", tmp_path)
    assert names(first.path) == ["lock.new"]
    monkeypatch.undo()
    with ScratchDirectory("test", tmp_path):
        assert first.path.exists()
    first.close()
    assert names(tmp_path) == []


def test_a_parent_that_cannot_be_listed_serves_too(tmp_path, monkeypatch):
    listed = os.listdir

    def refuse(path):
        if path == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    with ScratchDirectory("test", tmp_path) as path:
        assert path.is_dir()


def test_a_parent_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        ScratchDirectory("test", tmp_path / "missing")

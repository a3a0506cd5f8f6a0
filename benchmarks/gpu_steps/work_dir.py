"""Directory of clips, caches and compiled code, the only one in which the steps write and delete files.

It uses the standard library only, because the runner uses it.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "ous-gpu"
MARKER = "made-by-benchmarks.gpu"
_LOCK = "lock"
_TEMPORARY = f"{NAME}-"
NEEDED_BYTES = 3_000_000_000
"""Needed free disk space: clips, and the largest cache of features that a step writes."""


class WorkDirectoryError(Exception):
    """Raised for a directory that this run must not use; the message is one line for the user."""


@contextmanager
def work_parent(given: Path | None) -> Iterator[Path]:
    """Yield the parent of the work directory: the user's, or a temporary one, which is removed at the end.

    If a run is killed, the next run removes its temporary directory.
    """
    if given is not None:
        yield given
        return
    remove_abandoned(Path(tempfile.gettempdir()))
    parent = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
    try:
        with held(parent):
            (parent / MARKER).touch()  # after the lock: a marked directory without a lock is abandoned
            yield parent
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def remove_abandoned(directory: Path) -> None:
    """Remove the temporary directories in `directory` that killed runs of this user left."""
    for parent in directory.glob(f"{_TEMPORARY}*"):
        try:
            status = parent.lstat()
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if is_own and (parent / MARKER).is_file():
                with held(parent):
                    shutil.rmtree(parent, ignore_errors=True)
        except (WorkDirectoryError, OSError):  # another run uses it, or has removed it
            continue


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a directory for one run. Raises WorkDirectoryError if another run holds it."""
    with (directory / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"Another run uses '{directory}'; wait for its end, or give another directory."
            raise WorkDirectoryError(msg) from error
        yield


def open_work_directory(parent: Path, clips: Path | None = None) -> Path:
    """Return PARENT/ous-gpu with its marker file. It is created if it is missing.

    Args:
        parent: Directory of the user, in which nothing else is changed.
        clips: Directory of the user's videos.

    Raises:
        WorkDirectoryError: PARENT/ous-gpu has files but no marker, or the videos are in it.
        OSError: It cannot be created.
    """
    work = (parent / NAME).resolve()
    if clips is not None and clips.resolve().is_relative_to(work):
        msg = (
            f"--clips '{clips}' is in the work directory '{work}', whose files are deleted; move the videos."
        )
        raise WorkDirectoryError(msg)
    work.mkdir(parents=True, exist_ok=True)
    marker = work / MARKER
    if not marker.is_file():
        if any(work.iterdir()):
            msg = f"'{work}' has files that the benchmark did not write; move them, or give another --work."
            raise WorkDirectoryError(msg)
        marker.touch()
    return work


def free_bytes(path: Path) -> int:
    """Return the bytes that this user may write on the disk of a directory."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize

"""Private temporary directories, which are removed at the end; after a kill, the next process removes them.

Each is `ous-KIND-*` below the system's temporary directory (TMPDIR), has mode 0700, and contains a file
`lock` on which its process holds a lock (flock). The system releases the lock when the process ends, for
whatever reason. A directory of the same kind and user whose lock is free is therefore unused, and is removed.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_PREFIX = "ous-"
_LOCK, _NEW_LOCK = "lock", "lock.new"
_AS_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_AS_LOCK = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK


class ScratchDirectory:
    """New temporary directory, `path`, which is removed when it is closed or the process ends."""

    def __init__(self, kind: str, parent: Path | None = None) -> None:
        """Remove directories of this kind that killed processes have left, then create a directory.

        Args:
            kind: Its purpose, which is part of its name.
            parent: Directory in which it is created; None for the system's temporary directory.

        Raises:
            OSError: It cannot be created.
        """
        where = Path(tempfile.gettempdir()) if parent is None else parent
        prefix = f"{_PREFIX}{kind}-"
        _remove_left_over(where, prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
        self._end = weakref.finalize(self, _end, self.path, _lock(self.path))

    def close(self) -> None:
        """Remove the directory with its contents."""
        self._end()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_scratch(name: str) -> bool:
    """Return whether a name is of a scratch directory, of any kind."""
    return name.startswith(_PREFIX)


def _lock(directory: Path) -> int:
    """Lock a new directory and return the open lock. The lock file gets its final name after it is locked.

    On a file system without locks it never gets that name, so that the directory is never found unused.
    """
    lock = os.open(directory / _NEW_LOCK, _AS_LOCK | os.O_CREAT | os.O_EXCL, 0o600)
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (directory / _NEW_LOCK).rename(directory / _LOCK)
    return lock


def _end(path: Path, lock: int) -> None:
    try:
        with contextlib.suppress(OSError), _opened(path) as directory:  # the next start removes the rest
            _remove(path, directory)
    finally:
        os.close(lock)


def _remove_left_over(parent: Path, prefix: str) -> None:
    names = list[str]()
    with contextlib.suppress(PermissionError):  # a directory that cannot be listed may be writable
        names = [path.name for path in parent.iterdir() if path.name.startswith(prefix)]
    for name in names:
        with contextlib.suppress(OSError):  # removed, in use, or another user's
            _remove_if_unused(parent / name)


def _remove_if_unused(path: Path) -> None:
    """Remove a directory of this user whose lock is free. Raises OSError if it is in use."""
    with _opened(path) as directory, _opened(Path(_LOCK), _AS_LOCK, directory) as lock:
        found, kept = os.fstat(directory), os.fstat(lock)
        if {found.st_uid, kept.st_uid} == {os.geteuid()} and stat.S_ISREG(kept.st_mode):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path, directory)


def _remove(path: Path, directory: int) -> None:
    """Remove an open directory with its contents, the lock last, and never through a link."""
    for name in sorted(os.listdir(directory), key=lambda name: name == _LOCK):
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
    path.rmdir()


@contextlib.contextmanager
def _opened(path: Path, flags: int = _AS_DIRECTORY, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, flags, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

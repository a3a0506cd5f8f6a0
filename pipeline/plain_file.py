"""Reading of regular files of limited size, with errors of the file system as one line each.

Files come from other people. A pipe or a device in the place of a file would block or never end, and a file
may grow while it is read. Kind and size are checked on the opened file, never by its name.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import FileError, MissingFileError, printable, reason_of

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
_ADVICE = {
    errno.ENOSPC: "free some space, or give another place",
    errno.EDQUOT: "free some space, or give another place",
    errno.EROFS: "give a place where you may write",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "remove the link",
}


def open_given(path: Path, max_bytes: int) -> BinaryIO:
    """Open a file that the user named for reading; links in the path are followed.

    Args:
        path: Path that the user gave.
        max_bytes: The largest size that is accepted.

    Raises:
        MissingFileError: It does not exist.
        FileError: It is not a regular file, is too large, or may not be read. Reading raises it too, for a
            file that has grown beyond `max_bytes`.
    """
    return open_plain(path, path, max_bytes)


def read_given(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that the user named. Arguments and errors are those of `open_given`."""
    with open_given(path, max_bytes) as file, reported(path, "read"):
        return file.read()


def read_given_text(path: Path, max_bytes: int, *, errors: str = "strict") -> str:
    """Return the text of a UTF-8 file that the user named, without the byte order mark that some editors add.

    Args:
        path: Path that the user gave.
        max_bytes: The largest size that is accepted.
        errors: Treatment of bytes that are not UTF-8, as for `bytes.decode`.

    Raises:
        MissingFileError, FileError: See `open_given`; FileError also for a file that is not UTF-8.
    """
    return text_of(read_given(path, max_bytes), path, errors=errors)


def text_of(content: bytes, path: Path, *, errors: str = "strict") -> str:
    """Return the text of a file with this content. Arguments and errors are those of `read_given_text`."""
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        msg = f"'{printable(str(path))}' is not UTF-8 text (byte {error.start}); save it as UTF-8."
        raise FileError(msg) from error


def open_plain(
    name: str | Path, path: Path, max_bytes: int, *, dir_fd: int | None = None, extra_flags: int = 0
) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        name: Name of the file, relative to `dir_fd` if that is given.
        path: Path of the file, for messages.
        max_bytes: The largest size that is accepted.
        dir_fd: Descriptor of its directory; None for the current one.
        extra_flags: Flags for `os.open`, such as ``os.O_NOFOLLOW``.

    Raises:
        MissingFileError, FileError: See `open_given`.
    """
    with reported(path, "read"):
        handle = os.open(name, _READ | extra_flags, dir_fd=dir_fd)
    try:
        _require_plain(os.fstat(handle), path, max_bytes)
        return io.BufferedReader(_Bounded(handle, path, max_bytes))
    except BaseException:
        os.close(handle)
        raise


@contextmanager
def reported(path: Path, action: str) -> Iterator[None]:
    """Turn an error of the file system into a FileError of one line.

    Args:
        path: The file or directory, for the message.
        action: Participle of the action that failed: "read", "written".
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "")
        if error.errno in (errno.EACCES, errno.EPERM):
            advice = f"check who may {'read' if action == 'read' else 'write'} there"
        elif action == "created":
            advice = advice or "give another place"
        reason = "; ".join(filter(None, [reason_of(error), advice]))
        msg = f"'{printable(str(path))}' cannot be {action}: {reason}."
        kind = MissingFileError if isinstance(error, FileNotFoundError) else FileError
        raise kind(msg) from error


def kind_of(status: os.stat_result) -> str:
    """Return the kind of a file in words: "a regular file", "a link", "a pipe"."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "a regular file")


def not_plain(path: Path, kind: str, needed: str) -> str:
    """Return the message for a file of the wrong kind.

    Args:
        path: The file.
        kind: Its kind in words, from `kind_of`.
        needed: The kind that is needed, in words.
    """
    return f"'{printable(str(path))}' is {kind}; {needed} is needed. Remove it, or put {needed} there."


def status_of(handle: int, name: str) -> os.stat_result | None:
    """Return the status of an entry of an open directory, None if there is none. Links are not followed."""
    try:
        return os.stat(name, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return None


def refusal(handle: int, name: str, path: Path, status: os.stat_result, needed: str) -> str:
    """Return the message for an entry of the wrong kind in a directory. For a link, it contains the target.

    Args:
        handle: Descriptor of the directory.
        name: Name of the entry.
        path: Path of the entry, for the message.
        status: Status of the entry, from `status_of`.
        needed: The kind that is needed, in words.
    """
    kind = kind_of(status)
    if stat.S_ISLNK(status.st_mode):
        with suppress(OSError):
            kind = f"a link to '{printable(os.readlink(name, dir_fd=handle))}'"
    return not_plain(path, kind, needed)


def write_all(handle: int, content: bytes) -> None:
    """Write all bytes to an open file."""
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _require_plain(status: os.stat_result, path: Path, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileError(not_plain(path, kind_of(status), "a regular file"))
    if status.st_size > max_bytes:
        raise FileError(_too_large(path, status.st_size, max_bytes))


def _too_large(path: Path, size: int, max_bytes: int) -> str:
    return f"'{printable(str(path))}' has {size} bytes; allowed: {max_bytes}. Put the right file there."


class _Bounded(io.FileIO):
    """Open file that raises FileError if more than `max_bytes` are read."""

    def __init__(self, handle: int, path: Path, max_bytes: int) -> None:
        super().__init__(handle, "rb")
        self._path, self._max_bytes = path, max_bytes

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        room = max(0, self._max_bytes + 1 - self.tell())
        count = super().readinto(memoryview(buffer)[:room])
        if count and self.tell() > self._max_bytes:
            size = self._max_bytes + 1
            msg = f"It grew while it was read: {_too_large(self._path, size, self._max_bytes)}"
            raise FileError(msg)
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        return io.RawIOBase.read(self, -1 if size is None else size) or b""

    def readall(self) -> bytes:
        return io.RawIOBase.readall(self) or b""

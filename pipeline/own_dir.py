"""Directory whose files this program opens, replaces, locks and removes, and never through a link.

Runs, sweeps, reports and caches are copied from other people. A link in one of them, at a name that the
program writes or removes, would let its author change files elsewhere. Links in the path that the user
gave are followed (``runs -> /scratch``). Every name below that path is opened relative to its directory,
without following links.
"""

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Union

from pipeline.errors import FileError, MissingFileError, printable
from pipeline.plain_file import (
    kind_of,
    not_plain,
    open_plain,
    refusal,
    reported,
    status_of,
    text_of,
    write_all,
)
from pipeline.strict_json import to_json

Kind = Literal["file", "directory", "link", "other"]
Folder = Union[str, Path, "OwnDir"]
"""Type of a directory in arguments."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o666
_PARTIAL = ".partial"


class LockedError(FileError):
    """A lock that another process holds."""


@dataclass(frozen=True)
class OwnDir:
    """A directory: the path that the user gave, and names below it.

    Nothing is opened before a method needs it. Every method raises FileError, in one line, for errors of the
    file system, and for a link, pipe, device or the like in the place of a file or directory.

    Attributes:
        root: Path that the user gave; its links are followed.
        inside: Names of directories below it; none may be a link.
    """

    root: Path
    inside: tuple[str, ...] = ()

    @classmethod
    def of(cls, where: Folder) -> "OwnDir":
        """Return the directory at a path that the user gave."""
        return where if isinstance(where, OwnDir) else cls(Path(where))

    def __truediv__(self, below: str | Path) -> "OwnDir":
        names = Path(below).parts
        for name in names or ("",):
            _require_name(name)
        return OwnDir(self.root, (*self.inside, *names))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The whole path, for messages and for other processes."""
        return self.root.joinpath(*self.inside)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Yield a descriptor of the directory.

        Raises:
            MissingFileError: It does not exist.
        """
        with reported(self.root, "opened"):
            handle = os.open(self.root, _DIRECTORY)
        try:
            for depth in range(len(self.inside)):
                inner = self._step(handle, depth)
                os.close(handle)
                handle = inner
            yield handle
        finally:
            os.close(handle)

    def exists(self) -> bool:
        """Return whether anything has this name, also a file or a dangling link."""
        if not self.inside:
            return os.path.lexists(self.root)
        return self._parent.kind(self.inside[-1]) is not None

    def is_dir(self) -> bool:
        """Return whether this is a directory; a link to one counts only if the user gave it."""
        if not self.inside:
            return self.root.is_dir()
        return self._parent.kind(self.inside[-1]) == "directory"

    def kind(self, name: str) -> Kind | None:
        """Return the kind of an entry of this directory, None if there is none. Links are not followed."""
        with reported(self.root, "read"):
            if not self.root.is_dir():
                return None
        try:
            with self.opened() as handle, reported(self.path / name, "read"):
                status = status_of(handle, name)
        except MissingFileError:
            return None
        return None if status is None else _kind(status)

    def entries(self) -> dict[str, Kind]:
        """Return the kinds of all entries, by sorted name. Links are not followed."""
        with self.opened() as handle, reported(self.path, "read"):
            found = {name: status_of(handle, name) for name in sorted(os.listdir(handle))}  # noqa: PTH208 - by descriptor
        return {name: _kind(status) for name, status in found.items() if status is not None}

    def open_read(self, name: str, max_bytes: int) -> BinaryIO:
        """Open a regular file for reading.

        Raises:
            MissingFileError: It does not exist.
            FileError: It is not a regular file, or is larger than `max_bytes`, also while it is read.
        """
        _require_name(name)
        with self.opened() as handle:
            self._require_file(handle, name)
            return open_plain(name, self.path / name, max_bytes, dir_fd=handle, extra_flags=os.O_NOFOLLOW)

    def read_bytes(self, name: str, max_bytes: int) -> bytes:
        """Return the content of a regular file. Raises what `open_read` raises."""
        with self.open_read(name, max_bytes) as file, reported(self.path / name, "read"):
            return file.read()

    def read_text(self, name: str, max_bytes: int) -> str:
        """Return the text of a UTF-8 file, without a byte order mark.

        Raises what `open_read` raises, or FileError for other text.
        """
        return text_of(self.read_bytes(name, max_bytes), self.path / name)

    def make(self, mode: int = 0o777) -> None:
        """Create the directory and its parents, unless they exist.

        Args:
            mode: Permissions of new directories below the root.
        """
        with reported(self.root, "created"):
            self.root.mkdir(parents=True, exist_ok=True)
        for depth, name in enumerate(self.inside):
            above = OwnDir(self.root, self.inside[:depth])
            with above.opened() as handle, reported(above.path / name, "created"), suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=handle)
        with self.opened():
            pass

    @contextmanager
    def replacing(self, name: str) -> Iterator[BinaryIO]:
        """Yield a new file, which replaces the file `name` atomically if the `with` block raises no error.

        The block should only write to it, because every OSError in it is reported as one of this file.
        """
        _require_name(name)
        partial = f".{secrets.token_hex(8)}{_PARTIAL}"
        with self.opened() as handle, reported(self.path / name, "written"):
            self._require_file(handle, name)
            try:
                flags = os.O_WRONLY | os.O_EXCL | _CREATE
                with os.fdopen(os.open(partial, flags, _MODE, dir_fd=handle), "wb") as file:
                    yield file
                self._require_file(handle, name)
                os.replace(partial, name, src_dir_fd=handle, dst_dir_fd=handle)
            except BaseException:
                with suppress(OSError):
                    os.unlink(partial, dir_fd=handle)
                raise

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file, atomically replacing an existing one."""
        with self.replacing(name) as file:
            file.write(content)

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 file, atomically replacing an existing one."""
        self.write_bytes(name, text.encode("utf-8"))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, atomically replacing an existing one. Raises the errors of `to_json`."""
        self.write_text(name, to_json(value) + "\n")

    def write_together(self, contents: Mapping[str, str | bytes]) -> None:
        """Write several files, replacing existing ones. If one of them cannot be written, none is."""
        with ExitStack() as stack:
            for name, content in contents.items():
                file = stack.enter_context(self.replacing(name))
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
                file.flush()

    def append(self, name: str, content: bytes, *, sync: bool = False) -> None:
        """Append to a regular file without hard links, or create it. After an error it is unchanged.

        With `sync`, the content is on the disk when the call returns.
        """
        _require_name(name)
        with self.opened() as handle, reported(self.path / name, "written"):
            self._require_file(handle, name)
            file = os.open(name, os.O_WRONLY | os.O_APPEND | _CREATE, _MODE, dir_fd=handle)
            try:
                status = os.fstat(file)
                self._require_status(status, name)
                if status.st_nlink > 1:
                    kind = "a file of several names"
                    raise FileError(not_plain(self.path / name, kind, "a file of its own"))
                try:
                    write_all(file, content)
                    if sync:
                        os.fsync(file)
                except BaseException:
                    os.ftruncate(file, status.st_size)
                    raise
            finally:
                os.close(file)

    def cut(self, name: str, num_bytes: int) -> None:
        """Shorten a regular file to a length. Raises FileError if it is missing or shorter."""
        _require_name(name)
        with self.opened() as handle, reported(self.path / name, "written"):
            file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
            try:
                status = os.fstat(file)
                self._require_status(status, name)
                if status.st_size < num_bytes:
                    msg = f"'{self.path / name}' has {status.st_size} bytes; {num_bytes} are needed."
                    raise FileError(msg)
                os.ftruncate(file, num_bytes)
            finally:
                os.close(file)

    def require_writable(self, *names: str) -> None:
        """Raise FileError unless files can be written here, and these names are free or regular files."""
        with self.opened() as handle:
            for name in names:
                self._require_file(handle, name)
            probe = f".{secrets.token_hex(8)}{_PARTIAL}"
            with reported(self.path, "written"):
                os.close(os.open(probe, os.O_WRONLY | os.O_EXCL | _CREATE, _MODE, dir_fd=handle))
                os.unlink(probe, dir_fd=handle)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock file `name` against other processes of this machine. The file stays afterwards.

        Raises:
            LockedError: Another process holds it.
        """
        _require_name(name)
        path = self.path / name
        with self.opened() as handle, reported(path, "locked"):
            self._require_file(handle, name)
            file = os.open(name, os.O_RDWR | _CREATE, _MODE, dir_fd=handle)
        try:
            with reported(path, "locked"):
                self._require_status(os.fstat(file), name)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    msg = f"'{printable(str(path))}' is locked by another process."
                    raise LockedError(msg) from error
            yield
        finally:
            os.close(file)

    def move_to(self, to: "OwnDir") -> None:
        """Rename this directory.

        Args:
            to: The new name: free, or of an empty directory.

        Raises:
            FileError: The new name is of something else.
        """
        with self._parent.opened() as source, to._parent.opened() as target, reported(to.path, "created"):
            os.rename(self.inside[-1], to.inside[-1], src_dir_fd=source, dst_dir_fd=target)

    def link(self, name: str, to: str) -> None:
        """Give a file a further name, which replaces an existing file; without hard links, copy it."""
        _require_name(name)
        _require_name(to)
        partial = f".{secrets.token_hex(8)}{_PARTIAL}"
        with self.opened() as handle, reported(self.path / to, "written"):
            self._require_file(handle, name)
            self._require_file(handle, to)
            try:
                os.link(name, partial, src_dir_fd=handle, dst_dir_fd=handle, follow_symlinks=False)
            except FileNotFoundError:
                raise
            except OSError:
                size = os.stat(name, dir_fd=handle, follow_symlinks=False).st_size
                self.write_bytes(to, self.read_bytes(name, size))
                return
            try:
                os.replace(partial, to, src_dir_fd=handle, dst_dir_fd=handle)
            finally:
                with suppress(FileNotFoundError):  # still there if both names are of one file already
                    os.unlink(partial, dir_fd=handle)

    def remove_file(self, name: str) -> None:
        """Remove a file, or a link itself, if it is there."""
        _require_name(name)
        with self.opened() as handle, reported(self.path / name, "removed"), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=handle)

    def remove_empty(self) -> None:
        """Remove this directory if it is empty; it may be the one that the user gave."""
        with suppress(OSError, FileError):
            if not self.inside:
                self.root.rmdir()
            else:
                with self._parent.opened() as handle:
                    os.rmdir(self.inside[-1], dir_fd=handle)

    def remove_tree(self) -> None:
        """Remove this directory with its contents, if it exists. It must be below the root."""
        with self._parent.opened() as handle:
            status = status_of(handle, self.inside[-1])
            if status is None:
                return
            if not stat.S_ISDIR(status.st_mode):
                raise FileError(refusal(handle, self.inside[-1], self.path, status, "a directory"))
            if not shutil.rmtree.avoids_symlink_attacks:
                msg = f"'{self}' is not removed: this system cannot do so without following links."
                raise FileError(msg)
            try:
                with reported(self.path, "removed"):
                    shutil.rmtree(self.inside[-1], dir_fd=handle)
            except RecursionError as error:  # of Python 3.11 and 3.12
                msg = f"'{printable(str(self))}' has too many levels to be removed; run `rm -r` on it."
                raise FileError(msg) from error

    @property
    def _parent(self) -> "OwnDir":
        if not self.inside:
            msg = f"'{self}' is the directory that the user gave; only those below it have a parent here"
            raise ValueError(msg)
        return OwnDir(self.root, self.inside[:-1])

    def _step(self, handle: int, depth: int) -> int:
        """Open the directory `inside[depth]`, given a descriptor of its parent."""
        name = self.inside[depth]
        path = self.root.joinpath(*self.inside[: depth + 1])
        status = status_of(handle, name)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise FileError(refusal(handle, name, path, status, "a directory"))
        with reported(path, "opened"):
            return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)

    def _require_file(self, handle: int, name: str) -> None:
        """Raise FileError if a name is of something else than a regular file. Opening it checks again."""
        status = status_of(handle, name)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise FileError(refusal(handle, name, self.path / name, status, "a regular file"))

    def _require_status(self, status: os.stat_result, name: str) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise FileError(not_plain(self.path / name, kind_of(status), "a regular file"))


def is_partial(name: str) -> bool:
    """Return whether a name is of a file that was not completely written when its process ended."""
    return name.startswith(".") and name.endswith(_PARTIAL)


def _require_name(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        msg = f"'{printable(name)}' is not a name of a file or directory; a plain name is needed."
        raise FileError(msg)


def _kind(status: os.stat_result) -> Kind:
    tests: Mapping[Kind, Any] = {"file": stat.S_ISREG, "directory": stat.S_ISDIR, "link": stat.S_ISLNK}
    return next((kind for kind, test in tests.items() if test(status.st_mode)), "other")

"""Create the directory of a page, and check that it can be written."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import ConfigError, FileError
from pipeline.own_dir import OwnDir


def require_writable(path: Path, names: Sequence[str] = ()) -> OwnDir:
    """Create the directory of `--out`. Raises ConfigError unless these files can be written there."""
    folder = OwnDir.of(path)
    try:
        if folder.exists() and not folder.is_dir():
            msg = f"--out '{folder}' is a file; give a directory."
            raise ConfigError(msg)
        folder.make()
        folder.require_writable(*names)
    except FileError as error:
        msg = f"--out {error}"
        raise ConfigError(msg) from error
    return folder


@contextmanager
def output_directory(path: Path, names: Sequence[str] = ()) -> Iterator[OwnDir]:
    """Create the directory of `--out` as `require_writable` does.

    After an error, directories that this created are removed if they are empty.
    """
    created = [place for place in (path, *path.parents) if not os.path.exists(place)]  # noqa: PTH110 - no error
    try:
        yield require_writable(path, names)
    except BaseException:
        with suppress(OSError):
            for place in created:
                place.rmdir()
        raise

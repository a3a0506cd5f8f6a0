"""The folder of a page: made, and tried before there is something to write."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ConfigError, FileError
from pipeline.own_dir import OwnDir


def require_writable(path: Path, names: Sequence[str] = ()) -> OwnDir:
    """Make the folder of `--out`. Raises ConfigError unless files of these names can be written into it."""
    folder = OwnDir.of(path)
    try:
        if folder.exists() and not folder.is_dir():
            msg = f"--out '{folder}' is a file; give a folder."
            raise ConfigError(msg)
        folder.make()
        folder.require_writable(*names)
    except FileError as error:
        msg = f"--out {error}"
        raise ConfigError(msg) from error
    return folder

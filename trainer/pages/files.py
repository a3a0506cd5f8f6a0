"""A text -> a file, in a folder that was tried before."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from pipeline.errors import ConfigError, reason_of


def require_writable(folder: Path, files: Sequence[Path]) -> None:
    """Make the folder, and raise ConfigError unless `files` can be written into it."""
    if folder.exists() and not folder.is_dir():
        msg = f"--out '{folder}' is a file; give a folder."
        raise ConfigError(msg)
    for path in files:
        if path.is_dir():
            msg = f"--out '{folder}': '{path.name}' in it is a folder; remove it, or give another folder."
            raise ConfigError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
    except OSError as error:
        msg = f"--out '{folder}' cannot be written: {reason_of(error)}; give another folder."
        raise ConfigError(msg) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file, replacing the one before it at once."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

"""A text -> a file."""

from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a text file, replacing the one before it at once."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

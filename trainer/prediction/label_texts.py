"""Columns and labels as users write them in lists -> their meaning, or an error that names it."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from pipeline.datasets.names import folded
from pipeline.datasets.rows import LIKELY, TIMES, Row
from pipeline.errors import DatasetError, printable

SIMILAR: Mapping[str, tuple[str, ...]] = {
    "label": LIKELY["label"],
    "start_seconds": (*LIKELY["start_seconds"], "start_s", "start_sec", "start_ms", "start_frame", "from"),
    "end_seconds": (*LIKELY["end_seconds"], "end_s", "end_sec", "end_ms", "end_frame", "to"),
    "person": ("people", "person_id", "person_name", "track", "track_id", "identity"),
}
"""Columns -> other names that are likely to mean them. They are never read under these names."""
_CLOSE = 0.8
"""Least similarity of a misspelt column."""


def require_no_misspelling(
    rows: Sequence[Row], path: Path, wanted_columns: Iterable[str], columns: Iterable[str]
) -> None:
    """Raise DatasetError if a column is probably a misspelling of a wanted one that is missing.

    Args:
        rows: All rows of the list.
        path: The list.
        wanted_columns: Some of label, start_seconds, end_seconds and person.
        columns: Columns that are read, which are no misspelling.
    """
    for wanted in wanted_columns:
        headers = {row.header.names for row in rows}
        names = {name for header in headers if wanted not in header for name in header}
        for name in sorted(names.difference(columns)):
            plain = folded(name).replace(" ", "_")
            if plain in SIMILAR[wanted] or get_close_matches(plain, [wanted], cutoff=_CLOSE):
                unit = ", with times in seconds" if wanted in TIMES else ""
                msg = (
                    f"'{path}' has no column {wanted}, but a column '{printable(name)}'; rename it to "
                    f"{wanted}{unit}, or remove it."
                )
                raise DatasetError(msg)

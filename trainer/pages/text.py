"""A table -> lines for a terminal, with aligned columns."""

from collections.abc import Sequence

from trainer.pages.document import Table

_WIDEST = 200
"""Longest cell, in characters. A column is as wide as its widest cell, and names may be very long."""


def table_lines(table: Table) -> list[str]:
    """Return the title, the names of the columns, the rows."""
    lines = [[_cut(cell) for cell in cells] for cells in (table.columns, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [table.title, *(_aligned(cells, widths) for cells in lines)]


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 3]}..."


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if number else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()

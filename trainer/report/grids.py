"""Sweeps of `ablate` -> sections of the page: the tables that `ablate` writes, and their origin."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import counted
from trainer.ablate.load_results import StoredGrid
from trainer.ablate.result_tables import grid_section
from trainer.pages.document import Items, Section


def grid_sections(grids: Sequence[StoredGrid]) -> list[Section]:
    """Return a section for each sweep, with its warnings."""
    return [
        replace(
            grid_section(grid.result, grid_title(grid), _others(grid)),
            banners=grid.result.banners,
        )
        for grid in grids
    ]


def grid_origins(grids: Sequence[StoredGrid]) -> list[Section]:
    """Return the origin of each sweep's numbers."""
    return [Section(title=grid_title(grid), blocks=[Items(items=_facts(grid))]) for grid in grids]


def grid_title(grid: StoredGrid) -> str:
    """Return the title of a sweep, with its directory."""
    return f"{grid.result.request.spec.title} ({grid.out})"


def _others(grid: StoredGrid) -> list[str]:
    if not grid.num_others:
        return []
    num = counted(grid.num_others, "other outcome")
    return [
        f"Not counted: {num} in the directory, of folds or seeds that the last ablate command did not "
        "request."
    ]


def _facts(grid: StoredGrid) -> list[str]:
    result, request = grid.result, grid.result.request
    common = ", ".join((*request.spec.settings, *request.settings))
    return [
        f"Outcomes: read from '{grid.out}', each measured at the end of its run",
        f"Cache: {request.dataset}, fingerprint {result.fingerprint}",
        f"All rows: preset {request.preset}{f' with {common}' if common else ''}",
        *(f"Row {row.name}: {', '.join(row.settings) or 'nothing else'}" for row in request.spec.rows),
    ]

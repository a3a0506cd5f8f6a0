"""Sweeps of `ablate` -> sections of the page: the tables that `ablate` writes, and their origin."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import counted
from trainer.ablate.load_results import StoredSweep
from trainer.ablate.result_tables import sweep_section
from trainer.ablate.spec import Row
from trainer.pages.document import Items, Section
from trainer.report.baselines import tables_of_the_paper


def sweep_sections(sweeps: Sequence[StoredSweep]) -> list[Section]:
    """Return a section for each sweep, with its warnings."""
    return [
        replace(
            sweep_section(
                sweep.result, sweep_title(sweep), _others(sweep), tables_of_the_paper(sweep.result)
            ),
            banners=sweep.result.banners,
        )
        for sweep in sweeps
    ]


def sweep_origins(sweeps: Sequence[StoredSweep]) -> list[Section]:
    """Return the origin of each sweep's numbers."""
    return [Section(title=sweep_title(sweep), blocks=[Items(items=_facts(sweep))]) for sweep in sweeps]


def sweep_title(sweep: StoredSweep) -> str:
    """Return the title of a sweep, with its directory."""
    return f"{sweep.result.request.spec.title} ({sweep.out})"


def _others(sweep: StoredSweep) -> list[str]:
    if not sweep.num_others:
        return []
    num = counted(sweep.num_others, "other outcome")
    return [
        f"Not counted: {num} in the directory, of folds or seeds that the last ablate command did not "
        "request."
    ]


def _facts(sweep: StoredSweep) -> list[str]:
    result, request = sweep.result, sweep.result.request
    common = ", ".join((*request.spec.settings, *request.settings))
    return [
        f"Outcomes: read from '{sweep.out}', each measured at the end of its run",
        f"Cache: {request.dataset}, fingerprint {result.fingerprint}",
        f"All rows: preset {request.preset}{f' with {common}' if common else ''}",
        *(f"Row {row.name}: {_setting(row)}" for row in request.spec.rows),
    ]


def _setting(row: Row) -> str:
    method = [f"method {row.method}"] if row.is_baseline else []
    return ", ".join([*method, *row.settings]) or "nothing else"

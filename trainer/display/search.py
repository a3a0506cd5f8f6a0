"""Terminal and JSON form of a search."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from trainer.ablate.search_run import SEARCH_FILE, Candidate, SearchResult
from trainer.pages.document import Table
from trainer.pages.formatting import NONE
from trainer.pages.text import table_lines

_MOST_SHOWN = 20


@to_json_values.register
def _(result: SearchResult) -> dict[str, Any]:
    names = ("candidates", "chosen", "num_runs", "is_cut_short")
    return {
        "search": to_json_values(result.spec),
        **field_values(result, *names),
        "final": to_json_values(result.final),
    }


@lines.register
def _(result: SearchResult) -> list[str]:
    """Return the best candidates, the chosen one, and the final sweep."""
    spec = result.spec
    head = (
        f"{spec.title}: {counted(len(result.candidates), 'candidate')}, {counted(result.num_runs, 'run')} "
        f"measured on validation clips, by {spec.metric.upper() if spec.metric != 'loss' else 'loss'}"
    )
    chosen = ", ".join(result.chosen.settings) or "no changes"
    rest = len(result.candidates) - _MOST_SHOWN
    return [
        head,
        *(["!! CUT SHORT: the time ended before all runs of the search"] if result.is_cut_short else []),
        "",
        *table_lines(search_table(result)),
        *([f"and {counted(rest, 'candidate')} more in {result.out / SEARCH_FILE}"] if rest > 0 else []),
        "",
        f"chosen: {result.chosen.name}, {chosen}",
        "",
        *lines(result.final),
    ]


def search_table(result: SearchResult) -> Table:
    """Return the table of the best candidates."""
    spec = result.spec
    rungs = [f"{spec.metric}, {n} epochs" for n in spec.rungs] or [spec.metric]
    return Table(
        title="Candidates, validation clips",
        columns=["candidate", *rungs, "settings"],
        rows=[_cells(one, len(rungs), spec.metric) for one in result.candidates[:_MOST_SHOWN]],
    )


def _cells(one: Candidate, num_rungs: int, metric: str) -> list[str]:
    values = [*one.values, *[None] * (num_rungs - len(one.values))]
    shown = [NONE if v is None else f"{v:.4f}" if metric == "loss" else f"{100 * v:.2f}" for v in values]
    return [one.name, *shown, " ".join(one.settings)]

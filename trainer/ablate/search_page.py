"""The result of a search -> its table of candidates, and a section of a page."""

from pipeline.errors import counted
from trainer.ablate.result_tables import sweep_section
from trainer.ablate.search_result import Candidate, SearchResult
from trainer.pages.document import Section, Table, Text
from trainer.pages.formatting import NONE

_MOST_SHOWN = 20


def search_section(result: SearchResult) -> Section:
    """Return the candidates, the choice, and the final sweep."""
    final = result.final.result
    return Section(
        title=f"Search: {result.spec.title}",
        banners=(*search_banners(result), *final.banners),
        blocks=[Text(text=search_head(result)), search_table(result), Text(text=chosen_text(result))],
        parts=[sweep_section(final, final.request.spec.title)],
    )


def search_banners(result: SearchResult) -> tuple[str, ...]:
    """Return the warnings of the search itself."""
    return ("CUT SHORT: the time ended before all runs of the search",) * result.is_cut_short


def search_head(result: SearchResult) -> str:
    """Return a line with the numbers of candidates and runs, and the metric."""
    spec = result.spec
    metric = spec.metric if spec.metric == "loss" else spec.metric.upper()
    return (
        f"{spec.title}: {counted(len(result.candidates), 'candidate')}, {counted(result.num_runs, 'run')} "
        f"measured on validation clips, by {metric}"
    )


def chosen_text(result: SearchResult) -> str:
    """Return a line with the chosen settings."""
    return f"chosen: {result.chosen.name}, {', '.join(result.chosen.settings) or 'no changes'}"


def search_table(result: SearchResult) -> Table:
    """Return the table of the best candidates."""
    spec = result.spec
    rungs = [f"{spec.metric}, {n} epochs" for n in spec.rungs] or [spec.metric]
    rest = len(result.candidates) - _MOST_SHOWN
    return Table(
        title="Candidates, validation clips",
        columns=["candidate", *rungs, "settings"],
        rows=[_cells(one, len(rungs), spec.metric) for one in result.candidates[:_MOST_SHOWN]],
        note=f"The other {counted(rest, 'candidate')} are in search.json." if rest > 0 else "",
    )


def _cells(one: Candidate, num_rungs: int, metric: str) -> list[str]:
    values = [*one.values, *[None] * (num_rungs - len(one.values))]
    shown = [NONE if v is None else f"{v:.4f}" if metric == "loss" else f"{100 * v:.2f}" for v in values]
    return [one.name, *shown, " ".join(one.settings)]

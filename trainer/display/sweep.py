"""Terminal and JSON form of a sweep."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from trainer.ablate.aggregate import RowResult, SweepResult
from trainer.ablate.load_results import StoredSweep
from trainer.ablate.outcome import Outcome
from trainer.ablate.result_tables import sweep_head, sweep_notes, sweep_tables
from trainer.ablate.run import RESULTS_FILE, TABLE_FILE, AblateReport
from trainer.pages.text import table_lines
from trainer.run_statistics import Summary


@to_json_values.register
def _(summary: Summary) -> dict[str, Any]:
    names = ("num_runs", "by_fold", "mean_of_folds", "over_seeds", "over_seeds_pooled", "pooled")
    return field_values(summary, *names)


@to_json_values.register
def _(row: RowResult) -> dict[str, Any]:
    """Return our numbers from 0 to 1, and the paper's in percent, as printed."""
    paper = row.row.paper
    return {
        "name": row.row.name,
        "apart": row.apart,
        "method": row.row.method,
        "settings": to_json_values(row.row.settings),
        "paper_percent": field_values(paper) if paper else None,
        "num_wanted": row.num_wanted,
        **{f"num_{state}": len(row.having(state)) for state in ("finished", "diverged", "failed")},
        "over_runs": to_json_values(row.over_runs),
        "over_folds": to_json_values(row.summary),
        "runs": [_run(outcome) for outcome in row.outcomes],
    }


def _run(outcome: Outcome) -> dict[str, Any]:
    rates = field_values(outcome.metrics(), "uar", "war") if outcome.state == "finished" else {}
    return field_values(outcome) | rates


@to_json_values.register
def _(result: SweepResult) -> dict[str, Any]:
    request = result.request
    return {
        "title": request.spec.title,
        "dataset_of_the_paper": request.spec.dataset,
        "dataset": request.dataset,
        "cache_fingerprint": result.fingerprint,
        "preset": request.preset,
        "settings": [*request.spec.settings, *request.settings],
        "folds": to_json_values(request.folds),
        "folds_of_the_cache": to_json_values(request.all_folds),
        "seeds": to_json_values(request.seeds),
        "num_wanted": result.num_wanted,
        "num_outcomes": len(result.outcomes),
        "selection": to_json_values(result.selections),
        "banners": to_json_values(result.banners),
        "notes": sweep_notes(result),
        "rows": to_json_values(result.rows),
        **field_values(result, "comparisons", "planned_after"),
    }


@to_json_values.register
def _(report: AblateReport) -> dict[str, Any]:
    values: dict[str, Any] = to_json_values(report.result)
    return values


@to_json_values.register
def _(sweep: StoredSweep) -> dict[str, Any]:
    return {"folder": str(sweep.out), "num_others": sweep.num_others, **to_json_values(sweep.result)}


@lines.register
def _(report: AblateReport) -> list[str]:
    return [*lines(report.result), f"wrote {report.out / TABLE_FILE} and {report.out / RESULTS_FILE}"]


@lines.register
def _(result: SweepResult) -> list[str]:
    """Return warnings, tables, diverged and failed runs, and notes."""
    shown = [f"!! {banner}" for banner in result.banners] + [sweep_head(result)]
    for table in sweep_tables(result):
        shown += ["", *table_lines(table)]
    if result.troubles:
        shown += ["", *result.troubles]
    return [*shown, "", *(f"note: {note}" for note in sweep_notes(result))]

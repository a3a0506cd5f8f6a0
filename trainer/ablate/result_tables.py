"""The result of a sweep -> tables, a section of a page, Markdown. All numbers are in percent."""

from collections import Counter
from collections.abc import Sequence

from pipeline.errors import counted
from trainer.ablate.aggregate import RowResult, SweepResult
from trainer.ablate.comparison_page import comparison_notes, comparison_tables
from trainer.ablate.sweep_request import SweepRequest
from trainer.pages.banners import label_text
from trainer.pages.document import Items, Page, Section, Table, Text
from trainer.pages.formatting import NONE, mean_text, printed, spread_text
from trainer.pages.markdown import as_markdown as page_as_markdown
from trainer.run_statistics import Row as SpreadRow
from trainer.run_statistics import Spread


def as_markdown(result: SweepResult) -> str:
    """Return the result as a Markdown page."""
    section = sweep_section(result, "Rows")
    return page_as_markdown(Page(title=result.request.spec.title, banners=result.banners, sections=[section]))


def sweep_section(
    result: SweepResult, title: str, more_notes: Sequence[str] = (), more_tables: Sequence[Table] = ()
) -> Section:
    """Return the result as a section of a page. The page shows the warnings.

    Args:
        result: Result of the sweep.
        title: Title of the section.
        more_notes: Further notes.
        more_tables: Further tables.
    """
    notes = [*sweep_notes(result), *more_notes]
    return Section(
        title=title,
        blocks=[Text(text=sweep_head(result)), *sweep_tables(result), *more_tables],
        parts=[
            *(
                [Section(title="Diverged and failed runs", blocks=[Items(items=result.troubles)])]
                if result.troubles
                else []
            ),
            *([Section(title="Notes", blocks=[Items(items=notes)])] if notes else []),
        ],
    )


def sweep_notes(result: SweepResult) -> list[str]:
    """Return the notes to the tables of a sweep."""
    return [*comparison_notes(result.comparisons, result.planned_after), *result.notes]


def main_table(result: SweepResult) -> Table:
    """Return the table of rows over all runs, with the paper's WAR and UAR after ours."""
    paper = any(row.row.paper for row in result.rows)
    rates, epoch = (["paper UAR", "paper WAR"], ["paper epoch"]) if paper else ([], [])
    rows = []
    for row in result.rows:
        over = row.over_runs
        rows.append([
            row_label(row, row.name),
            spread_text(over.get("uar")), spread_text(over.get("war")),
            *(_printed_rates(row) if paper else []),
            _epochs(over.get("best_epoch")),
            *([_printed_epoch(row)] if paper else []),
            f"{len(row.having('finished'))}/{row.num_wanted}",
            str(len(row.having("diverged"))), str(len(row.having("failed"))),
        ])  # fmt: skip
    columns = ["row", "UAR", "WAR", *rates, "best epoch", *epoch, "runs", "diverged", "failed"]
    return Table(title=f"All runs, percent, {_over_runs(result)}", columns=columns, rows=rows)


def _over_runs(result: SweepResult) -> str:
    """Describe the numbers over all runs of a row, by the most complete row."""
    if not result.finished:
        return "no finished run"
    finished = [row.having("finished") for row in result.rows]
    folds = max(len({outcome.fold for outcome in outcomes}) for outcomes in finished)
    seeds = max(len({outcome.seed for outcome in outcomes}) for outcomes in finished)
    if folds > 1:
        return f"mean ± standard deviation over folds{', each the mean of its seeds' if seeds > 1 else ''}"
    return "mean ± standard deviation over seeds" if seeds > 1 else "one run a row: no spread"


def _has_spread_over_seeds(result: SweepResult) -> bool:
    """Return whether any row has several seeds of a fold."""
    found = Counter((row.name, o.fold) for row in result.rows for o in row.having("finished"))
    return max(found.values(), default=0) > 1


def sweep_head(result: SweepResult) -> str:
    """Return a line with table, dataset, folds, seeds and common settings."""
    request = result.request
    folds = "fold " + request.folds[0] if len(request.folds) == 1 else f"folds {', '.join(request.folds)}"
    changed = "".join(f" {setting}" for setting in (*request.spec.settings, *request.settings))
    return (
        f"{request.spec.title}; cache of {request.dataset}; {folds}; {counted(len(request.seeds), 'seed')}; "
        f"preset {request.preset}{changed}"
    )


def sweep_tables(result: SweepResult) -> list[Table]:
    """Return the tables of a sweep: all runs, comparisons, by fold if there are several, recalls by class."""
    by_fold = [_by_fold(result, name) for name in ("uar", "war")] if len(result.request.folds) > 1 else []
    return [
        main_table(result),
        *comparison_tables(result.comparisons, _labels(result)),
        *by_fold,
        *_recalls(result),
    ]


def _printed_rates(row: RowResult) -> list[str]:
    paper = row.row.paper
    return [NONE] * 2 if paper is None else [printed(paper.uar), printed(paper.war)]


def _printed_epoch(row: RowResult) -> str:
    paper = row.row.paper
    return NONE if paper is None else str(paper.best_epoch or NONE)


def _by_fold(result: SweepResult, name: str) -> Table:
    """Return the table of single folds over their seeds, with mean of folds and pooled folds."""
    folds = result.request.folds
    what = _all_folds(result.request)
    columns = [f"mean of {what}", f"clips of {what} pooled"]
    num_means = 1 if result.request.num_shared_clips else 2
    rows = []
    for row in result.rows:
        summary = row.summary
        empty: SpreadRow = {}
        parts = [summary.by_fold.get(fold, empty) if summary else empty for fold in folds]
        means = [summary.over_seeds, summary.over_seeds_pooled] if summary and row.is_whole else [empty] * 2
        label = row_label(row, row.name)
        rows.append([label, *(spread_text(part.get(name)) for part in (*parts, *means[:num_means]))])
    several = _has_spread_over_seeds(result)
    over = "mean ± standard deviation over seeds" if several else "one run a fold: no spread"
    return Table(
        title=f"{name.upper()} by fold, percent, {over}",
        columns=["row", *(f"fold {fold}" for fold in folds), *columns[:num_means]],
        rows=rows,
    )


def _labels(result: SweepResult) -> dict[str, str]:
    """Return the name of each row of the table, with the marks of all its runs."""
    labels = {}
    for name in dict.fromkeys(row.row.name for row in result.rows):
        parts = [row for row in result.rows if row.row.name == name]
        labels[name] = label_text(
            name,
            [rule for part in parts for rule in part.selections],
            has_leak=any(part.has_leak for part in parts),
            is_unfinished=any(part.is_unfinished for part in parts),
        )
    return labels


def row_label(row: RowResult, name: str) -> str:
    """Return the name of a row, with marks for numbers that need care."""
    return label_text(name, row.selections, has_leak=row.has_leak, is_unfinished=row.is_unfinished)


def _all_folds(request: SweepRequest) -> str:
    if len(request.folds) == len(request.all_folds):
        return f"all {len(request.folds)} folds"
    return f"these {len(request.folds)} of {len(request.all_folds)} folds"


def _recalls(result: SweepResult) -> list[Table]:
    """Return the table of recalls by class, with the paper's recalls above ours if it gives any.

    Rows without a finished run of every fold have no recalls. Without any recalls, there is no table.
    """
    classes = result.class_names
    if not classes:
        return []
    beside = bool(result.request.spec.class_names)
    rows: list[list[str]] = []
    ours: list[int] = []
    for row in result.rows:
        if row.row.paper is not None and row.row.paper.recalls:
            recalls = row.row.paper.recalls
            cells = [printed(recalls[name]) if name in recalls else NONE for name in classes]
            rows.append([f"{row.row.name}: paper", *cells])
        summary = row.summary
        means: SpreadRow = summary.mean_of_folds if summary and row.is_whole else {}
        ours.append(len(rows))
        name = f"{row.name}: ours" if beside else row.name
        label = row_label(row, name)
        rows.append([label, *(mean_text(means.get(f"recall/{name}")) for name in classes)])
    title = f"Recall by class, percent, {_recalls_over(result)}"
    return [Table(title=title, columns=["row", *classes], rows=rows, ours=ours if beside else ())]


def _recalls_over(result: SweepResult) -> str:
    """Describe the mean of our recalls."""
    if not result.finished:
        return "no finished run"
    seeds = _has_spread_over_seeds(result)
    if len(result.request.folds) > 1:
        return f"mean over {_all_folds(result.request)}{' and their seeds' if seeds else ''}"
    return "mean over seeds" if seeds else "one run a row"


def _epochs(spread: Spread | None) -> str:
    """Format the best epoch: a whole number for one run, a mean for several."""
    if spread is None:
        return NONE
    return f"{spread.mean:.0f}" if spread.n == 1 else f"{spread.mean:.1f}"

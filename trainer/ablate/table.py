"""A grid's result as tables: text for the terminal, Markdown for a file. All numbers in percent."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.ablate.compare import GridResult, RowResult
from trainer.spread import Row as SpreadRow
from trainer.spread import Spread

_NONE = "-"


@dataclass(frozen=True)
class _Table:
    """Columns have names; the first one holds texts, the others numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def as_text(result: GridResult) -> list[str]:
    """Lines for a terminal: banners first, then the tables, what went wrong, and what to know."""
    lines = [*(f"!! {banner}" for banner in result.banners), *_head(result)]
    for table in _tables(result):
        widths = [max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True)]
        lines += ["", table.title, *(_aligned(cells, widths) for cells in (table.columns, *table.rows))]
    troubles = _troubles(result)
    return [*lines, *(["", *troubles] if troubles else []), "", *(f"note: {note}" for note in result.notes)]


def as_markdown(result: GridResult) -> str:
    """The same as a Markdown page."""
    lines = [f"# {result.spec.title}", ""]
    for banner in result.banners:
        lines += [f"> **{_escaped(banner)}**", ""]
    lines += [_escaped(" ".join(_head(result)))]
    for table in _tables(result):
        rules = ["---", *["---:"] * (len(table.columns) - 1)]
        rows = [[_escaped(cell) for cell in cells] for cells in (table.columns, *table.rows)]
        lines += ["", f"## {table.title}", "", *(_piped(cells) for cells in (rows[0], rules, *rows[1:]))]
    troubles = _troubles(result)
    if troubles:
        lines += ["", "## What went wrong", "", *(f"- {_escaped(trouble)}" for trouble in troubles)]
    return "\n".join([*lines, "", "## Notes", "", *(f"- {_escaped(note)}" for note in result.notes)]) + "\n"


def _head(result: GridResult) -> list[str]:
    folds = "fold " + result.folds[0] if len(result.folds) == 1 else f"folds {', '.join(result.folds)}"
    changed = "".join(f" {setting}" for setting in (*result.spec.settings, *result.settings))
    return [
        f"{result.spec.title}; cache of {result.dataset}, {folds}, {len(result.seeds)} seeds, "
        f"preset {result.preset}{changed}",
    ]


def _tables(result: GridResult) -> list[_Table]:
    by_fold = [_by_fold(result, name) for name in ("uar", "war")] if len(result.folds) > 1 else []
    return [_main(result), *by_fold, *_recalls(result)]


def _main(result: GridResult) -> _Table:
    """Each row over all its runs, beside the paper's."""
    paper = any(row.row.paper for row in result.rows)
    columns = ["UAR", "WAR", "best epoch", "runs", "diverged", "failed"]
    ahead = ["paper UAR", "paper WAR", "paper epoch"] if paper else []
    rows = []
    for row in result.rows:
        over = row.over_runs
        rows.append([
            row.row.name,
            *(_printed(row) if paper else []),
            _shown(over.get("uar")), _shown(over.get("war")), _epochs(over.get("best_epoch")),
            f"{len(row.having('finished'))}/{row.num_wanted}",
            str(len(row.having("diverged"))), str(len(row.having("failed"))),
        ])  # fmt: skip
    what = "mean ± standard deviation over " + ("folds and seeds" if len(result.folds) > 1 else "seeds")
    return _Table(f"All runs, percent, {what}", ["row", *ahead, *columns], rows)


def _printed(row: RowResult) -> list[str]:
    paper = row.row.paper
    if paper is None:
        return [_NONE] * 3
    return [f"{paper.uar:.2f}", f"{paper.war:.2f}", str(paper.best_epoch or _NONE)]


def _by_fold(result: GridResult, name: str) -> _Table:
    """Each row's single folds over their seeds, and the two means of folds, which are other numbers."""
    folds = [f"fold {fold}" for fold in result.folds]
    what = _all_folds(result)
    columns = ["row", *folds, f"mean of {what}", f"clips of {what} pooled"]
    rows = []
    for row in result.rows:
        summary = row.summary
        empty: SpreadRow = {}
        parts = [summary.by_fold.get(fold, empty) if summary else empty for fold in result.folds]
        is_whole = summary is not None and len(summary.by_fold) == len(result.folds)
        means = [summary.over_seeds, summary.over_seeds_pooled] if summary and is_whole else [empty, empty]
        rows.append([row.row.name, *(_shown(part.get(name)) for part in (*parts, *means))])
    return _Table(f"{name.upper()} by fold, percent, mean ± standard deviation over seeds", columns, rows)


def _all_folds(result: GridResult) -> str:
    if len(result.folds) == len(result.all_folds):
        return f"all {len(result.folds)} folds"
    return f"these {len(result.folds)} of {len(result.all_folds)} folds"


def _recalls(result: GridResult) -> list[_Table]:
    """The recall of each class, the paper's above ours; nothing where the paper names none."""
    classes = result.spec.class_names
    if not classes:
        return []
    rows = []
    for row in result.rows:
        if row.row.paper is not None and row.row.paper.recalls:
            recalls = row.row.paper.recalls
            cells = [f"{recalls[name]:.2f}" if name in recalls else _NONE for name in classes]
            rows.append([f"{row.row.name}: paper", *cells])
        summary = row.summary
        means: SpreadRow = summary.mean_of_folds if summary else {}
        rows.append([f"{row.row.name}: ours", *(_mean(means.get(f"recall/{name}")) for name in classes)])
    what = "seeds" if len(result.folds) == 1 else f"{_all_folds(result)} and their seeds"
    return [_Table(f"Recall by class, percent, mean over {what}", ["row", *classes], rows)]


def _troubles(result: GridResult) -> list[str]:
    return [str(outcome) for outcome in result.outcomes if outcome.state != "finished"]


def _shown(spread: Spread | None) -> str:
    if spread is None:
        return _NONE
    return _mean(spread) if spread.std is None else f"{_mean(spread)} ± {100 * spread.std:.2f}"


def _mean(spread: Spread | None) -> str:
    return _NONE if spread is None else f"{100 * spread.mean:.2f}"


def _epochs(spread: Spread | None) -> str:
    return _NONE if spread is None else f"{spread.mean:.1f}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if number else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")

"""A sweep with baselines -> Tables I and II of the paper with the rows of the sweep, where they apply."""

from collections.abc import Sequence

from trainer.ablate.aggregate import RowResult, SweepResult
from trainer.ablate.result_tables import row_label
from trainer.pages.document import Table
from trainer.pages.formatting import NONE, printed, spread_text
from trainer.report.paper import NOTES, PaperRow, table_1, table_2
from trainer.run_statistics import Row


def tables_of_the_paper(result: SweepResult) -> list[Table]:
    """Return Tables I and II with the rows of a sweep.

    There are none for a sweep without baselines or without finished runs, and for datasets or classes that
    the paper's tables do not have.
    """
    if not result.finished or not any(row.row.is_baseline for row in result.rows):
        return []
    dataset, names = result.request.dataset, result.finished[0].class_names
    full, short = table_1(dataset, names), table_2(dataset, names)
    found = [("Table I", full, names)] if full else []
    found += [("Table II", short, ())] if short else []
    return [
        _beside(f"{title} and the rows of this sweep, percent", paper, result, columns, NOTES[dataset])
        for title, paper, columns in found
    ]


def _beside(
    title: str, paper: Sequence[PaperRow], result: SweepResult, names: Sequence[str], note: str
) -> Table:
    """Return the paper's rows, then ours by fold and over all folds. `names` are the classes with recalls."""
    rows = [
        [
            row.method,
            "as printed",
            printed(row.uar),
            printed(row.war),
            *(printed(row.recalls[name]) for name in names),
        ]
        for row in paper
    ]
    for row in result.rows:
        label = row_label(row, row.name)
        for over, spreads in _over(row, result):
            recalls = [spread_text(spreads.get(f"recall/{name}")) for name in names]
            rates = [spread_text(spreads.get(name)) for name in ("uar", "war")]
            rows.append([label, over, *rates, *recalls])
    return Table(
        title=title,
        columns=["", "over", "UAR", "WAR", *names],
        rows=rows,
        note=note,
        ours=range(len(paper), len(rows)),
    )


def _over(row: RowResult, result: SweepResult) -> list[tuple[str, Row]]:
    """Return each fold over its seeds, and the mean of folds if all folds of the cache are there."""
    summary, folds = row.summary, result.request.folds
    if summary is None:
        return [(NONE, {})]
    found = [(f"fold {fold}", spreads) for fold, spreads in summary.by_fold.items()]
    if row.is_whole and len(folds) == len(result.request.all_folds) > 1:
        found.append((f"mean of {len(folds)} folds", summary.mean_of_folds))
    return found

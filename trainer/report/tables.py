"""Groups of one data set -> its tables: single folds and means of folds apart, beside the paper's rows."""

from collections.abc import Sequence

from trainer.metrics import Interval, Metrics
from trainer.report.document import Block, Table, Text
from trainer.report.groups import Group
from trainer.report.paper import NOTES, PaperRow, table_1, table_2
from trainer.spread import Row, Spread

NONE = "-"
MAJORITY = "majority class of these clips"


def percent(value: float | None) -> str:
    """A share as percent."""
    return NONE if value is None else f"{100 * value:.2f}"


def spread_text(spread: Spread | None) -> str:
    """A mean in percent, with its standard deviation where it has one."""
    if spread is None:
        return NONE
    return percent(spread.mean) + ("" if spread.std is None else f" ± {percent(spread.std)}")


def interval_text(interval: Interval | None) -> str:
    """An interval in percent."""
    return NONE if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"


def result_blocks(groups: Sequence[Group], split: str) -> list[Block]:
    """The tables of groups that share data set and classes."""
    dataset, names = groups[0].dataset, groups[0].class_names
    test = split == "test"
    full = table_1(dataset, names) if test else ()
    short = table_2(dataset, names) if test else ()
    blocks: list[Block] = []
    if short:
        blocks.append(Text(text=NOTES[dataset]))
    elif test:
        blocks.append(Text(text=f"The paper has no numbers on '{dataset}': nothing stands beside ours."))
    else:
        blocks.append(Text(text=f"The paper's numbers are of test clips, these of the {split} split."))
    blocks.append(_folds_table(groups, full))
    whole = [group for group in groups if group.has_mean_of_folds]
    if whole:
        blocks += [_means_table(whole, full), Text(text=_MEANS)]
    missing = [group for group in groups if not group.has_mean_of_folds and group.num_folds_of_dataset > 1]
    if missing:
        told = "; ".join(f"{group.name}: {', '.join(group.folds)}" for group in missing)
        blocks.append(
            Text(
                text=f"No mean of the {missing[0].num_folds_of_dataset} folds where folds are missing. "
                f"There are, {told}."
            )
        )
    if short:
        blocks.append(_short_table(groups, short))
    return blocks


_MEANS = (
    "The mean of folds averages the folds' values; pooled counts the clips of all folds in one confusion "
    "matrix. Both are other numbers than a single fold's."
)


def _folds_table(groups: Sequence[Group], paper: Sequence[PaperRow]) -> Table:
    """One row per setting and fold, over its seeds."""
    names = groups[0].class_names
    rows = [_paper_cells(row, names) for row in paper]
    for fold in dict.fromkeys(fold for group in groups for fold in group.folds):
        here = [group for group in groups if fold in group.folds]
        metrics = [next(r.metrics for r in g.runs if r.info.fold == fold) for g in here]
        rows += _majority_rows(metrics, fold)
        for group in here:
            spreads = group.summary.by_fold[fold]
            clips = next(run.metrics.num_clips for run in group.runs if run.info.fold == fold)
            seeds = sum(run.info.fold == fold for run in group.runs)
            rows.append([group.name, fold, str(seeds), f"{clips:,}", *_cells(spreads, names)])
    title = "Single folds, percent, mean ± standard deviation over seeds"
    return Table(
        title=f"Table I: {title[0].lower()}{title[1:]}" if paper else title,
        columns=["method", "fold", "seeds", "clips", *names, "UAR", "WAR"],
        rows=rows,
        ours=[n for n, row in enumerate(rows) if n >= len(paper) and row[0] != MAJORITY],
    )


def _means_table(groups: Sequence[Group], paper: Sequence[PaperRow]) -> Table:
    """One row per setting: the mean of its folds, and another for the pooled clips, over complete seeds."""
    names = groups[0].class_names
    rows = [_paper_cells(row, names) for row in paper]
    for group in groups:
        summary, folds = group.summary, len(group.folds)
        seeds = len(summary.pooled)
        if not seeds:
            rows.append(
                [group.name, f"mean of {folds}", "mixed", NONE, *_cells(summary.mean_of_folds, names)]
            )
            continue
        clips = next(iter(summary.pooled.values())).num_clips
        head = [str(seeds), f"{clips:,}"]
        rows.append([group.name, f"mean of {folds}", *head, *_cells(summary.over_seeds, names)])
        rows.append([group.name, f"{folds} pooled", *head, *_cells(summary.over_seeds_pooled, names)])
    return Table(
        title=f"Mean of the {groups[0].num_folds_of_dataset} folds, percent, ± standard deviation over seeds",
        columns=["method", "folds", "seeds", "clips", *names, "UAR", "WAR"],
        rows=rows,
        note="The paper's rows are single folds' numbers here too." if paper else "",
        ours=range(len(paper), len(rows)),
    )


def _short_table(groups: Sequence[Group], paper: Sequence[PaperRow]) -> Table:
    rows = [[row.method, "as printed", f"{row.uar:.2f}", f"{row.war:.2f}"] for row in paper]
    for group in groups:
        for fold, spreads in group.summary.by_fold.items():
            rows.append([group.name, f"fold {fold}", *_rates(spreads)])
        if group.has_mean_of_folds:
            rows.append(
                [group.name, f"mean of {len(group.folds)} folds", *_rates(group.summary.mean_of_folds)]
            )
    return Table(
        title="Table II, percent",
        columns=["method", "over", "UAR", "WAR"],
        rows=rows,
        ours=range(len(paper), len(rows)),
    )


def _rates(row: Row) -> list[str]:
    return [spread_text(row.get("uar")), spread_text(row.get("war"))]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    return [*(spread_text(row.get(f"recall/{name}")) for name in names), *_rates(row)]


def _paper_cells(row: PaperRow, names: Sequence[str]) -> list[str]:
    recalls = [f"{row.recalls[name]:.2f}" for name in names]
    return [row.method, "one", NONE, NONE, *recalls, f"{row.uar:.2f}", f"{row.war:.2f}"]


def _majority_rows(metrics: Sequence[Metrics], fold: str) -> list[list[str]]:
    """What always naming the most frequent class gives, once for each set of clips that was measured."""
    rows: list[list[str]] = []
    for counts_C in (one.confusion.sum(axis=1) for one in metrics):
        first, clips = int(counts_C.argmax()), int(counts_C.sum())
        shares = [NONE if not n else percent(float(c == first)) for c, n in enumerate(counts_C)]
        rates = [percent(1 / int((counts_C > 0).sum())), percent(int(counts_C[first]) / clips)]
        row = [MAJORITY, fold, NONE, f"{clips:,}", *shares, *rates]
        if row not in rows:
            rows.append(row)
    return rows

"""Groups of one dataset -> its tables: single folds, and means of folds, with the paper's rows."""

from collections.abc import Callable, Iterator, Sequence

from pipeline.errors import counted
from trainer.metrics import Metrics
from trainer.pages.document import Block, Table, Text
from trainer.pages.formatting import NONE, percent, printed, spread_text
from trainer.report.paper import NOTES, PaperRow, table_1, table_2
from trainer.report.rows import RunRow
from trainer.run_statistics import Row, Summary

MAJORITY = "majority class"


def result_blocks(run_rows: Sequence[RunRow], split: str) -> list[Block]:
    """Return tables and notes of groups that share dataset and classes."""
    dataset, names = run_rows[0].dataset, run_rows[0].class_names
    test = split == "test"
    full = table_1(dataset, names) if test else ()
    short = table_2(dataset, names) if test else ()
    blocks: list[Block] = []
    if short:
        blocks.append(Text(text=NOTES[dataset]))
    elif test:
        blocks.append(Text(text=f"The paper has no numbers on '{dataset}' to compare with."))
    else:
        blocks.append(Text(text=f"The paper's numbers are of test clips, these of the {split} split."))
    blocks.append(_folds_table(run_rows, full))
    whole = [run_row for run_row in run_rows if run_row.has_mean_of_folds]
    if whole:
        blocks += [_means_table(whole, full), Text(text=_MEANS)]
        blocks += [Text(text=_not_pooled(run_row)) for run_row in whole if run_row.num_shared_clips]
    if any(run.doubtful_tracks for run_row in run_rows for run in run_row.runs):
        blocks.append(_doubtful_table(run_rows))
    if any(run.without_face for run_row in run_rows for run in run_row.runs):
        blocks.append(_with_face_table(run_rows))
    blocks += [Text(text=_incomplete(run_row)) for run_row in run_rows if _lacks_folds(run_row)]
    if not all(run_row.has_own_folds for run_row in run_rows):
        blocks.append(Text(text=_OTHER_FOLDS))
    if short:
        blocks.append(_short_table(run_rows, short))
    return blocks


_MEANS = (
    "The mean of folds averages the folds' values; pooled counts the clips of all folds in one confusion "
    "matrix. Do not compare either with a single fold."
)


_OTHER_FOLDS = 'A fold such as "2 on 1" means: trained on fold 2, measured on fold 1.'


def _lacks_folds(run_row: RunRow) -> bool:
    return run_row.num_folds_of_dataset > 1 and run_row.has_own_folds and not run_row.has_mean_of_folds


def _incomplete(run_row: RunRow) -> str:
    there, needed = len(run_row.folds), run_row.num_folds_of_dataset
    return f"{run_row.label}: no mean of folds, {there} of {needed} are here ({', '.join(run_row.folds)})."


def _not_pooled(run_row: RunRow) -> str:
    num = counted(run_row.num_shared_clips, "clip")
    return f"{run_row.label}: not pooled, {num} measured in several folds would count more than once."


def _folds_table(run_rows: Sequence[RunRow], paper: Sequence[PaperRow]) -> Table:
    """Return a table with a row per setting and fold, over its seeds."""
    names = run_rows[0].class_names
    rows = [_paper_cells(row, names) for row in paper]
    for fold in dict.fromkeys(fold for run_row in run_rows for fold in run_row.folds):
        here = [run_row for run_row in run_rows if fold in run_row.folds]
        first = {
            run_row.label: next(r.metrics for r in run_row.runs if r.fold_name == fold) for run_row in here
        }
        rows += _majority_rows(list(first.values()), fold, len(names))
        for run_row in here:
            seeds = sum(run.fold_name == fold for run in run_row.runs)
            clips = first[run_row.label].num_clips
            rows.append(_cells(run_row.label, fold, run_row.summary.by_fold[fold], names, seeds, clips))
    several = max(int(row[-2]) for row in rows[len(paper) :] if row[0] != MAJORITY) > 1
    over = "mean ± standard deviation over seeds" if several else "one run each: no spread"
    title = f"Single folds, percent, {over}"
    return Table(
        title=f"Table I: {title[0].lower()}{title[1:]}" if paper else title,
        columns=["", "fold", "UAR", "WAR", *names, "seeds", "clips"],
        rows=rows,
        ours=[n for n, row in enumerate(rows) if n >= len(paper) and row[0] != MAJORITY],
    )


def _means_table(run_rows: Sequence[RunRow], paper: Sequence[PaperRow]) -> Table:
    """Return the table of means of folds, with the spread over folds and over seeds, and of pooled clips."""
    names = run_rows[0].class_names
    rows = [_paper_cells(row, names) for row in paper]
    for run_row in run_rows:
        summary, folds = run_row.summary, len(run_row.folds)
        clips = sum(
            next(r.metrics.num_clips for r in run_row.runs if r.fold_name == f) for f in run_row.folds
        )
        mean = f"mean of {folds}"
        rows.append(
            _cells(
                run_row.label, f"{mean} ± over folds", summary.mean_of_folds, names, _seeds(run_row), clips
            )
        )
        seeds = summary.over_seeds["war"].n if summary.over_seeds else 0
        if seeds > 1:
            rows.append(
                _cells(run_row.label, f"{mean} ± over seeds", summary.over_seeds, names, seeds, clips)
            )
        if summary.pooled:
            rows.append(
                _cells(run_row.label, f"{folds} pooled", summary.over_seeds_pooled, names, seeds, clips)
            )
    return Table(
        title=f"Mean of the {run_rows[0].num_folds_of_dataset} folds, percent",
        columns=["", "folds", "UAR", "WAR", *names, "seeds", "clips"],
        rows=rows,
        note="The paper's rows are those of a single test set." if paper else "",
        ours=range(len(paper), len(rows)),
    )


_DOUBTFUL = (
    "Doubtful: clips of the first seed whose face may be that of another person on some frames. If a class "
    "has no clips without them, UAR is the mean over the other classes."
)


_NO_FACE = (
    "No face found: clips without a face on any sampled frame. Their face stream shows the centre of each "
    "frame, and their scene the whole frame. If a class has no clips with a face, UAR with a face is the "
    "mean over the other classes."
)


def _doubtful_table(run_rows: Sequence[RunRow]) -> Table:
    """Return the table of results with and without doubtful face tracks, of folds that have any."""
    return _table_beside(
        "With and without doubtful face tracks, percent",
        columns=["doubtful", "UAR", "WAR", "UAR without", "WAR without"],
        rows=[_beside(one, one.summary_without_doubtful, _doubtful_counts) for one in run_rows],
        note=_DOUBTFUL,
    )


def _with_face_table(run_rows: Sequence[RunRow]) -> Table:
    """Return the table of results of all clips and of those with a face, of folds with others."""
    return _table_beside(
        "All clips, and clips with a face, percent",
        columns=["no face found", "UAR", "WAR", "UAR with a face", "WAR with a face"],
        rows=[_beside(one, one.summary_with_face, _faceless_counts) for one in run_rows],
        note=_NO_FACE,
    )


def _table_beside(title: str, columns: list[str], rows: Sequence[Iterator[list[str]]], note: str) -> Table:
    """Return a table of all clips and of some; `rows` are those of each setting, from `_beside`."""
    cells = [row for of_setting in rows for row in of_setting]
    return Table(title=title, columns=["", "fold", *columns], rows=cells, note=note, ours=range(len(cells)))


def _beside(
    run_row: RunRow, some: Summary | None, counts_of: Callable[[RunRow, Sequence[str]], str]
) -> Iterator[list[str]]:
    """Yield rows with the numbers of all clips and of some, by fold and as the mean of folds.

    Args:
        run_row: The setting.
        some: Numbers of some clips.
        counts_of: Returns how many clips of folds are not among them, in words; empty if all are.
    """
    by_fold = {} if some is None else some.by_fold
    for fold, spreads in run_row.summary.by_fold.items():
        if counts := counts_of(run_row, [fold]):
            yield [run_row.label, fold, counts, *_rates(spreads), *_rates(by_fold.get(fold, {}))]
    counts = counts_of(run_row, run_row.folds)
    if counts and some is not None and run_row.has_mean_of(some):
        rates = [*_rates(run_row.summary.mean_of_folds), *_rates(some.mean_of_folds)]
        yield [run_row.label, f"mean of {len(run_row.folds)}", counts, *rates]


def _faceless_counts(run_row: RunRow, folds: Sequence[str]) -> str:
    without, clips = run_row.without_face(folds)
    return f"{without:,} of {clips:,}" if without else ""


def _doubtful_counts(run_row: RunRow, folds: Sequence[str]) -> str:
    """Return "n of m" clips of the first run of each fold; empty if no run of the folds has any."""
    runs = [run for run in run_row.runs if run.fold_name in folds]
    if not any(run.doubtful_tracks for run in runs):
        return ""
    first = [next(run for run in runs if run.fold_name == fold) for fold in folds]
    num_doubtful = sum(run.doubtful_tracks.num_doubtful for run in first if run.doubtful_tracks)
    return f"{num_doubtful:,} of {sum(run.metrics.num_clips for run in first):,}"


def _seeds(run_row: RunRow) -> str:
    """Return the number of seeds of a fold, or its range."""
    counts = [sum(run.fold_name == fold for run in run_row.runs) for fold in run_row.folds]
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _short_table(run_rows: Sequence[RunRow], paper: Sequence[PaperRow]) -> Table:
    rows = [[row.method, "as printed", printed(row.uar), printed(row.war)] for row in paper]
    for run_row in run_rows:
        for fold, spreads in run_row.summary.by_fold.items():
            rows.append([run_row.label, f"fold {fold}", *_rates(spreads)])
        if run_row.has_mean_of_folds:
            rates = _rates(run_row.summary.mean_of_folds)
            rows.append([run_row.label, f"mean of {len(run_row.folds)} folds", *rates])
    return Table(
        title="Table II, percent",
        columns=["", "over", "UAR", "WAR"],
        rows=rows,
        ours=range(len(paper), len(rows)),
    )


def _rates(row: Row) -> list[str]:
    return [spread_text(row.get("uar")), spread_text(row.get("war"))]


def _cells(label: str, over: str, row: Row, names: Sequence[str], seeds: int | str, clips: int) -> list[str]:
    recalls = [spread_text(row.get(f"recall/{name}")) for name in names]
    return [label, over, *_rates(row), *recalls, str(seeds), f"{clips:,}"]


def _paper_cells(row: PaperRow, names: Sequence[str]) -> list[str]:
    recalls = [printed(row.recalls[name]) for name in names]
    return [row.method, "as printed", printed(row.uar), printed(row.war), *recalls, NONE, NONE]


def _majority_rows(metrics: Sequence[Metrics], fold: str, num_classes: int) -> list[list[str]]:
    """Return rows of always predicting the most frequent class, one for each measured set of clips."""
    rows: list[list[str]] = []
    for counts_C in (one.confusion.sum(axis=1) for one in metrics):
        clips = int(counts_C.sum())
        rates = [percent(1 / int((counts_C > 0).sum())), percent(int(counts_C.max()) / clips)]
        row = [MAJORITY, fold, *rates, *[NONE] * num_classes, NONE, f"{clips:,}"]
        if row not in rows:
            rows.append(row)
    return rows

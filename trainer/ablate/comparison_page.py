"""Comparisons of a sweep -> tables and notes. Differences are in points, intervals of 95%."""

from collections.abc import Mapping

from pipeline.errors import counted
from trainer.ablate.comparisons import Comparisons, RowDifference, interval_of
from trainer.intervals import Interval
from trainer.pages.document import Table
from trainer.pages.formatting import NONE
from trainer.paired_statistics import LEVEL, UAR_COVERAGE, PairedRuns, bca_coverage, runs_needed


def comparison_tables(found: Comparisons | None, labels: Mapping[str, str]) -> list[Table]:
    """Return a table for each metric, first the one that verdicts are about; [] without comparisons.

    `labels` are the names of all rows with their marks, such as "LEAK".
    """
    if found is None:
        return []
    metrics = sorted(found.differences, key=lambda metric: metric != found.metric)
    return [_table(found, metric, labels) for metric in metrics]


def comparison_notes(found: Comparisons | None, planned_after: int | None) -> list[str]:
    """Return the notes to the tables.

    Args:
        found: The comparisons.
        planned_after: Number of outcomes that existed when base, metric, margin and verdicts were fixed; None
            if this is not recorded.
    """
    if found is None:
        return []
    rows = found.differences[found.metric]
    units = dict.fromkeys(counted(one.main.num, one.unit[:-1]) for one in rows)
    covered = dict.fromkeys(
        "training, holdout and the choice of the fold" if one.unit == "folds" else "training and holdout"
        for one in rows
    )
    methods = (
        f"Differences from '{found.base}': intervals by Student's t and by the BCa bootstrap are over "
        f"{' or '.join(units)} and cover {' or '.join(covered)}. Intervals over clips cover the choice of "
        "test clips, for these trained models. p: sign-flip test over the same folds or seeds."
    )
    num_judged = counted(found.num_judged, "judged row")
    judged = (
        f"Verdicts are about {found.metric.upper()}, over seeds, at {LEVEL:.0%} for {num_judged} together "
        f"(Holm), each for differences and for equality; {runs_needed(found.num_judged)} seeds are the "
        "fewest that can give one."
    )
    tests = dict.fromkeys(one.test for one in found.clips.values())
    return [
        methods,
        judged + _margin(found, planned_after),
        *([f"Clips won and lost: {', '.join(tests)} of WAR, not corrected."] if tests else []),
        *_coverage(rows),
        *_coverage_of_uar(found),
        *found.notes,
    ]


def _margin(found: Comparisons, planned_after: int | None) -> str:
    fixed = {
        None: " It is not recorded when plan, folds and seeds were fixed.",
        0: " Plan, folds and seeds were fixed before the first run.",
    }.get(
        planned_after,
        f" Plan, folds or seeds were changed when {planned_after} runs had an outcome: p values hold only "
        "for a number of runs that is fixed before.",
    )
    margin = f" Differences within {100 * found.margin:g} points count as equal." if found.margin else ""
    return f"{margin}{fixed}"


def _coverage(rows: tuple[RowDifference, ...]) -> list[str]:
    """Return the measured coverage of BCa intervals that do not cover 93% to 97%."""
    found = {one.main.num: bca_coverage(one.main.num) for one in rows if one.main.bca_interval}
    bad = {
        num: share for num, share in sorted(found.items()) if share is not None and not 0.93 <= share <= 0.97
    }
    return [
        f"BCa intervals of {num} differences cover {share:.0%} instead of 95% (measured on normal values)."
        for num, share in bad.items()
    ]


def _coverage_of_uar(found: Comparisons) -> list[str]:
    """Return the measured coverage of intervals of UAR over clips, if a rare class makes them too narrow."""
    rarest = min((one.num_rarest for one in found.clips.values()), default=max(UAR_COVERAGE))
    if rarest >= max(UAR_COVERAGE):
        return []
    share = UAR_COVERAGE[min(UAR_COVERAGE)]
    return [
        f"The rarest class has {counted(rarest, 'clip')}: intervals of UAR over clips are too narrow; with "
        f"{min(UAR_COVERAGE)} clips they cover {share:.0%} instead of 95%."
    ]


def _table(found: Comparisons, metric: str, labels: Mapping[str, str]) -> Table:
    rows = found.differences[metric]
    is_judged = metric == found.metric
    has_folds = any(one.over_folds for one in rows)
    clips = found.clips
    columns = [
        "row", "difference", *(["± over folds"] if has_folds else []), "± over seeds", "95% t", "95% BCa",
        *(["95% over clips"] if clips else []),
        *(["won", "lost", "p clips"] if clips and metric == "war" else []),
        "p", *(["p Holm"] if is_judged else []),
        *(["p equal"] if is_judged and found.margin else []), *(["verdict"] if is_judged else []),
    ]  # fmt: skip
    return Table(
        title=f"{metric.upper()}: differences from '{labels[found.base]}', points",
        columns=columns,
        rows=[[labels[one.row], *_cells(found, one, metric, has_folds=has_folds)] for one in rows],
    )


def _cells(found: Comparisons, one: RowDifference, metric: str, *, has_folds: bool) -> list[str]:
    main, is_judged = one.main, metric == found.metric
    cells = [
        _points(main.mean),
        *([_std(one.over_folds)] if has_folds else []),
        _std(one.over_seeds),
    ]
    cells += [_interval(main.t_interval), _interval(main.bca_interval)]
    if found.clips:
        clips = found.clips.get(one.row)
        cells.append(_interval(interval_of(clips, metric)))
        if metric == "war":
            cells += [NONE] * 3 if clips is None else [str(clips.won), str(clips.lost), _p(clips.p_value)]
    cells.append(_p(main.p_value))
    if is_judged:
        cells.append(_p(one.adjusted_p))
        if found.margin:
            cells.append(_p(one.equivalence_p))
        cells.append(one.verdict or "not asked")
    return cells


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"


def _std(one: PairedRuns | None) -> str:
    return NONE if one is None or one.std is None else f"{100 * one.std:.2f}"


def _interval(interval: Interval | None) -> str:
    return NONE if interval is None else f"{_points(interval[0])} to {_points(interval[1])}"


def _p(value: float | None) -> str:
    return NONE if value is None else f"{value:.2g}"

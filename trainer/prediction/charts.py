"""A timeline -> the charts of a page as SVG, and the strip of its runs.

A chart is `WIDTH` by `HEIGHT` units, stretched to the page. A span is as wide as its time, and its classes
are stacked in their order from the bottom. A chart has at most `MOST_BINS` steps: of more spans, those in
one bin of time are one step, which has the largest probability of every class, divided by their sum, so that
a short peak remains visible.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from pipeline.errors import some
from trainer.pages.html import safe_text
from trainer.prediction.label_runs import LabelRun
from trainer.prediction.page_style import colour_of, text_colour_of
from trainer.prediction.people_summary import MEAN_PROBABILITY
from trainer.prediction.spans import Axis, Span

WIDTH, HEIGHT = 10_000, 1_000
MOST_BINS = 2_000
_NARROWEST_TEXT = 0.012
"""Smallest fraction of the width for a run with a text."""
_MAX_TICKS = 5
_TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, kw_only=True)
class Bin:
    """A step of a chart.

    Attributes:
        start, end: In the unit of the axis.
        values: Values from 0 to 1 that add up to 1; None without an answer.
    """

    start: float
    end: float
    values: tuple[float, ...] | None


def bins_of(
    spans: Sequence[Span],
    end: float,
    names: Sequence[str],
    values_of: Callable[[int], Mapping[str, float] | None],
) -> list[Bin]:
    """Return the steps of a chart, at most `MOST_BINS`.

    Args:
        spans: Spans of a timeline.
        end: End of the axis.
        names: Names of the values, from the bottom.
        values_of: Values of a window, by its index; None without an answer.
    """
    groups: dict[int, list[Span]] = {}
    for number, span in enumerate(spans):
        key = number if len(spans) <= MOST_BINS else min(MOST_BINS - 1, int(MOST_BINS * span.middle / end))
        groups.setdefault(key, []).append(span)
    return [
        Bin(
            start=group[0].start,
            end=group[-1].end,
            values=_largest([found for span in group if (found := values_of(span.index))], names),
        )
        for group in groups.values()
    ]


def _largest(found: Sequence[Mapping[str, float]], names: Sequence[str]) -> tuple[float, ...] | None:
    if not found:
        return None
    largest = [max(values.get(name, 0.0) for values in found) for name in names]
    total = sum(largest)
    return tuple(value / total for value in largest) if total > 0 else None


def area_svg(
    bins: Sequence[Bin], fills: Sequence[str], axis: Axis, *, kind: str, label: str, extra: str = ""
) -> str:
    """Return a stacked chart.

    Args:
        bins: Its steps.
        fills: Name of the pattern of each value.
        axis: The axis.
        kind: CSS class.
        label: Description for screen readers.
        extra: SVG elements above the areas.
    """
    paths = []
    for number in reversed(range(len(fills))):  # each area covers the lower part of the one before
        drawn = _steps(bins, axis, number)
        if drawn:
            paths.append(f'<path fill="url(#{fills[number]})" d="{drawn}"/>')
    return (
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{safe_text(label)}">{"".join(paths)}{extra}</svg>'
    )


def _steps(bins: Sequence[Bin], axis: Axis, top: int) -> str:
    """Return the path of everything up to a value's upper edge, for all steps with an answer."""
    parts: list[str] = []
    last_end: float | None = None
    for one in bins:
        if one.values is None:
            continue
        height = round(HEIGHT * (1 - min(1.0, sum(one.values[: top + 1]))))
        if last_end is None or last_end < one.start:
            parts += [f"V{HEIGHT}Z"] if parts else []
            parts.append(f"M{_x(one.start, axis)} {HEIGHT}")
        parts.append(f"V{height}H{_x(one.end, axis)}")
        last_end = one.end
    return "".join([*parts, f"V{HEIGHT}Z"]) if parts else ""


def gaps_svg(runs: Iterable[LabelRun], axis: Axis) -> str:
    """Return grey areas for the runs without an answer; their tooltips are the reasons."""
    gaps = [run for run in runs if run.answer is None]
    if len(gaps) > MOST_BINS:
        drawn = "".join(
            f"M{_x(run.start, axis)} 0H{_x(run.end, axis)}V{HEIGHT}H{_x(run.start, axis)}Z" for run in gaps
        )
        return f'<path fill="url(#gap)" d="{drawn}"/>'
    return "".join(
        f'<rect x="{_x(run.start, axis)}" y="0" width="{max(1, _x(run.end, axis) - _x(run.start, axis))}" '
        f'height="{HEIGHT}" fill="url(#gap)"><title>{safe_text(reasons_text(run))}</title></rect>'
        for run in gaps
    )


def cuts_svg(cuts: Iterable[float], axis: Axis) -> str:
    """Return a thin line for every cut, in the unit of the axis."""
    drawn = "".join(f"M{place} 0V{HEIGHT}" for place in dict.fromkeys(_x(cut, axis) for cut in cuts))
    return f'<path class="cut" d="{drawn}"/>' if drawn else ""


def cuts_of(axis: Axis, cut_seconds: Sequence[float]) -> list[float]:
    """Return the cuts in the unit of the axis; of a video without times, those between shots with windows."""
    if axis.has_times:
        return list(cut_seconds)
    return [after[0] for _, after in pairwise(sorted(axis.shots.values()))]


def strip_html(runs: Sequence[LabelRun], class_names: Sequence[str], axis: Axis) -> str:
    """Return the runs with their class as a text, at most `MOST_BINS` of them."""
    numbers = {name: number for number, name in enumerate(class_names)}
    shown = []
    for run in runs[:MOST_BINS]:
        if run.answer is None:
            continue
        number, width = numbers.get(run.answer, 0), run.length / axis.end
        title = f"{run_text(run)}, {clock(run.start, axis)} to {clock(run.end, axis)}"
        text = safe_text(run.answer) if width >= _NARROWEST_TEXT else ""
        shown.append(
            f'<span style="left:{100 * run.start / axis.end:.3f}%;width:{100 * width:.3f}%;'
            f'background:{colour_of(number)};color:{text_colour_of(number)}" title="{safe_text(title)}">'
            f"{text}</span>"
        )
    return f'<div class="strip" aria-hidden="true">{"".join(shown)}</div>'


def ticks_html(axis: Axis) -> str:
    """Return the labels of the axis."""
    places = _tick_places(axis)
    labels = "".join(
        f'<span style="left:{100 * place / axis.end if axis.end else 0:.3f}%">'
        f"{escape(clock(place, axis))}</span>"
        for place in places
    )
    return f'<div class="ticks" aria-hidden="true">{labels}</div>'


def _tick_places(axis: Axis) -> list[float]:
    steps = (*_TICK_STEPS, 7200, 14_400, 86_400) if axis.has_times else [10**power for power in range(1, 12)]
    step = next((step for step in steps if axis.end / step < _MAX_TICKS), steps[-1])
    inner = [float(step * number) for number in range(1, int(axis.end / step) + 1)]
    return [0.0, *(place for place in inner if place < 0.8 * axis.end), axis.end]


def run_text(run: LabelRun) -> str:
    """Return the answer of a run with its mean probability, or why there is none."""
    if run.answer is None:
        return reasons_text(run)
    return f"{run.answer}, {MEAN_PROBABILITY} {100 * (run.probability or 0):.0f}%"


def reasons_text(run: LabelRun) -> str:
    """Return why a run has no answer."""
    return f"no answer: {some(run.reasons, joint='; ') or 'no reason given'}"


def clock(time: float, axis: Axis) -> str:
    """Return a time as a player shows it (1:02:03.4), or the number of a frame."""
    if not axis.has_times:
        return f"frame {round(time)}"
    tenths = math.floor(10 * time + 0.5)  # as the script rounds
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 10:02}.{rest % 10}"
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"


def _x(time: float, axis: Axis) -> int:
    return round(WIDTH * time / axis.end) if axis.end else 0

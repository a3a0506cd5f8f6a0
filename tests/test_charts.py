import re

import pytest

from tests.small_predictions import CLASSES, prediction, window, windows
from trainer.prediction.charts import (
    HEIGHT,
    MOST_BINS,
    WIDTH,
    area_svg,
    bins_of,
    clock,
    cuts_of,
    gaps_svg,
    strip_html,
    ticks_html,
)
from trainer.prediction.label_runs import timelines
from trainer.prediction.page_style import colour_of, patterns
from trainer.prediction.spans import axis_of

FILLS = ["class-0", "class-1", "class-2"]


def drawn(made):
    axis = axis_of(made)
    (line,) = timelines(made, axis)
    bins = bins_of(line.spans, axis.end, CLASSES, lambda index: made.windows[index].probability)
    return axis, line, bins, area_svg(bins, FILLS, axis, kind="area", label="x")


def test_a_step_is_as_wide_as_its_time_and_as_high_as_the_classes_below():
    _, _, bins, svg = drawn(prediction(windows("hs")))
    assert [(one.start, one.end) for one in bins] == [(0.0, 1.25), (1.25, 2.5)]
    paths = dict(re.findall(r'fill="url\(#(.*?)\)" d="(.*?)"', svg))
    assert list(paths) == ["class-2", "class-1", "class-0"], "the lower ones cover the upper ones"
    assert paths["class-2"] == "M0 1000V0H1250V0H2500V1000Z"
    assert paths["class-1"] == "M0 1000V100H1250V100H2500V1000Z"
    assert paths["class-0"] == "M0 1000V200H1250V900H2500V1000Z"


def test_nothing_is_drawn_where_there_is_no_answer():
    axis, line, _, svg = drawn(prediction([window(0, "happiness"), window(2, None), window(4, "happiness")]))
    assert 'fill="url(#class-0)" d="M0 1000V200H2000V1000ZM4000 1000V200H6000V1000Z"' in svg
    gap = gaps_svg(line.runs, axis)
    assert gap.startswith(
        '<rect x="2000" y="0" width="2000" height="1000" fill="url(#gap)"><title>no answer: '
    )


def test_many_windows_are_few_steps_and_a_short_peak_remains():
    answers = [window(0.5 * at, "happiness") for at in range(3 * MOST_BINS)]
    answers[1234] = window(0.5 * 1234, "sadness", largest=0.9)
    made = prediction(answers, seconds=0.5 * len(answers) + 1.5)
    axis, _, bins, svg = drawn(made)
    assert 0.9 * MOST_BINS < len(bins) <= MOST_BINS
    assert all(sum(one.values) == pytest.approx(1) for one in bins)
    assert all(one.end == after.start for one, after in zip(bins, bins[1:], strict=False))
    assert (bins[0].start, bins[-1].end) == (0, axis.end)
    (peak,) = [one for one in bins if one.values[1] > 0.4]
    assert peak.start <= 1234 * 0.5 + 1 < peak.end
    assert peak.values == pytest.approx((0.8 / 1.8, 0.9 / 1.8, 0.1 / 1.8))
    assert len(svg) < 3 * MOST_BINS * 12


def test_bins_without_any_answer_have_no_values():
    made = prediction([window(0.5 * at, None) for at in range(MOST_BINS + 1)], seconds=2000)
    assert {one.values for one in drawn(made)[2]} == {None}


def test_coordinates_are_within_the_chart():
    svg = drawn(prediction(windows("hshsnn", start=1.0), seconds=7.0))[3]
    numbers = [int(one) for one in re.findall(r"[MHV ](\d+)", " ".join(re.findall(r' d="(.*?)"', svg)))]
    assert max(numbers) <= WIDTH
    assert HEIGHT in numbers


def test_the_strip_has_the_class_as_text():
    axis, line, *_ = drawn(prediction(windows("hhs-")))
    strip = strip_html(line.runs, CLASSES, axis)
    texts = re.findall(r'left:([\d.]+)%;width:([\d.]+)%;.*?title="(.*?)">(.*?)</span>', strip)
    assert texts == [
        ("0.000", "17.500", "happiness, mean probability 80%, 0:00.0 to 0:01.8", "happiness"),
        ("17.500", "5.000", "sadness, mean probability 80%, 0:01.8 to 0:02.3", "sadness"),
    ]


@pytest.mark.parametrize(("seconds", "labels"), [
    (10.0, ["0:00.0", "0:05.0", "0:10.0"]),
    (2400.0, ["0:00.0", "10:00.0", "20:00.0", "30:00.0", "40:00.0"]),
    (0.4, ["0:00.0", "0:00.4"]),
])  # fmt: skip
def test_ticks_are_round_times(seconds, labels):
    axis = axis_of(prediction([], seconds=seconds))
    assert re.findall(r">([^<]+)</span>", ticks_html(axis)) == labels


def test_times_are_shown_as_a_player_does():
    axis = axis_of(prediction([]))
    assert [clock(one, axis) for one in (0, 59.96, 61.25, 3723.4)] == [
        "0:00.0",
        "1:00.0",
        "1:01.3",
        "1:02:03.4",
    ]


def test_cuts_without_times_are_the_first_frames_of_shots_with_windows():
    answers = [window(0, "happiness", has_times=False), window(4, "happiness", shot=1, has_times=False)]
    made = prediction(answers, seconds=None)
    assert cuts_of(axis_of(made), made.cut_seconds) == [100.0]
    assert cuts_of(axis_of(prediction([], cuts=[3.0])), [3.0]) == [3.0]


def test_classes_differ_in_colour_and_pattern():
    found = re.findall(r'<pattern id="class-\d+".*?</pattern>', patterns(11))
    looks = {re.sub(r'id="class-\d+"', "", one) for one in found}
    assert len(looks) == len(found) == 11
    assert len({colour_of(number) for number in range(7)}) == 7

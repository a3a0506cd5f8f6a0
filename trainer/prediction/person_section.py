"""The section of a page for one timeline: charts, tables and explanations."""

import math
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

from pipeline.errors import counted, some
from trainer.pages.html import safe_text
from trainer.prediction.charts import (
    area_svg,
    bins_of,
    clock,
    cuts_of,
    cuts_svg,
    gaps_svg,
    run_text,
    strip_html,
    ticks_html,
)
from trainer.prediction.label_runs import Timeline
from trainer.prediction.page_style import POLARITY_COLOURS, swatch
from trainer.prediction.people_summary import MEAN_PROBABILITY, SHARE_OF_TIME, PersonSummary, summary_of
from trainer.prediction.results import UNKNOWN, PersonTracks, Prediction
from trainer.prediction.spans import Axis

_MOST_RUNS = 200
"""Runs in a table; windows.csv has all."""
_MOST_SHARES = 3


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The explanation of a window.

    Attributes:
        image: PNG bytes, or the path of an image relative to the page; None without one.
        sentence: Text that names the method, or why there is no explanation.
    """

    image: bytes | str | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class PageExtras:
    """Parts of a page that a prediction does not have.

    Attributes:
        video: Path of a video that browsers play, relative to the page; None without one.
        embedded: Bytes of this video, to put it inside the page.
        thumbnails: JPEG bytes by name of the person.
        explanations: By index of the window.
    """

    video: str | None = None
    embedded: bytes | None = None
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    explanations: Mapping[int, Explanation] = field(default_factory=dict)


def address_of(path: str) -> str:
    """Return the address of a file, from its path relative to the page."""
    address = quote(os.fsencode(path))
    return address if address.startswith("../") else f"./{address}"


def person_lines(
    prediction: Prediction, extras: PageExtras, axis: Axis, line: Timeline, number: int
) -> Iterator[str]:
    """Yield the section of a timeline.

    Args:
        prediction: The prediction.
        extras: Thumbnails and explanations.
        axis: The axis.
        line: The timeline.
        number: Its number on the page.
    """
    shown = PersonTracks(name=line.name, tracks=line.tracks, margin=line.person.margin)
    summary = summary_of(prediction, shown, [line])
    image = extras.thumbnails.get(line.person.name) if line.person.name != UNKNOWN else None
    face = ""
    if image is not None:
        source = f"data:image/jpeg;base64,{b64encode(image).decode()}"
        face = f'<img class="face" src="{source}" alt="{safe_text(f"Face of {line.name}")}">'
    yield f'<section id="person-{number}"><h2>{face}<span>{safe_text(line.name)}</span></h2>\n'
    yield f'<p class="facts">{safe_text(_facts(summary, axis))}</p>\n<p class="now"></p>\n'
    yield from _marks(prediction, extras, axis, line)
    yield (
        f'<div class="chart" tabindex="0" role="slider" aria-label="{safe_text(f"Time, {line.name}")}" '
        f'aria-valuemin="0" aria-valuemax="{axis.end:.1f}" aria-valuenow="0">'
    )
    yield strip_html(line.runs, prediction.class_names, axis)
    yield from _rows(prediction, axis, line)
    yield f'<div class="cursor"></div></div>\n{ticks_html(axis)}\n'
    yield from _class_table(prediction, summary, axis)
    yield from _run_table(line, axis)
    yield from _explanations(prediction, extras, axis, line)
    yield "</section>\n"


def _facts(summary: PersonSummary, axis: Axis) -> str:
    texts = [f"face detected for {summary.on_screen:.1f} {axis.unit}, answers for {summary.answered:.1f}"]
    best = sorted((summary.shares or {}).items(), key=lambda item: -item[1])
    shares = [f"{name} {100 * share:.0f}%" for name, share in best[:_MOST_SHARES] if share > 0]
    texts += [f"{SHARE_OF_TIME}: {', '.join(shares)}"] if shares else []
    tracks = f"{counted(len(summary.person.tracks), 'track')}: {some(summary.person.tracks)}"
    texts.append(tracks)
    if math.isfinite(summary.person.margin):
        texts.append(f"joined with a margin of {summary.person.margin:.1f} nats")
    return "; ".join(texts) + "."


def _rows(prediction: Prediction, axis: Axis, line: Timeline) -> Iterator[str]:
    windows, names = prediction.windows, prediction.class_names
    fills = [f"class-{number}" for number in range(len(names))]
    above = gaps_svg(line.runs, axis) + cuts_svg(cuts_of(axis, prediction.cut_seconds), axis)
    bins = bins_of(line.spans, axis.end, names, lambda index: windows[index].probability)
    label = (
        f"Probability of each class for {line.name} in the window of each time; windows.csv has the numbers"
    )
    yield f'<div class="row">{area_svg(bins, fills, axis, kind="area", label=label, extra=above)}</div>'
    polarities = list(POLARITY_COLOURS)
    bins = bins_of(line.spans, axis.end, polarities, lambda index: windows[index].polarity)
    if any(one.values for one in bins):
        label = f"Polarity for {line.name}: negative below, neutral between, positive above"
        drawn = area_svg(
            bins, [f"polarity-{name}" for name in polarities], axis, kind="polarity", label=label
        )
        yield f'<div class="row"><b>polarity</b>{drawn}</div>'
    bins = bins_of(line.spans, axis.end, names, lambda index: windows[index].face_run)
    if any(one.values for one in bins):
        label = f"Probability of each class for {line.name} by the face-only run"
        drawn = area_svg(bins, fills, axis, kind="area", label=label, extra=above)
        yield f'<div class="row"><b>face-only run</b>{drawn}</div>'


def _class_table(prediction: Prediction, summary: PersonSummary, axis: Axis) -> Iterator[str]:
    columns = ["class", SHARE_OF_TIME, MEAN_PROBABILITY]
    columns += [f"{MEAN_PROBABILITY}, face-only run"] if summary.face_run_means else []
    heads = "".join(f'<th scope="col">{name}</th>' for name in columns)
    yield f'<div class="wide" tabindex="0" role="region" aria-label="Classes"><table><thead><tr>{heads}'
    yield "</tr></thead><tbody>"
    for number, name in enumerate(prediction.class_names):
        cells = [_percent(summary.shares, name), _percent(summary.means, name)]
        cells += [_percent(summary.face_run_means, name)] if summary.face_run_means else []
        numbers = "".join(f"<td>{cell}</td>" for cell in cells)
        yield f'<tr><th scope="row">{swatch(f"class-{number}")}{safe_text(name)}</th>{numbers}</tr>'
    for reason, count in summary.reasons.items():
        text = safe_text(f"no answer: {reason}")
        yield (
            f'<tr><th scope="row">{swatch("gap")}{text}</th>'
            f'<td class="text" colspan="{len(columns) - 1}">{counted(count, "window")}</td></tr>'
        )
    yield "</tbody></table></div>\n"


def _run_table(line: Timeline, axis: Axis) -> Iterator[str]:
    if not line.runs:
        return
    more = f"; the first {_MOST_RUNS}, windows.csv has all" if len(line.runs) > _MOST_RUNS else ""
    yield f"<details><summary>{counted(len(line.runs), 'run')} of equal answers{more}</summary>"
    yield '<div class="wide" tabindex="0" role="region" aria-label="Runs of equal answers"><table><thead><tr>'
    yield '<th scope="col">from</th><th scope="col">to</th><th scope="col">answer</th></tr></thead><tbody>'
    for run in line.runs[:_MOST_RUNS]:
        yield (
            f"<tr><td>{escape(clock(run.start, axis))}</td><td>{escape(clock(run.end, axis))}</td>"
            f'<td class="text">{safe_text(run_text(run))}</td></tr>'
        )
    yield "</tbody></table></div></details>\n"


def _marks(prediction: Prediction, extras: PageExtras, axis: Axis, line: Timeline) -> Iterator[str]:
    explained = [span for span in line.spans if span.index in extras.explanations]
    if not explained:
        return
    yield '<div class="marks">'
    for span in explained:
        title = safe_text(f"Explanation at {clock(span.middle, axis)}")
        yield (
            f'<a href="#explanation-{span.index}" data-time="{span.middle:.3f}" title="{title}" '
            f'aria-label="{title}" style="left:{100 * span.middle / axis.end:.3f}%">&#9660;</a>'
        )
    yield "</div>\n"


def _explanations(prediction: Prediction, extras: PageExtras, axis: Axis, line: Timeline) -> Iterator[str]:
    for span in line.spans:
        found = extras.explanations.get(span.index)
        if found is None:
            continue
        answer = prediction.windows[span.index].answer or "no answer"
        title = f"Explanation at {clock(span.middle, axis)}: {answer}"
        yield (
            f'<details id="explanation-{span.index}"><summary>{safe_text(title)}</summary>'
            f"<p>{safe_text(found.sentence)}</p>{_image(found.image, title)}</details>\n"
        )


def _image(image: bytes | str | None, title: str) -> str:
    """Return an image of an explanation; one in a file is a link to it, because a phone shows it small."""
    if image is None:
        return ""
    shown = f'alt="{safe_text(title)}"'
    if not isinstance(image, str):
        return f'<img loading="lazy" src="data:image/png;base64,{b64encode(image).decode()}" {shown}>'
    source = escape(address_of(image))
    return (
        f'<a class="large" href="{source}" target="_blank" rel="noopener"><img loading="lazy" src="{source}" '
        f"{shown}><span>Open the image in full size</span></a>"
    )


def _percent(values: Mapping[str, float] | None, name: str) -> str:
    return "-" if values is None else f"{100 * values[name]:.1f}%"

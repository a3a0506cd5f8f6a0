"""A prediction -> index.html: one file with the video beside or inside it, and a timeline for each person.

The page needs nothing from elsewhere. Its policy allows its own script by hash, and media from its own
directory. Names of files and of people come from others: every text is escaped.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import PurePosixPath
from typing import Any

from pipeline.errors import ConfigError, counted
from trainer.pages.html import safe_text
from trainer.prediction.charts import MOST_BINS, clock
from trainer.prediction.label_runs import Timeline, timelines
from trainer.prediction.page_script import SCRIPT, script_source
from trainer.prediction.page_style import POLICY, STYLE, patterns
from trainer.prediction.people_summary import (
    MEAN_PROBABILITY,
    SHARE_OF_TIME,
    TIMES_NOTE,
    WINDOW_PROBABILITY,
)
from trainer.prediction.person_section import PageExtras, address_of, person_lines
from trainer.prediction.results import NOTICE, UNKNOWN, Prediction, unfollowed_text
from trainer.prediction.spans import Axis, axis_of

MAX_EMBEDDED_BYTES = 20 * 1024 * 1024
"""Largest video that a page holds inside."""

_NAMES = (
    f"The {SHARE_OF_TIME} is how long a class is the answer. The {MEAN_PROBABILITY} is over windows, "
    f"weighted by their times. The {WINDOW_PROBABILITY} is of the one window to which a time belongs."
)
_DIGITS = 3
_VIDEO_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}


def as_page(prediction: Prediction, extras: PageExtras | None = None) -> Iterator[str]:
    """Return the lines of index.html, with line ends.

    Args:
        prediction: The prediction.
        extras: Video, thumbnails and explanations.

    Raises:
        ConfigError: The embedded video is larger than `MAX_EMBEDDED_BYTES`.
    """
    extras = extras or PageExtras()
    axis = axis_of(prediction)
    lines = timelines(prediction, axis)
    media = _media(extras, has_times=axis.has_times)
    return _page(prediction, extras, axis, lines, media)


def _page(
    prediction: Prediction, extras: PageExtras, axis: Axis, lines: Sequence[Timeline], media: Sequence[str]
) -> Iterator[str]:
    named = sum(person.name != UNKNOWN for person in prediction.people)
    unknown = " and unknown tracks" if named < len(prediction.people) else ""
    title = f"{prediction.source.name}: {counted(named, 'person', 'people')}{unknown}"
    data = json.dumps(_data(prediction, axis, lines), separators=(",", ":"), allow_nan=False)
    yield from page_head(title, script_source())
    yield f'<body data-timeline="{escape(data)}">\n'
    yield from (
        '<div class="top">',
        *banner_html(prediction.banners),
        *media,
        "</div>\n",
        f"<h1>{safe_text(title)}</h1>\n",
    )
    yield patterns(len(prediction.class_names)) + "\n"
    yield from (f'<p class="note">{safe_text(text)}</p>\n' for text in _notes(prediction, axis, lines))
    if any(window.answer is not None for window in prediction.windows):
        yield (
            '<details class="note"><summary>Percentages and times</summary>'
            f"<p>{safe_text(_NAMES)}</p><p>{safe_text(TIMES_NOTE)}</p></details>\n"
        )
    yield "<main>\n"
    for number, line in enumerate(lines):
        yield from person_lines(prediction, extras, axis, line, number)
    if not lines:
        yield "<p>No face was followed in this video.</p>\n"
    yield f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


def page_head(title: str, script: str) -> Iterator[str]:
    """Yield the lines of a page up to its body.

    Args:
        title: Title of the page.
        script: Source of its script for the policy.
    """
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(script=script)}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="referrer" content="no-referrer">\n'
    yield f"<title>{safe_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n"


def banner_html(banners: Sequence[str]) -> Iterator[str]:
    """Yield the banners and the notice: on a phone one line, which unfolds."""
    texts = [*(f"!! {banner}" for banner in banners), NOTICE]
    alarm = " alarm" if banners else ""
    yield f'<details class="banner{alarm}"><summary role="alert">{safe_text(" | ".join(texts))}</summary><ul>'
    yield from (f"<li>{safe_text(text)}</li>" for text in texts)
    yield "</ul></details>\n"


def _media(extras: PageExtras, *, has_times: bool) -> list[str]:
    if extras.video is None or not has_times:
        return []
    source = address_of(extras.video)
    if extras.embedded is not None:
        require_embeddable(len(extras.embedded))
        kind = _VIDEO_TYPES.get(PurePosixPath(extras.video).suffix.lower(), "video/mp4")
        source = f"data:{kind};base64,{b64encode(extras.embedded).decode()}"
    return [f'<video controls playsinline preload="metadata" src="{escape(source)}"></video>']


def require_embeddable(num_bytes: int) -> None:
    """Raise ConfigError if a video is larger than `MAX_EMBEDDED_BYTES`."""
    if num_bytes > MAX_EMBEDDED_BYTES:
        msg = (
            f"The video has {num_bytes:,} bytes; a page embeds at most {MAX_EMBEDDED_BYTES:,}. Leave out "
            "--embed."
        )
        raise ConfigError(msg)


def _notes(prediction: Prediction, axis: Axis, lines: Sequence[Timeline]) -> Iterator[str]:
    settings, unit = prediction.settings, axis.unit
    size = settings.window_seconds if axis.has_times else settings.window_frames
    parts = [f"Run {prediction.run}"]
    if size is not None and axis.stride is not None:
        parts.append(f"windows of {size:.3g} {unit}, one every {axis.stride:.3g} {unit}")
    answered = [window for window in prediction.windows if window.answer is not None]
    if answered:
        calibrated = all(window.calibrated for window in answered)
        parts.append(f"probabilities {'are' if calibrated else 'are not'} calibrated")
    yield f"{', '.join(parts)}. Click a chart to go there; the arrow keys go from window to window."
    if settings.start_seconds is not None or settings.end_seconds is not None:
        start = settings.start_seconds or 0.0
        end = axis.end if settings.end_seconds is None else min(settings.end_seconds, axis.end)
        yield f"Only the part from {clock(start, axis)} to {clock(end, axis)} was predicted."
    if any(window.polarity for window in prediction.windows):
        yield (
            "Polarity is an output of its own, and may contradict the class: negative (orange, below), "
            "neutral (grey), positive (blue, above)."
        )
    if prediction.done_seconds is not None:
        yield f"Stopped: first {clock(prediction.done_seconds, axis)} of {clock(axis.end, axis)}."
    if prediction.num_unfollowed:
        yield f"{unfollowed_text(prediction.num_unfollowed).capitalize()}."
    if len(prediction.cut_seconds) or any(len(line.person.tracks) > 1 for line in lines):
        yield "People in different shots were joined by their look, within this video only; check them."
    if max((len(line.spans) for line in lines), default=0) > MOST_BINS:
        yield (
            f"Charts have {MOST_BINS:,} steps, each with the largest probability of every class among its "
            "windows, divided by their sum; windows.csv has every window."
        )


def _data(prediction: Prediction, axis: Axis, lines: Sequence[Timeline]) -> dict[str, Any]:
    """Return the values that the script reads."""
    numbers = {name: number for number, name in enumerate(prediction.class_names)}

    def person(line: Timeline) -> dict[str, Any]:
        windows = [prediction.windows[span.index] for span in line.spans]
        has_face_run = any(window.face_run for window in windows)
        return {
            "middles": [round(span.middle, _DIGITS) for span in line.spans],
            "starts": [round(span.start, _DIGITS) for span in line.spans],
            "ends": [round(span.end, _DIGITS) for span in line.spans],
            "answers": [numbers.get(window.answer or "", -1) for window in windows],
            "percents": [round(100 * max((window.probability or {"": 0}).values())) for window in windows],
            "faces": [numbers.get(_best(window.face_run), -1) for window in windows] if has_face_run else [],
        }

    return {
        "unit": axis.unit,
        "probability": WINDOW_PROBABILITY,
        "end": round(axis.end, _DIGITS),
        "classes": list(prediction.class_names),
        "people": [person(line) for line in lines],
    }


def _best(values: Mapping[str, float] | None) -> str:
    return max(values, key=values.__getitem__) if values else ""

"""A prediction -> subtitles.srt and subtitles.vtt: "P1: happiness, mean p=81%" during each run."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import ConfigError, printable
from trainer.prediction.label_runs import timelines
from trainer.prediction.results import NOTICE, Prediction
from trainer.prediction.spans import axis_of

SHORTEST_SECONDS = 1.0
"""A shorter cue cannot be read."""
NOTICE_SECONDS = 2.0
"""Length of the first cue of subtitles.srt, which has the notice and the banners."""

_ARROW = "-->"
_LOOKALIKES = str.maketrans("<>{}", "\u2039\u203a()")
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A text and its time.

    Attributes:
        start_ms, end_ms: In milliseconds.
        text: One line.
    """

    start_ms: int
    end_ms: int
    text: str


def cues(prediction: Prediction) -> tuple[Cue, ...]:
    """Return a cue for every run with an answer, in order of their starts.

    The cue of a run that is shorter than `SHORTEST_SECONDS` ends later, and can overlap the next one; at the
    end of the video, it begins earlier instead.

    Raises:
        ConfigError: The video has no times.
    """
    axis = axis_of(prediction)
    if not axis.has_times:
        msg = f"'{printable(prediction.source.name)}' has no times, which subtitles need; give --rate."
        raise ConfigError(msg)
    found = []
    for line in timelines(prediction, axis):
        for run in line.runs:
            if run.answer is None:
                continue
            end = max(run.end, min(run.start + SHORTEST_SECONDS, axis.end))
            start = min(run.start, max(0.0, end - SHORTEST_SECONDS))
            text = printable(f"{line.name}: {run.answer}, mean p={100 * (run.probability or 0):.0f}%")
            found.append(Cue(start_ms=round(1000 * start), end_ms=round(1000 * end), text=text))
    return tuple(sorted(found, key=lambda cue: (cue.start_ms, cue.end_ms)))


def as_srt(prediction: Prediction) -> Iterator[str]:
    """Yield the text of a SubRip file. SubRip has no comments: the first cue has notice and banners.

    Raises:
        ConfigError: The video has no times.
    """
    first = "\n".join(_plain(printable(text)) for text in (*prediction.banners, NOTICE))
    texts = [
        Cue(start_ms=0, end_ms=round(1000 * NOTICE_SECONDS), text=first),
        *(Cue(start_ms=cue.start_ms, end_ms=cue.end_ms, text=_plain(cue.text)) for cue in cues(prediction)),
    ]
    for number, cue in enumerate(texts, 1):
        yield f"{number}\n{_clock(cue.start_ms, ',')} {_ARROW} {_clock(cue.end_ms, ',')}\n{cue.text}\n\n"


def as_vtt(prediction: Prediction) -> Iterator[str]:
    """Yield the text of a WebVTT file, with notice and banners as comments.

    Raises:
        ConfigError: The video has no times.
    """
    found = cues(prediction)
    yield "WEBVTT\n"
    for text in (*prediction.banners, NOTICE):
        yield f"\nNOTE\n{printable(text).replace(_ARROW, '->')}\n"
    for cue in found:
        text = "".join(_ESCAPED.get(letter, letter) for letter in cue.text)
        yield f"\n{_clock(cue.start_ms, '.')} {_ARROW} {_clock(cue.end_ms, '.')}\n{text}\n"


def _plain(text: str) -> str:
    """Return a text without characters that players take for formatting."""
    return text.translate(_LOOKALIKES)


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"

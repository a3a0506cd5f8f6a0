"""A prediction -> windows.csv, frames.csv, people.csv and fex.csv.

Every file is UTF-8 with commas, points in numbers, line ends of one character, and one header. Later versions
add columns only at the end. An empty cell is a value that there is not. A text that a
spreadsheet would take for a formula has an apostrophe before it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.datasets.emotions import class_of
from pipeline.errors import printable
from trainer.csv_text import Cell, Row, csv_lines
from trainer.prediction.answer_values import POLARITIES, HeadAnswer
from trainer.prediction.label_runs import timelines
from trainer.prediction.people_summary import summaries
from trainer.prediction.results import NOTICE, Prediction, TrackedFace, WindowAnswer
from trainer.prediction.spans import Span, axis_of, spans_of

FEX_BOX = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
"""Columns of a face in py-feat: left, top, width and height in pixels, and the detector's score."""
FEX_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Columns of emotions in py-feat, in its order."""

_WINDOW_COLUMNS = (
    "video", "shot", "track", "start_seconds", "end_seconds", "first_frame", "num_frames", "frames_found",
    "num_sampled", "x0", "y0", "x1", "y1", "answer", "margin", "calibrated", "reason", "flags",
)  # fmt: skip
_SECONDS_DIGITS, _PIXEL_DIGITS, _SHARE_DIGITS = 6, 2, 6
_JOINT = " | "


def banner_text(banners: Sequence[str]) -> str:
    """Return banners and the notice in one line."""
    return _JOINT.join(printable(text) for text in (*banners, NOTICE))


def answer_columns(class_names: Sequence[str]) -> list[str]:
    """Return the columns of `answer_cells`."""
    return [
        *(f"polarity_{name}" for name in POLARITIES),
        *(f"p_{name}" for name in class_names),
        *(f"other_scenes_p_{name}" for name in class_names),
        *(f"face_run_p_{name}" for name in class_names),
    ]


def answer_cells(one: HeadAnswer, class_names: Sequence[str]) -> list[Cell]:
    """Return the probabilities of an answer, rounded; empty cells for those that there are not."""
    return [
        *_values(one.polarity, POLARITIES),
        *_values(one.probability, class_names),
        *_values(one.with_other_scenes, class_names),
        *_values(one.face_run, class_names),
    ]


def windows_table(prediction: Prediction) -> tuple[list[str], Iterator[Row]]:
    """Return the columns and the rows of windows.csv, a window each, in the order of windows.jsonl."""
    names = prediction.class_names
    banner, person_of = banner_text(prediction.banners), prediction.person_of
    rows = (
        [*_window_cells(window, names), person_of.get(window.track, ""), banner]
        for window in prediction.windows
    )
    return [*_WINDOW_COLUMNS, *answer_columns(names), "person", "banner"], rows


def windows_csv(prediction: Prediction) -> Iterator[str]:
    """Yield the lines of windows.csv."""
    yield from csv_lines(*windows_table(prediction))


def _window_cells(window: WindowAnswer, names: Sequence[str]) -> list[Cell]:
    return [
        window.video,
        window.shot,
        window.track,
        window.start_seconds,  # not rounded: `extract` reads the same frames by it
        window.end_seconds,
        window.first_frame,
        window.num_frames,
        window.frames_found,
        window.num_sampled,
        *box_cells(window.box_xyxy_px),
        window.answer,
        rounded(window.margin),
        window.calibrated,
        window.reason,
        " ".join(window.flags),
        *answer_cells(window, names),
    ]


def frames_csv(prediction: Prediction) -> Iterator[str]:
    """Yield the lines of frames.csv: the face of each track on each sampled frame.

    The banner is on the first row only, because the rows are many.
    """
    header = ["frame", "seconds", "track", "person", "x0", "y0", "x1", "y1", "score", "banner"]
    person_of = prediction.person_of
    rows = (
        [
            face.frame,
            _rounded(face.seconds, _SECONDS_DIGITS),
            face.track,
            person_of[face.track],
            *box_cells(face.box_xyxy_px),
            _rounded(face.score, _SHARE_DIGITS),
        ]
        for face in prediction.faces
    )
    yield from csv_lines(header, _with_banner(rows, prediction))


def people_csv(prediction: Prediction) -> Iterator[str]:
    """Yield the lines of people.csv, a person each."""
    axis = axis_of(prediction)
    unit = axis.unit
    header = [
        "person", "tracks", f"{unit}_on_screen", f"{unit}_with_answer", "windows", "windows_without_answer",
        *(f"share_{name}" for name in prediction.class_names), "margin", "banner",
    ]  # fmt: skip
    banner = banner_text(prediction.banners)
    found = summaries(prediction, timelines(prediction, axis))
    rows = (
        [
            one.person.name,
            " ".join(one.person.tracks),
            _rounded(one.on_screen, _SECONDS_DIGITS),
            _rounded(one.answered, _SECONDS_DIGITS),
            one.num_windows,
            one.num_unanswered,
            *_values(one.shares, prediction.class_names),
            one.person.margin if one.person.margin < float("inf") else None,
            banner,
        ]
        for one in found
    )
    yield from csv_lines(header, rows)


def fex_csv(prediction: Prediction) -> Iterator[str]:
    """Yield the lines of fex.csv, which `feat.utils.io.read_feat` of py-feat reads.

    Each face on a sampled frame has the probabilities of the window of its track to which its time belongs.
    Classes that py-feat does not know follow as ``p_CLASS``.
    """
    named: dict[str, str] = {}
    for name in prediction.class_names:
        emotion = class_of(name)
        if emotion in FEX_EMOTIONS:
            named.setdefault(emotion, name)
    others = [name for name in prediction.class_names if name not in named.values()]
    header = [
        "frame", *FEX_BOX, *FEX_EMOTIONS, "seconds", "FrameHeight", "FrameWidth", "Identity", "input",
        *(f"p_{name}" for name in others), "banner",
    ]  # fmt: skip
    person_of, answers = prediction.person_of, _answers_by_track(prediction)
    source = prediction.source

    def row(face: TrackedFace) -> Row:
        x0, y0, x1, y1 = face.box_xyxy_px
        at = float(face.frame) if face.seconds is None else face.seconds
        probability = answers[face.track].at(at) if face.track in answers else None
        return [
            face.frame,
            *(_rounded(value, _PIXEL_DIGITS) for value in (x0, y0, x1 - x0, y1 - y0)),
            _rounded(face.score, _SHARE_DIGITS),
            *_values(probability, [named.get(emotion, "") for emotion in FEX_EMOTIONS]),
            _rounded(face.seconds, _SECONDS_DIGITS),
            source.height_px,
            source.width_px,
            person_of[face.track],
            source.name,
            *_values(probability, others),
        ]

    yield from csv_lines(header, _with_banner(map(row, prediction.faces), prediction))


class _TrackAnswers:
    """Probabilities of a track by time."""

    def __init__(self, windows: Sequence[WindowAnswer], spans: Sequence[Span]) -> None:
        self._windows = windows
        self._spans = spans
        self._starts = [span.start for span in spans]

    def at(self, time: float) -> Mapping[str, float] | None:
        """Return the probabilities of the window to which a time belongs; None without an answer."""
        place = bisect_right(self._starts, time) - 1
        if place < 0 or time >= self._spans[place].end:
            return None
        return self._windows[self._spans[place].index].probability


def _answers_by_track(prediction: Prediction) -> dict[str, _TrackAnswers]:
    axis = axis_of(prediction)
    tracks = dict.fromkeys(window.track for window in prediction.windows)
    return {track: _TrackAnswers(prediction.windows, spans_of(prediction, axis, [track])) for track in tracks}


def _with_banner(rows: Iterable[Row], prediction: Prediction) -> Iterator[Row]:
    for number, row in enumerate(rows):
        yield [*row, banner_text(prediction.banners) if number == 0 else None]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def rounded(share: float | None) -> float | None:
    """Return a share in the digits of all tables."""
    return _rounded(share, _SHARE_DIGITS)


def box_cells(box: tuple[float, float, float, float] | None) -> list[float | None]:
    """Return the edges of a box, rounded; four empty cells without one."""
    return [None] * 4 if box is None else [round(value, _PIXEL_DIGITS) for value in box]


def _values(values: Mapping[str, float] | None, names: Sequence[str]) -> list[float | None]:
    values = values or {}
    return [_rounded(values.get(name), _SHARE_DIGITS) for name in names]

"""Labelled spans of a video -> remarks for the user."""

from collections.abc import Sequence

from pipeline.errors import counted, printable, some
from trainer.prediction.labels import LabelRow
from trainer.prediction.results import Prediction
from trainer.prediction.spans import axis_of

_TOLERANCE_SECONDS = 0.1
"""Tolerance for the end of a span, because a container's length may be that of its sound."""
_SHOWN = 3


def notes_on_spans(rows: Sequence[LabelRow], prediction: Prediction) -> tuple[str, ...]:
    """Return a warning if labelled spans end after their video; nothing else.

    Args:
        rows: Labels of this video.
        prediction: Its prediction.
    """
    axis = axis_of(prediction)
    if not axis.has_times:
        return ()
    late = [
        f"{row.start_seconds or 0:g} to {row.end_seconds:g} s ({printable(row.where)})"
        for row in rows
        if row.end_seconds is not None and row.end_seconds > axis.end + _TOLERANCE_SECONDS
    ]
    if not late:
        return ()
    spans = counted(len(late), "labelled span ends", "labelled spans end")
    name = printable(prediction.source.name)
    return (f"{spans} after the end of '{name}', which is {axis.end:.2f} s long: {some(late, _SHOWN)}",)

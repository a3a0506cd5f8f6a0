"""A prediction -> the JSON document of prediction.json."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.portable import portable
from trainer.prediction.label_runs import LabelRun, Timeline, timelines
from trainer.prediction.people_summary import PersonSummary, summaries
from trainer.prediction.results import NOTICE, Prediction
from trainer.prediction.spans import axis_of

FORMAT, LIST_FORMAT, VERSION = "ous-prediction", "ous-clip-predictions", 1
"""Formats of prediction.json of a video and of a list of clips, and their version."""


def prediction_values(prediction: Prediction, files: Sequence[str] = ()) -> dict[str, Any]:
    """Return a prediction as plain JSON values, without windows and faces, which other files have.

    Args:
        prediction: The prediction.
        files: Names of the files that were written with it.

    Returns:
        Values with ``format`` and ``version``. Times of people and runs are in ``unit``: seconds, or frames
        if the video has no times.
    """
    axis = axis_of(prediction)
    lines = timelines(prediction, axis)
    source = {**asdict(prediction.source), "path": portable(prediction.source.path)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "notice": NOTICE,
        "banners": list(prediction.banners),
        "run": prediction.run,
        "class_names": list(prediction.class_names),
        "source": source,
        "settings": asdict(prediction.settings),
        "made_with": dict(prediction.made_with),
        "unit": axis.unit,
        "cut_seconds": list(prediction.cut_seconds),
        "done_seconds": prediction.done_seconds,
        "num_windows": len(prediction.windows),
        "num_faces": len(prediction.faces),
        "num_unfollowed": prediction.num_unfollowed,
        "dropped_tracks": list(prediction.dropped),
        "notes": [portable(note) for note in prediction.notes],
        "people": [_person(summary) for summary in summaries(prediction, lines)],
        "timelines": [_timeline(line) for line in lines],
        "files": list(files),
    }


def _person(summary: PersonSummary) -> dict[str, Any]:
    margin = summary.person.margin
    return {
        "name": summary.person.name,
        "tracks": list(summary.person.tracks),
        "margin": margin if math.isfinite(margin) else None,
        "on_screen": summary.on_screen,
        "with_answer": summary.answered,
        "share": _plain(summary.shares),
        "mean_probability": _plain(summary.means),
        "num_windows": summary.num_windows,
        "num_windows_without_answer": summary.num_unanswered,
        "reasons": dict(summary.reasons),
    }


def _timeline(line: Timeline) -> dict[str, Any]:
    return {
        "name": line.name,
        "person": line.person.name,
        "tracks": list(line.tracks),
        "runs": [_run(run) for run in line.runs],
    }


def _run(run: LabelRun) -> dict[str, Any]:
    return {
        "start": run.start,
        "end": run.end,
        "answer": run.answer,
        "probability": run.probability,
        "reasons": list(run.reasons),
        "shot": run.shot,
        "tracks": list(run.tracks),
        "num_windows": len(run.indices),
    }


def _plain(values: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if values is None else dict(values)

"""Terminal and JSON form of predictions."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from trainer.prediction.plan import PredictionPlan, VideoPlan
from trainer.prediction.session import PersonShare, PredictedVideo, PredictReport

_SHOWN_CLASSES = 3


@to_json_values.register
def _(report: PredictReport) -> dict[str, Any]:
    return {
        "format": "ous-predictions",
        "version": 1,
        **field_values(report, "notice", "banners", "videos", "num_failed", "is_interrupted", "page"),
    }


@lines.register
def _(report: PredictReport) -> list[str]:
    found = [f"!! {banner}" for banner in report.banners]
    for video in report.videos:
        found += _video_lines(video)
    if report.page is not None:
        found.append(f"wrote {report.page}")
    return [*found, report.notice]


def _video_lines(video: PredictedVideo) -> list[str]:
    if video.failure:
        return [f"{video.path}: no prediction: {video.failure}"]
    done = "" if video.done_seconds is None else f", only up to {_clock(video.done_seconds)}"
    length = "" if video.duration_seconds is None else f" of {_clock(video.duration_seconds)}"
    windows = f"{counted(video.num_windows, 'window')}, {video.num_answers} with an answer"
    head = f"{video.path}{length}: {windows}{done}"
    people = (f"  {_person_line(person)}" for person in video.people)
    return [head, *people, *(f"  {text}" for text in video.skipped), f"  wrote {video.out}"]


def _person_line(person: PersonShare) -> str:
    """Return a line with the most frequent answers of a person."""
    ranked = sorted(person.shares.items(), key=lambda pair: -pair[1])[:_SHOWN_CLASSES]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in ranked if share) or "no answer"
    return f"{person.name}: {shares} ({person.num_answers} of {counted(person.num_windows, 'window')})"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@lines.register
def _(plan: PredictionPlan) -> list[str]:
    return [line for video in plan.videos for line in _plan_lines(video)]


def _plan_lines(video: VideoPlan) -> list[str]:
    if video.failure or video.settings is None:
        return [f"{video.name}: no prediction: {video.failure}"]
    length = "" if video.duration_seconds is None else f", {_clock(video.duration_seconds)}"
    settings = video.settings
    window = (
        f"{settings.window_frames} frames, one every {settings.stride_frames}"
        if settings.window_seconds is None
        else f"{settings.window_seconds:.2f} s, one every {settings.stride_seconds:.2f} s"
    )
    return [
        f"{video.name}{length}: {counted(video.num_shots, 'shot')}, {counted(video.num_windows, 'window')} "
        f"of {window}",
        f"  {video.num_frames:,} frames are read, and about {video.num_images:,} images encoded for each "
        "person who is always in view",
        *(f"  note: {note}" for note in video.notes),
    ]

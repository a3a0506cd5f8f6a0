"""Terminal and JSON form of predictions."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted, printable, some
from trainer.display.evaluation import metrics_lines
from trainer.prediction.label_scores import LabelScores
from trainer.prediction.outcomes import PersonShare, PredictedVideo, PredictReport
from trainer.prediction.plan import PredictionPlan, VideoPlan
from trainer.prediction.results import NOTICE, unfollowed_text

_SHOWN_CLASSES = 3
_SHOWN_NAMES = 8


@to_json_values.register
def _(report: PredictReport) -> dict[str, Any]:
    return {
        "format": "ous-predictions",
        "version": 1,
        **field_values(report, "notice", "banners", "videos", "num_failed", "is_interrupted", "page"),
        **({} if report.labels is None else field_values(report, "labels")),
    }


@to_json_values.register
def _(plan: PredictionPlan) -> dict[str, Any]:
    return field_values(
        plan, "videos", "times", "seconds_one_person", "seconds_each_further_person", "face_run", "names"
    )


@to_json_values.register
def _(scores: LabelScores) -> dict[str, Any]:
    labels = scores.labels
    return {
        "notice": NOTICE,
        **field_values(scores, "banners", "run"),
        "file": str(labels.file),
        "num_labels": len(labels.rows),
        **field_values(scores, "unanswered"),
        **field_values(labels, "other_classes"),
        "num_of_other_videos": labels.num_elsewhere,
        **field_values(scores, "num_several_people"),
        "notes": list(labels.notes),
        **field_values(scores, "metrics"),
    }


@lines.register
def _(report: PredictReport) -> list[str]:
    found = [f"!! {banner}" for banner in report.banners]
    for video in report.videos:
        found += _video_lines(video)
    if report.labels is not None:
        found += lines(report.labels)
    if report.page is not None:
        found.append(f"wrote {report.page}")
    return [*found, report.notice]


def _video_lines(video: PredictedVideo) -> list[str]:
    if video.failure:
        return [f"{video.path}: no prediction: {video.failure}"]
    done = "" if video.done_seconds is None else f", only up to {clock(video.done_seconds)}"
    length = "" if video.duration_seconds is None else f" of {clock(video.duration_seconds)}"
    windows = f"{counted(video.num_windows, 'window')}, {video.num_answers} with an answer"
    head = f"{video.path}{length}: {windows}{done}"
    people = (f"  {_person_line(person)}" for person in video.people)
    brief = [f"  {unfollowed_text(video.num_unfollowed)}"] if video.num_unfollowed else []
    return [head, *people, *brief, *(f"  {text}" for text in video.skipped), f"  wrote {video.out}"]


def _person_line(person: PersonShare) -> str:
    """Return a line with the most frequent answers of a person."""
    ranked = sorted(person.shares.items(), key=lambda pair: -pair[1])[:_SHOWN_CLASSES]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in ranked if share)
    shares = f"{shares} of the time with an answer" if shares else "no answer"
    return f"{person.name}: {shares} ({person.num_answers} of {counted(person.num_windows, 'window')})"


@lines.register
def _(scores: LabelScores) -> list[str]:
    labels, metrics, unanswered = scores.labels, scores.metrics, scores.unanswered
    num_videos = len({row.video for row in labels.rows})
    head = (
        f"{printable(str(labels.file))}: {counted(len(labels.rows), 'label')} of "
        f"{counted(num_videos, 'video')}, "
    )
    found = [f"{head}none to compare"]
    if metrics is not None:
        occur = sum(recall is not None for recall in metrics.recalls)
        clips = (
            f"{counted(metrics.num_clips, 'clip')} compared, of {occur} of {len(metrics.class_names)} classes"
        )
        found = [f"{head}{clips}; {metrics.interval_basis}", *metrics_lines(metrics)]
    found += [f"  left out, no answer: {number} ({printable(why)})" for why, number in unanswered.items()]
    if others := labels.other_classes:
        names = some([f"{printable(name)} ({number})" for name, number in others.items()], _SHOWN_NAMES)
        found.append(f"  left out, no class of the run: {sum(others.values())}: {names}")
    if labels.num_elsewhere:
        found.append(f"  left out, videos that are not predicted: {labels.num_elsewhere}")
    if several := scores.num_several_people:
        spans = counted(several, "label is of a span", "labels are of spans")
        found.append(
            f"  {spans} with several people, and without a person: the one with the longest time with an "
            "answer was compared"
        )
    return [*found, *(f"  note: {printable(note)}" for note in labels.notes)]


def clock(seconds: float) -> str:
    """Return a time in whole seconds: "12:40", or "1:02:03" from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@lines.register
def _(plan: PredictionPlan) -> list[str]:
    found = [line for video in plan.videos for line in _plan_lines(video)]
    found += beside_lines(plan.face_run)
    if plan.names is not None:
        names = [f"{printable(key)} = {printable(name)}" for key, name in plan.names.items()]
        shown = some(names, _SHOWN_NAMES) or "none"
        found.append(f"  names of the people file: {shown}; the video may not have all of these people")
    times = plan.times
    if times is None or plan.seconds_one_person is None or plan.seconds_each_further_person is None:
        return found
    found.append(
        f"about {clock(plan.seconds_one_person)} on {times.device} in {times.precision} for one person, and "
        f"{clock(plan.seconds_each_further_person)} more for each further person who is always in view, with "
        f"one worker (timed: faces in {counted(times.num_frames, 'frame')}, {times.num_images} images)"
    )
    if times.stand_ins:
        found.append(f"  timed with random weights instead of those of {', '.join(times.stand_ins)}")
    return found


def beside_lines(face_run: str | None) -> list[str]:
    """Return the line of a plan on a face-only run; none without one."""
    return [] if face_run is None else [f"  beside: the answers of the face-only run '{printable(face_run)}'"]


def _plan_lines(video: VideoPlan) -> list[str]:
    if video.failure or video.settings is None:
        return [f"{video.name}: no prediction: {video.failure}"]
    length = "" if video.duration_seconds is None else f", {clock(video.duration_seconds)}"
    settings = video.settings
    window = (
        f"{settings.window_frames} frames, one every {settings.stride_frames}"
        if settings.window_seconds is None
        else f"{settings.window_seconds:.2f} s, one every {settings.stride_seconds:.2f} s"
    )
    explaining = (
        f", and up to {video.num_images_explaining:,} to explain windows (--explain)"
        if video.num_images_explaining
        else ""
    )
    return [
        f"{video.name}{length}: {counted(video.num_shots, 'shot')}, {counted(video.num_windows, 'window')} "
        f"of {window}",
        f"  {video.num_frames:,} frames are read, and about {video.num_images:,} images encoded for each "
        f"person who is always in view{explaining}",
        *(f"  note: {note}" for note in video.notes),
    ]

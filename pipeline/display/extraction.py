"""Output of a run of `extract`: plan, estimate, progress and result."""

import dataclasses
from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted, some
from pipeline.footage import beyond, leak_warnings
from pipeline.program import command
from pipeline.runner import Estimate, Outline, Plan, RunReport, Speed
from pipeline.runner.estimate import FEWEST_CLIPS

_LISTED = 10
"""Most failed clips of a report on a terminal."""
_LONG_MINUTES = 5
"""A shorter time is shown in seconds."""


@to_json_values.register
def _(outline: Outline) -> dict[str, Any]:
    workload, sizes = outline.workload, outline.bytes_by_array
    return {
        "num_clips": outline.num_clips,
        "num_pending": workload.num_clips,
        "num_missing": len(workload.missing),
        "num_blocks": outline.num_blocks,
        "num_blocks_pending": len(workload.blocks),
        "block_clips": outline.opening.meta.block_clips,
        "bytes_by_array": sizes,
        "num_bytes": sum(sizes.values()),
    }


@lines.register
def _(outline: Outline) -> list[str]:
    workload, sizes = outline.workload, outline.bytes_by_array
    shown = [
        f"{workload.num_clips} of {counted(outline.num_clips, 'clip')} to do, in {len(workload.blocks)} of "
        f"{counted(outline.num_blocks, 'block')} of {outline.opening.meta.block_clips}"
    ]
    if workload.missing:
        ids = workload.missing_ids(outline.opening.clips)
        shown.append(
            f"  {len(ids)} of them have no file ({some(ids)}): extract records them as failed, and they "
            "are not part of the estimate"
        )
    sizes = {**sizes, "in all": sum(sizes.values())}
    return [*shown, *(f"  {size / 1e6:10.2f} MB  {name}" for name, size in sizes.items())]


@lines.register
def _(estimate: Estimate) -> list[str]:
    shown = [
        f"!! RANDOM WEIGHTS in the timing: those of {model} are not on this machine; extract needs them"
        for model in estimate.stand_ins
    ]
    if estimate.num_failed:
        shown.append(f"!! {estimate.num_failed} of {counted(estimate.num_timed, 'timed clip')} failed")
    if 0 < estimate.num_timed < FEWEST_CLIPS:
        clips = counted(estimate.num_timed, "clip")
        shown.append(f"!! {clips} to time, fewer than {FEWEST_CLIPS}: a rough estimate")
    return [*shown, f"{_time(estimate)}; nothing was written"]


def _time(estimate: Estimate) -> str:
    if not estimate.num_pending:
        return "nothing to do"
    if estimate.seconds is None:
        reason = "every clip that was timed failed" if estimate.num_timed else "no pending clip has a file"
        return f"NO ESTIMATE OF THE TIME: {reason}"
    timed = f"{counted(estimate.num_timed, 'clip')} timed {estimate.where}"
    return (
        f"about {_duration(estimate.seconds)}, {_duration(estimate.load_seconds)} of it to load the models; "
        f"from {timed}, encoder in {estimate.precision} on {estimate.device}"
    )


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes >= _LONG_MINUTES else f"{seconds:.0f} s"


@to_json_values.register
def _(plan: Plan) -> dict[str, Any]:
    return {**to_json_values(plan.outline), **field_values(plan.estimate)}


@lines.register
def _(plan: Plan) -> list[str]:
    return [*lines(plan.outline), *lines(plan.estimate)]


@to_json_values.register
def _(speed: Speed) -> dict[str, Any]:
    rates = ("clips_per_second", "pictures_per_second")
    return field_values(speed, "clips", "pictures", "seconds", *rates, "busy", "bottleneck")


@to_json_values.register
def _(report: RunReport) -> dict[str, Any]:
    counts = (
        "processed",
        "num_missing",
        "num_damaged",
        "num_reused",
        "precision",
        "counts",
        "face_found_share",
    )
    return {
        **field_values(report, "cache", *counts),
        "people": None if report.people is None else dataclasses.asdict(report.people),
        "failures": [dict(zip(("clip_id", "stage", "reason"), row, strict=True)) for row in report.failures],
        "warnings": list(report.warnings),
        "notes": [*report.notes, *leak_warnings(report.leaks)],
        **field_values(report, "speed"),
    }


@lines.register
def _(report: RunReport) -> list[str]:
    """The counts and the first failures."""
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.counts.items())
    shown = [
        *(f"!! {warning}" for warning in report.warnings),
        *(f"note: {note}" for note in report.notes),
        *(f"!! {warning}" for warning in leak_warnings(beyond(report.leaks, report.known_leaks))),
        *(["nothing to do: no clip is pending"] if report.speed is None else _of_run(report, report.speed)),
        f"{report.cache}: {counts}; face found on {report.face_found_share:.1%} of frames",
        *([f"  clips with {report.people}"] if report.people else []),
        *(f"  failed  {clip}  {stage}: {reason}" for clip, stage, reason in report.failures[:_LISTED]),
    ]
    if report.num_failed:
        shown.append("  --retry-failed processes failed clips again")
    if report.num_failed > _LISTED:
        shown.append(f"  and {report.num_failed - _LISTED} more; `{_listing(report)}` lists all")
    return shown


def _of_run(report: RunReport, speed: Speed) -> list[str]:
    """Return lines on the run's speed and precision, and on clips with damage or without a file."""
    used = ", ".join(f"{model} in {precision}" for model, precision in report.precision.items())
    shown = [f"{counted(report.processed, 'clip')} in {speed.seconds:.0f} s: {speed}; {used}"]
    if report.num_reused is not None:
        encoded = report.processed - report.num_reused
        shown.append(
            f"features of {counted(report.num_reused, 'clip')} with the same images come from the earlier "
            f"cache, {counted(encoded, 'clip')} encoded or failed"
        )
    if report.num_missing:
        shown.append(f"{counted(report.num_missing, 'more clip')} without a file, recorded as failed")
    damaged = counted(report.num_damaged, "clip")
    more = f"; `{_listing(report)}` lists them" if report.num_damaged else ""
    shown.append(f"{damaged} with damage (data that did not decode, or end early){more}")
    return shown


def _listing(report: RunReport) -> str:
    return command("cache", "info", report.cache, "--all-clips")

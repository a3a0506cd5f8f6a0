"""Terminal and JSON form of predictions of lists of clips."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted, printable
from trainer.display.prediction import beside_lines
from trainer.prediction.clip_results import ClipPlan, ClipReport
from trainer.prediction.documents import LIST_FORMAT, VERSION

_SHOWN_REASONS = 5


@to_json_values.register
def _(report: ClipReport) -> dict[str, Any]:
    return {
        "format": LIST_FORMAT,
        "version": VERSION,
        **field_values(report, "notice", "banners", "run", "face_run", "class_names"),
        "list": str(report.file),
        **field_values(
            report, "out", "settings", "num_rows", "num_clips", "num_done", "num_answers", "num_failed",
            "answers", "reasons", "is_interrupted", "notes",
        ),
        **({} if report.labels is None else field_values(report, "labels")),
    }  # fmt: skip


@lines.register
def _(report: ClipReport) -> list[str]:
    rows = counted(report.num_rows, "row")
    clips = "" if report.num_clips == report.num_rows else f" of {counted(report.num_clips, 'clip')}"
    done = "" if not report.is_interrupted else f", only the first {report.num_done} done"
    found = [f"!! {banner}" for banner in report.banners]
    failed = f", {report.num_failed} failed" if report.num_failed else ""
    found.append(
        f"{printable(str(report.file))}: {rows}{clips}{done}, {report.num_answers} with an answer{failed}"
    )
    ranked = sorted(report.answers.items(), key=lambda pair: -pair[1])
    if report.num_answers:
        shares = ", ".join(f"{name} {number / report.num_answers:.0%}" for name, number in ranked if number)
        found.append(f"  {shares} of the rows with an answer")
    shown = list(report.reasons.items())[:_SHOWN_REASONS]
    found += [f"  no answer: {number} ({printable(reason)})" for reason, number in shown]
    more = report.num_done - report.num_answers - sum(number for _, number in shown)
    if more:
        found.append(f"  no answer: {more} for other reasons, which the files have")
    if report.num_failed and not report.is_interrupted:
        found.append("  failed rows are kept; --restart computes all clips again")
    if report.labels is not None:
        found += lines(report.labels)
    return [*found, f"  wrote {printable(str(report.out))}", report.notice]


@lines.register
def _(plan: ClipPlan) -> list[str]:
    missing = f", {plan.num_missing} without a file" if plan.num_missing else ""
    labels = f", {plan.num_labels} with a label" if plan.num_labels else ""
    return [
        f"{printable(str(plan.file))}: {counted(plan.num_rows, 'row')}, "
        f"{counted(plan.num_clips, 'clip')}{missing}{labels}",
        f"  at most {plan.num_images:,} images are encoded, faces and scenes",
        *beside_lines(plan.face_run),
        *(f"  note: {printable(note)}" for note in plan.notes),
    ]

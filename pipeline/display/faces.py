"""Output for faces in single files, and for a contact sheet of a dataset."""

import dataclasses
from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from pipeline.preview_faces import Looks
from pipeline.samples import SampleReport
from pipeline.sheet import cuts_in_words


@to_json_values.register
def _(looks: Looks) -> dict[str, Any]:
    return {**field_values(looks, "detector", "precision"), "files": to_json_values(looks.documents)}


@lines.register
def _(looks: Looks) -> list[str]:
    """A line per face, and the detector with its precision."""
    found = [line for document in looks.documents for line in _of_file(document)]
    hint = "; --precision fp32 finds the boxes of the published network" * (looks.precision == "bf16")
    return [*found, f"found by {looks.detector}, {looks.precision}{hint}"]


def _of_file(document: dict[str, Any]) -> list[str]:
    if document["error"]:
        return [f"{document['path']}: {document['error']}"]
    shown = []
    for frame in document["frames"]:
        where = "image"
        if "index" in frame:
            where = f"frame {frame['index']}"
            where += "" if frame["seconds"] is None else f" ({frame['seconds']:.2f} s)"
        shown.append(f"{document['path']}, {where}: {len(frame['faces'])} faces")
        for face in frame["faces"]:
            box = "  ".join(f"{value:.1f}" for value in face["box_xyxy_px"])
            shown.append(f"  {face['score']:.4f}  {box}")
    if "subject_found" in document:
        shown.append(
            f"{document['path']}: subject on {document['subject_found']} of {len(document['frames'])} frames"
            + _people(document)
        )
    if "drawn" in document:
        shown.append(f"wrote {document['drawn']}")
    return shown


def _people(document: dict[str, Any]) -> str:
    """Return people, cuts and doubt of a clip; empty where the subject alone is followed."""
    if "people" not in document:
        return ""
    doubt = ", DOUBTFUL: it may be another person" if document["is_doubtful"] else ""
    return (
        f"; {counted(len(document['people']), 'person', 'people')}; {cuts_in_words(document['cuts'])}{doubt}"
    )


@to_json_values.register
def _(report: SampleReport) -> dict[str, Any]:
    width, height = report.size
    return {
        "path": str(report.path),
        "width": width,
        "height": height,
        "clips": list(report.shown),
        "failures": [{"clip_id": clip_id, "reason": reason} for clip_id, reason in report.failures],
        "without_face": list(report.without_face),
        "people": None if report.people is None else dataclasses.asdict(report.people),
    }


@lines.register
def _(report: SampleReport) -> list[str]:
    """Clips that failed, clips without a face, and the sheet."""
    width, height = report.size
    return [
        *(f"{clip_id}: {reason}" for clip_id, reason in report.failures),
        *(f"{clip_id}: no face found" for clip_id in report.without_face),
        *([f"clips with {report.people}"] if report.people else []),
        f"wrote {report.path}: {counted(len(report.shown), 'clip')}, {width}x{height} pixels",
    ]

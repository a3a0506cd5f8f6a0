"""Output for faces in single files, and for a contact sheet of a dataset."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from pipeline.preview_faces import Looks
from pipeline.samples import SampleReport


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
        )
    if "drawn" in document:
        shown.append(f"wrote {document['drawn']}")
    return shown


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
    }


@lines.register
def _(report: SampleReport) -> list[str]:
    """Clips that failed, clips without a face, and the sheet."""
    width, height = report.size
    return [
        *(f"{clip_id}: {reason}" for clip_id, reason in report.failures),
        *(f"{clip_id}: no face found" for clip_id in report.without_face),
        f"wrote {report.path}: {counted(len(report.shown), 'clip')}, {width}x{height} pixels",
    ]

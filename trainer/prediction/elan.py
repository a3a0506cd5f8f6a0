"""A prediction -> timeline.eaf, an annotation document of ELAN (EAF 3.0).

Each timeline is a tier of runs of equal answers; its child tier has the mean probability of each run. Times
without an answer have no annotation. https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from pipeline.errors import ConfigError, printable
from trainer.prediction.label_runs import LabelRun, Timeline, timelines
from trainer.prediction.results import NOTICE, Prediction
from trainer.prediction.spans import axis_of

ANSWER_TYPE, PROBABILITY_TYPE = "answer", "probability"

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_DATE = "1970-01-01T00:00:00Z"
"""The format demands a date. A constant one makes equal predictions equal files."""
_AUTHOR = "ous predict"
_MIME_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mpg": "video/mpeg"}
_CONSTRAINTS = {
    "Time_Subdivision": "Parts of the parent annotation's time, without gaps",
    "Symbolic_Subdivision": "Ordered parts of the parent annotation, without times",
    "Symbolic_Association": "One annotation for each parent annotation",
    "Included_In": "Annotations within the parent annotation's time, gaps allowed",
}
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_Annotated = tuple[int, int, LabelRun]
"""Start and end in milliseconds, and the run."""


def as_eaf(prediction: Prediction, media: str | None) -> str:
    """Return the text of an EAF file.

    Args:
        prediction: The prediction.
        media: Path of the video relative to the file's directory, with slashes; None links no video.

    Raises:
        ConfigError: The video has no times.
    """
    axis = axis_of(prediction)
    if not axis.has_times:
        msg = f"'{printable(prediction.source.name)}' has no times, which ELAN needs; give --rate."
        raise ConfigError(msg)
    shown = [(line, _annotated(line)) for line in timelines(prediction, axis)]
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": _AUTHOR,
            "DATE": _DATE,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _INSTANCE,
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    num_annotations = 2 * sum(len(runs) for _, runs in shown)
    _add_header(root, prediction, media, num_annotations)
    slots = _add_time_order(root, (time for _, runs in shown for run in runs for time in run[:2]))
    _add_tiers(root, shown, slots)
    _add_types(root)
    ET.indent(root, "    ")
    return f"{_DECLARATION}{ET.tostring(root, encoding='unicode')}\n"


def _annotated(line: Timeline) -> list[_Annotated]:
    """Return the runs with an answer that last a millisecond or more."""
    found = [(round(1000 * run.start), round(1000 * run.end), run) for run in line.runs]
    return [(start, end, run) for start, end, run in found if run.answer is not None and start < end]


def _add_header(root: ET.Element, prediction: Prediction, media: str | None, last_id: int) -> None:
    header = ET.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if media is not None:
        link = media if media.startswith("../") else f"./{media}"
        mime_type = _MIME_TYPES.get(PurePosixPath(media).suffix.lower(), "video/*")
        names = ("MEDIA_URL", "RELATIVE_MEDIA_URL")
        ET.SubElement(
            header,
            "MEDIA_DESCRIPTOR",
            {"MIME_TYPE": mime_type, **dict.fromkeys(names, printable(link))},
        )
    properties = [("lastUsedAnnotationId", str(last_id)), ("notice", NOTICE)]
    properties += [(f"banner {number}", text) for number, text in enumerate(prediction.banners, 1)]
    properties += [("run", prediction.run), ("video", prediction.source.name)]
    for name, text in properties:
        ET.SubElement(header, "PROPERTY", {"NAME": name}).text = printable(text)


def _add_time_order(root: ET.Element, times: Iterable[int]) -> dict[int, str]:
    """Add the times, and return the id of each."""
    order = ET.SubElement(root, "TIME_ORDER")
    slots = {time: f"ts{number}" for number, time in enumerate(sorted(set(times)), 1)}
    for time, name in slots.items():
        ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": name, "TIME_VALUE": str(time)})
    return slots


def _add_tiers(
    root: ET.Element, shown: Sequence[tuple[Timeline, Sequence[_Annotated]]], slots: dict[int, str]
) -> None:
    used: set[str] = set()
    number = 0
    for line, runs in shown:
        name = printable(line.name)
        tier_id, child_id = _unused(name, used), _unused(f"{name} probability", used)
        fixed = {"PARTICIPANT": name, "ANNOTATOR": _AUTHOR}
        tier = ET.SubElement(root, "TIER", {"TIER_ID": tier_id, "LINGUISTIC_TYPE_REF": ANSWER_TYPE, **fixed})
        child = ET.SubElement(
            root,
            "TIER",
            {
                "TIER_ID": child_id,
                "PARENT_REF": tier_id,
                "LINGUISTIC_TYPE_REF": PROBABILITY_TYPE,
                **fixed,
            },
        )
        for start, end, run in runs:
            number += 2
            parent, own = f"a{number - 1}", f"a{number}"
            times = {"TIME_SLOT_REF1": slots[start], "TIME_SLOT_REF2": slots[end]}
            _annotate(tier, "ALIGNABLE_ANNOTATION", parent, times, printable(run.answer or ""))
            _annotate(child, "REF_ANNOTATION", own, {"ANNOTATION_REF": parent}, f"{run.probability or 0:.2f}")


def _annotate(tier: ET.Element, kind: str, name: str, refers: dict[str, str], value: str) -> None:
    annotation = ET.SubElement(ET.SubElement(tier, "ANNOTATION"), kind, {"ANNOTATION_ID": name, **refers})
    ET.SubElement(annotation, "ANNOTATION_VALUE").text = value


def _add_types(root: ET.Element) -> None:
    fixed = {"GRAPHIC_REFERENCES": "false"}
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        {"LINGUISTIC_TYPE_ID": ANSWER_TYPE, "TIME_ALIGNABLE": "true", **fixed},
    )
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        {
            "LINGUISTIC_TYPE_ID": PROBABILITY_TYPE,
            "TIME_ALIGNABLE": "false",
            "CONSTRAINTS": "Symbolic_Association",
            **fixed,
        },
    )
    for name, text in _CONSTRAINTS.items():
        ET.SubElement(root, "CONSTRAINT", {"STEREOTYPE": name, "DESCRIPTION": text})


def _unused(name: str, used: set[str]) -> str:
    """Return a name that no tier has, and add it to those used."""
    found, number = name, 1
    while found in used:
        number += 1
        found = f"{name} ({number})"
    used.add(found)
    return found

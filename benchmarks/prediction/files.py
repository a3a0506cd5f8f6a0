"""Agreement of the files of one prediction with each other and with their video."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import av

_MILLISECONDS = 1000


def check_files(video: Path, out: Path) -> dict[str, Any]:
    """Read the files of `predict --formats all` again.

    Args:
        video: The video, with answers and times.
        out: The directory of its prediction.

    Returns:
        For each comparison the number of items, and of those that disagree.
    """
    windows = [json.loads(line) for line in (out / "windows.jsonl").read_text().splitlines()]
    faces = [json.loads(line) for line in (out / "faces.jsonl").read_text().splitlines()]
    columns = ("track", "start_seconds", "end_seconds", "answer", "reason")
    intervals = _eaf_intervals(out / "timeline.eaf")
    cues = _cues(out / "subtitles.vtt")
    answered = {(start, end, name, text) for start, end, name, text in intervals if text}
    people = _rows(out / "people.csv")
    tracks = {name for row in people for name in row["tracks"].split()}
    comparisons = {
        "windows.csv and windows.jsonl": _different(
            [tuple(_text(row[name]) for name in columns) for row in windows],
            [tuple(_text(row[name]) for name in columns) for row in _rows(out / "windows.csv")],
        ),
        "probabilities in windows.csv and windows.jsonl": _different(
            [_text(p) for row in windows for p in (row["probability"] or {}).values()],
            [
                row[f"p_{name}"]
                for row, source in zip(_rows(out / "windows.csv"), windows, strict=True)
                for name in (source["probability"] or {})
            ],
        ),
        "frames.csv and faces.jsonl": _different(
            [(_text(row["frame"]), _text(row["seconds"]), row["track"]) for row in faces],
            [(row["frame"], row["seconds"], row["track"]) for row in _rows(out / "frames.csv")],
        ),
        "tracks of people.csv and windows.jsonl": _different(
            sorted(tracks), sorted({row["track"] for row in windows if row["track"]})
        ),
        "cues of subtitles.vtt and intervals of timeline.eaf": [
            len(cues),
            sum(not any(_fits(cue, interval) for interval in answered) for cue in cues)
            + max(0, len(answered) - len(cues)),
        ],
    }
    return {
        "comparisons": comparisons,
        "video": _picture_counts(video),
        "annotated": _picture_counts(out / "annotated.mp4"),
        "eaf_by_pympi": _pympi_intervals(out / "timeline.eaf"),
        "eaf_by_xml": len(intervals),
        "vtt_by_webvtt": _webvtt_cues(out / "subtitles.vtt"),
    }


def _fits(cue: tuple[int, int, str, str], interval: tuple[int, int, str, str]) -> bool:
    """Return whether a cue shows an interval; a short one is lengthened to 1 s."""
    start, end, *texts = cue
    return (
        texts == list(interval[2:])
        and start <= interval[0]
        and end >= interval[1]
        and ((start, end) == interval[:2] or end - start == _MILLISECONDS)
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _different(one: list[Any], other: list[Any]) -> list[int]:
    differ = sum(a != b for a, b in zip(one, other, strict=False)) + abs(len(one) - len(other))
    return [len(one), differ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _eaf_intervals(path: Path) -> list[tuple[int, int, str, str]]:
    """Return start and end in milliseconds, tier and text of the annotations of people."""
    root = ET.parse(path).getroot()
    times = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", "-1")) for slot in root.iter("TIME_SLOT")}
    return [
        (
            times[one.get("TIME_SLOT_REF1")],
            times[one.get("TIME_SLOT_REF2")],
            tier.get("TIER_ID", ""),
            one.findtext("ANNOTATION_VALUE") or "",
        )
        for tier in root.iter("TIER")
        for one in tier.iter("ALIGNABLE_ANNOTATION")
    ]


def _cues(path: Path) -> list[tuple[int, int, str, str]]:
    """Return start and end in milliseconds, person and class of the cues of a WebVTT file."""
    lines, cues = path.read_text(encoding="utf-8").splitlines(), []
    for number, line in enumerate(lines):
        if " --> " in line:
            start, end = (_from_clock(text) for text in line.split(" --> "))
            name, _, text = lines[number + 1].rpartition(": ")
            cues.append((start, end, name, text.rpartition(" ")[0]))
    return cues


def _from_clock(text: str) -> int:
    hours, minutes, seconds = text.split(":")
    return round(_MILLISECONDS * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))


def _picture_counts(path: Path) -> dict[str, float]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = sum(1 for _ in file.decode(stream))
        duration = float((stream.duration or 0) * (stream.time_base or 0))
        return {"frames": frames, "seconds": duration, "rate": float(stream.average_rate or 0)}


def _pympi_intervals(path: Path) -> int | None:
    """Return the number of annotations of people that pympi reads; None if it is not there."""
    try:
        from pympi import Elan
    except ImportError:
        return None
    eaf = Elan.Eaf(str(path))
    return sum(
        len(eaf.get_annotation_data_for_tier(name)) for name in eaf.get_tier_names() if " " not in name
    )


def _webvtt_cues(path: Path) -> int | None:
    """Return the number of cues that webvtt-py reads; None if it is not there."""
    try:
        import webvtt
    except ImportError:
        return None
    return len(webvtt.read(str(path)))

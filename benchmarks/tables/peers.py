"""Table of other programs in docs/performance.md."""

from typing import Any

from benchmarks.tables.cells import about
from pipeline.errors import counted

_KINDS = {
    "images": "images/s",
    "images_without_start": "without the start",
    "clips": "clips/s",
    "clips_without_start": "without the start",
    "images_of_processor": "images per second of processor time",
}
_FRAMES = {"frames": "frames/s", "frames_of_processor": "frames per second of processor time"}


def peers_table(recorded: dict[str, Any]) -> str:
    """Return speeds of all programs and detectors, and the ratios of this program to each other one."""
    text = [about(recorded, counted(recorded["rounds"], "round"))]
    if "encoding" in recorded:
        text += ["", *_encoding(recorded["encoding"], recorded["options"])]
    if "detection" in recorded:
        text += ["", *_detection(recorded["detection"])]
    if recorded["video_features"] == "not given":
        text += ["", "video_features was not measured."]
    return "\n".join(text)


def _encoding(found: dict[str, Any], options: dict[str, Any]) -> list[str]:
    clips = found["clips"]
    frames, sizes = clips["frames"], ", ".join(clips["sizes"])
    count = f"{frames['lowest']:.0f} to {frames['highest']:.0f}"
    if frames["lowest"] == frames["highest"]:
        count = f"{frames['lowest']:.0f}"
    rows = [
        f"{clips['number']} {clips['are']} clips of {count} frames, {sizes}; {options['encoder']}.",
        "",
        f"| program | encodes | {' | '.join(_KINDS.values())} |",
        f"|---|---|{'---|' * len(_KINDS)}",
    ]
    for name, rates in found["per_second"].items():
        rows.append(f"| {name} | {found['programs'][name]} | {' | '.join(_cells(rates, _KINDS))} |")
    rows += ["", f"| ratio | {' | '.join(_KINDS.values())} |", f"|---|{'---|' * len(_KINDS)}"]
    return rows + _ratios(found, _KINDS)


def _detection(found: dict[str, Any]) -> list[str]:
    sizes = ", ".join(found["sizes"])
    rows = [
        f"Detectors on {found['num_frames']} frames of {sizes}, without the start; RetinaFace has "
        f"{found['weights']} weights.",
        "",
        f"| detector | frames with a face | {' | '.join(_FRAMES.values())} | times MTCNN | processor time |",
        "|---|---|---|---|---|---|",
    ]
    for name, rates in found["per_second"].items():
        ratios = found["times_faster"].get(name, {}).get("MTCNN", {})
        cells = (
            f"{found['frames_with_a_face'][name]:.0%}",
            *_cells(rates, _FRAMES),
            *_cells(ratios, _FRAMES),
        )
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _ratios(found: dict[str, Any], kinds: Any) -> list[str]:
    return [
        f"| {ours} / {other} | {' | '.join(_cells(ratios, kinds))} |"
        for ours, others in found["times_faster"].items()
        for other, ratios in others.items()
    ]


def _cells(found: dict[str, Any], kinds: Any) -> list[str]:
    """Return median and range of each kind; an empty cell for one that was not measured."""
    return [
        f"{found[kind]['median']:.2f} ({found[kind]['lowest']:.2f} to {found[kind]['highest']:.2f})"
        if kind in found
        else ""
        for kind in kinds
    ]

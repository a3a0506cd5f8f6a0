"""Table of prediction, of docs/performance.md."""

from collections.abc import Callable
from typing import Any

from benchmarks.tables.cells import cores_of
from pipeline.errors import counted


def predict_table(recorded: dict[str, Any]) -> str:
    """Return the table of the measurements of `predict`; a part that is not measured has no row."""
    rows = ["| what | measured | commit, date |", "|---|---|---|"]
    for part, describe in _PREDICT_ROWS.items():
        if part in recorded:
            origin = f"{recorded[part]['commit']}, {recorded[part]['date'][:10]}"
            for what, measured in describe(recorded[part]["result"]):
                rows.append(f"| {what} | {measured} | {origin} |")
    origins = dict.fromkeys(
        f"{cores_of(one['machine'])}; torch {one['versions']['torch']}, Python {one['versions']['python']}"
        for one in recorded.values()
    )
    return "\n".join([f"{' or '.join(origins)}.", "", *rows])


def _parity_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {"main": "`--people main`", "all": "everyone, where `extract` counts as many people"}
    return [
        (
            f"windows whose features differ from those of `extract` for the same times, {shown[name]}",
            f"{sums['differ']} of {sums['compared']}",
        )
        for name, sums in result["sums"].items()
    ]


def _speed_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    by_processor = result["of_encoder_and_detector_alone_processor"]
    rounds = counted(len(result["ratio_of_rounds"]), "round")
    parts = f"{result['encoder']}, {result['precision']}, {result['detector']}, {rounds}"
    return [
        (
            f"encoder and detector alone / `predict` ({parts}; by processor time, by the clock)",
            f"{by_processor:.2f}, {result['of_encoder_and_detector_alone']:.2f}",
        )
    ]


def _memory_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    video = f"{result['video_minutes']:.0f} min of 1080p with {counted(result['people'], 'person', 'people')}"
    most = max(result["peak_above_models_mb"].values())
    slope = result["slope_mb_per_minute_of_video"]
    return [
        (f"{video}: most memory of all processes above the models", f"{most:,.0f} MB"),
        (f"{video}: growth over the last 80% of the windows", f"{slope:+.2f} MB per minute of video"),
    ]


_PREDICT_ROWS: dict[str, Callable[[dict[str, Any]], list[tuple[str, str]]]] = {
    "parity": _parity_rows,
    "sharing": lambda result: [
        ("images encoded / (windows x 32), windows of 2 s every 0.5 s", f"{result['ratio']:.2f}")
    ],
    "speed": _speed_rows,
    "speed-large": _speed_rows,
    "memory": _memory_rows,
    "kills": lambda result: [
        ("predictions after a SIGKILL with equal bytes", f"{result['equal']} of {result['kills']}")
    ],
    "clips": lambda result: [
        (
            "clips of the demo with the answer of `evaluate`, predicted as one window each",
            f"{result['same_class']} of {result['clips']}",
        )
    ],
    "film": lambda result: [
        (
            "drawn film whose scene changes the true class every 10 s: time with the right answer; of the "
            "face-only run",
            f"{result['full']['share_of_time_right']:.1%}; {result['face-only']['share_of_time_right']:.1%}",
        )
    ],
}

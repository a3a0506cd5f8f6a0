"""Predictions that are killed at random times and resumed, compared byte by byte with an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.bench.result import ROOT

_NOT_COMPARED = frozenset(["progress.npz"])
"""Its arrays are compared by what follows from them; the zip archive has times."""
_LINES = "windows.jsonl"
_PATIENCE_SECONDS = 900.0
_CHILD_SECONDS = 10.0


def measure_kills(
    video: Path,
    run: Path,
    folder: Path,
    *,
    kills: int = 10,
    seed: int = 0,
    formats: str = "all",
    on_row: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Kill `predict` with SIGKILL at random times, once in each of several directories, and resume it.

    Args:
        video: The video.
        run: The run.
        folder: Directory for the predictions.
        kills: Number of kills.
        seed: Seed of the times.
        formats: Formats to write.
        on_row: Called with each row.

    Returns:
        A row per kill, with the files that differ from those of an undisturbed prediction.
    """
    plain = folder / "undisturbed" / "out"
    began = time.monotonic()
    finish(start_predict(video, run, plain, formats))
    seconds = time.monotonic() - began
    expected = _content(plain)
    draw, rows = random.Random(seed), []
    while len(rows) < kills:
        out = folder / f"kill-{len(rows)}" / "out"
        after = draw.uniform(0.1, 1.0) * seconds
        process = start_predict(video, run, out, formats)
        try:
            process.wait(after)
            seconds *= 0.95  # it ended before the kill; the machine is faster now
            _remove(out)
            continue
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        left = _left_after(process.pid, _CHILD_SECONDS)
        lines = (out / _LINES).read_bytes().count(b"\n") if (out / _LINES).is_file() else 0
        finish(start_predict(video, run, out, formats))
        found = _content(out)
        row = {
            "killed_after_seconds": round(after, 2),
            "lines_then": lines,
            "processes_left": left,
            "differ": sorted(
                name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
            ),
        }
        rows.append(row)
        on_row(row)
    return {
        "kills": len(rows),
        "equal": sum(not row["differ"] for row in rows),
        "undisturbed_seconds": round(seconds, 1),
        "lines": expected[_LINES].count(b"\n"),
        "files": sorted(expected),
        "rows": rows,
    }


def start_predict(video: Path, run: Path, out: Path, formats: str) -> "subprocess.Popen[bytes]":
    """Start `predict` as the leader of a process group."""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "cli.py"), "predict", str(video), "--run", str(run)]
    command += [
        "--out",
        str(out),
        "--formats",
        formats,
        "--device",
        "cpu",
        "--window",
        "2",
        "--stride",
        "0.5",
    ]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a prediction. Raises AssertionError if it fails."""
    code = process.wait(_PATIENCE_SECONDS)
    assert code == 0, f"predict ended with {code}"


def _content(out: Path) -> dict[str, bytes]:
    paths = (path for path in out.rglob("*") if path.is_file() and path.name not in _NOT_COMPARED)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def _left_after(group: int, seconds: float) -> int:
    """Return how many processes of a group are still there after a time, or 0 as soon as none is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not _processes_of(group):
            return 0
        time.sleep(0.2)
    return len(_processes_of(group))


def _processes_of(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    found.append(int(entry.name))
            except ProcessLookupError:
                continue
    return found


def _remove(out: Path) -> None:
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

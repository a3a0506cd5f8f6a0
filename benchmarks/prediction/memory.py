"""Memory of all processes during the prediction of a long video with three people."""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prediction.settings import CPU, decoders
from benchmarks.prediction.videos import loop, side_by_side
from pipeline.own_dir import OwnDir
from trainer.prediction.extraction import load_run_models
from trainer.prediction.outputs import OutputOptions, write_outputs
from trainer.prediction.predict import Predictor
from trainer.prediction.source import PredictOptions, plan_source
from trainer.runs import load_run

_SIZE = (1920, 1080)
_SHORT_FRAMES = 250
_LAST = 0.8
"""Share of the time, at its end, over which the slope is measured."""


def measure_memory(
    people: Sequence[Path],
    run_path: Path,
    folder: Path,
    *,
    minutes: float,
    stride_seconds: float,
    every_seconds: float = 2.0,
) -> dict[str, Any]:
    """Predict a looped 1080p video, and measure the memory of this process and its children.

    Args:
        people: Videos of one person each, which are shown side by side.
        run_path: The run.
        folder: Directory for the video and the prediction.
        minutes: Length of the video.
        stride_seconds: From the start of a window to that of the next one.
        every_seconds: Time between two measurements.

    Returns:
        Memory in MB above that of the loaded models and the started decoders, and its slope over the last
        80 % of the windows, in MB per minute of video and per minute of time.
    """
    short, video = folder / "short.mp4", folder / "long.mp4"
    side_by_side([people], short, _SIZE, num_frames=_SHORT_FRAMES)
    loop(short, video, 60 * minutes)
    run = load_run(run_path, device="cpu")
    models = load_run_models(run, CPU)
    options = PredictOptions(window_seconds=2.0, stride_seconds=stride_seconds)
    out = folder / "long"
    out.mkdir()
    with decoders() as decoder, _Memory(every_seconds) as memory:
        base = memory.now()
        began = time.monotonic()
        planned = plan_source(video, models.models.config, run.info, options, decoder)
        memory.phase, scanned = "windows", time.monotonic()
        position = 0.0

        def on_progress(progress: Any) -> None:
            nonlocal position
            position = progress.seconds
            memory.position = position

        predictor = Predictor(run, models, options, decoder)
        prediction = predictor.predict(planned, OwnDir.of(out), on_progress=on_progress)
        memory.phase, predicted = "outputs", time.monotonic()
        write_outputs(prediction, planned, OwnDir.of(out), OutputOptions(), decoder)
        written = time.monotonic()
    rows = np.array([row for phase, *row in memory.rows if phase == "windows"])
    last = rows[rows[:, 0] >= rows[0, 0] + (1 - _LAST) * (rows[-1, 0] - rows[0, 0])]
    return {
        "video_minutes": planned.scan.end_seconds / 60,
        "windows": len(prediction.windows),
        "people": len(prediction.people),
        "seconds": {
            "scan": scanned - began,
            "windows": predicted - scanned,
            "outputs": written - predicted,
        },
        "models_mb": base,
        "peak_above_models_mb": {
            phase: max((row[-1] for row in memory.rows if row[0] == phase), default=base) - base
            for phase in ("scan", "windows", "outputs")
        },
        "slope_mb_per_minute_of_video": float(np.polyfit(last[:, 1] / 60, last[:, 2], 1)[0]),
        "slope_mb_per_minute": float(np.polyfit(last[:, 0] / 60, last[:, 2], 1)[0]),
        "measurements": [
            (phase, round(seconds, 1), round(at), round(mb)) for phase, seconds, at, mb in memory.rows
        ],
    }


class _Memory:
    """Measures the resident memory of this process and all below it, in a thread.

    Attributes:
        phase: Name of the present phase.
        position: Seconds of video that are done.
        rows: Phase, seconds, position and MB of each measurement.
    """

    def __init__(self, every_seconds: float) -> None:
        self._every_seconds, self._stop = every_seconds, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = time.monotonic()
        self.phase, self.position = "scan", 0.0
        self.rows: list[tuple[str, float, float, float]] = []

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def now(self) -> float:
        """Return the resident memory in MB; shared pages count in each process."""
        parents = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                number, _, rest = status.read_text().partition(" ")
                parents[int(number)] = int(rest.rpartition(")")[2].split()[1])
        mine = {os.getpid()}
        while more := {number for number, parent in parents.items() if parent in mine} - mine:
            mine |= more
        pages = 0
        for number in mine:
            with contextlib.suppress(OSError):
                pages += int(Path(f"/proc/{number}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _run(self) -> None:
        while not self._stop.wait(self._every_seconds):
            self.rows.append((self.phase, time.monotonic() - self._began, self.position, self.now()))

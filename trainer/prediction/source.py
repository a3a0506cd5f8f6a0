"""A video or a directory of images -> its scan and its windows, before any answer.

A scan reads the whole source once, so that the number of windows is known before a model is loaded.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from pipeline.plain_file import read_given_text
from pipeline.process import ExtractConfig
from pipeline.process.windows import (
    ALL,
    MAIN,
    MASKS,
    PartDecoder,
    WindowPlan,
    clock_of,
    plan_windows,
    scan_source,
)
from pipeline.types import SourceScan
from trainer.prediction.results import Settings, Source
from trainer.run_info import RunInfo

AUTO, NONE = "auto", "none"
FALLBACK_SECONDS = 2.0
"""Length of a window if the training clips have no times."""
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        window_seconds: Length of a window; None for the median training clip.
        stride_seconds: Time from the start of a window to that of the next; None for a quarter of a window.
        people: ``all``; ``main`` for the subject that `extract` would choose in each window; or the number of
            people per window, those longest and largest in view.
        min_face_px: Shortest side of a face for an answer, in pixels.
        min_share: Smallest share of a window's sampled frames on which the face must be detected, 0 to 1.
        mask: Faces that are filled in the scene: ``subject``, ``everyone`` or ``none``; None as in training.
        start_seconds, end_seconds: The part of the source that windows are taken from; None for all.
        shots: ``auto`` searches cuts in videos, ``none`` takes the source as one shot, and another value is a
            file with the times of cuts in seconds, one per line or in the first column of a CSV file.
        rate: Images per second of a directory; None if images have no times.
    """

    window_seconds: float | None = None
    stride_seconds: float | None = None
    people: str = ALL
    min_face_px: float = 24.0
    min_share: float = 0.5
    mask: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    shots: str = AUTO
    rate: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("--window", self.window_seconds), ("--stride", self.stride_seconds)):
            if value is not None:
                require_range(name, value, 0.01, 3600)
        for name, value in (("--start", self.start_seconds), ("--end", self.end_seconds)):
            if value is not None:
                require_range(name, value, 0)
        if self.people not in (ALL, MAIN) and not (
            self.people.isascii() and self.people.isdigit() and int(self.people)
        ):
            msg = f"--people is '{self.people}'; allowed: all, main, or a number of people from 1."
            raise ConfigError(msg)
        if self.end_seconds is not None and self.end_seconds <= (self.start_seconds or 0.0):
            msg = (
                f"--end is {self.end_seconds:g}; allowed: more than --start ({self.start_seconds or 0:g}), "
                "in seconds from the start of the video."
            )
            raise ConfigError(msg)
        require_range("--min-face", self.min_face_px, 0)
        require_range("--min-share", self.min_share, 0, 1)
        if self.mask is not None:
            require_one_of("--mask", self.mask, MASKS)
        if self.rate is not None:
            require_range("--rate", self.rate, 0.001, 100_000)


@dataclass(frozen=True, kw_only=True)
class PlannedSource:
    """A source with its windows.

    Attributes:
        path: The video, or the directory of images.
        scan: Its scan, with the cuts that windows respect.
        plan: Its windows.
        settings: Settings as they took effect.
        notes: Remarks for the user.
    """

    path: Path
    scan: SourceScan
    plan: WindowPlan
    settings: Settings
    notes: tuple[str, ...]

    @property
    def source(self) -> Source:
        """The facts about the source that outputs show."""
        scan, has_times = self.scan, self.scan.has_times
        return Source(
            name=self.path.resolve().name if self.path.name in ("", "..") else self.path.name,
            path=str(self.path),
            sha256=scan.source.sha256,
            num_frames=scan.num_frames,
            duration_seconds=scan.end_seconds if has_times else None,
            frame_rate=scan.frame_rate if has_times else None,
            width_px=scan.width_px,
            height_px=scan.height_px,
            has_sound=scan.has_sound,
        )

    @property
    def cut_seconds(self) -> tuple[float, ...]:
        """Times of the cuts in the part that windows are taken from; numbers of frames without times."""
        times = (
            self.scan.seconds_N if self.scan.has_times else np.arange(self.scan.num_frames, dtype=np.float64)
        )
        return tuple(float(times[cut]) for cut in self.plan.shots[1:-1])


def plan_source(
    path: Path,
    config: ExtractConfig,
    info: RunInfo,
    options: PredictOptions,
    decoder: PartDecoder | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> PlannedSource:
    """Scan a source and plan its windows.

    Args:
        path: The video, or the directory of images.
        config: The settings of all steps.
        info: Origin of the run, with the lengths of its training clips.
        options: Options.
        decoder: Decoding processes; None for this thread.
        on_progress: Called with the seconds of video that are scanned.

    Raises:
        ClipError: The source cannot be read; names the step.
        ConfigError: A window is too short, no frame is in the part, or the file of cuts is unreadable.
    """
    require_times(path, options)
    cuts = replace(config.shots, search="videos") if options.shots == AUTO else None
    scan = scan_source(path, cuts=cuts, rate=options.rate, decoder=decoder, on_progress=on_progress)
    if options.shots not in (AUTO, NONE):
        scan = replace(scan, cuts=_cuts_of_file(Path(options.shots), scan))
    window, notes = window_seconds_of(info, options)
    if options.rate is not None and not scan.images:
        notes.append("--rate is for directories of images; the times of a video are its own")
    clock_N = clock_of(scan.seconds_N)
    end = scan.end_seconds if scan.has_times else float(clock_N[-1] + clock_N[1 % len(clock_N)])
    plan = plan_windows(
        clock_N,
        end,
        scan.cuts or (),
        config,
        window_seconds=window,
        stride_seconds=options.stride_seconds or window / 4,
        start=options.start_seconds,
        end=options.end_seconds,
        gaps=scan.gaps,
    )
    settings = Settings(
        window_seconds=round(plan.window_seconds, 6) if scan.has_times else None,
        stride_seconds=round(plan.stride_seconds, 6) if scan.has_times else None,
        window_frames=plan.window_frames,
        stride_frames=plan.stride_frames,
        people=options.people,
        min_face_px=options.min_face_px,
        min_share=options.min_share,
        mask=options.mask or ("subject" if config.streams.scene == "masked" else "none"),
        start_seconds=options.start_seconds,
        end_seconds=options.end_seconds,
    )
    return PlannedSource(
        path=path,
        scan=scan,
        plan=plan,
        settings=settings,
        notes=(*notes, *(note.text for note in scan.notes)),
    )


def require_times(path: Path, options: PredictOptions) -> None:
    """Raise ConfigError for times that images without a rate do not have."""
    for name, value in (("--start", options.start_seconds), ("--end", options.end_seconds)):
        if value is not None and options.rate is None and path.is_dir():
            msg = (
                f"{name} {value:g} is a time, and the images of '{path}' have none; give their number per "
                f"second with --rate, or leave out {name}."
            )
            raise ConfigError(msg)


def window_seconds_of(info: RunInfo, options: PredictOptions) -> tuple[float, list[str]]:
    """Return the wanted length of windows, in seconds, and notes on it."""
    if options.window_seconds is not None:
        return options.window_seconds, []
    if info.clip_seconds:
        return info.clip_seconds[1], []
    note = (
        f"the run does not record how long its training clips are; windows of {FALLBACK_SECONDS:g} s are "
        "used, and --window sets another length"
    )
    return FALLBACK_SECONDS, [note]


def _cuts_of_file(path: Path, scan: SourceScan) -> tuple[int, ...]:
    """Return the first frames of new shots, by the times in a file."""
    if not scan.has_times:
        msg = f"--shots '{path}' has times, and the images have none; give --rate."
        raise ConfigError(msg)
    seconds_N = np.array(read_cut_times(path))
    cuts = set(np.searchsorted(scan.seconds_N, seconds_N - 1e-6, side="left").tolist())
    return tuple(sorted(cut for cut in cuts if 0 < cut < scan.num_frames))


def read_cut_times(path: Path) -> list[float]:
    """Return the times in a file of cuts, in seconds.

    Raises:
        ConfigError: A line is no time.
        FileError: The file cannot be read.
    """
    times: list[float] = []
    text = read_given_text(path, _MOST_BYTES, errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        row = [cell.strip().strip('"') for cell in line.split(",", 1)]
        if not row or not row[0].strip() or row[0].lstrip().startswith("#"):
            continue
        try:
            seconds = float(row[0])
        except ValueError:
            seconds = math.nan
        if math.isfinite(seconds):
            times.append(seconds)
        elif number > 1:  # the first line may be a header
            msg = f"--shots '{path}', line {number}: '{row[0][:40]}' is no time in seconds."
            raise ConfigError(msg)
    return times

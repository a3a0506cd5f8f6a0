"""Checks of the options of `predict` that need no model: they are done before one is loaded."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pipeline.errors import FileError
from pipeline.process import ExtractConfig, require_given_weights
from pipeline.process.windows import PartDecoder, outline_source
from pipeline.store.location import LocationLike
from trainer.prediction.answers import require_face_run
from trainer.prediction.extraction import extraction_config
from trainer.prediction.outputs import OutputOptions, require_page
from trainer.prediction.source import (
    AUTO,
    NONE,
    PlannedSource,
    PredictOptions,
    plan_source,
    read_cut_times,
    require_times,
    window_seconds_of,
)
from trainer.runs import Run, load_run
from trainer.scene_sample import find_scenes

_CLOSE_SECONDS = 1.0
"""Times this close to the announced end of a video are compared with its frames."""


def check_run(
    run: Run,
    device: torch.device,
    *,
    face_run: Path | None = None,
    cache: LocationLike | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    takes_provided_faces: bool = False,
) -> ExtractConfig:
    """Return the settings that the features of a run were made with, once everything fits the run.

    Args:
        run: The run.
        device: The device that will compute.
        face_run: Directory of a face-only run whose answers are shown beside; None for none.
        cache: See `extraction_config`, as for the other arguments.
        encoder_weights: See there.
        detector_weights: See there.
        takes_provided_faces: See there.

    Raises:
        CheckpointError: The face-only run cannot be read, or the scenes of the run are damaged.
        ConfigError: As for `extraction_config`; or the face-only run does not fit.
        WeightsError: Nothing is at a path of weights.
    """
    if face_run is not None:
        require_face_run(run, load_run(face_run, device="cpu"))
    config = extraction_config(
        run,
        device,
        cache=cache,
        encoder_weights=encoder_weights,
        detector_weights=detector_weights,
        takes_provided_faces=takes_provided_faces,
    )
    require_given_weights(config)
    find_scenes(run, cache)
    return config


def check_sources(paths: Sequence[Path], options: PredictOptions, outputs: OutputOptions) -> None:
    """Check everything about sources that is known without reading frames.

    Of several sources, an option that does not fit one of them is the failure of this one alone.

    Raises:
        ConfigError: The file of cuts has a line that is no time; or the only source has no times, or is too
            large to be embedded.
        FileError: The file of cuts cannot be read.
    """
    if options.shots not in (AUTO, NONE):
        read_cut_times(Path(options.shots))
    if len(paths) == 1:
        require_times(paths[0], options)
        require_page(paths[0], outputs)


def require_possible(out: Path) -> None:
    """Raise FileError if a directory of outputs cannot be made or written. Nothing is made."""
    for place in (out, *out.absolute().parents):
        if os.path.lexists(place):
            break
    if not place.is_dir():
        msg = f"--out '{out}': '{place}' is no directory; give another --out."
        raise FileError(msg)
    if not os.access(place, os.W_OK | os.X_OK):
        msg = f"--out '{out}': no file can be written in '{place}'; give another --out."
        raise FileError(msg)


def plan_if_doubtful(
    path: Path,
    run: Run,
    config: ExtractConfig,
    options: PredictOptions,
    decoder: PartDecoder,
    on_progress: Callable[[float], None] | None = None,
) -> PlannedSource | None:
    """Plan a source whose announced length or rate may not fit the options; None for any other source.

    A scan takes longer than to load models, and alone shows whether the options fit.

    Args:
        path: The source.
        run: The run.
        config: Settings that its features were made with.
        options: Options.
        decoder: Decodes the source.
        on_progress: Called with the seconds of video that are scanned.

    Raises:
        ClipError: The source cannot be read; names the step.
        ConfigError: A window is too short, or no frame is in the part.
    """
    outline = outline_source(path, decoder)
    rate = (options.rate or 0.0) if outline.images else outline.frame_rate
    length = len(outline.images) / rate if outline.images and rate else outline.seconds
    window, _ = window_seconds_of(run.info, options)
    start = options.start_seconds or 0.0
    is_late = start > 0 and start >= length - _CLOSE_SECONDS
    is_short = rate > 0 and window * rate < config.frames.num_frames + 1
    if not (is_late or is_short):
        return None
    return plan_source(path, config, run.info, options, decoder, on_progress)

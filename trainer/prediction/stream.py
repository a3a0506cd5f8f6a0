"""`trainer.predict_stream`: answers while frames arrive, for cameras and other sources without a file.

Letters: H, W height and width of a frame.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.process.windows import WindowEngine, plan_windows
from pipeline.store.location import LocationLike
from pipeline.types import StreamedFrame
from trainer.prediction.answers import Answerer, Head, require_face_run
from trainer.prediction.early_checks import check_run
from trainer.prediction.extraction import RunModels, load_run_models
from trainer.prediction.results import WindowAnswer
from trainer.prediction.run_options import window_options_of
from trainer.prediction.source import PredictOptions, window_seconds_of
from trainer.runs import Run, run_of
from trainer.scene_sample import find_scenes

_NAME = "stream"
_MOST_RATE, _MOST_HOURS = 1000.0, 24.0
_COLOURS = 3


def predict_stream(
    run: Run | str | Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    *,
    rate: float,
    window: float | None = None,
    stride: float | None = None,
    people: str | int = "all",
    min_face: float = 24.0,
    min_share: float = 0.5,
    mask: str | None = None,
    most_hours: float = 1.0,
    face_run: Run | str | Path | None = None,
    cache: LocationLike | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    models: RunModels | None = None,
) -> Iterator[WindowAnswer]:
    """Yield the answers for a window as soon as its last sampled frame has arrived.

    They are those of `predict` for a video with these frames and ``shots="none"``, except that the last
    window is not moved back to the end, and that an unfinished window has no answer. Cuts are not searched.
    If frames arrive faster than they are computed, they wait in the iterator: drop some there, in even
    steps, and lower the rate.

    Args:
        run: A run, or its directory. The computation runs on its device.
        frames: RGB images, uint8 [H, W, 3], all of one size, in even steps of time.
        rate: Images per second.
        window: See `predict`, as for the arguments below that are not described.
        stride: See there.
        people: See there.
        min_face: See there.
        min_share: See there.
        mask: See there.
        most_hours: Longest time of the stream that is planned for, up to 24; later frames are not read.
        face_run: See there.
        cache: See there.
        encoder_weights: See there.
        detector_weights: See there.
        models: See there.

    Raises:
        ConfigError: An argument is not allowed or does not fit the run, or a frame has another shape or type.
        ClipError: A step fails on a frame; names the step.
        CheckpointError, WeightsError: As for `predict`.
    """
    require_range("rate", rate, 0.1, _MOST_RATE)
    require_range("most_hours", most_hours, 0.0001, _MOST_HOURS)
    options = PredictOptions(
        window_seconds=window,
        stride_seconds=stride,
        people=str(people),
        min_face_px=min_face,
        min_share=min_share,
        mask=mask,
    )
    loaded = run_of(run)
    face = None if face_run is None else run_of(face_run)
    if face is not None:
        require_face_run(loaded, face)
    given: dict[str, Any] = {
        "cache": cache,
        "encoder_weights": encoder_weights,
        "detector_weights": detector_weights,
    }
    config = models.models.config if models else check_run(loaded, loaded.device, **given)
    seconds, _ = window_seconds_of(loaded.info, options)
    num_frames = round(most_hours * 3600 * rate)
    seconds_N = np.arange(num_frames) / rate
    plan = plan_windows(
        seconds_N,
        num_frames / rate,
        (),
        config,
        window_seconds=seconds,
        stride_seconds=stride or seconds / 4,
    )
    models = models or load_run_models(loaded, loaded.device, **given)
    engine = WindowEngine(models.models, plan, seconds_N, window_options_of(loaded, options))
    head = Head(loaded, face, find_scenes(loaded, cache)[0])
    answerer = Answerer(head, video=_NAME, seconds_N=seconds_N, end_seconds=num_frames / rate)
    return _answers(engine, answerer, frames, rate, set(plan.wanted.tolist()), num_frames)


def _answers(
    engine: WindowEngine,
    answerer: Answerer,
    frames: Iterable[Any],
    rate: float,
    wanted: set[int],
    num_frames: int,
) -> Iterator[WindowAnswer]:
    """Yield the answers while frames arrive. What belongs to windows that are answered is forgotten."""
    shape: tuple[int, ...] = ()
    for number, frame in enumerate(islice(frames, num_frames)):
        shape = shape or _shape_of(frame, number)
        if _shape_of(frame, number) != shape:
            msg = f"Frame {number} of the stream has shape {frame.shape}, and those before have {shape}."
            raise ConfigError(msg)
        if number not in wanted:
            continue
        pixels = np.array(frame, order="C")  # the caller may use its memory again
        engine.add([StreamedFrame(number=number, seconds=number / rate, rgb_HWC=pixels)])
        yield from answerer.answers(engine.flush(encode_all=engine.num_waiting > 0))
        engine.take_faces()
        engine.tracks.take_parts()


def _shape_of(frame: Any, number: int) -> tuple[int, ...]:
    """Return the shape of a frame. Raises ConfigError for anything but RGB in bytes."""
    if not (
        isinstance(frame, np.ndarray)
        and frame.dtype == np.uint8
        and frame.ndim == _COLOURS
        and frame.shape[2] == _COLOURS
        and frame.size
    ):
        found = (
            f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        )
        msg = f"Frame {number} of the stream is {found}; RGB images are needed, uint8 [height, width, 3]."
        raise ConfigError(msg)
    shape: tuple[int, ...] = frame.shape
    return shape

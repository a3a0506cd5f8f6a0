"""`trainer.predict`: a prediction from Python, window by window, without files."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, final

from pipeline.config import require_range
from pipeline.errors import ConfigError, OusError, counted, printable
from pipeline.executor.machine import available_cores, decoders_for
from pipeline.own_dir import OwnDir
from pipeline.process import DecodePool
from pipeline.store.location import LocationLike
from trainer.prediction.answers import require_face_run
from trainer.prediction.early_checks import check_run, check_sources
from trainer.prediction.extraction import RunModels, load_run_models
from trainer.prediction.label_runs import timelines
from trainer.prediction.outputs import OutputOptions, write_outputs
from trainer.prediction.people_summary import SHARE_OF_TIME, summaries
from trainer.prediction.predict import Predictor
from trainer.prediction.results import NOTICE, Prediction, WindowAnswer
from trainer.prediction.source import PlannedSource, PredictOptions, plan_source
from trainer.prediction.spans import axis_of
from trainer.prediction.stored import PROGRESS_FILE
from trainer.prediction.tables import windows_table
from trainer.runs import Run, run_of


def predict(
    run: Run | str | Path,
    video: str | Path,
    *,
    window: float | None = None,
    stride: float | None = None,
    people: str | int = "all",
    min_face: float = 24.0,
    min_share: float = 0.5,
    mask: str | None = None,
    start: float | None = None,
    end: float | None = None,
    shots: str = "auto",
    rate: float | None = None,
    face_run: Run | str | Path | None = None,
    cache: LocationLike | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    decoders: int | None = None,
    models: RunModels | None = None,
) -> "VideoPrediction":
    """Return the prediction of a video, which is computed while its windows are read.

    The arguments are those of ``cli.py predict``. The computation runs on the device of the run.

    Args:
        run: A run, or its directory.
        video: A video, or a directory of images.
        window: Length of a window in seconds; None for the median training clip.
        stride: Seconds from the start of a window to that of the next; None for a quarter of a window.
        people: ``all``, ``main``, or a number of people per window.
        min_face: Shortest side of a face for an answer, in pixels.
        min_share: Smallest share of a window's sampled frames on which the face must be detected.
        mask: Faces that are filled in the scene; None as in training.
        start: Start of the part that is predicted, in seconds; None for the start of the video.
        end: End of this part; None for the end of the video.
        shots: ``auto``, ``none``, or a file with the times of cuts.
        rate: Images per second of a directory of images.
        face_run: A face-only run whose answers are shown beside, or its directory.
        cache: Training cache, for runs of earlier versions.
        encoder_weights: Weights of the encoder; None for those that the run names.
        detector_weights: Weights of the detector; None for those that the run names.
        decoders: Decoding processes; None to choose by the cores.
        models: Models of `load_run_models`, to load them once for several videos; None to load them.

    Raises:
        ConfigError: An argument is not allowed, or does not fit the run.
        ClipError: The video cannot be read.
        CheckpointError: The run cannot be read.
        WeightsError: Weights are missing or damaged.
    """
    if decoders is not None:
        require_range("decoders", decoders, 1)
    options = PredictOptions(
        window_seconds=window,
        stride_seconds=stride,
        people=str(people),
        min_face_px=min_face,
        min_share=min_share,
        mask=mask,
        start_seconds=start,
        end_seconds=end,
        shots=shots,
        rate=rate,
    )
    loaded = run_of(run)
    face = None if face_run is None else run_of(face_run)
    if not Path(video).exists():
        msg = f"Nothing is at '{video}'; give a video, or a directory of images."
        raise ConfigError(msg)
    if face is not None:
        require_face_run(loaded, face)
    given: dict[str, Any] = {
        "cache": cache,
        "encoder_weights": encoder_weights,
        "detector_weights": detector_weights,
    }
    config = models.models.config if models else check_run(loaded, loaded.device, **given)
    check_sources([Path(video)], options, OutputOptions())
    pool = DecodePool(decoders or decoders_for(loaded.device, len(available_cores())))
    try:
        planned = plan_source(Path(video), config, loaded.info, options, pool)
        models = models or load_run_models(loaded, loaded.device, **given)
        predictor = Predictor(loaded, models, options, pool, face, cache)
    except BaseException:
        pool.close()
        raise
    return VideoPrediction(planned, predictor, pool)


@final
class VideoPrediction:
    """The prediction of a video. Windows are computed when they are first read; `close` ends it early."""

    def __init__(self, planned: PlannedSource, predictor: Predictor, pool: DecodePool) -> None:
        self._planned, self._predictor, self._pool = planned, predictor, pool
        self._batches = predictor.in_memory(planned)
        self._read: list[WindowAnswer] = []
        self._result: Prediction | None = None

    @property
    def windows(self) -> Iterator[WindowAnswer]:
        """The answers for windows, in order of their ends. Every iteration begins with the first window."""
        place = 0
        while True:
            while place < len(self._read):
                yield self._read[place]
                place += 1
            if self._result is not None:
                return
            self._advance()

    @property
    def result(self) -> Prediction:
        """The whole prediction; it waits until all windows are computed."""
        while self._result is None:
            self._advance()
        return self._result

    @cached_property
    def banners(self) -> tuple[str, ...]:
        """Warnings to show with every answer."""
        return self._predictor.banners

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on video and run, such as answers that are missing because of an earlier version."""
        return (*self._planned.notes, *self._predictor.notes)

    def to_pandas(self) -> Any:
        """Return the windows as a pandas DataFrame, one row each, with the columns of windows.csv.

        Raises OusError if pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            msg = "to_pandas needs the package pandas; install it with pip install pandas."
            raise OusError(msg) from error
        columns, rows = windows_table(self.result)
        return pandas.DataFrame(list(rows), columns=columns)

    def write(self, out: str | Path, formats: str | Sequence[str] = "jsonl,csv,html") -> tuple[Path, ...]:
        """Write files of the prediction, and return their paths. `formats` are those of ``--formats``.

        Raises:
            ConfigError: A format is unknown, or the directory has a prediction that `cli.py predict` grows.
            FileError: A file cannot be written.
        """
        text = formats if isinstance(formats, str) else ",".join(formats)
        options = OutputOptions.parse(text, embed=False, thumbnails=True)
        result, place = replace(self.result, notes=self._planned.notes), OwnDir.of(Path(out))
        place.make()
        if place.kind(PROGRESS_FILE):
            msg = f"'{place}' has a prediction that `predict` made; write into another directory."
            raise ConfigError(msg)
        with DecodePool(1) as pool:
            written = write_outputs(result, self._planned, place, options, pool, writes_windows=True)
        return tuple(place.path / name for name in written.files)

    def close(self) -> None:
        """End the computation and its decoding processes. Windows that were read remain."""
        self._batches.close()
        self._pool.close()

    def __enter__(self) -> "VideoPrediction":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return the video, and the numbers of windows."""
        done = "computed" if self._result is not None else f"of {len(self._planned.plan.windows)} computed"
        windows = f"{counted(len(self._read), 'window')} {done}"
        return printable(f"VideoPrediction('{self._planned.path}': {windows})")

    def _repr_html_(self) -> str:
        """Return a table for notebooks: a row per person, under the banners and the notice."""
        result = self.result
        lines = timelines(result, axis_of(result))
        names = result.class_names
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        rows = "".join(
            f"<tr><th>{escape(one.person.name)}</th>"
            + "".join(f"<td>{(one.shares or {}).get(name, 0.0):.0%}</td>" for name in names)
            + f"<td>{one.answered:.1f}</td></tr>"
            for one in summaries(result, lines)
        )
        warnings = "".join(f"<p><b>!! {escape(printable(text))}</b></p>" for text in result.banners)
        return (
            f"{warnings}<p>{escape(NOTICE)}</p><table><tr><th>{escape(printable(result.source.name))}</th>"
            f"{head}<th>time with an answer</th></tr>{rows}</table>"
            f"<p>Percentages: {SHARE_OF_TIME}.</p>"
        )

    def _advance(self) -> None:
        """Compute the next batch of windows. The pool closes after the last one."""
        try:
            self._read += next(self._batches)
        except StopIteration as end:
            if end.value is None:
                msg = "This prediction was closed before its end; call predict again."
                raise OusError(msg) from None
            self._result = end.value
            self._pool.close()
        except BaseException:
            self._pool.close()
            raise

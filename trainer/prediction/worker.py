"""A video -> its prediction and files, on a worker of any executor. A failing video ends only itself."""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.device import choose_device, device_fault, is_device_fault
from pipeline.errors import ClipError, OusError, first_line
from pipeline.executor import TaskContext
from pipeline.executor.machine import available_cores, decoders_for, keep_memory, use_cores
from pipeline.own_dir import OwnDir
from pipeline.process import DecodePool, ExtractConfig
from pipeline.store.location import LocationLike
from trainer.prediction.early_checks import check_run, plan_if_doubtful
from trainer.prediction.explanation_choice import NO_WINDOW
from trainer.prediction.extraction import load_run_models
from trainer.prediction.folder_page import video_row
from trainer.prediction.growing_files import LOCK_FILE
from trainer.prediction.inputs import Input
from trainer.prediction.label_notes import notes_on_spans
from trainer.prediction.label_scores import score_video
from trainer.prediction.labels import Labels
from trainer.prediction.outcomes import PredictedVideo, PredictObserver, outcome_of
from trainer.prediction.outputs import OutputOptions, require_page, write_outputs
from trainer.prediction.people_file import of_kept_windows, with_people
from trainer.prediction.person_section import Explanation
from trainer.prediction.predict import Predictor
from trainer.prediction.restarting import restart_once
from trainer.prediction.results import Prediction
from trainer.prediction.source import PlannedSource, PredictOptions, plan_source
from trainer.prediction.video_progress import Fraction, counted_by
from trainer.prediction.video_tasks import VideoResult, VideoTask, failed
from trainer.prediction.writing import PAGE_FILE, Written
from trainer.runs import Run, load_run


@dataclass(frozen=True, kw_only=True)
class PredictSetup:
    """Setup of a `PredictWorker` in any process.

    Attributes:
        run: Directory of the run.
        options: Options of the prediction.
        outputs: Options of the outputs.
        face_run: Directory of a face-only run whose answers are shown beside; None for none.
        cache: Training cache of a run of an earlier version; None for the one that it names.
        encoder_weights: Weights of the encoder; None for those that the run names.
        detector_weights: Weights of the detector; None for those that the run names.
        names: Names of people, and the file that has them; None for their own names.
        labels: The user's labels; None for none.
        restart: Replace predictions that are there.
        only: The only source, whose options are checked before models are loaded; None for several.
        command: Id of the command, by which a second worker continues what the first one has restarted.
        takes_provided_faces: See `extraction_config`.
        device: Where the models compute.
        decoders: Number of decoding processes; None to choose by the cores.
        observer: Receives the progress of each step, in this process; None on workers of a cluster.
        cancel: Ends the work early, in this process; None for the token of each task.
    """

    run: Path
    options: PredictOptions
    outputs: OutputOptions
    face_run: Path | None = None
    cache: LocationLike | None = None
    encoder_weights: str | None = None
    detector_weights: str | None = None
    names: tuple[Mapping[str, tuple[int, str]], str] | None = None
    labels: Labels | None = None
    restart: bool = False
    only: Path | None = None
    command: str = field(default_factory=partial(secrets.token_hex, 8))
    takes_provided_faces: bool = False
    device: str = "auto"
    decoders: int | None = None
    observer: PredictObserver | None = None
    cancel: CancelToken | None = None
    slots: ClassVar[int] = 1
    queued: ClassVar[int] = 0

    def start(self, cores: tuple[int, ...] | None = None) -> "PredictWorker":
        """Load the run and its models, and start the decoders.

        Raises:
            CheckpointError: The run cannot be read.
            ConfigError: The run does not fit.
            WeightsError: Weights are missing or damaged.
        """
        keep_memory()
        num_cores = len(use_cores(cores)) if cores else len(available_cores())
        run = load_run(self.run, device=self.device)
        where = choose_device(self.device)
        given: dict[str, Any] = {
            "cache": self.cache,
            "encoder_weights": self.encoder_weights,
            "detector_weights": self.detector_weights,
            "takes_provided_faces": self.takes_provided_faces,
        }
        config = check_run(run, where, face_run=self.face_run, **given)
        face_run = None if self.face_run is None else load_run(self.face_run, device=self.device)
        decoder = DecodePool(self.decoders or decoders_for(where, num_cores), starts_at_once=True)
        try:
            planned = self._planned(run, config, decoder)
            models = load_run_models(run, where, **given)
            predictor = Predictor(run, models, self.options, decoder, face_run, self.cache)
        except BaseException:
            decoder.close()
            raise
        return PredictWorker(self, predictor, decoder, planned)

    def _planned(self, run: Run, config: ExtractConfig, decoder: DecodePool) -> dict[Path, PlannedSource]:
        """Return the plan of the only source if options may not fit. Raises ConfigError if they do not."""
        if self.only is None:
            return {}
        cancel = self.cancel or CancelToken()
        try:
            planned = plan_if_doubtful(
                self.only, run, config, self.options, decoder, lambda _: cancel.raise_if_cancelled()
            )
        except ClipError:  # no option: the outcome of the source
            return {}
        return {} if planned is None else {self.only: planned}


@dataclass
class PredictWorker:
    """Predicts one video after the other. See `PredictSetup`."""

    setup: PredictSetup
    predictor: Predictor
    decoder: DecodePool
    _planned: dict[Path, PlannedSource] = field(default_factory=dict)
    _cancel: CancelToken = field(default_factory=CancelToken)

    @property
    def observer(self) -> PredictObserver:
        """The observer of each step."""
        return self.setup.observer or PredictObserver()

    def remarks(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the banners of every answer, and remarks for the user."""
        return self.predictor.banners, self.predictor.notes

    def run(self, task: VideoTask, context: TaskContext) -> VideoResult:
        """Predict a video and write its files. Its progress is the fraction of its windows that is done.

        Raises:
            ClipError, ConfigError, FileError: The only video cannot be predicted, and this is no property of
                the video.
            OusError: The device failed.
            TaskCancelledError: The work was cancelled before the first window.
        """
        self._cancel = self.setup.cancel or context.cancel
        fraction = Fraction(context.advance)
        try:
            result = self._result(task, fraction)
        except OusError as error:
            if task.is_only and not isinstance(error, ClipError):
                raise
            fraction.reach(1.0)
            return failed(
                task, f"{error.stage}: {error.reason}" if isinstance(error, ClipError) else str(error)
            )
        except (MemoryError, torch.OutOfMemoryError) as error:
            reason = f"out of memory ({first_line(error)[:200]})"
            return failed(task, f"{reason}; use fewer --workers or --decoders, or --people 1")
        except Exception as error:
            if isinstance(error, RuntimeError) and is_device_fault(error):  # every later video would fail
                raise device_fault(error, "finished videos are safe") from error
            if task.is_only or isinstance(error, TaskCancelledError):
                raise
            fraction.reach(1.0)
            return failed(task, f"{type(error).__name__}: {first_line(error)[:200]}")
        else:
            fraction.reach(1.0)
            return result

    def close(self) -> None:
        """Stop the decoders."""
        self.decoder.close()

    def _result(self, task: VideoTask, fraction: Fraction) -> VideoResult:
        video, prediction = self._predicted(task, fraction)
        labels, has_page = self.setup.labels, "html" in self.setup.outputs.formats
        link = f"{task.source.name}/{PAGE_FILE}" if has_page else None
        return VideoResult(
            video=video,
            row=video_row(prediction, link),
            scores=None if labels is None else score_video(labels, task.source.name, prediction),
            made_with=prediction.made_with,
        )

    def _predicted(self, task: VideoTask, fraction: Fraction) -> tuple[PredictedVideo, Prediction]:
        began, one, predictor, observer = time.monotonic(), task.source, self.predictor, self.observer
        require_page(one.path, self.setup.outputs)
        planned = self._planned.pop(one.path, None) or plan_source(
            one.path,
            predictor.models.models.config,
            predictor.run.info,
            predictor.options,
            predictor.decoder,
            self._cancellable(observer.on_scan(one)),
        )
        for note in planned.notes:
            observer.on_note(f"{one.path.name}: {note}")
        place = OwnDir.of(task.out)
        place.make()
        with place.lock(LOCK_FILE):
            restart = self.setup.restart and restart_once(place, self.setup.command)
            on_progress = counted_by(planned, observer.on_windows(one, planned), fraction)
            prediction = predictor.predict(
                planned, place, restart=restart, on_progress=on_progress, cancel=self._cancel
            )
            prediction = self._with_notes(one, planned, prediction)
            explanations = self._explained(one, planned, prediction, place)
            prediction, explanations = self._named(prediction, explanations)
            written = self._written(one, planned, prediction, place, explanations)
        skipped = tuple(f"{form} was not written: {why}" for form, why in written.skipped.items())
        for note in written.notes:
            observer.on_note(f"{one.path.name}: {note}")
        seconds, notes = time.monotonic() - began, (*prediction.notes, *written.notes)
        return outcome_of(one, task.out, prediction, seconds, notes=notes, skipped=skipped), prediction

    def _with_notes(self, one: Input, planned: PlannedSource, prediction: Prediction) -> Prediction:
        """Return the prediction with the remarks on its source and labels; report those on labels."""
        labels = self.setup.labels
        on_labels = () if labels is None else notes_on_spans(labels.of_video(one.name), prediction)
        for note in on_labels:
            self.observer.on_note(f"{one.path.name}: {note}")
        return replace(prediction, notes=(*planned.notes, *on_labels))

    def _named(
        self, prediction: Prediction, explanations: Mapping[int, Explanation]
    ) -> tuple[Prediction, Mapping[int, Explanation]]:
        """Return both with the people of the people file."""
        if self.setup.names is None:
            return prediction, explanations
        named = with_people(prediction, *self.setup.names)
        for note in named.notes[len(prediction.notes) :]:
            self.observer.on_note(note)
        return named, of_kept_windows(explanations, prediction, named)

    def _explained(
        self, one: Input, planned: PlannedSource, prediction: Prediction, place: OwnDir
    ) -> Mapping[int, Explanation]:
        """Explain windows of a complete prediction; none without a page or after an interruption."""
        outputs, predictor = self.setup.outputs, self.predictor
        if outputs.explain == NO_WINDOW or "html" not in outputs.formats or self._cancel.is_cancelled:
            return {}
        from trainer.prediction.explanations import explain  # imports matplotlib, which takes half a second

        return explain(
            predictor,
            planned,
            prediction,
            place,
            outputs.explain,
            is_new=predictor.has_computed,
            on_window=self.observer.on_explaining(one),
            cancel=self._cancel,
        )

    def _written(
        self,
        one: Input,
        planned: PlannedSource,
        prediction: Prediction,
        place: OwnDir,
        explanations: Mapping[int, Explanation],
    ) -> Written:
        """Write the outputs of a source. After an interruption, the annotated video is left out."""
        outputs, decoder = self.setup.outputs, self.predictor.decoder
        write = partial(write_outputs, prediction, planned, place, explanations=explanations)
        others = replace(outputs, formats=tuple(name for name in outputs.formats if name != "mp4"))
        if not self._cancel.is_cancelled and "mp4" in outputs.formats:
            on_video = self._cancellable(self.observer.on_drawing(one, planned))
            with suppress(TaskCancelledError):
                return write(outputs, decoder, on_video)
        written = write(others, decoder)
        if others == outputs:
            return written
        return Written(files=written.files, skipped={**written.skipped, "mp4": "interrupted"})

    def _cancellable(self, show: Callable[[float], None]) -> Callable[[float], None]:
        """Return a callback that also raises TaskCancelledError once the work is cancelled."""

        def on_progress(seconds: float) -> None:
            self._cancel.raise_if_cancelled()
            show(seconds)

        return on_progress

"""A trained run and a source -> its prediction, in bounded memory, continued after an interruption."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.own_dir import OwnDir
from pipeline.process.windows import (
    PartDecoder,
    TrackPart,
    WindowBatch,
    WindowReader,
)
from pipeline.store.location import LocationLike
from trainer.prediction.answers import Answerer, Head, require_face_run
from trainer.prediction.extraction import RunModels
from trainer.prediction.found_people import found_by, tracked_face
from trainer.prediction.results import PersonTracks, Prediction, TrackedFace, WindowAnswer
from trainer.prediction.run_options import banners_of, made_with_of, weights_sha256, window_options_of
from trainer.prediction.source import PlannedSource, PredictOptions
from trainer.prediction.stored import State, StoredPrediction
from trainer.prediction.video_progress import Progress
from trainer.runs import Run
from trainer.scene_sample import find_scenes


class Predictor:
    """Predicts sources with one run.

    Args:
        run: The run.
        models: Its detector and encoder.
        options: Options.
        decoder: Decodes frames.
        face_run: A face-only run whose answers are shown beside; None for none.
        cache: Training cache of a run of an earlier version; None for the one that it names.

    Raises:
        CheckpointError: The scenes of the run's training clips are damaged.
        ConfigError: The face-only run does not fit.
    """

    def __init__(
        self,
        run: Run,
        models: RunModels,
        options: PredictOptions,
        decoder: PartDecoder,
        face_run: Run | None = None,
        cache: LocationLike | None = None,
    ) -> None:
        self.has_computed = False
        """Whether the last call of `predict` has computed windows."""
        if face_run is not None:
            require_face_run(run, face_run)
        self._run, self._face_run, self._models = run, face_run, models
        self._options, self._decoder = options, decoder
        runs = [one for one in (run, face_run) if one is not None]
        self._weights = [weights_sha256(one) for one in runs]
        self._temperatures = [one.info.temperature for one in runs]
        self._scenes, note = find_scenes(run, cache)
        self.head = Head(run, face_run, self._scenes)
        """Answers for features."""
        self.notes: tuple[str, ...] = (note,) if note else ()
        """Remarks for the user."""

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    @property
    def models(self) -> RunModels:
        """Its detector and encoder."""
        return self._models

    @property
    def options(self) -> PredictOptions:
        """The options."""
        return self._options

    @property
    def decoder(self) -> PartDecoder:
        """Decodes frames."""
        return self._decoder

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings to show with every output."""
        runs = [run for run in (self._run, self._face_run) if run is not None]
        return banners_of(runs, self._models, self._options.mask)

    def in_memory(
        self, planned: PlannedSource, cancel: CancelToken | None = None
    ) -> Generator[tuple[WindowAnswer, ...], None, Prediction]:
        """Yield the answers for windows, in batches, and return the prediction. Nothing is written.

        Raises:
            ClipError: A step fails; names the step.
            TaskCancelledError: `cancel` is cancelled.
        """
        reader, answerer = self._reader(planned), self._answerer(planned)
        windows: list[WindowAnswer] = []
        faces: list[TrackedFace] = []
        for batch in reader.batches(cancel=cancel):
            answers = tuple(answerer.answers(batch.samples))
            windows += answers
            faces += [tracked_face(face, planned) for face in batch.faces]
            yield answers
        found = found_by(reader)
        return self._prediction(planned, windows, faces, *found)

    def predict(
        self,
        planned: PlannedSource,
        out: OwnDir,
        *,
        restart: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
        cancel: CancelToken | None = None,
    ) -> Prediction:
        """Predict a source into a directory, or continue a prediction that is there.

        Args:
            planned: The source.
            out: Directory of the prediction; it exists.
            restart: Replace a prediction that is there.
            on_progress: Called after every few frames.
            cancel: Ends the prediction early; everything up to the last batch is kept, and returned.

        Raises:
            ConfigError: The directory has another prediction.
            ClipError: A step fails; names the step.
            FileError: A file cannot be written.
        """
        stored = StoredPrediction(out, self._settings(planned), made_with_of(self._run, self._models))
        state = stored.begin(restart=restart)
        self.has_computed = not stored.is_done
        if stored.is_done and state is not None:
            return self._stored_prediction(planned, stored, *stored.people(state))
        try:
            reader = self._reader(planned, state, stored.tracks() if state else ())
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if state is None:
                raise
            raise stored.damaged() from error
        answerer = self._answerer(planned)
        cancel = cancel or CancelToken()
        tracks = {answer.track for answer in stored.windows()} if state else set()

        def on_frame(number: int) -> None:
            seconds = float(planned.scan.seconds_N[number]) if planned.scan.has_times else float(number)
            on_progress(Progress(seconds=seconds, num_people=len(tracks - {""})))

        for batch in _until_cancelled(reader, on_frame, cancel):
            answers = answerer.answers(batch.samples)
            faces = [tracked_face(face, planned) for face in batch.faces]
            stored.add(answers, faces, reader.take_parts(), reader.state(), batch.frame)
            tracks.update(answer.track for answer in answers)
        found = found_by(reader)
        if not cancel.is_cancelled:
            stored.finish(*found, planned.scan.num_frames)
        return self._stored_prediction(planned, stored, *found)

    def _reader(
        self, planned: PlannedSource, state: State | None = None, parts: Iterable[TrackPart] = ()
    ) -> WindowReader:
        window_options = window_options_of(self._run, self._options)
        models = self._models.models
        return WindowReader(
            planned.path, planned.scan, planned.plan, models, window_options, self._decoder, state, parts
        )

    def _answerer(self, planned: PlannedSource) -> Answerer:
        scan = planned.scan
        return Answerer(
            self.head,
            video=planned.source.name,
            seconds_N=scan.seconds_N,
            end_seconds=scan.end_seconds,
        )

    def run_settings(self) -> dict[str, Any]:
        """Return everything of the runs and their models that determines answers, as plain JSON values."""
        runs = [
            {"weights_sha256": weights, "temperature": temperature}
            for weights, temperature in zip(self._weights, self._temperatures, strict=True)
        ]
        return {
            "run": runs[0],
            "face_run": runs[1] if len(runs) > 1 else None,
            "scenes_sha256": "" if self._scenes is None else self._scenes.sha256(),
            "identity": dict(self._models.identity),
        }

    def _settings(self, planned: PlannedSource) -> dict[str, Any]:
        """Return everything that determines the lines of a prediction."""
        options = asdict(self._options)
        return {
            "video": planned.source.name,
            "source_sha256": planned.scan.source.sha256,
            **self.run_settings(),
            "options": {name: value for name, value in options.items() if name != "shots"},
            "cuts": list(planned.scan.cuts or ()),
            "num_frames": planned.scan.num_frames,
            "gaps": list(planned.scan.gaps),
            "windows": asdict(planned.settings),
        }

    def _stored_prediction(
        self,
        planned: PlannedSource,
        stored: StoredPrediction,
        people: Sequence[PersonTracks],
        num_unfollowed: int,
    ) -> Prediction:
        scan, done = planned.scan, None
        if not stored.is_done:
            frame = min(stored.frame, scan.num_frames - 1)
            done = float(scan.seconds_N[frame]) if scan.has_times else float(frame)
        windows, faces = tuple(stored.windows()), tuple(stored.faces())
        self._require_own(planned, stored, windows, faces, people)
        found = self._prediction(planned, windows, faces, people, num_unfollowed, done)
        return replace(found, made_with=stored.made_with)

    def _require_own(
        self,
        planned: PlannedSource,
        stored: StoredPrediction,
        windows: Sequence[WindowAnswer],
        faces: Sequence[TrackedFace],
        people: Sequence[PersonTracks],
    ) -> None:
        """Raise ConfigError for stored lines of other classes, frames or tracks, which were changed."""
        names, num_frames = list(self._run.class_names), planned.scan.num_frames
        tracks = {"", *(track for person in people for track in person.tracks)}
        if not (
            all(one.track in tracks for one in windows)
            and all(one.probability is None or list(one.probability) == names for one in windows)
            and all(one.first_frame + one.num_frames <= num_frames for one in windows)
            and all(one.frame < num_frames for one in faces)
        ):
            raise stored.damaged()

    def _prediction(
        self,
        planned: PlannedSource,
        windows: Sequence[WindowAnswer],
        faces: Iterable[TrackedFace],
        people: Sequence[PersonTracks],
        num_unfollowed: int,
        done_seconds: float | None = None,
    ) -> Prediction:
        used = {window.track for window in windows}
        shown = (replace(person, tracks=tuple(t for t in person.tracks if t in used)) for person in people)
        return Prediction(
            source=planned.source,
            run=self._run.path.name,
            class_names=self._run.class_names,
            banners=self.banners,
            settings=planned.settings,
            made_with=made_with_of(self._run, self._models),
            cut_seconds=planned.cut_seconds,
            windows=windows,
            faces=tuple(face for face in faces if face.track in used),
            people=tuple(person for person in shown if person.tracks),
            done_seconds=done_seconds,
            num_unfollowed=num_unfollowed,
        )


def _until_cancelled(
    reader: WindowReader, on_frame: Callable[[int], None], cancel: CancelToken
) -> Iterator[WindowBatch]:
    """Yield the batches of a reader until `cancel` is cancelled."""
    try:
        yield from reader.batches(on_frame, cancel)
    except TaskCancelledError:
        return

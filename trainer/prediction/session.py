"""Several sources -> a prediction of each, and a page over all of them. A failing source ends only itself."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.display.json_values import to_json_values
from pipeline.errors import ClipError, OusError
from pipeline.own_dir import OwnDir
from pipeline.portable import portable, portable_values
from pipeline.process.windows import PartDecoder
from pipeline.store.location import LocationLike
from pipeline.strict_json import to_json
from trainer.prediction.explanation_choice import NO_WINDOW
from trainer.prediction.extraction import RunModels
from trainer.prediction.folder_page import VideoRow, as_folder_page, video_row
from trainer.prediction.inputs import Input
from trainer.prediction.label_files import write_label_files
from trainer.prediction.label_scores import LabelScorer
from trainer.prediction.labels import Labels
from trainer.prediction.outcomes import PredictedVideo, PredictObserver, PredictReport, outcome_of
from trainer.prediction.outputs import OutputOptions, remove_outputs, require_page, write_outputs
from trainer.prediction.people_file import read_people_file, with_people
from trainer.prediction.person_section import Explanation
from trainer.prediction.predict import Predictor
from trainer.prediction.results import Prediction
from trainer.prediction.source import PlannedSource, PredictOptions, plan_source
from trainer.prediction.writing import Written
from trainer.runs import Run

INDEX_FILE = "index.json"
_PAGE_FILE = "index.html"


def predict_all(
    inputs: Sequence[Input],
    run: Run,
    models: RunModels,
    decoder: PartDecoder,
    out: Path,
    options: PredictOptions,
    outputs: OutputOptions,
    *,
    is_collection: bool,
    face_run: Run | None = None,
    cache: LocationLike | None = None,
    people_file: Path | None = None,
    labels: Labels | None = None,
    restart: bool = False,
    observer: PredictObserver | None = None,
    cancel: CancelToken | None = None,
) -> PredictReport:
    """Predict sources, one after the other, each into a directory of its own.

    Args:
        inputs: The sources.
        run: The run.
        models: Its detector and encoder.
        decoder: Decodes frames.
        out: Directory of the only source, or the one above all of them.
        options: Options of the prediction.
        outputs: Options of the outputs.
        is_collection: Whether there is a directory per source below `out`, and a page over all.
        face_run: A face-only run whose answers are shown beside; None for none.
        cache: Training cache of a run of an earlier version; None for the one that it names.
        people_file: Names of people, for a single source; None for their own names.
        labels: The user's labels, which are compared with the answers; None for none.
        restart: Replace predictions that are there.
        observer: Receives progress and outcomes.
        cancel: Ends the work early; the files of everything that is done are written.

    Raises:
        ConfigError: An option does not fit the run, or the people file cannot be read.
        DatasetError: A label has a person or a time that its video does not have; all files are written.
        FileError: A file cannot be written.
    """
    session = _Session(
        predictor=Predictor(run, models, options, decoder, face_run, cache),
        names=None if people_file is None else (read_people_file(people_file), str(people_file)),
        outputs=outputs,
        restart=restart,
        observer=observer or PredictObserver(),
        cancel=cancel or CancelToken(),
    )
    banners = session.predictor.banners
    for note in session.predictor.notes:
        session.observer.on_note(note)
    scorer = None if labels is None else LabelScorer(labels, run.path.name, banners)
    videos: list[PredictedVideo] = []
    rows: list[VideoRow] = []
    for one in inputs:
        if session.cancel.is_cancelled:
            break
        where = out / one.name if is_collection else out
        try:
            video, prediction = session.predict(one, where)
        except TaskCancelledError:
            break
        except OusError as error:
            if not is_collection and not isinstance(error, ClipError):
                raise
            failure = f"{error.stage}: {error.reason}" if isinstance(error, ClipError) else str(error)
            video = PredictedVideo(name=one.name, path=one.path, out=where, failure=failure)
            rows.append(VideoRow(name=one.name, failure=portable(failure)))
        else:
            if scorer is not None:
                scorer.add(one.name, prediction)
            link = f"{one.name}/{_PAGE_FILE}" if "html" in outputs.formats else None
            rows.append(video_row(prediction, link))
        videos.append(video)
        session.observer.on_video(video)
    report = PredictReport(
        videos=tuple(videos),
        banners=banners,
        page=out / _PAGE_FILE if is_collection and rows else None,
        is_interrupted=session.cancel.is_cancelled,
    )
    if report.page is not None:
        _write_index(OwnDir.of(out), report, run, rows)
    if scorer is not None:
        report = replace(report, labels=scorer.result())
        write_label_files(OwnDir.of(out), scorer.result())
    return report


@dataclass(frozen=True, kw_only=True)
class _Session:
    """Everything that the sources have in common.

    Attributes:
        predictor: Predicts with the run.
        names: Names of people, and the file that has them; None for their own names.
        outputs: Options of the outputs.
        restart: Replace predictions that are there.
        observer: Receives progress.
        cancel: Ends the work early.
    """

    predictor: Predictor
    names: tuple[Mapping[str, tuple[int, str]], str] | None
    outputs: OutputOptions
    restart: bool
    observer: PredictObserver
    cancel: CancelToken

    def predict(self, one: Input, where: Path) -> tuple[PredictedVideo, Prediction]:
        """Predict a source, and write its files.

        Raises:
            ClipError: The source cannot be predicted.
            ConfigError: An option does not fit it.
            TaskCancelledError: The work was cancelled during the scan.
        """
        began, predictor, observer = time.monotonic(), self.predictor, self.observer
        require_page(one.path, self.outputs)
        planned = plan_source(
            one.path,
            predictor.models.models.config,
            predictor.run.info,
            predictor.options,
            predictor.decoder,
            self._cancellable(observer.on_scan(one)),
        )
        for note in planned.notes:
            observer.on_note(f"{one.path.name}: {note}")
        place = OwnDir.of(where)
        place.make()
        if self.restart:
            remove_outputs(place)
        on_progress = observer.on_windows(one, planned)
        prediction = predictor.predict(
            planned, place, restart=self.restart, on_progress=on_progress, cancel=self.cancel
        )
        explanations = self._explained(one, planned, prediction, place)
        if self.names is not None:
            prediction = with_people(prediction, *self.names)
        written = self._written(one, planned, prediction, place, explanations)
        skipped = tuple(f"{form} was not written: {why}" for form, why in written.skipped.items())
        seconds = time.monotonic() - began
        video = outcome_of(one, where, prediction, seconds, notes=planned.notes, skipped=skipped)
        return video, prediction

    def _explained(
        self, one: Input, planned: PlannedSource, prediction: Prediction, place: OwnDir
    ) -> Mapping[int, Explanation]:
        """Explain windows of a complete prediction; none without a page or after an interruption."""
        outputs, predictor = self.outputs, self.predictor
        if outputs.explain == NO_WINDOW or "html" not in outputs.formats or self.cancel.is_cancelled:
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
            cancel=self.cancel,
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
        outputs, decoder = self.outputs, self.predictor.decoder
        write = partial(write_outputs, prediction, planned, place, explanations=explanations)
        others = replace(outputs, formats=tuple(name for name in outputs.formats if name != "mp4"))
        if not self.cancel.is_cancelled and "mp4" in outputs.formats:
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
            self.cancel.raise_if_cancelled()
            show(seconds)

        return on_progress


def _write_index(out: OwnDir, report: PredictReport, run: Run, rows: Sequence[VideoRow]) -> None:
    values: dict[str, Any] = to_json_values(report)
    page = "".join(as_folder_page(out.name, run.class_names, rows))
    out.make()
    out.write_together({INDEX_FILE: to_json(portable_values(values)) + "\n", _PAGE_FILE: page})

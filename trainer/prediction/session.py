"""Several sources -> a prediction of each, and a page over all of them. A failing source ends only itself."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.display.json_values import to_json_values
from pipeline.errors import ClipError, OusError
from pipeline.own_dir import OwnDir
from pipeline.portable import portable_values
from pipeline.process.windows import PartDecoder
from pipeline.strict_json import to_json
from trainer.prediction.explanation_choice import NO_WINDOW
from trainer.prediction.extraction import RunModels
from trainer.prediction.folder_page import VideoRow, as_folder_page, video_row
from trainer.prediction.inputs import Input
from trainer.prediction.label_files import write_label_files
from trainer.prediction.label_scores import LabelScorer, LabelScores
from trainer.prediction.labels import Labels
from trainer.prediction.outputs import OutputOptions, write_outputs
from trainer.prediction.people_file import read_people_file, with_people
from trainer.prediction.person_section import Explanation
from trainer.prediction.predict import Predictor, Progress
from trainer.prediction.results import NOTICE, UNKNOWN, Prediction
from trainer.prediction.source import PlannedSource, PredictOptions, plan_source
from trainer.prediction.writing import Written
from trainer.runs import Run

INDEX_FILE = "index.json"
_PAGE_FILE = "index.html"


@dataclass(frozen=True, kw_only=True)
class PersonShare:
    """A person of a video: seconds with an answer, and the share of each class in it."""

    name: str
    num_windows: int
    num_answers: int
    shares: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class PredictedVideo:
    """Outcome for one source.

    Attributes:
        name: Name of its output below the output directory.
        path: The source.
        out: Directory of its files.
        num_windows: Windows; a window with two people counts twice.
        num_answers: Those with an answer.
        people: People with a name, and `UNKNOWN`.
        done_seconds: See `Prediction`.
        duration_seconds: Length of the source; None without times.
        seconds: Time of this run for the source.
        notes: Remarks for the user.
        skipped: Formats that were not written, with the reason.
        failure: Why there is no prediction; empty if there is one.
    """

    name: str
    path: Path
    out: Path
    num_windows: int = 0
    num_answers: int = 0
    people: tuple[PersonShare, ...] = ()
    done_seconds: float | None = None
    duration_seconds: float | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class PredictReport:
    """Result of `predict_all`.

    Attributes:
        videos: The sources, in order.
        banners: Warnings to show with every answer.
        page: Page over all sources; None for a single one.
        is_interrupted: Whether sources are missing or incomplete because of an interruption.
        notice: `NOTICE`.
        labels: Scores of the user's labels; None without labels.
    """

    videos: tuple[PredictedVideo, ...]
    banners: tuple[str, ...]
    page: Path | None
    is_interrupted: bool = False
    notice: str = NOTICE
    labels: LabelScores | None = None

    @property
    def num_failed(self) -> int:
        """Sources without a prediction."""
        return sum(bool(video.failure) for video in self.videos)


@dataclass(kw_only=True)
class PredictObserver:
    """Callbacks of `predict_all`; each does nothing by default.

    Attributes:
        on_scan: Called when a scan begins, with the source; returns a function of the scanned seconds.
        on_windows: Called when the windows of a source are known; returns a function of the progress.
        on_drawing: Called before the annotated video is written; returns a function of the written seconds.
        on_explaining: Called before windows are explained; returns a function of the numbers of windows that
            are done, and of all.
        on_note: Called with a remark.
        on_video: Called with the outcome of a source.
    """

    on_scan: Callable[[Input], Callable[[float], None]] = field(default=lambda _: lambda _: None)
    on_windows: Callable[[Input, PlannedSource], Callable[[Progress], None]] = field(
        default=lambda *_: lambda _: None
    )
    on_drawing: Callable[[Input, PlannedSource], Callable[[float], None]] = field(
        default=lambda *_: lambda _: None
    )
    on_explaining: Callable[[Input], Callable[[int, int], None]] = field(default=lambda _: lambda *_: None)
    on_note: Callable[[str], None] = field(default=lambda _: None)
    on_video: Callable[[PredictedVideo], None] = field(default=lambda _: None)


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
    observer, cancel = observer or PredictObserver(), cancel or CancelToken()
    predictor = Predictor(run, models, options, decoder, face_run)
    names = None if people_file is None else read_people_file(people_file)
    scorer = None if labels is None else LabelScorer(labels, run.path.name, predictor.banners)

    def predict_one(one: Input, where: Path) -> tuple[PredictedVideo, VideoRow]:
        began = time.monotonic()
        on_scan = _cancellable(observer.on_scan(one), cancel)
        planned = plan_source(one.path, models.models.config, run.info, options, decoder, on_scan)
        for note in planned.notes:
            observer.on_note(f"{one.path.name}: {note}")
        place = OwnDir.of(where)
        place.make()
        on_progress = observer.on_windows(one, planned)
        prediction = predictor.predict(
            planned, place, restart=restart, on_progress=on_progress, cancel=cancel
        )
        explanations = _explained(predictor, planned, prediction, place, outputs, one, observer, cancel)
        if names is not None:
            prediction = with_people(prediction, names, str(people_file))
        written = _written(prediction, planned, place, outputs, decoder, one, observer, cancel, explanations)
        if scorer is not None:
            scorer.add(one.name, prediction)
        skipped = (f"{form} was not written: {why}" for form, why in written.skipped.items())
        seconds = time.monotonic() - began
        video = _outcome(one, where, prediction, seconds, notes=planned.notes, skipped=tuple(skipped))
        return video, video_row(prediction, f"{one.name}/{_PAGE_FILE}" if "html" in outputs.formats else None)

    videos: list[PredictedVideo] = []
    rows: list[VideoRow] = []
    for one in inputs:
        if cancel.is_cancelled:
            break
        where = out / one.name if is_collection else out
        try:
            video, row = predict_one(one, where)
        except TaskCancelledError:
            break
        except (ClipError, OusError) as error:
            if not is_collection and not isinstance(error, ClipError):
                raise
            failure = f"{error.stage}: {error.reason}" if isinstance(error, ClipError) else str(error)
            video = PredictedVideo(name=one.name, path=one.path, out=where, failure=failure)
            row = VideoRow(name=one.name, failure=failure)
        videos.append(video)
        rows.append(row)
        observer.on_video(video)
    report = PredictReport(
        videos=tuple(videos),
        banners=predictor.banners,
        page=out / _PAGE_FILE if is_collection and rows else None,
        is_interrupted=cancel.is_cancelled,
    )
    if report.page is not None:
        _write_index(OwnDir.of(out), report, run, rows)
    if scorer is not None:
        report = replace(report, labels=scorer.result())
        write_label_files(OwnDir.of(out), scorer.result())
    return report


def _explained(
    predictor: Predictor,
    planned: PlannedSource,
    prediction: Prediction,
    place: OwnDir,
    outputs: OutputOptions,
    one: Input,
    observer: PredictObserver,
    cancel: CancelToken,
) -> Mapping[int, Explanation]:
    """Explain windows of a complete prediction; none without a page or after an interruption."""
    if outputs.explain == NO_WINDOW or "html" not in outputs.formats or cancel.is_cancelled:
        return {}
    from trainer.prediction.explain import explain  # imports matplotlib, which takes half a second

    on_window = observer.on_explaining(one)
    return explain(
        predictor,
        planned,
        prediction,
        place,
        outputs.explain,
        is_new=predictor.has_computed,
        on_window=on_window,
        cancel=cancel,
    )


def _written(
    prediction: Prediction,
    planned: PlannedSource,
    place: OwnDir,
    outputs: OutputOptions,
    decoder: PartDecoder,
    one: Input,
    observer: PredictObserver,
    cancel: CancelToken,
    explanations: Mapping[int, Explanation],
) -> Written:
    """Write the outputs of a source. After an interruption, the annotated video is left out."""
    write = partial(write_outputs, prediction, planned, place, explanations=explanations)
    others = replace(outputs, formats=tuple(name for name in outputs.formats if name != "mp4"))
    if not cancel.is_cancelled and "mp4" in outputs.formats:
        on_video = _cancellable(observer.on_drawing(one, planned), cancel)
        with suppress(TaskCancelledError):
            return write(outputs, decoder, on_video)
    written = write(others, decoder)
    if others == outputs:
        return written
    return Written(files=written.files, skipped={**written.skipped, "mp4": "interrupted"})


def _cancellable(show: Callable[[float], None], cancel: CancelToken) -> Callable[[float], None]:
    """Return a callback that also raises TaskCancelledError once `cancel` is cancelled."""

    def on_progress(seconds: float) -> None:
        cancel.raise_if_cancelled()
        show(seconds)

    return on_progress


def _outcome(
    one: Input,
    where: Path,
    prediction: Prediction,
    seconds: float,
    *,
    notes: tuple[str, ...],
    skipped: tuple[str, ...],
) -> PredictedVideo:
    people = []
    for person in prediction.people:
        windows = [window for window in prediction.windows if window.track in person.tracks]
        answers = [window.answer for window in windows if window.answer is not None]
        shares = (
            {name: answers.count(name) / len(answers) for name in prediction.class_names} if answers else {}
        )
        people.append(
            PersonShare(name=person.name, num_windows=len(windows), num_answers=len(answers), shares=shares)
        )
    return PredictedVideo(
        name=one.name,
        path=one.path,
        out=where,
        num_windows=len(prediction.windows),
        num_answers=sum(window.answer is not None for window in prediction.windows),
        people=tuple(sorted(people, key=lambda person: person.name == UNKNOWN)),
        done_seconds=prediction.done_seconds,
        duration_seconds=prediction.source.duration_seconds,
        seconds=seconds,
        notes=notes,
        skipped=skipped,
    )


def _write_index(out: OwnDir, report: PredictReport, run: Run, rows: Sequence[VideoRow]) -> None:
    values: dict[str, Any] = to_json_values(report)
    page = "".join(as_folder_page(out.name, run.class_names, rows))
    out.make()
    out.write_together({INDEX_FILE: to_json(portable_values(values)) + "\n", _PAGE_FILE: page})

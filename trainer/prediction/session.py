"""Several videos -> a prediction of each on the workers of an executor, and a page over all of them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.display.json_values import to_json_values
from pipeline.executor import Executor, Observer
from pipeline.own_dir import OwnDir
from pipeline.portable import portable_values
from pipeline.strict_json import to_json
from trainer.prediction.differing_workers import add_banner, differing_banner
from trainer.prediction.folder_page import VideoRow, as_folder_page
from trainer.prediction.inputs import Input
from trainer.prediction.label_files import LABEL_FILES, remove_label_files, write_label_files
from trainer.prediction.label_scores import collect_scores
from trainer.prediction.labels import Labels
from trainer.prediction.outcomes import PredictObserver, PredictReport
from trainer.prediction.video_tasks import VideoResult, VideoTask, failed
from trainer.prediction.writing import PAGE_FILE
from trainer.runs import Run

INDEX_FILE = "index.json"
_DIED = (
    "two worker processes died at this video, perhaps because memory ran out; repeat the command with more "
    "memory for each worker, or with fewer --decoders"
)

PredictExecutor = Executor[VideoTask, VideoResult]


def predict_all(
    inputs: Sequence[Input],
    run: Run,
    executor: PredictExecutor,
    out: Path,
    *,
    is_collection: bool,
    labels: Labels | None = None,
    observer: PredictObserver | None = None,
    cancel: CancelToken | None = None,
) -> PredictReport:
    """Predict videos, each into a directory of its own.

    Args:
        inputs: The videos.
        run: The run.
        executor: Workers with a `PredictSetup` for this run.
        out: Directory of the only video, or the one above all of them.
        is_collection: Whether there is a directory per video below `out`, and a page over all.
        labels: The user's labels, which the workers compare with the answers; None for none.
        observer: Receives notes, outcomes, and the progress over all videos.
        cancel: Ends the work early. In this process, the files of everything that is done are written; on a
            cluster, a video that is not finished is continued by the next call.

    Raises:
        ConfigError: An option does not fit the run or the only video, or the people file cannot be read.
        DatasetError: A label has a person or a time that its video does not have; all files are written.
        FileError: A file cannot be written.
        OusError: No worker connects, or a device fails.
    """
    observer, cancel = observer or PredictObserver(), cancel or CancelToken()
    watch = _Watch(observer, cancel)
    try:
        banners, notes = executor.ask_worker(methodcaller("remarks"), watch)
    except TaskCancelledError:
        return PredictReport(videos=(), banners=run.banners, page=None, is_interrupted=True)
    for note in notes:
        observer.on_note(note)
    tasks = (
        VideoTask(
            number=n, source=one, out=out / one.name if is_collection else out, is_only=not is_collection
        )
        for n, one in enumerate(inputs)
    )
    results: dict[int, VideoResult] = {}
    is_complete = False
    try:
        with closing(executor.run(tasks, watch)) as done:
            for task, result in done:
                results[task.number] = result or failed(task, _DIED)
                observer.on_video(results[task.number].video)
        is_complete = True
    except TaskCancelledError:
        cancel.cancel()
    finally:  # also after an error of the device, so that the page is not that of an earlier command
        found = [results[number] for number in sorted(results)]
        differing = differing_banner(found)
        banners = _all_banners(banners, found, differing)
        report = PredictReport(
            videos=tuple(result.video for result in found),
            banners=banners,
            page=out / PAGE_FILE if is_collection and found else None,
            is_interrupted=cancel.is_cancelled or not is_complete,
        )
        if report.page is not None:
            _write_index(OwnDir.of(out), report, run, [result.row for result in found])
    if labels is None:
        remove_label_files(OwnDir.of(out))
    else:
        scores = collect_scores(labels, [result.scores for result in found], run.path.name, banners)
        report = replace(report, labels=scores)
        write_label_files(OwnDir.of(out), scores)
        if report.page is not None:
            rows = [result.row for result in found]
            written = [name for name in LABEL_FILES if OwnDir.of(out).kind(name) == "file"]
            _write_index(OwnDir.of(out), report, run, rows, written)
    for video in report.videos if differing else ():
        if not video.failure:
            add_banner(OwnDir.of(video.out), differing or "")
    return report


def _all_banners(
    known: Sequence[str], results: Sequence[VideoResult], differing: str | None
) -> tuple[str, ...]:
    """Return the banners of all workers, each once."""
    of_videos = [banner for result in results for banner in result.row.banners]
    return tuple(dict.fromkeys([*known, *of_videos, *([differing] if differing else [])]))


class _Watch(Observer):
    """Observer that ends the work once it is cancelled."""

    def __init__(self, observer: PredictObserver, cancel: CancelToken) -> None:
        self._observer, self._cancel = observer, cancel

    def on_progress(self, amount: float) -> None:
        self._observer.on_videos(amount)

    def on_waiting(self) -> None:
        self._observer.on_note("no worker is connected; waiting for one")

    def on_tick(self) -> None:
        self._cancel.raise_if_cancelled()


def _write_index(
    out: OwnDir, report: PredictReport, run: Run, rows: Sequence[VideoRow], label_files: Sequence[str] = ()
) -> None:
    values: dict[str, Any] = to_json_values(report)
    page = "".join(as_folder_page(out.name, run.class_names, rows, report.banners, label_files))
    out.make()
    out.write_together({INDEX_FILE: to_json(portable_values(values)) + "\n", PAGE_FILE: page})

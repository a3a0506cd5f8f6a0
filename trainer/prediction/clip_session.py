"""A list of clips and a run -> an answer for every row, in the files of a directory."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.config import require_one_of
from pipeline.errors import ConfigError
from pipeline.own_dir import OwnDir
from pipeline.process import ExtractConfig
from pipeline.process.windows import MAIN, WindowOptions
from pipeline.types import ClipRef
from trainer.prediction.clip_answers import answer_clips
from trainer.prediction.clip_files import StoredClips, require_own_files, write_clip_files
from trainer.prediction.clip_list import ClipList, ListedClip, labels_of, require_faces
from trainer.prediction.clip_results import ClipAnswer, ClipPlan, ClipReport, ClipSettings
from trainer.prediction.early_checks import require_possible
from trainer.prediction.growing_files import LOCK_FILE
from trainer.prediction.label_scores import LabelScore, LabelScores
from trainer.prediction.labels import Labels
from trainer.prediction.outputs import OUTPUT_FILES, remove_outputs
from trainer.prediction.worker import PredictWorker
from trainer.runs import Run

FORMATS = ("jsonl", "csv")
STOPPED = "the prediction was stopped before this clip"
_BLOCK = 16
"""Clips of a block, which is done or not at an interruption."""
_SHOWN_REASONS = 20


def parse_formats(text: str) -> tuple[str, ...]:
    """Return the formats of a list that an option names. Raises ConfigError for another one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        require_one_of("--formats of a list of clips", name, ("all", *FORMATS))
    return FORMATS if "all" in names else tuple(dict.fromkeys(names))


def check_clips(
    clips: ClipList, config: ExtractConfig, class_names: Sequence[str], out: OwnDir, formats: Sequence[str]
) -> None:
    """Check everything about a list, a run and a directory that needs no model.

    Args:
        clips: The list.
        config: Settings that the features of the run were made with.
        class_names: Classes of the run.
        out: Directory of the files.
        formats: Some of `FORMATS`.

    Raises:
        ConfigError: A file of the prediction would replace the list, or one that is no prediction's.
        DatasetError: No clip has the face boxes or crops that the run needs, or a label is invalid.
        FileError: The directory cannot be made or written.
    """
    require_possible(out.path)
    require_faces(clips, config)
    _require_elsewhere(clips, out)
    has_labels = labels_of(clips, class_names) is not None
    if out.is_dir():
        require_own_files(out, has_table="csv" in formats, has_labels=has_labels)


def plan_clips(clips: ClipList, config: ExtractConfig, run: Run) -> ClipPlan:
    """Count the clips of a list and their images, without weights and without opening a clip.

    Args:
        clips: The list.
        config: Settings that the features of the run were made with.
        run: The run.

    Raises:
        DatasetError: No clip has the face boxes or crops that the run needs.
    """
    require_faces(clips, config)
    labels = labels_of(clips, run.class_names)
    num_clips = len(clips.counts)
    return ClipPlan(
        file=clips.file,
        num_rows=len(clips.rows),
        num_clips=num_clips,
        num_missing=clips.num_missing,
        num_labels=0 if labels is None else len(labels.rows),
        num_images=2 * config.frames.num_frames * (num_clips - clips.num_missing),
        notes=notes_of(clips, config),
    )


@dataclass(frozen=True, kw_only=True)
class ClipObserver:
    """Callbacks of `predict_clips`.

    Attributes:
        on_start: Called with the number of clips to compute.
        on_progress: Called with the clips that were finished since the last call, in fractions.
    """

    on_start: Callable[[float], None] = lambda _: None
    on_progress: Callable[[float], None] = lambda _: None


def predict_clips(
    clips: ClipList,
    worker: PredictWorker,
    out: OwnDir,
    *,
    formats: Sequence[str] = FORMATS,
    observer: ClipObserver | None = None,
    cancel: CancelToken | None = None,
) -> ClipReport:
    """Answer for every row of a list, or continue a prediction that is there, and write its files.

    Args:
        clips: The list.
        worker: The run with its models and decoders, of a `PredictSetup` with ``people=main``.
        out: Directory of the files; it is made if it does not exist.
        formats: Some of `FORMATS`; clips.jsonl is always there.
        observer: Receives the progress.
        cancel: Ends the work early; everything up to the last block is kept.

    Raises:
        ConfigError: The directory has another prediction, or a file of the prediction would replace the list.
        DatasetError: No clip has the face boxes or crops that the run needs, or a label is invalid.
        FileError: A file cannot be written.
        OusError: The device failed.
    """
    predictor, cancel = worker.predictor, cancel or CancelToken()
    run, options, config = predictor.run, predictor.options, predictor.models.models.config
    require_faces(clips, config)
    _require_elsewhere(clips, out)
    labels = labels_of(clips, run.class_names)
    settings = ClipSettings(min_face_px=options.min_face_px, min_share=options.min_share)
    out.make()
    with out.lock(LOCK_FILE):
        if worker.setup.restart:
            remove_outputs(out)
        require_own_files(out, has_table="csv" in formats, has_labels=labels is not None)
        stored = StoredClips(out, clips, run.class_names, predictor.run_settings(), settings)
        stored.begin(restart=worker.setup.restart)
        if not stored.is_done:
            _compute(clips, worker, stored, observer or ClipObserver(), cancel)
        report = _report(clips, worker, out, stored, settings, labels)
        write_clip_files(out, report, stored, has_table="csv" in formats)
        return report


def _require_elsewhere(clips: ClipList, out: OwnDir) -> None:
    """Raise ConfigError if the list has the place of a file of its prediction, which would replace it."""
    place = os.path.realpath(clips.file)
    if any(os.path.realpath(out.path / name) == place for name in OUTPUT_FILES):
        msg = (
            f"--out '{out}': the prediction would replace the list '{clips.file}', which has the name of one "
            "of its files; give another --out."
        )
        raise ConfigError(msg)


def _compute(
    clips: ClipList, worker: PredictWorker, stored: StoredClips, observer: ClipObserver, cancel: CancelToken
) -> None:
    """Answer for the rows that are not done, block by block. Each clip is computed once."""
    predictor = worker.predictor
    several = {clip_id for clip_id, count in clips.counts.items() if count > 1}
    known = {row.clip.clip_id: answer for row, answer in stored.answers() if row.clip.clip_id in several}
    options = WindowOptions(
        people=MAIN,
        min_face_px=predictor.options.min_face_px,
        min_share=predictor.options.min_share,
    )
    rows = clips.rows[stored.num_done :]
    observer.on_start(len({row.clip.clip_id for row in rows}.difference(known)))
    for block, new in _blocks(rows, known):
        try:
            answers = answer_clips(
                clips.root,
                list(new.values()),
                predictor.models.models,
                predictor.head,
                options,
                worker.decoder,
                cancel=cancel,
                on_progress=observer.on_progress,
            )
        except TaskCancelledError:
            return
        found = {**known, **dict(zip(new, answers, strict=True))}
        stored.add(found[row.clip.clip_id] for row in block)
        known |= {clip_id: found[clip_id] for clip_id in several.intersection(new)}
    stored.finish()


def _blocks(
    rows: Sequence[ListedClip], known: dict[str, ClipAnswer]
) -> Iterator[tuple[list[ListedClip], dict[str, ClipRef]]]:
    """Yield rows in order, with the clips among them that are not known, a block's number at most."""
    block: list[ListedClip] = []
    new: dict[str, ClipRef] = {}
    for row in rows:
        clip_id = row.clip.clip_id
        if clip_id not in known and clip_id not in new:
            if len(new) == _BLOCK:
                yield block, new
                block, new = [], {}
            new[clip_id] = row.clip
        block.append(row)
    if block:
        yield block, new


def _report(
    clips: ClipList,
    worker: PredictWorker,
    out: OwnDir,
    stored: StoredClips,
    settings: ClipSettings,
    labels: Labels | None,
) -> ClipReport:
    predictor, setup = worker.predictor, worker.setup
    run = predictor.run
    answers, reasons = Counter[str](), Counter[str]()
    num_failed, labelled = 0, {} if labels is None else {row.where: row for row in labels.rows}
    scores = {row: LabelScore(row=row, reason=STOPPED) for row in labelled.values()}
    for row, one in stored.answers():
        num_failed += one.failed_at is not None
        if one.answer is None:
            reasons[one.reason or ""] += 1
        else:
            answers[one.answer] += 1
        if label := labelled.get(row.where):
            num_answers = int(one.answer is not None)
            scores[label] = LabelScore(
                row=label,
                prediction=one.answer,
                probability=one.probability,
                num_windows=num_answers,
                num_people=num_answers,
                reason=one.reason or "",
            )
    return ClipReport(
        file=clips.file,
        out=out.path,
        run=run.path.name,
        face_run=None if setup.face_run is None else setup.face_run.name,
        class_names=run.class_names,
        banners=predictor.banners,
        settings=settings,
        num_rows=len(clips.rows),
        num_clips=len(clips.counts),
        num_done=stored.num_done,
        num_answers=answers.total(),
        num_failed=num_failed,
        answers={name: answers[name] for name in run.class_names},
        reasons=dict(reasons.most_common(_SHOWN_REASONS)),
        is_interrupted=not stored.is_done,
        notes=notes_of(clips, predictor.models.models.config),
        labels=None
        if labels is None
        else LabelScores(
            labels=labels, scores=tuple(scores.values()), run=run.path.name, banners=predictor.banners
        ),
    )


def notes_of(clips: ClipList, config: ExtractConfig) -> tuple[str, ...]:
    """Return the remarks on a list for a run with these settings."""
    has_faces = any(row.clip.provided_boxes or row.clip.face_path for row in clips.rows)
    if not (has_faces and config.faces.is_detected):
        return clips.notes
    ignored = "face boxes and crops of the list are not used, because the run was trained on detected faces"
    return (*clips.notes, ignored)

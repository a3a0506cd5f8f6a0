"""Clips -> answers of a run, by the steps of `extract` and in the memory of one block of clips.

Letters: U sampled frames of a clip, each once; V views, of which the first is used and encoded; T frames per
view; N detected faces; 4 the edges of a box.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.cancel import CancelToken
from pipeline.device import device_fault, is_device_fault
from pipeline.errors import first_line
from pipeline.process import Decoder, Models, process_block
from pipeline.process.windows import WindowOptions, in_view_of, reason_for
from pipeline.types import DOUBTFUL_NATS, ClipDone, ClipFailed, ClipOutcome, ClipRef, Floats, NoteKind
from trainer.prediction.answer_values import HeadAnswer
from trainer.prediction.answers import Head, HeadInput, rounded_box
from trainer.prediction.clip_results import BEYOND_END, ClipAnswer
from trainer.prediction.results import DOUBTFUL, GAP, SHORT

NO_MEMORY = "memory"
"""Step of a clip that does not fit into memory alone."""

Advance = Callable[[float], None]


def answer_clips(
    root: Path,
    clips: Sequence[ClipRef],
    models: Models,
    head: Head,
    options: WindowOptions,
    decoder: Decoder,
    *,
    cancel: CancelToken,
    on_progress: Advance = lambda _: None,
) -> list[ClipAnswer]:
    """Return the answer for each clip. A clip that fails is one without an answer.

    Args:
        root: The directory that the clips' paths start from.
        clips: The clips, which are processed as one block of `extract`.
        models: Detector and encoder of the run.
        head: Answers for features.
        options: Conditions of an answer.
        decoder: Decodes the clips.
        cancel: Ends the work early.
        on_progress: Called with the clips that were finished since the last call, in fractions.

    Raises:
        OusError: The device failed.
        TaskCancelledError: `cancel` is cancelled.
    """
    outcomes = _outcomes(root, clips, models, decoder, cancel, on_progress)
    known = [_without_answer(clip, one, options, head) for clip, one in zip(clips, outcomes, strict=True)]
    inputs = [
        _input_of(outcome)
        for outcome, answer in zip(outcomes, known, strict=True)
        if isinstance(outcome, ClipDone) and answer.reason is None
    ]
    answered = iter(head.answers(inputs))
    return [answer if answer.reason else _with_answer(answer, next(answered)) for answer in known]


def _outcomes(
    root: Path,
    clips: Sequence[ClipRef],
    models: Models,
    decoder: Decoder,
    cancel: CancelToken,
    on_progress: Advance,
) -> list[ClipOutcome | MemoryError]:
    """Process clips together, or one by one if memory does not suffice for all."""
    try:
        done = process_block(
            root,
            clips,
            models,
            decoder=decoder,
            on_progress=on_progress,
            cancel=cancel,
            first_view_only=True,
        )
    except (MemoryError, torch.OutOfMemoryError) as error:
        if len(clips) == 1:
            return [MemoryError(first_line(error)[:200])]
        return [
            outcome
            for clip in clips
            for outcome in _outcomes(root, [clip], models, decoder, cancel, lambda _: None)
        ]
    except RuntimeError as error:
        if not is_device_fault(error):
            raise
        raise device_fault(error, "finished clips are safe") from error
    return list(done.outcomes)


def _without_answer(
    clip: ClipRef, outcome: ClipOutcome | MemoryError, options: WindowOptions, head: Head
) -> ClipAnswer:
    """Return everything about a clip but its answer, with the reason if there will be none."""
    if isinstance(outcome, MemoryError):
        return _answer_of(clip, head, reason=f"out of memory ({outcome})", failed_at=NO_MEMORY)
    if isinstance(outcome, ClipFailed):
        return _answer_of(
            clip,
            head,
            source_sha256=outcome.source_sha256,
            reason=f"{outcome.stage}: {outcome.reason}",
            failed_at=outcome.stage,
        )
    frames, track = outcome.frames, outcome.track
    used_U = np.unique(frames.position_VT[0])
    boxes_N4 = track.box_xyxy_px[used_U][track.found[used_U]]
    flags = [
        (SHORT, not frames.valid_VT[0].all()),
        (DOUBTFUL, track.margin < DOUBTFUL_NATS),
        (GAP, outcome.has_note(NoteKind.DAMAGE)),
        (BEYOND_END, outcome.has_note(NoteKind.WINDOW)),
    ]
    return _answer_of(
        clip,
        head,
        source_sha256=outcome.source.sha256,
        frames_found=len(boxes_N4),
        num_sampled=len(used_U),
        box_xyxy_px=rounded_box(_mean_box(boxes_N4)),
        reason=reason_for(boxes_N4, len(used_U), options) or None,
        flags=tuple(name for name, is_set in flags if is_set),
    )


def _answer_of(clip: ClipRef, head: Head, **others: Any) -> ClipAnswer:
    """Return a clip without an answer."""
    return ClipAnswer(
        **vars(head.no_answer),
        clip_id=clip.clip_id,
        path=clip.path,
        start_seconds=clip.start_seconds,
        end_seconds=clip.end_seconds,
        **others,
    )


def _mean_box(boxes_N4: Floats) -> Floats | None:
    """Return the mean of boxes [N, 4]; None without any, and for face crops, which have none."""
    if not len(boxes_N4) or not np.isfinite(boxes_N4).all():
        return None
    mean_4: Floats = boxes_N4.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean_4


def _input_of(outcome: ClipDone) -> HeadInput:
    """Return the first view of a clip, as the trainer reads it from a cache."""
    valid_T = outcome.frames.valid_VT[0]
    absence_T = outcome.track.absence_U[outcome.frames.position_VT[0]]
    return HeadInput(features=outcome.features, valid_T=valid_T, in_view_T=in_view_of(absence_T, valid_T))


def _with_answer(known: ClipAnswer, found: HeadAnswer) -> ClipAnswer:
    return ClipAnswer(**{**vars(known), **vars(found)})

"""From a block of clips to one outcome per clip.

A clip that cannot be processed has an outcome too; it does not end the block.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline import frames as frame_step
from pipeline.cancel import CancelToken
from pipeline.errors import ClipError
from pipeline.process.encode import done_with, encode_clips, outcome_of
from pipeline.process.models import Models
from pipeline.process.prepare import PreparedClip, make_decode_job, prepare
from pipeline.process.reuse import reusable_features
from pipeline.types import ClipFailed, ClipOutcome, ClipRef, EarlierClip


@dataclass
class StageSeconds:
    """Seconds of work of each stage on some clips.

    Those of the block's thread leave out the time that it waits for the device's lock. On a GPU, where passes
    queue, they include the time behind another thread's passes.
    """

    decode: float = 0.0
    """Time of one core, in any process."""
    detect: float = 0.0
    """Time of the block's thread, with tracks and crops."""
    encode: float = 0.0
    """Time of the block's thread."""
    write: float = 0.0
    """Time of the block's thread."""

    def add(self, other: "StageSeconds") -> None:
        """Add the seconds of `other`."""
        for stage in STAGES_OF_WORK:
            self.count(stage)(getattr(other, stage))

    def count(self, stage: str) -> Callable[[float], None]:
        """Return a function that adds seconds to a stage."""

        def add(seconds: float) -> None:
            setattr(self, stage, getattr(self, stage) + seconds)

        return add


STAGES_OF_WORK = tuple(item.name for item in fields(StageSeconds))


@dataclass(frozen=True, kw_only=True)
class BlockOutcome:
    """Result of one block."""

    outcomes: tuple[ClipOutcome, ...]
    """One per clip, in order."""
    num_pictures: int
    """Images that were encoded, of both streams."""
    seconds: StageSeconds
    """Time of each stage."""
    num_reused: int = 0
    """Clips whose features come from an earlier cache."""


def process_block(
    root: Path,
    clips: Sequence[ClipRef],
    models: Models,
    *,
    decoder: frame_step.Decoder | None = None,
    on_progress: Callable[[float], None] | None = None,
    cancel: CancelToken | None = None,
    earlier: Sequence[EarlierClip | None] = (),
    first_view_only: bool = False,
) -> BlockOutcome:
    """Decode, detect, track and crop every clip, then encode the images of all of them together.

    Clips are processed in the order in which they are decoded. The device is locked for one batch at a time,
    so that two threads, each with a block of its own, keep it busy.

    Args:
        root: The directory that the clips' paths start from.
        clips: The clips.
        models: Detector and encoder.
        decoder: Decodes the clips; None for this thread.
        on_progress: Called with the clips that were finished since the last call, in fractions.
        cancel: Checked after each clip and each batch.
        earlier: The clips in an earlier cache, whose features are used where the images are the same
            (`reusable_features`); empty for none.
        first_view_only: Whether only the first view is encoded, which has the features that it has among all.

    Raises:
        TaskCancelledError: `cancel` is cancelled.
    """
    seconds, cancel = StageSeconds(), cancel or CancelToken()
    jobs = [make_decode_job(root, clip, models.config) for clip in clips]
    prepared: list[PreparedClip | ClipFailed | None] = [None] * len(clips)
    with closing((decoder or frame_step.InlineDecoder()).stream(jobs)) as answers:
        for place, decoded in answers:
            prepared[place] = _attempt(
                clips[place], decoded, models, seconds, first_view_only=first_view_only
            )
            del decoded  # the decoder waits for the memory of these pixels
            cancel.raise_if_cancelled()
    items = [item for item in prepared if item is not None]
    assert len(items) == len(clips), "a decoder answers every job"
    known = [
        reusable_features(item, before) if isinstance(item, PreparedClip) else None
        for item, before in zip(items, earlier or [None] * len(items), strict=True)
    ]
    good = [
        item
        for item, features in zip(items, known, strict=True)
        if isinstance(item, PreparedClip) and features is None
    ]
    with models.device_lock.timed(seconds.count("encode")):
        encoded = encode_clips(good, models, _after_batch(len(clips), good, cancel, on_progress))
    outcomes: list[ClipOutcome] = []
    for item, features in zip(items, known, strict=True):
        if isinstance(item, ClipFailed):
            outcomes.append(item)
        elif features is not None:
            outcomes.append(done_with(item, features))
        else:
            outcomes.append(outcome_of(item, *next(encoded)))
    if on_progress is not None and not good:
        on_progress(len(clips))
    num_pictures = 2 * sum(item.num_pictures for item in good)
    return BlockOutcome(
        outcomes=tuple(outcomes),
        num_pictures=num_pictures,
        seconds=seconds,
        num_reused=sum(features is not None for features in known),
    )


def _attempt(
    clip: ClipRef,
    decoded: frame_step.DecodeAnswer,
    models: Models,
    seconds: StageSeconds,
    *,
    first_view_only: bool,
) -> PreparedClip | ClipFailed:
    if isinstance(decoded, ClipFailed):
        return decoded
    seconds.decode += decoded.seconds
    try:
        with models.device_lock.timed(seconds.count("detect")):
            prepared = prepare(clip, decoded, models)
            return prepared.first_view if first_view_only else prepared
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason)


def _after_batch(
    num_clips: int,
    good: Sequence[PreparedClip],
    cancel: CancelToken,
    on_progress: Callable[[float], None] | None,
) -> Callable[[int], None]:
    """Return a callback for each batch, which reports progress in clips and checks `cancel`."""
    total = 2 * sum(item.num_pictures for item in good)

    def after_batch(pictures: int) -> None:
        cancel.raise_if_cancelled()
        if on_progress is not None and total:
            on_progress(num_clips * pictures / total)

    return after_batch

"""From a block of clips to one outcome per clip.

A clip that cannot be processed has an outcome too; it does not end the block.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline import frames as frame_step
from pipeline.cancel import CancelToken
from pipeline.errors import ClipError
from pipeline.process.encode import EncodeQueue, done_with, outcome_of
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


@dataclass
class Pace:
    """Choice of the moments at which the finished clips of a block are stored, before its end.

    Threads of a worker may share one. By the measured time of an image, a slow encoder finishes after each
    clip, and a fast one after a whole block. Before the end, only whole batches are encoded.

    Attributes:
        seconds: Work of a thread that may be lost.
        seconds_per_image: Time of an encoded image; 0 before the first.
    """

    seconds: float = 10.0
    seconds_per_image: float = 0.0

    def is_due(self, elapsed: float, num_images: int) -> bool:
        """Return whether waiting images are to be encoded now.

        Args:
            elapsed: Seconds since the last clips were finished.
            num_images: Waiting images of each stream that fill whole batches.
        """
        work = elapsed + 2 * num_images * self.seconds_per_image
        return num_images > 0 and (not self.seconds_per_image or work > self.seconds)


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
    pace: Pace | None = None,
    on_finished: Callable[[Mapping[int, ClipOutcome]], None] | None = None,
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
        pace: Chooses when the clips so far are encoded, before the end. None: all at the end.
        on_finished: Called with the outcomes so far, by the clip's place, each time that `pace` chose.

    Raises:
        TaskCancelledError: `cancel` is cancelled.
    """
    block = _Block(clips, models, cancel or CancelToken(), on_progress)
    jobs = [make_decode_job(root, clip, models.config) for clip in clips]
    with closing((decoder or frame_step.InlineDecoder()).stream(jobs)) as answers:
        for place, decoded in answers:
            item = _attempt(clips[place], decoded, models, block.seconds, first_view_only=first_view_only)
            del decoded  # the decoder waits for the memory of these pixels
            block.cancel.raise_if_cancelled()
            block.add(place, item, earlier[place] if earlier else None)
            if pace is None:
                continue
            elapsed = time.monotonic() - block.since
            if pace.is_due(elapsed, block.queue.num_in_whole_batches):
                pace.seconds_per_image = block.encode(to_end=False)
            elif elapsed <= pace.seconds:
                continue
            if on_finished is not None and block.num_stored < len(block.outcomes) < len(clips):
                on_finished(block.outcomes)
                block.num_stored = len(block.outcomes)
            block.since = time.monotonic()
    block.encode(to_end=True)
    assert len(block.outcomes) == len(clips), "a decoder answers every job"
    return BlockOutcome(
        outcomes=tuple(block.outcomes[place] for place in range(len(clips))),
        num_pictures=block.num_pictures,
        seconds=block.seconds,
        num_reused=block.num_reused,
    )


class _Block:
    """A block on its way from prepared clips to outcomes.

    Args:
        clips: Its clips.
        models: The encoder.
        cancel: Checked after each batch.
        on_progress: Called with the clips that were finished since the last call, in fractions.
    """

    def __init__(
        self,
        clips: Sequence[ClipRef],
        models: Models,
        cancel: CancelToken,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self.seconds = StageSeconds()
        self.cancel = cancel
        self.outcomes: dict[int, ClipOutcome] = {}
        self.num_stored = 0
        self.num_pictures = 0
        self.num_reused = 0
        self.since = time.monotonic()
        self.queue = EncodeQueue(models, self._after_batch)
        self._lock = models.device_lock
        self._advance = on_progress or (lambda _: None)

    def add(self, place: int, item: PreparedClip | ClipFailed, before: EarlierClip | None) -> None:
        """Add a clip, which is finished if it failed or has its features already."""
        features = reusable_features(item, before) if isinstance(item, PreparedClip) else None
        if isinstance(item, PreparedClip) and features is None:
            self.queue.add(place, item)
            return
        if isinstance(item, PreparedClip) and features is not None:
            self.outcomes[place] = done_with(item, features)
            self.num_reused += 1
        elif isinstance(item, ClipFailed):
            self.outcomes[place] = item
        self._advance(1)

    def encode(self, *, to_end: bool) -> float:
        """Encode the waiting images, or those that fill whole batches. Returns the seconds of an image."""
        began, before = time.monotonic(), self.queue.num_waiting
        with self._lock.timed(self.seconds.count("encode")):
            finished = self.queue.encode(to_end=to_end)
        for place, clip, face, scene in finished:
            self.outcomes[place] = outcome_of(clip, face, scene)
        num_images = 2 * (before - self.queue.num_waiting)
        self.num_pictures += num_images
        return (time.monotonic() - began) / num_images if num_images else 0.0

    def _after_batch(self, clips: float) -> None:
        self.cancel.raise_if_cancelled()
        self._advance(clips)


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

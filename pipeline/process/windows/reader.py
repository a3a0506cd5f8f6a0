"""Windows of a long source, read from its file: frames decoded ahead, samples in batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from pipeline.cancel import CancelToken
from pipeline.frames import PartDecoder, stream_frames
from pipeline.process.models import Models
from pipeline.process.windows.engine import WindowEngine
from pipeline.process.windows.plan import WindowPlan
from pipeline.process.windows.samples import FoundFace, WindowOptions, WindowSample
from pipeline.process.windows.track_parts import TrackPart
from pipeline.types import SourceScan, StreamedFrame

_CHUNK_FRAMES, _CHUNK_BYTES = 16, 128 << 20
_BATCHES, _MOST_FRAMES = 4, 250
"""Samples are returned after images for this many batches, or after this many frames, have been read.

If no sample is ready then, because few people are in view, images are encoded that do not fill a batch.
"""


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Samples and faces that became ready together.

    Attributes:
        samples: Samples of windows, in the order of the plan.
        faces: Faces of named tracks on frames that are not needed again, in the order of frames.
        num_windows: Windows that are ready so far.
        frame: First frame that later windows need; the number of frames of the source after the last one.
    """

    samples: tuple[WindowSample, ...]
    faces: tuple[FoundFace, ...]
    num_windows: int
    frame: int


class WindowReader:
    """Reads the windows of a source.

    Args:
        path: The source.
        scan: Its scan.
        plan: Its windows.
        models: Detector and encoder.
        options: Settings.
        decoder: Decodes the frames.
        state: Arrays of `state` of an earlier reader with equal arguments, to continue from there.
        parts: All results of its `take_parts`.
    """

    def __init__(
        self,
        path: Path,
        scan: SourceScan,
        plan: WindowPlan,
        models: Models,
        options: WindowOptions,
        decoder: PartDecoder,
        state: Mapping[str, npt.NDArray[Any]] | None = None,
        parts: Iterable[TrackPart] = (),
    ) -> None:
        self._path, self._scan, self._plan, self._decoder = path, scan, plan, decoder
        self._least_images = _BATCHES * models.encoder.batch_pictures
        self.engine = WindowEngine(models, plan, scan.seconds_N, options, state, parts)

    def batches(
        self, on_frame: Callable[[int], None] = lambda _: None, cancel: CancelToken | None = None
    ) -> Iterator[WindowBatch]:
        """Yield the samples of all windows that are not ready yet. After each batch, `state` continues there.

        Args:
            on_frame: Called with the number of the last frame that was read, after every few frames.
            cancel: Checked after every few frames and every batch of images.

        Raises:
            ClipError: A step fails on a frame; names the step.
            TaskCancelledError: `cancel` is cancelled.
        """
        cancel = cancel or CancelToken()
        first = self.engine.first_needed
        if first is None:
            return
        wanted = self._plan.wanted
        unread = 0
        frames = stream_frames(self._path, self._scan, wanted[wanted >= first].tolist(), self._decoder)
        with closing(frames):
            for chunk in _chunks(frames):
                self.engine.add(chunk)
                unread += len(chunk)
                cancel.raise_if_cancelled()
                on_frame(chunk[-1].number)
                if self.engine.num_waiting >= self._least_images or unread >= _MOST_FRAMES:
                    batch = self._flushed(cancel, encode_all=False)
                    if not batch.samples and unread >= _MOST_FRAMES:
                        batch = self._flushed(cancel, encode_all=True)
                    unread = 0
                    if batch.samples:
                        yield batch
            yield self._flushed(cancel, encode_all=True)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state after the last batch, as arrays of a size that does not grow."""
        return self.engine.to_arrays()

    def take_parts(self) -> tuple[TrackPart, ...]:
        """Return what was added to tracks since the last call. Call it after each batch, with `state`."""
        return self.engine.tracks.take_parts()

    def _flushed(self, cancel: CancelToken, *, encode_all: bool) -> WindowBatch:
        samples = self.engine.flush(lambda _: cancel.raise_if_cancelled(), encode_all=encode_all)
        first = self.engine.first_needed
        return WindowBatch(
            samples=tuple(samples),
            faces=tuple(self.engine.take_faces()),
            num_windows=self.engine.num_ready,
            frame=self._scan.num_frames if first is None else first,
        )


def _chunks(frames: Iterator[StreamedFrame]) -> Iterator[list[StreamedFrame]]:
    """Yield frames in groups of a limited number and size."""
    chunk: list[StreamedFrame] = []
    num_bytes = 0
    for frame in frames:
        chunk.append(frame)
        num_bytes += 0 if frame.rgb_HWC is None else frame.rgb_HWC.nbytes
        if len(chunk) == _CHUNK_FRAMES or num_bytes >= _CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk

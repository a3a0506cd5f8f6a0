"""Decoding in child processes, in which a crash or a hang of the decoding library affects one clip.

PyAV takes Python's global lock in small slices and is slow beside a thread that feeds a model, therefore it
runs in processes of its own. The bytes of pixels that wait for their consumer are limited.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Self

import numpy as np

from pipeline.errors import OusError
from pipeline.frames import ipc
from pipeline.frames.decode_child import Child
from pipeline.frames.pool_stream import PoolClosedError, PoolParts, PoolStream
from pipeline.frames.requests import DecodeAnswer, DecodeJob, Job, Part, rest_of
from pipeline.frames.room import Room
from pipeline.frames.scan_jobs import BrokenOff
from pipeline.types import Bytes, StreamedFrame

CLIP_SECONDS = 300.0
WAITING_BYTES = 2 << 30
CHILD_BYTES = 6 << 30
_ATTEMPTS = 2


def plain_buffer(num_bytes: int) -> Bytes:
    """Return memory for the pixels of one clip."""
    return np.empty(num_bytes, dtype=np.uint8)


class DecodePool:
    """Pool of decoding processes, each with a thread of this process. Close it, or use it in a `with`.

    Args:
        num_children: Number of processes.
        clip_seconds: Limit for the decoding of a clip, and of each part of a longer job. A job that takes
            longer fails, and its process is replaced.
        waiting_bytes: Most bytes of pixels that are received and not consumed. A single larger clip is
            received alone.
        child_bytes: Most bytes of address space of a process.
        buffer: Function that allocates memory for a clip's pixels, for instance page-locked.
        starts_at_once: Whether the processes start now, in parallel with this thread, and not at the first
            jobs. If one cannot start, the first job tries again and reports the error.
    """

    def __init__(
        self,
        num_children: int,
        *,
        clip_seconds: float = CLIP_SECONDS,
        waiting_bytes: int = WAITING_BYTES,
        child_bytes: int = CHILD_BYTES,
        buffer: Callable[[int], Bytes] = plain_buffer,
        starts_at_once: bool = False,
    ) -> None:
        self._clip_seconds = clip_seconds
        self._child_bytes = child_bytes
        self._buffer = buffer
        self._jobs: queue.SimpleQueue[tuple[PoolStream, int, Job] | None] = queue.SimpleQueue()
        self._room = Room(waiting_bytes)
        self._children: dict[int, Child] = {}
        self._streams: set[PoolStream] = set()
        self._closed = False
        self._starts_at_once = starts_at_once
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"decoder-{number}", daemon=True)
            for number in range(num_children)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def num_children(self) -> int:
        """Number of processes."""
        return len(self._threads)

    @property
    def pids(self) -> list[int]:
        """Process ids of the running children."""
        return [child.pid for child in list(self._children.values())]

    def stream(self, jobs: Sequence[DecodeJob]) -> Generator[tuple[int, DecodeAnswer], None, None]:
        """Yield the place and the answer of every job, as they become ready; see `requests.Decoder`.

        Several threads may stream at a time. If the caller leaves early, jobs that have not started are
        dropped.

        Raises:
            PoolClosedError: The pool is closed.
            OusError: No decoding process starts on this machine.
        """
        stream = self._begin(jobs, self._room)
        try:
            with closing(stream.parts()) as parts:
                for _ in jobs:
                    self._require_open()
                    place, part = next(parts)
                    assert isinstance(part.answer, DecodeAnswer), "a clip is answered in one part"
                    yield place, part.answer
                    del part
        finally:
            self._leave(stream)

    def parts(self, job: Job, *, waiting_bytes: int = 0) -> PoolParts:
        """Begin a job with several answers; see `requests.PartDecoder`.

        Raises PoolClosedError if the pool is closed.
        """
        self._require_open()
        return PoolParts(self._begin([job], Room(waiting_bytes)), self._leave)

    def close(self) -> None:
        """Stop the children at once, also while they decode."""
        self._closed = True
        for stream in list(self._streams):
            stream.answers.put((0, PoolClosedError(), 0))
            stream.room.close()
        for _ in self._threads:
            self._jobs.put(None)
        for child in list(self._children.values()):
            child.kill()  # its thread notices that and cleans up
        self._room.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise PoolClosedError

    def _begin(self, jobs: Sequence[Job], room: Room) -> PoolStream:
        stream = PoolStream(room)
        self._streams.add(stream)
        for place, job in enumerate(jobs):
            self._jobs.put((stream, place, job))
        return stream

    def _leave(self, stream: PoolStream) -> None:
        stream.left.set()
        self._streams.discard(stream)
        stream.drop()

    def _serve(self, number: int) -> None:
        """Send jobs to one child, which is replaced after each death, until the pool is closed."""
        if self._starts_at_once:
            self._start_early(number)
        while (work := self._jobs.get()) is not None and not self._closed:
            stream, place, job = work
            if stream.left.is_set():
                continue
            part: Part | Exception
            try:
                for part, num_bytes in self._parts(number, job, stream.room):
                    stream.answers.put((place, part, num_bytes))
                    is_last = part.is_last
                    del part  # the caller may free its pixels
                    if stream.left.is_set():
                        stream.drop()
                        if not is_last:
                            self._discard(number)
                            break
            except Exception as error:  # noqa: BLE001 - passed to the caller, which would wait forever
                stream.answers.put((place, error, 0))
                self._discard(number)
        self._discard(number)

    def _start_early(self, number: int) -> None:
        """Start a child before the first job."""
        try:
            self._child(number)
        except Exception:  # noqa: BLE001 - the first job tries again, and its caller gets the error
            self._discard(number)

    def _discard(self, number: int) -> None:
        """End a child if there is one, also while it decodes."""
        if number in self._children:
            self._children[number].kill()
            self._children.pop(number).stop()

    def _parts(self, number: int, job: Job, room: Room) -> Iterator[tuple[Part, int]]:
        """Yield a child's parts of a job and their bytes of pixels.

        If the child dies, a second one is tried with what remains of the job.
        """
        death, done = "", -1
        for _ in range(_ATTEMPTS):
            try:
                child = self._child(number)
                child.end.settimeout(self._clip_seconds)
                ipc.send(child.end, rest_of(job, done))
                is_last = False
                while not is_last:
                    part, num_bytes = self._receive(child, room)
                    is_last = part.is_last
                    if isinstance(part.answer, StreamedFrame):
                        done = part.answer.number
                    yield part, num_bytes
                    del part
            except TimeoutError:
                self._discard(number)
                yield _failed(f"not decoded within {self._clip_seconds:g} s{_hint(job)}")
                return
            except ipc.ClosedError:
                death = self._children.pop(number).stop()
            else:
                return
        yield _failed(f"the decoder crashed on it in {_ATTEMPTS} attempts ({death})")

    def _child(self, number: int) -> Child:
        """Return the child of a number; if there is none, start one.

        Raises PoolClosedError; or OusError if none can be started, which is no fault of a clip.
        """
        for attempt in range(_ATTEMPTS):
            if number in self._children:
                break
            self._children[number] = child = Child(self._child_bytes)
            try:
                if self._closed:
                    raise PoolClosedError
                child.greet()
            except (ipc.ClosedError, TimeoutError) as error:
                child.kill()
                death = self._children.pop(number).stop()
                if attempt + 1 == _ATTEMPTS:
                    msg = (
                        f"Decoding processes do not start ({death}); see the lines above, or whether this "
                        "machine limits memory or processes (ulimit -a)."
                    )
                    raise OusError(msg) from error
        return self._children[number]

    def _receive(self, child: Child, room: Room) -> tuple[Part, int]:
        """Return the next part of a child and its bytes of pixels, as soon as there is room for them."""
        message = ipc.receive(child.end)
        num_bytes = message.num_bytes
        if num_bytes:
            room.enter(num_bytes)
        try:
            pixels = self._buffer(num_bytes).data if num_bytes else memoryview(b"")
            return ipc.receive_pixels(child.end, message, pixels), num_bytes
        except BaseException:
            room.leave(num_bytes)
            raise


def _failed(reason: str) -> tuple[Part, int]:
    return Part(answer=BrokenOff(stage="decode", reason=reason), is_last=True), 0


def _hint(job: Job) -> str:
    return "; cut the clip shorter, or raise --clip-seconds" if isinstance(job, DecodeJob) else ""

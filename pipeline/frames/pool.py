"""Decoding in child processes, in which a crash or a hang of the decoding library affects one clip.

PyAV takes Python's global lock in small slices and is slow beside a thread that feeds a model, therefore it
runs in processes of its own. The bytes of pixels that wait for their consumer are limited.
"""

import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from pipeline import children
from pipeline.errors import OusError
from pipeline.frames import ipc
from pipeline.frames.requests import DecodeAnswer, DecodeJob
from pipeline.types import Bytes, ClipFailed

CLIP_SECONDS = 300.0
WAITING_BYTES = 2 << 30
CHILD_BYTES = 6 << 30
_ATTEMPTS = 2
_START_SECONDS = 120.0
_DYING_SECONDS = 1.0
"""Time for a child to end by itself after its end of the socket is closed, before it is killed."""


def plain_buffer(num_bytes: int) -> Bytes:
    """Return memory for the pixels of one clip."""
    return np.empty(num_bytes, dtype=np.uint8)


class PoolClosedError(Exception):
    """The pool was closed while clips were requested from it."""


@dataclass(eq=False)
class _Stream:
    """Answers for one caller.

    Attributes:
        answers: Place, answer or error, and bytes of pixels.
        left: Set when the caller needs no further answers.
    """

    answers: "queue.SimpleQueue[tuple[int, DecodeAnswer | Exception, int]]" = field(
        default_factory=queue.SimpleQueue
    )
    left: threading.Event = field(default_factory=threading.Event)


class DecodePool:
    """Pool of decoding processes, each with a thread of this process. Close it, or use it in a `with`.

    Args:
        num_children: Number of processes.
        clip_seconds: Limit for the decoding of a clip. A clip that takes longer fails, and its process is
            replaced.
        waiting_bytes: Most bytes of pixels that are received and not consumed. A single larger clip is
            received alone.
        child_bytes: Most bytes of address space of a process.
        buffer: Function that allocates memory for a clip's pixels, for instance page-locked.
    """

    def __init__(
        self,
        num_children: int,
        *,
        clip_seconds: float = CLIP_SECONDS,
        waiting_bytes: int = WAITING_BYTES,
        child_bytes: int = CHILD_BYTES,
        buffer: Callable[[int], Bytes] = plain_buffer,
    ) -> None:
        self._clip_seconds = clip_seconds
        self._child_bytes = child_bytes
        self._buffer = buffer
        self._jobs: queue.SimpleQueue[tuple[_Stream, int, DecodeJob] | None] = queue.SimpleQueue()
        self._room = _Room(waiting_bytes)
        self._children: dict[int, _Child] = {}
        self._streams: set[_Stream] = set()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"decoder-{number}", daemon=True)
            for number in range(num_children)
        ]
        for thread in self._threads:
            thread.start()

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
        stream = _Stream()
        self._streams.add(stream)
        for place, job in enumerate(jobs):
            self._jobs.put((stream, place, job))
        try:
            for _ in jobs:
                if self._closed:
                    raise PoolClosedError
                place, answer, num_bytes = stream.answers.get()
                if isinstance(answer, Exception):
                    raise answer
                try:
                    yield place, answer
                finally:
                    del answer
                    self._room.leave(num_bytes)
        finally:
            stream.left.set()
            self._streams.discard(stream)
            self._drop(stream)

    def close(self) -> None:
        """Stop the children at once, also while they decode."""
        self._closed = True
        for stream in list(self._streams):
            stream.answers.put((0, PoolClosedError(), 0))
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

    def _drop(self, stream: _Stream) -> None:
        """Release the bytes of answers that no caller will take."""
        while True:
            try:
                _, _, num_bytes = stream.answers.get_nowait()
            except queue.Empty:
                return
            self._room.leave(num_bytes)

    def _serve(self, number: int) -> None:
        """Send jobs to one child, which is replaced after each death, until the pool is closed."""
        while (work := self._jobs.get()) is not None and not self._closed:
            stream, place, job = work
            if stream.left.is_set():
                continue
            answer: DecodeAnswer | Exception
            try:
                answer, num_bytes = self._answer(number, job)
            except Exception as error:  # noqa: BLE001 - passed to the caller, which would wait forever
                answer, num_bytes = error, 0
                self._discard(number)
            stream.answers.put((place, answer, num_bytes))
            if stream.left.is_set():
                self._drop(stream)
        self._discard(number)

    def _discard(self, number: int) -> None:
        """End a child if there is one, also while it decodes."""
        if number in self._children:
            self._children[number].kill()
            self._children.pop(number).stop()

    def _answer(self, number: int, job: DecodeJob) -> tuple[DecodeAnswer, int]:
        """Return a child's answer and its bytes of pixels. If the child dies, a second one is tried."""
        death = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(self._child(number), job)
            except TimeoutError:
                self._discard(number)
                limit = f"{self._clip_seconds:g} s"
                reason = f"not decoded within {limit}; cut the clip shorter, or raise --clip-seconds"
                return ClipFailed(stage="decode", reason=reason), 0
            except ipc.ClosedError:
                death = self._children.pop(number).stop()
        reason = f"the decoder crashed on it in {_ATTEMPTS} attempts ({death})"
        return ClipFailed(stage="decode", reason=reason), 0

    def _child(self, number: int) -> "_Child":
        """Return the child of a number; if there is none, start one.

        Raises PoolClosedError; or OusError if none can be started, which is no fault of a clip.
        """
        for attempt in range(_ATTEMPTS):
            if number in self._children:
                break
            self._children[number] = child = _Child(self._child_bytes)
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

    def _ask(self, child: "_Child", job: DecodeJob) -> tuple[DecodeAnswer, int]:
        child.end.settimeout(self._clip_seconds)
        ipc.send(child.end, job)
        message = ipc.receive(child.end)
        num_bytes = message.num_bytes
        if num_bytes:
            self._room.enter(num_bytes)
        try:
            pixels = self._buffer(num_bytes).data if num_bytes else memoryview(b"")
            return ipc.receive_pixels(child.end, message, pixels), num_bytes
        except BaseException:
            self._room.leave(num_bytes)
            raise


class _Child:
    """A decoding process and the socket to it."""

    def __init__(self, limit_bytes: int) -> None:
        self.end, theirs = socket.socketpair()
        with theirs, children.interrupts_blocked():
            self._process = subprocess.Popen(
                children.command("pipeline.frames.decode_worker", theirs.fileno(), limit_bytes),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=children.environment(),
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def greet(self) -> None:
        """Wait for its first message, sent after its imports. Raises ClosedError or TimeoutError."""
        self.end.settimeout(_START_SECONDS)
        ipc.receive(self.end)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def stop(self) -> str:
        """End the process if it still runs, and return its exit code or signal in words."""
        self.end.close()
        try:
            code = self._process.wait(_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class _Room:
    """Limit on bytes: `enter` waits for room, which `leave` releases."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._closed = False
        self._changed = threading.Condition()

    def enter(self, num_bytes: int) -> None:
        """Wait until the bytes fit, or until there are no other bytes."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not self._taken or self._taken + num_bytes <= self._limit
            )
            self._taken += num_bytes

    def leave(self, num_bytes: int) -> None:
        """Release bytes."""
        with self._changed:
            self._taken -= num_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """End all waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

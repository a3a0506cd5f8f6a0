"""Answers of a pool of decoding processes for one caller."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from pipeline.frames.requests import Answer, Part
from pipeline.frames.room import Room


class PoolClosedError(Exception):
    """The pool was closed while clips were requested from it."""


@dataclass(eq=False)
class PoolStream:
    """Answers for one caller.

    Attributes:
        room: Limit on the bytes of answers that wait.
        answers: Place of the job, its part or an error, and bytes of pixels.
        left: Set when the caller needs no further answers.
    """

    room: Room
    answers: "queue.SimpleQueue[tuple[int, Part | Exception, int]]" = field(default_factory=queue.SimpleQueue)
    left: threading.Event = field(default_factory=threading.Event)

    def parts(self) -> Generator[tuple[int, Part], None, None]:
        """Yield place and part of every answer. Room for a part is released when the next one is taken."""
        while True:
            place, part, num_bytes = self.answers.get()
            if isinstance(part, Exception):
                raise part
            try:
                yield place, part
            finally:
                del part
                self.room.leave(num_bytes)

    def drop(self) -> None:
        """Release the bytes of answers that no caller will take."""
        while True:
            try:
                _, _, num_bytes = self.answers.get_nowait()
            except queue.Empty:
                return
            self.room.leave(num_bytes)


class PoolParts:
    """Answers to one job of a pool, in order; see `requests.PartStream`.

    Args:
        stream: The stream that the pool fills.
        leave: Function that ends the stream.
    """

    def __init__(self, stream: PoolStream, leave: Callable[[PoolStream], None]) -> None:
        self._stream, self._leave = stream, leave

    def __iter__(self) -> Iterator[Answer]:
        """Yield the answers.

        Raises:
            PoolClosedError: The pool is closed.
            OusError: No decoding process starts on this machine.
        """
        with closing(self._stream.parts()) as parts:
            for _, part in parts:
                if part.answer is not None:
                    yield part.answer
                if part.is_last:
                    return

    def close(self) -> None:
        """End the job; its process is ended if it still decodes."""
        self._leave(self._stream)

"""Messages between a decoding process and its parent: a pickled object, and its pixels outside of the pickle.

With pickle's protocol 5, arrays of bytes, which are pixels, stay outside of the pickle and are copied into
memory of the receiver directly. All other arrays stay inside, because they are small and are kept longer than
the pixels. Both ends are this program; pickles never come from a file or a network.
"""

import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

_HEADER = struct.Struct("=QQ")


class ClosedError(Exception):
    """The other end is closed."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """Message whose pixels have not been received yet."""

    packed: bytes
    """The pickled object."""
    sizes: tuple[int, ...]
    """Bytes of each array of pixels."""

    @property
    def num_bytes(self) -> int:
        """Bytes of all pixels."""
        return sum(self.sizes)


def send(end: socket.socket, message: object) -> None:
    """Send an object. Raises ClosedError if the other end is closed."""
    pixels: list[memoryview] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        if memoryview(buffer).format != "B":
            return True
        pixels.append(buffer.raw())
        return False

    packed = pickle.dumps(message, protocol=5, buffer_callback=is_small)
    sizes = struct.pack(f"={len(pixels)}Q", *(part.nbytes for part in pixels))
    try:
        end.sendall(_HEADER.pack(len(packed), len(pixels)) + sizes + packed)
        for part in pixels:
            end.sendall(part)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError from error


def receive(end: socket.socket) -> Message:
    """Receive the next message without its pixels, which `receive_pixels` receives.

    Raises:
        ClosedError: The other end is closed.
        TimeoutError: The socket's time limit is over.
    """
    num_packed, num_arrays = _HEADER.unpack(_exactly(end, _HEADER.size))
    sizes = struct.unpack(f"={num_arrays}Q", _exactly(end, 8 * num_arrays))
    return Message(packed=_exactly(end, num_packed), sizes=sizes)


def receive_pixels(end: socket.socket, message: Message, target: memoryview) -> Any:
    """Receive the pixels of a message and return its object, whose pixels are in `target`.

    Args:
        end: The socket of the message.
        message: Result of `receive`.
        target: Memory of `message.num_bytes` bytes.

    Raises:
        ClosedError: The other end is closed.
        TimeoutError: The socket's time limit is over.
    """
    _fill(end, target)
    parts, start = [], 0
    for size in message.sizes:
        parts.append(target[start : start + size])
        start += size
    return pickle.loads(message.packed, buffers=parts)


def _exactly(end: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    _fill(end, memoryview(data))
    return bytes(data)


def _fill(end: socket.socket, target: memoryview) -> None:
    done = 0
    while done < len(target):
        try:
            got = end.recv_into(target[done:])
        except ConnectionResetError as error:
            raise ClosedError from error
        if got == 0:
            raise ClosedError
        done += got

"""Messages between a decoding child and its parent: a small pickled object, then raw pixels.

Both ends are this program; pickles never come from a file or a network.
"""

import pickle
import socket
import struct
from typing import Any

from pipeline.types import Bytes

_HEADER = struct.Struct("=QQ")


class ClosedError(Exception):
    """The other end is gone."""


def send(end: socket.socket, message: object, *pixels: Bytes) -> None:
    """Send an object, and the pixels that belong to it. Raises ClosedError when nobody listens."""
    packed = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    try:
        end.sendall(_HEADER.pack(len(packed), sum(part.nbytes for part in pixels)) + packed)
        for part in pixels:
            end.sendall(part.data)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError from error


def receive(end: socket.socket) -> tuple[Any, int]:
    """The next object, and how many bytes follow it, to be taken by `receive_into`.

    Raises ClosedError when the other end is gone, TimeoutError after the socket's time limit.
    """
    message_size, num_bytes = _HEADER.unpack(_exactly(end, _HEADER.size))
    return pickle.loads(_exactly(end, message_size)), num_bytes


def receive_into(end: socket.socket, target: memoryview) -> None:
    """Fill `target` with the bytes that follow an object; raises as `receive` does."""
    done = 0
    while done < len(target):
        try:
            got = end.recv_into(target[done:])
        except ConnectionResetError as error:
            raise ClosedError from error
        if got == 0:
            raise ClosedError
        done += got


def _exactly(end: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    receive_into(end, memoryview(data))
    return bytes(data)

"""A decoding child: takes jobs from its parent and answers them, until the parent is gone.

It runs as ``python -m pipeline.frames.decode_worker FD BYTES`` with one end of a socket pair. A crash of
the decoding library, or a clip that takes all memory, ends this process and nothing else.
"""

import ctypes
import signal
import socket
import sys

from pipeline.children import keep_memory_below
from pipeline.frames import ipc
from pipeline.frames.requests import decode_job
from pipeline.safe_streams import guard_standard_streams

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer jobs. The parent alone stops a child: Ctrl-C reaches both and is the parent's affair."""
    guard_standard_streams()
    end = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    keep_memory_below(int(sys.argv[2]))
    try:
        ipc.send(end, "ready")
        while True:
            answer = decode_job(ipc.receive_pixels(end, ipc.receive(end), memoryview(b"")))
            ipc.send(end, answer)
            del answer  # its pixels would lie beside those of the next clip
    except ipc.ClosedError:
        return


def _die_with_parent() -> None:
    """A parent that is killed cannot tell its children; the kernel does (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()

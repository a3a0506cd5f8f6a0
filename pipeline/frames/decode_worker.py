"""Decoding process, which answers jobs of its parent until the parent has ended.

It runs as ``python -m pipeline.frames.decode_worker FD BYTES`` with one end of a socket pair. A crash of
the decoding library, or a clip that takes all memory, ends only this process.
"""

import ctypes
import gc
import signal
import socket
import sys

from pipeline.children import keep_memory_below
from pipeline.frames import ipc
from pipeline.frames.requests import parts_of
from pipeline.safe_streams import guard_standard_streams

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer jobs. Ctrl-C is ignored, because it reaches the parent too, which then stops this process."""
    guard_standard_streams()
    end = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    keep_memory_below(int(sys.argv[2]))
    gc.freeze()  # imported modules stay, so that later collections are cheap
    try:
        ipc.send(end, "ready")
        while True:
            for part in parts_of(ipc.receive_pixels(end, ipc.receive(end), memoryview(b""))):
                ipc.send(end, part)
                del part  # frees its pixels before the next part is decoded
    except ipc.ClosedError:
        return


def _die_with_parent() -> None:
    """Let the kernel end this process when its parent ends (Linux), even if the parent is killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()

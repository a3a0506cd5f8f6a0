"""One decoding process, as its parent sees it."""

import signal
import socket
import subprocess

from pipeline import children
from pipeline.frames import ipc

_START_SECONDS = 120.0
_DYING_SECONDS = 1.0
"""Time for a child to end by itself after its end of the socket is closed, before it is killed."""


class Child:
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

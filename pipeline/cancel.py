"""How work that is under way is ended: whoever started it cancels its token, and the work looks at it."""

import threading


class TaskCancelledError(Exception):
    """The work is no longer wanted; it ended before its result was complete."""


class CancelToken:
    """Shared by the caller and its work, in one process; any thread may use it.

    Work that takes long calls `raise_if_cancelled` at points where it can stop without harm.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Ask the work to end. It cannot be taken back."""
        self._event.set()

    def raise_if_cancelled(self) -> None:
        """Do nothing while the work is wanted.

        Raises:
            TaskCancelledError: `cancel` was called.
        """
        if self._event.is_set():
            raise TaskCancelledError

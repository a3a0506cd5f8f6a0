"""Cancellation of running work: the caller cancels a token, and the work checks it."""

import threading


class TaskCancelledError(Exception):
    """The work was cancelled before its result was complete."""


class CancelToken:
    """Token that a caller shares with its work, within one process. Any thread may use it.

    Long work calls `raise_if_cancelled` at points where it can stop without harm.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Cancel the work, for good."""
        self._event.set()

    def raise_if_cancelled(self) -> None:
        """Raise TaskCancelledError if `cancel` was called."""
        if self._event.is_set():
            raise TaskCancelledError

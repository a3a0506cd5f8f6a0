"""Limit on the bytes of pixels that wait for their consumer."""

import threading


class Room:
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

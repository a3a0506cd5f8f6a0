"""A lock for threads that share a device, which measures how long each of them waited."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType


class MeteredLock:
    """Keeps threads that share a device apart, one pass at a time, and knows how long each waited."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waited: dict[int, float] = defaultdict(float)

    def __enter__(self) -> None:
        asked = time.monotonic()
        self._lock.acquire()
        self._waited[threading.get_ident()] += time.monotonic() - asked

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @contextmanager
    def timed(self, count: Callable[[float], None]) -> Iterator[None]:
        """Count the seconds that this thread is at work in the block, waiting for the lock left out."""
        me, began = threading.get_ident(), time.monotonic()
        before = self._waited[me]
        try:
            yield
        finally:
            count(time.monotonic() - began - (self._waited[me] - before))

"""A lock for threads that share a device, which measures the time that each of them waits."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType


class MeteredLock:
    """A lock that a thread holds during a pass over a device; it adds up the time that each thread waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waited: dict[int, float] = defaultdict(float)

    def __enter__(self) -> None:
        began = time.monotonic()
        self._lock.acquire()
        self._waited[threading.get_ident()] += time.monotonic() - began

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @contextmanager
    def timed(self, count: Callable[[float], None]) -> Iterator[None]:
        """Measure a ``with`` block of this thread, without the time that it waits for the lock.

        Args:
            count: Called with the seconds at the end of the block.
        """
        me, began = threading.get_ident(), time.monotonic()
        before = self._waited[me]
        try:
            yield
        finally:
            count(time.monotonic() - began - (self._waited[me] - before))

"""Several accesses to a cache at the same time in a bucket, where an access waits for its answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipeline.store.location import Location

_T = TypeVar("_T")
_MOST = 32
"""Threads of a call. A block has about 20 arrays, a cache about 30."""


def all_at_once(place: Location, calls: Sequence[Callable[[], _T]]) -> list[_T]:
    """Return the results of calls that access a cache, in the order of the calls.

    In a bucket, they run at the same time. On a disk, they run one after the other, because threads take
    longer there (decision 0040).

    Args:
        place: Location of the cache.
        calls: The calls, which do not depend on each other.

    Raises:
        Exception: Exception of the first call that failed. In a bucket, all others have ended by then.
    """
    if place.is_local or len(calls) <= 1:
        return [call() for call in calls]
    with ThreadPoolExecutor(min(_MOST, len(calls)), thread_name_prefix="bucket") as pool:
        futures = [pool.submit(call) for call in calls]
    return [future.result() for future in futures]

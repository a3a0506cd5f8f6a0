"""Threads of torch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Turn off the threads of torch: several are slower for small operations, most on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread_executor(num_workers: int) -> ThreadPoolExecutor:
    """Return worker threads, all started, in which torch's operations have one thread.

    The threads of torch elsewhere stay as they are.
    """
    before = torch.get_num_threads()  # a thread takes the common number at the first such call, and no later
    started = Barrier(num_workers + 1)

    def start() -> None:
        torch.get_num_threads()
        torch.set_num_threads(1)
        started.wait()

    executor = ThreadPoolExecutor(num_workers, initializer=start)
    for _ in range(num_workers):
        executor.submit(int)
    started.wait()
    torch.set_num_threads(before)
    return executor

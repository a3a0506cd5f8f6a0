"""Single changes of the extraction, each a context manager, to compare a run with and without it.

Each replaces one name of the product while its `with` block runs. A name that no longer exists raises
AttributeError, so that every comparison measures a change.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch

from pipeline.process import DecodePool, block
from pipeline.process.encode import EncodeQueue
from pipeline.runner import BlockWorkerSetup
from pipeline.runner.worker import BlockWorker, _buffer_for

Change = Callable[[], AbstractContextManager[Any]]


@contextmanager
def detection_on_own_stream(*, is_cuda: bool = True) -> Iterator[None]:
    """Detect and crop on a high-priority stream of each thread; encode on the common stream.

    The encoder's passes wait for the crops. The crops stay in memory until then, because `EncodeQueue.encode`
    returns only when its results are on the host.
    """
    attempt, encode = block._attempt, EncodeQueue.encode
    own = threading.local()

    def stream() -> Any:
        if not hasattr(own, "stream"):
            own.stream = torch.cuda.Stream(priority=-1) if is_cuda else None  # type: ignore[no-untyped-call]
        return own.stream

    def attempt_aside(*arguments: Any) -> Any:
        with torch.cuda.stream(stream()) if is_cuda else nullcontext():
            return attempt(*arguments)

    def encode_after(queue: EncodeQueue, **named: Any) -> Any:
        if is_cuda:
            torch.cuda.current_stream().wait_stream(stream())
        return encode(queue, **named)

    with (
        patch.object(block, "_attempt", attempt_aside),
        patch.object(EncodeQueue, "encode", encode_after),
    ):
        yield


@contextmanager
def decoders(worker: BlockWorker, count: int, warm_up: Callable[[DecodePool], object]) -> Iterator[None]:
    """Give the worker another number of decoding processes.

    Args:
        worker: The worker.
        count: Number of decoding processes.
        warm_up: Called with their pool before the `with` block.
    """
    before = worker.decoder, worker.num_decoders
    with DecodePool(count, buffer=_buffer_for(worker.models.device)) as pool:
        warm_up(pool)
        worker.decoder, worker.num_decoders = pool, count
        try:
            yield
        finally:
            worker.decoder, worker.num_decoders = before


def threads(count: int) -> AbstractContextManager[Any]:
    """Give every worker `count` threads, each with a block of its own."""
    return patch.object(BlockWorkerSetup, "slots", count)

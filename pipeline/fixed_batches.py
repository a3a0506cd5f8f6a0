"""Batches of one fixed size for a device. If it runs out of memory, the size is halved.

Letters: N rows; B rows of a batch.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, TypeAlias

import torch
from torch.nn import functional

DeviceLock: TypeAlias = AbstractContextManager[Any]
"""Type of a threading.Lock that is held while a batch is queued on a device that threads share."""


class FixedBatches:
    """Batches of `size` rows, the last one padded with zeros, so that a row's result depends on no other.

    Matrix products and convolutions may sum in another order for another number of rows. If the device
    runs out of memory, the size is halved for good, `warnings` records it, and the last digits of later
    results may differ from those of earlier ones. Threads may share it.

    Args:
        what: Name of the rows in the plural, for warnings.
        size: Rows of a batch.
        device: The device that computes.
        lock: Lock that is held while a batch is queued; None for a lock of its own.
    """

    def __init__(self, what: str, size: int, device: torch.device, lock: DeviceLock | None = None) -> None:
        self.size = size
        self.warnings: tuple[str, ...] = ()
        self._what = what
        self._device = device
        self._lock = Lock() if lock is None else lock

    def run(
        self,
        rows: torch.Tensor,
        process_batch: Callable[[torch.Tensor], list[torch.Tensor]],
        prepare: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Iterator[list[torch.Tensor]]:
        """Yield the results of all rows, batch by batch, without the padding, on the host.

        The copies to the host may be unfinished. Call `wait` before reading them.

        Args:
            rows: N rows, on the host.
            process_batch: Function of B rows on the device that returns tensors of B rows each.
            prepare: Function that makes rows smaller on the device, each independently, before zeros are
                added; None leaves them unchanged.

        Raises:
            torch.OutOfMemoryError: A batch of one row does not fit.
        """
        start = 0
        while start < len(rows):
            done = self._attempt(rows, start, process_batch, prepare)
            if done is None:
                self._empty_cache()
                continue
            start += len(done[0])
            yield done

    def wait(self) -> None:
        """Wait until all results that this thread has queued on the device are on the host."""
        if self._device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            event.synchronize()

    def _attempt(
        self,
        rows: torch.Tensor,
        start: int,
        process_batch: Callable[[torch.Tensor], list[torch.Tensor]],
        prepare: Callable[[torch.Tensor], torch.Tensor] | None,
    ) -> list[torch.Tensor] | None:
        """Return the results of the next rows; None if the device has too little memory for them."""
        with self._lock:
            size = self.size
            batch = rows[start : start + size]
            try:
                on_device = batch.to(self._device, non_blocking=True)
                padded = _padded(on_device if prepare is None else prepare(on_device), size)
                return [value[: len(batch)].to("cpu", non_blocking=True) for value in process_batch(padded)]
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self.size = size // 2
                self.warnings += (
                    f"{self._what}: {size} at a time do not fit into the memory of {self._device}; "
                    f"continued with {self.size}.",
                )
                return None

    def _empty_cache(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _padded(batch: torch.Tensor, size: int) -> torch.Tensor:
    missing = size - len(batch)
    return functional.pad(batch, (*(0, 0) * (batch.ndim - 1), 0, missing)) if missing else batch

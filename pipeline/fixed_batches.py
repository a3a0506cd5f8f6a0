"""Rows go through a device in passes of one fixed size; a device that runs out of memory gets smaller ones.

Letters: N rows; B rows of a pass.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, TypeAlias

import torch
from torch.nn import functional

DeviceLock: TypeAlias = AbstractContextManager[Any]
"""A threading.Lock, as a type; held while a pass is handed to a device that threads share."""


class FixedPasses:
    """Passes of `size` rows, the last one padded with zeros, so that a row's result depends on no other.

    Matrix products and convolutions may sum in another order for another number of rows. `warnings`
    tells what happened that a user should know: a device out of memory halves the size for good,
    and the last digits of what follows may differ from what came before. Threads may share it.
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
        one_pass: Callable[[torch.Tensor], list[torch.Tensor]],
        prepare: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Iterator[list[torch.Tensor]]:
        """The results of `one_pass` for all rows, pass by pass, without the padding, on the host.

        one_pass: takes B rows on the device and returns tensors of B rows each. They are still being
        copied when they come out: read them after `wait`. prepare: makes the rows of a pass smaller on
        the device, each for itself, before zeros are added; None leaves them. Raises
        torch.OutOfMemoryError when a pass of one row does not fit.
        """
        start = 0
        while start < len(rows):
            done = self._attempt(rows, start, one_pass, prepare)
            if done is None:
                self._empty_cache()
                continue
            start += len(done[0])
            yield done

    def wait(self) -> None:
        """Return when everything that this thread has handed to the device is back on the host."""
        if self._device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            event.synchronize()

    def _attempt(
        self,
        rows: torch.Tensor,
        start: int,
        one_pass: Callable[[torch.Tensor], list[torch.Tensor]],
        prepare: Callable[[torch.Tensor], torch.Tensor] | None,
    ) -> list[torch.Tensor] | None:
        """The results of the next rows, or None when the device had too little memory for them."""
        with self._lock:
            size = self.size
            batch = rows[start : start + size]
            try:
                given = batch.to(self._device, non_blocking=True)
                padded = _padded(given if prepare is None else prepare(given), size)
                return [value[: len(batch)].to("cpu", non_blocking=True) for value in one_pass(padded)]
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self.size = size // 2
                self.warnings += (
                    f"{self._what}: {size} at a time do not fit into the memory of {self._device}; "
                    f"went on with {self.size}.",
                )
                return None

    def _empty_cache(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _padded(batch: torch.Tensor, size: int) -> torch.Tensor:
    missing = size - len(batch)
    return functional.pad(batch, (*(0, 0) * (batch.ndim - 1), 0, missing)) if missing else batch

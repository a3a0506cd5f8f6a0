"""Rows of results.jsonl: one JSON document per line, on disk as soon as a number is known.

A row has ``step`` and ``at_seconds`` (since the run began), and one of four contents:

``state``                     state of the step: started, or its end with ``seconds`` and ``reason``
``measurement, numbers``      a result, with the ``settings`` of the measurement
``measurement, error``        a measurement that failed
``measurement, skipped``      the reason why this machine cannot make a measurement
"""

import json
import math
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from time import time
from typing import Any, BinaryIO

STARTED, SKIPPED = "started", "skipped"
_DIGITS = 6
_OUT_OF_MEMORY = "OutOfMemoryError"


class UnavailableError(Exception):
    """Raised by a measurement that this machine cannot make; the message is the reason."""


class Recorder:
    """Recorder that appends the rows of one step to results.jsonl.

    Args:
        path: Path of results.jsonl.
        step: Name of the step.
        began: Start of the whole run, in seconds since the epoch.

    Attributes:
        num_errors: Measurements that failed so far, except for lack of the device's memory.
    """

    def __init__(self, path: Path, step: str, began: float) -> None:
        self.num_errors = 0
        self._path = path
        self._step = step
        self._began = began

    def state(self, state: str, **values: Any) -> None:
        """Record the state of the step."""
        self._append(state=state, **values)

    def numbers(self, measurement: str, numbers: Mapping[str, Any], **settings: Any) -> None:
        """Record a result with the settings of the measurement."""
        self._append(measurement=measurement, settings=settings, numbers=numbers)

    def measure(
        self, measurement: str, work: Callable[[], Mapping[str, Any]], *, unless: str = "", **settings: Any
    ) -> bool:
        """Make one measurement and record its numbers, its error, or the reason why it was skipped.

        Args:
            measurement: Name of the measurement.
            work: Function that measures and returns numbers by name.
            unless: Reason to skip it; empty to make it.
            settings: Settings of the measurement.

        Returns:
            Whether there are numbers. An error does not end the step; running out of the device's memory
            is a result about the settings and does not count as an error.
        """
        if unless:
            self._append(measurement=measurement, settings=settings, skipped=unless)
            return False
        try:
            numbers = work()
        except UnavailableError as reason:
            self._append(measurement=measurement, settings=settings, skipped=str(reason))
        except Exception as error:  # noqa: BLE001 - one measurement must not end the others
            self.num_errors += type(error).__name__ != _OUT_OF_MEMORY
            self.error(measurement, error, **settings)
        else:
            self.numbers(measurement, numbers, **settings)
            return True
        return False

    def error(self, measurement: str, error: Exception, **settings: Any) -> None:
        """Record an error."""
        traceback.print_exception(error)
        text = (str(error).strip() or "no message").splitlines()[0][:300]
        self._append(measurement=measurement, settings=settings, error=f"{type(error).__name__}: {text}")

    def _append(self, **values: Any) -> None:
        row = {"step": self._step, "at_seconds": round(time() - self._began, 1), **values}
        line = json.dumps(_plain(row)).encode() + b"\n"
        with self._path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) and not _ends_a_line(file):  # a row was cut off
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of results.jsonl, for each step those since its last start.

    Incomplete lines are left out.
    """
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict) or "step" not in row:
            continue
        if row.get("state") == STARTED:
            rows = [other for other in rows if other["step"] != row["step"]]
        rows.append(row)
    return rows


def _plain(value: Any) -> Any:
    """Return the value as a JSON value: floats with six digits, no infinities."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else str(value)
    if getattr(value, "ndim", None) == 0:  # a number of NumPy or torch
        return _plain(value.item())
    return value if isinstance(value, str | int | None) else str(value)

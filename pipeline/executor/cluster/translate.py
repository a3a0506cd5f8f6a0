"""Conversion of errors of a cluster and its connection to errors for users."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from distributed.scheduler import KilledWorker

from pipeline.children import PACKAGE_ROOT
from pipeline.errors import OusError, first_line

LOST = "The connection to the Dask scheduler is lost. Finished work is safe; run again."
_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)  # distributed raises both


class WorkerDiedError(Exception):
    """A task's worker died, so that there is no result."""


class ResultTimeoutError(Exception):
    """A result exists, but its worker did not send it in time."""


def result_of(future: Any, timeout: float | None = None) -> Any:
    """Wait for a task's end, and return its result or raise its exception.

    Args:
        future: Future of the task.
        timeout: Seconds to wait for the worker to send the result; None for no limit.

    Raises:
        WorkerDiedError: The worker died; only with a timeout.
        ResultTimeoutError: The result did not arrive in time; only with a timeout.
        OusError: The connection to the scheduler is lost.
    """
    if timeout is not None and future.status in ("pending", "lost"):
        raise WorkerDiedError
    error = _in_time(future.exception, timeout)  # distributed's wait() needs a default client
    if isinstance(error, KilledWorker) and timeout is not None:
        raise WorkerDiedError from error
    if isinstance(error, OSError):
        raise error  # raised by the task, such as an unreadable file, not by the connection
    if error is not None:
        with translate_errors():
            return future.result()  # raises it, with the worker's traceback
    return _in_time(future.result, timeout)


def _in_time(ask: Callable[..., Any], timeout: float | None) -> Any:
    """Query a future; raise ResultTimeoutError if the answer takes longer than the timeout."""
    with translate_errors():
        try:
            return ask(timeout=timeout)
        except TimeoutError as error:
            if timeout is None:
                raise
            raise ResultTimeoutError from error


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Convert errors of the connection to the workers to OusError; exceptions of tasks are not changed."""
    try:
        yield
    except KilledWorker as error:
        msg = "Workers die while they load the models, perhaps out of memory. Use fewer, or larger ones."
        raise OusError(msg) from error
    except (*_CANCELLED, OSError, TimeoutError) as error:
        raise OusError(LOST) from error
    except Exception as error:
        reason = next((e for e in (error.__cause__, error) if "ModuleNotFoundError" in repr(e)), None)
        if reason is None:
            raise
        msg = (
            f"The cluster lacks code ({first_line(reason)}); start the scheduler and the workers in this "
            f"program's own environment, with PYTHONPATH={PACKAGE_ROOT}."
        )
        raise OusError(msg) from error


def if_it_answers() -> contextlib.suppress:
    """Suppress errors of a cluster that may be lost, or too busy to answer, at its end."""
    return contextlib.suppress(OSError, TimeoutError, ValueError, RuntimeError, *_CANCELLED)

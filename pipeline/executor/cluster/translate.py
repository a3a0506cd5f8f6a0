"""Errors of a cluster, and of the way to it, as errors for people."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from distributed.scheduler import KilledWorker

from pipeline.children import PACKAGE_ROOT
from pipeline.errors import OusError, first_line

LOST = "The connection to the Dask scheduler is lost. What is finished is safe; run again."
_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)  # distributed raises both


class WorkerDiedError(Exception):
    """A task's worker died, so that there is no result."""


class ResultTimeoutError(Exception):
    """A result is there, but its worker did not send it in time."""


def result_of(future: Any, timeout: float | None = None) -> Any:
    """Return what a task returned, or raise what it raised. Waits for the task's end.

    Args:
        future: Of the task.
        timeout: Seconds to wait for the worker to send the result, None for as long as it takes.

    Raises:
        WorkerDiedError: The worker died; only with a timeout.
        ResultTimeoutError: The result did not come in time; only with a timeout.
        OusError: The scheduler is gone.
    """
    if timeout is not None and future.status in ("pending", "lost"):
        raise WorkerDiedError
    error = _in_time(future.exception, timeout)  # distributed's wait() looks for a default client
    if isinstance(error, KilledWorker) and timeout is not None:
        raise WorkerDiedError from error
    if isinstance(error, OSError):
        raise error  # of the worker, such as a file that it may not read: the way to it is well
    if error is not None:
        with translate_errors():
            return future.result()  # raises it, with the worker's traceback
    return _in_time(future.result, timeout)


def _in_time(ask: Callable[..., Any], timeout: float | None) -> Any:
    """Ask a future; raise ResultTimeoutError when the answer takes longer than a timeout."""
    with translate_errors():
        try:
            return ask(timeout=timeout)
        except TimeoutError as error:
            if timeout is None:
                raise
            raise ResultTimeoutError from error


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what goes wrong between this process and the workers into an OusError; what they raise passes."""
    try:
        yield
    except KilledWorker as error:
        msg = "Workers die while they load the models: out of memory, perhaps. Use fewer, or larger ones."
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
    """For a goodbye to a cluster that may be gone, or too busy to notice."""
    return contextlib.suppress(OSError, TimeoutError, ValueError, RuntimeError, *_CANCELLED)

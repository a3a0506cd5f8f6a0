"""What a cluster answers, and what it means when it does not."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Iterator
from typing import Any

from distributed.scheduler import KilledWorker

from pipeline.children import PACKAGE_ROOT
from pipeline.errors import OusError, first_line

LOST = "The connection to the Dask scheduler is lost. What is finished is safe; run again."
_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)  # distributed raises both


def result(future: Any) -> Any:
    """What a worker gives back, or raises."""
    with translate_errors():
        error = future.exception()  # waits; distributed's wait() looks for a default client
    if isinstance(error, OSError):
        raise error  # of the worker, such as a file that it may not read: the way to it is well
    with translate_errors():
        return future.result()


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

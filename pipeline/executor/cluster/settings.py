"""Dask's settings for a run, on an own or a shared cluster."""

import logging
from typing import Any

import dask
from distributed.client import AllExit

JOIN_SECONDS, START_SECONDS, GOODBYE_SECONDS = 15, 50, 3

LOGGED = logging.CRITICAL
"""Level of Dask's logs; the run itself reports deaths and restarts of workers."""

_SETTINGS = {
    # Results are in the cache and memory has limits of its own, so there is nothing to spill.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.admin.log-length": 1000,
    # Messages kept per worker for debugging, by default 1000; each contains its tasks with their clips.
    "distributed.admin.low-level-log-length": 10,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.allowed-failures": 1,
    "distributed.comm.timeouts.connect": f"{JOIN_SECONDS}s",
    # By default a cluster gives up a worker process whose restart takes 15 s, as on a busy machine.
    "distributed.deploy.lost-worker-timeout": "10 minutes",
}

Cores = dict[Any, tuple[int, ...]]
"""Cores of each worker, by its name."""


def configure() -> None:
    """Apply the settings in this process; workers that it starts inherit them."""
    dask.config.set(_SETTINGS)
    for name in ("distributed", "distributed.client"):  # Dask sets a level for each of the two
        logging.getLogger(name).setLevel(LOGGED)
    logging.getLogger("asyncio").addFilter(_is_no_abandoned_wait)


def _is_no_abandoned_wait(record: logging.LogRecord) -> bool:
    """Drop asyncio's message on a result of a dead worker, because the task is run again elsewhere."""
    return record.exc_info is None or record.exc_info[0] is not AllExit

"""Dask's settings for a run, on a cluster of its own or another's."""

import logging
from typing import Any

import dask
from distributed.client import AllExit

JOIN_SECONDS, START_SECONDS, GOODBYE_SECONDS = 15, 50, 3

LOGGED = logging.CRITICAL
"""The run itself reports deaths and restarts of workers, not Dask's log."""

_SETTINGS = {
    # The store is the truth: nothing to spill, and our own bounds on memory.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.admin.log-length": 1000,
    # Kept per worker for debugging, by default the last 1000: each message holds its tasks with their clips.
    "distributed.admin.low-level-log-length": 10,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.allowed-failures": 1,
    "distributed.comm.timeouts.connect": f"{JOIN_SECONDS}s",
    # By default a cluster gives up a worker process whose restart takes 15 s, as on a busy machine.
    "distributed.deploy.lost-worker-timeout": "10 minutes",
}

Cores = dict[Any, tuple[int, ...]]
"""By a worker's name: the cores that it is kept to."""


def configure() -> None:
    """Set them in this process; workers that it starts take them over."""
    dask.config.set(_SETTINGS)
    for name in ("distributed", "distributed.client"):  # Dask sets a level for each of the two
        logging.getLogger(name).setLevel(LOGGED)
    logging.getLogger("asyncio").addFilter(_is_no_abandoned_wait)


def _is_no_abandoned_wait(record: logging.LogRecord) -> bool:
    """Drop what asyncio logs of a wait for the result of a dead worker: the task is done again elsewhere."""
    return record.exc_info is None or record.exc_info[0] is not AllExit

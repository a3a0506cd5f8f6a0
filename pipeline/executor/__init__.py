"""Executors, which run tasks in threads of this process, on processes of this machine, or on a cluster.

``task``      protocols of tasks, workers and executors
``local``     threads of this process
``cluster``   processes of this machine, and clusters; only this package imports dask
``choice``    the executor by GPUs, workers and scheduler
``machine``   devices, cores and memory, and how workers share them

An executor is independent of clips and runs. `pipeline.runner` uses it for blocks, `trainer.ablate` for
runs, and `trainer.prediction` for videos.
"""

from pipeline.executor.local import LocalExecutor, is_at_work
from pipeline.executor.task import Executor, Observer, TaskContext, Worker, WorkerSetup

__all__ = ["Executor", "LocalExecutor", "Observer", "TaskContext", "Worker", "WorkerSetup", "is_at_work"]

"""Tasks in, results as they come: in threads of this process, on processes of this machine, or on a cluster.

``task``      what a task and a worker are, and what an executor promises
``local``     threads of this process
``cluster``   processes of this machine, and clusters; the only importer of dask
``machine``   devices, cores and memory, and how workers share them

An executor knows nothing of clips or runs. Blocks of `pipeline.runner` and runs of `trainer.ablate` both
use it.
"""

from pipeline.executor.local import LocalExecutor, is_at_work
from pipeline.executor.task import Executor, Observer, TaskContext, Worker, WorkerSetup

__all__ = ["Executor", "LocalExecutor", "Observer", "TaskContext", "Worker", "WorkerSetup", "is_at_work"]

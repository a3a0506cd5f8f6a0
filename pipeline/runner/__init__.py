"""Extraction: an index of clips becomes a complete cache, on one machine or on a cluster.

``block_task``        a block as a task, and the report of a finished one
``model_metadata``    description of a worker's models
``worker``            worker that processes blocks
``executor_options``  choice of the executor
``cache_setup``       create a cache, check an existing one, or append clips to it
``clip_matching``     match the clips of a dataset with those of a cache
``tasks``             pending blocks of a cache, as tasks
``progress``          speed of a run, and its bottleneck
``run_loop``          all blocks processed by an executor, while the lock is held
``extraction``        the whole run, under the cache's lock
``run_report``        state of the cache after a run
``outline``           clips, blocks and bytes of a run, before any model is loaded
``sample``            choice of clips that are timed for an estimate
``timing``            blocks processed for timing and not written
``estimate``          estimated duration of a run
``dry_run``           outline and estimate together
"""

from pipeline.runner.cache_setup import (
    dataset_of,
    read_as,
    require_followed_subjects,
    require_provided_faces,
)
from pipeline.runner.dry_run import Plan, plan
from pipeline.runner.estimate import Estimate
from pipeline.runner.executor_options import ExecutorOptions, make_executor
from pipeline.runner.extraction import extract
from pipeline.runner.outline import Outline
from pipeline.runner.progress import Speed
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.run_report import RunReport, report
from pipeline.runner.tasks import RunOptions
from pipeline.runner.worker import BlockWorkerSetup, executor_of, model_info, unloaded_model_info

__all__ = [
    "BlockExecutor",
    "BlockWorkerSetup",
    "Estimate",
    "ExecutorOptions",
    "Outline",
    "Plan",
    "RunOptions",
    "RunReport",
    "Speed",
    "dataset_of",
    "executor_of",
    "extract",
    "make_executor",
    "model_info",
    "plan",
    "read_as",
    "report",
    "require_followed_subjects",
    "require_provided_faces",
    "unloaded_model_info",
]

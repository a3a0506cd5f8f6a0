"""A run: an index of clips becomes a complete cache, on one machine or on a cluster.

``block_task``        a block as a task, and the report of one that is done
``model_metadata``    what the models of a worker are
``worker``            the worker that does blocks
``executor_options``  which executor the user's choice means
``cache_setup``       the cache created, checked to be the same, or grown
``clip_matching``     clips of a data set laid beside those of a cache
``tasks``             which blocks are to be done
``progress``          how fast it goes, and what holds it up
``run_loop``          all blocks done by an executor, while the lock is held
``extraction``        all of it, under the cache's lock
``run_report``        how the cache stands afterwards
``outline``           what a run would do: clips, blocks, bytes
``sample``            which clips are timed for an estimate
``timing``            an executor's work on some blocks, timed and not written
``estimate``          how long a run would take
``dry_run``           outline and estimate together
"""

from pipeline.runner.cache_setup import dataset_of, read_as
from pipeline.runner.dry_run import Plan, plan
from pipeline.runner.estimate import Estimate
from pipeline.runner.executor_options import SYNC, ExecutorOptions, make_executor
from pipeline.runner.extraction import extract
from pipeline.runner.outline import Outline
from pipeline.runner.progress import Speed
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.run_report import RunReport, report
from pipeline.runner.tasks import RunOptions
from pipeline.runner.worker import BlockWorkerSetup, executor_of, model_info, unloaded_model_info

__all__ = [
    "SYNC",
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
    "unloaded_model_info",
]

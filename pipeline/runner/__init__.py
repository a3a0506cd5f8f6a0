"""A run: an index of clips becomes a complete cache, on one machine or on a cluster.

``machine``   devices and cores, and how workers share them
``work``      a block as a task, and the worker that does it
``crew``      who does the blocks: threads of this process
``cluster``   the same on workers of Dask; the only importer of dask
``gather``    which crew the user's choice means
``opening``   the cache created, checked to be the same, or grown
``matching``  clips of a data set laid beside those of a cache
``tasks``     which blocks are to be done
``progress``  how fast it goes, and what holds it up
``follow``    a crew's work to its end, told as it goes
``extract``   all of it, under the cache's lock
``report``    how the cache stands afterwards
``outline``   what a run would do: clips, blocks, bytes
``sample``    which clips are timed for an estimate
``timing``    a crew's work on some blocks, timed and not written
``estimate``  how long a run would take
``plan``      outline and estimate together
"""

from pipeline.runner.crew import Crew, LocalCrew, is_at_work
from pipeline.runner.estimate import Estimate
from pipeline.runner.extract import extract
from pipeline.runner.gather import CrewOptions, gather
from pipeline.runner.machine import choose_device
from pipeline.runner.opening import dataset_of, read_as
from pipeline.runner.outline import Outline
from pipeline.runner.plan import Plan, plan
from pipeline.runner.progress import Speed
from pipeline.runner.report import RunReport, report
from pipeline.runner.tasks import RunOptions

__all__ = [
    "Crew",
    "CrewOptions",
    "Estimate",
    "LocalCrew",
    "Outline",
    "Plan",
    "RunOptions",
    "RunReport",
    "Speed",
    "choose_device",
    "dataset_of",
    "extract",
    "gather",
    "is_at_work",
    "plan",
    "read_as",
    "report",
]

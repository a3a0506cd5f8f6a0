"""A table of the paper, or one of the user's own, as a grid of runs on a cache.

In the order of the data:

``spec``             a TOML file               -> rows of settings, with the paper's numbers
``sweep_request``    spec, folds, seeds        -> the runs that are asked for, and their folders
``grid``             spec, cache, folds, seeds -> the same on a cache, refused before any starts
``sweep_directory``  a folder                  -> which of them have an outcome there, and whose it is
``run_one``          a run                     -> its run directory, trained and measured, with its outcome
``executors``        runs                      -> outcomes, by workers of this machine or of a cluster
``kinds``            outcomes of a row         -> those that share a mean: same clips, precision, holdout
``aggregate``        outcomes                  -> each row beside the paper's, over folds and seeds
``result_tables``    rows                      -> tables, Markdown, a section of a page
``load_results``     a folder                  -> its rows again, as far as the runs have got
``run``              all of it
"""

from trainer.ablate.executors import SweepExecutorOptions
from trainer.ablate.outcome import Outcome
from trainer.ablate.run import AblateReport, SweepObserver, ablate
from trainer.ablate.spec import Spec, read_spec, table

__all__ = [
    "AblateReport",
    "Outcome",
    "Spec",
    "SweepExecutorOptions",
    "SweepObserver",
    "ablate",
    "read_spec",
    "table",
]

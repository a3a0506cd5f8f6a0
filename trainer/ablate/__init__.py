"""Train a table of settings, of the paper or of the user, over folds and seeds of a cache: a sweep.

In the order of the data:

``spec``             a TOML file               -> rows of settings, with the paper's numbers
``typed_values``     values of files           -> checked values
``sweep_request``    spec, folds, seeds        -> the requested runs, and their directories
``sweep_plan``       spec, cache, folds, seeds -> the runs on a cache; impossible ones are rejected first
``sweep_directory``  a directory               -> lock, settings and outcomes of a sweep
``run_one``          a run                     -> its run directory, trained and measured, with its outcome;
                     of a baseline, its outcome and predictions
``executors``        options                   -> the executor of the runs, on this machine or a cluster
``kinds``            outcomes of a row         -> outcomes with equal clips, precision and holdout
``stored_predictions`` a directory             -> the predictions of its runs, clip by clip
``comparisons``      outcomes, predictions     -> each row against the base row: intervals, tests, verdicts
``comparison_page``  comparisons               -> tables and notes
``aggregate``        outcomes                  -> rows over folds and seeds, with the paper's numbers
``result_tables``    rows                      -> tables, Markdown, a section of a page
``load_results``     a directory               -> rows of the outcomes so far
``run``              the whole sweep
``search_spec``      a TOML file with ranges   -> the candidates of a search, and its budget
``search_run``       candidates                -> the best on validation clips, measured on test clips
``search_result``    their result              -> ``search_page``: tables, a section of a page
"""

from trainer.ablate.executors import SweepExecutorOptions
from trainer.ablate.outcome import Outcome
from trainer.ablate.run import AblateReport, SweepObserver, ablate
from trainer.ablate.search_result import SearchResult
from trainer.ablate.search_run import search
from trainer.ablate.search_spec import SearchSpec, read_table_or_search
from trainer.ablate.spec import Spec, read_spec, table, table_stem

__all__ = [
    "AblateReport",
    "Outcome",
    "SearchResult",
    "SearchSpec",
    "Spec",
    "SweepExecutorOptions",
    "SweepObserver",
    "ablate",
    "read_spec",
    "read_table_or_search",
    "search",
    "table",
    "table_stem",
]

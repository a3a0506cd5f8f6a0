"""Checks of a cache: its attributes, the range of every value, and a sample that is computed again.

``stored``         a cache              -> findings on stored values
``block``          a block of its clips -> findings on their values
``config``         a cache              -> the config that it was made with
``recomputation``  some of its clips    -> differences of features that are computed again
``check``          a cache              -> a report of all checks
``report``         types of the report
"""

from pipeline.verify.check import verify
from pipeline.verify.config import OtherAlgorithmsError, config_of
from pipeline.verify.recomputation import (
    RELATIVE_TOLERANCE,
    pick_sample,
    recompute,
    recompute_sample,
    relative_difference,
)
from pipeline.verify.report import Finding, Recomputed, VerifyReport
from pipeline.verify.stored import verify_stored

__all__ = [
    "RELATIVE_TOLERANCE", "Finding", "OtherAlgorithmsError", "Recomputed", "VerifyReport", "config_of",
    "pick_sample", "recompute", "recompute_sample", "relative_difference", "verify", "verify_stored",
]  # fmt: skip

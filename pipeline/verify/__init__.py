"""A cache is checked: its attributes, every value's range, and a sample computed again.

``stored``         a cache              -> what is wrong with what it stores
``block``          a block of its clips -> what is wrong with their values
``config``         a cache              -> the config that it was made with
``recomputation``  some of its clips    -> how far features computed again differ
``check``          a cache              -> a report of all of it
``report``         the report
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

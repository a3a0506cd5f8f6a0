"""The whole check of a cache: its stored values, then a sample that is computed again."""

from collections.abc import Callable
from pathlib import Path

from pipeline.config import require_range
from pipeline.errors import CacheError
from pipeline.store.reader import FeatureCache
from pipeline.verify.recomputation import recompute_sample
from pipeline.verify.report import Recomputed, VerifyReport
from pipeline.verify.stored import official_leaks, verify_stored


def verify(
    cache: FeatureCache,
    count: int | None,
    *,
    root: Path | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    on_block: Callable[[], None] | None = None,
) -> VerifyReport:
    """Check the stored values of a cache, and compute a sample of clips again.

    Damage is a finding, never an error.

    Args:
        cache: Open cache.
        count: Number of clips to compute again. None means two, or none if files or models are missing.
        root: Directory of the dataset, if it has moved.
        encoder_weights: Weights of the encoder, if they have moved.
        detector_weights: Weights of the detector, if they have moved.
        on_block: Called after each block of stored values.

    Raises:
        OusError: `count` is a number, and files or models are not on this machine.
        ConfigError: `count` is negative.
    """
    require_range("--sample", 0 if count is None else count, 0)
    findings = verify_stored(cache, on_block)
    try:
        counts, leaks = cache.status_counts(), official_leaks(cache)
        again = recompute_sample(
            cache, count, root=root, encoder_weights=encoder_weights, detector_weights=detector_weights
        )
    except CacheError as error:
        counts, leaks, again = {}, [], Recomputed(note=f"NOTHING RECOMPUTED: {error}")
    return VerifyReport(
        place=cache.place,
        counts=counts,
        findings=(*findings, *again.findings),
        recomputed=again,
        warnings=(*cache.meta.warnings, *leaks),
    )

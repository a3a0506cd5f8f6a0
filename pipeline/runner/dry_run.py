"""What a run would do and how long it would take: for `--dry-run`."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.process import ExtractConfig
from pipeline.runner.estimate import Estimate, estimate
from pipeline.runner.outline import Outline, outline
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.tasks import RunOptions
from pipeline.store.location import Where
from pipeline.types import DatasetIndex


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do, and how long it would take."""

    outline: Outline
    estimate: Estimate


def plan(
    index: DatasetIndex,
    config: ExtractConfig,
    executor: BlockExecutor,
    cache: Where,
    options: RunOptions,
    *,
    on_outline: Callable[[Outline], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Plan:
    """Find out what `extract` would do and how long it would take; nothing is written.

    Args:
        index: The clips.
        config: The settings of all steps.
        executor: The run's workers, of `make_executor(..., for_timing=True)` where weights may be missing.
        cache: Location of the cache; one that is there is checked as by `extract`.
        options: How the run goes about its work.
        on_outline: Called with what is known before any model is loaded.
        say: Called with remarks for people.

    Raises:
        CacheError: The cache was made otherwise, or from other clips.
        ConfigError: The settings do not fit the device or each other.
        WeightsError: Weights are missing, or damaged.
    """
    first = outline(index, config, executor, cache, options)
    if on_outline is not None:
        on_outline(first)
    return Plan(outline=first, estimate=estimate(first, executor, say))

"""Plan of a run and its estimated duration, for `--dry-run`."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.process import ExtractConfig
from pipeline.runner.estimate import Estimate, estimate
from pipeline.runner.outline import Outline, outline
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.tasks import RunOptions
from pipeline.store.location import LocationLike
from pipeline.types import DatasetIndex


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Plan of a run, and its estimated duration."""

    outline: Outline
    estimate: Estimate


def plan(
    index: DatasetIndex,
    config: ExtractConfig,
    executor: BlockExecutor,
    cache: LocationLike,
    options: RunOptions,
    *,
    on_outline: Callable[[Outline], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Plan:
    """Plan a run of `extract` and estimate its duration; nothing is written.

    Args:
        index: The clips.
        config: The settings of all steps.
        executor: The run's workers, from `make_executor(..., for_timing=True)` if weights may be missing.
        cache: Location of the cache; an existing one is checked as by `extract`.
        options: Options of the run.
        on_outline: Called with the outline, before any model is loaded.
        say: Called with remarks for people.

    Raises:
        CacheError: The cache has other settings, models or clips.
        ConfigError: The settings do not fit the device or each other.
        WeightsError: Weights are missing, or damaged.
    """
    first = outline(index, config, executor, cache, options)
    if on_outline is not None:
        on_outline(first)
    return Plan(outline=first, estimate=estimate(first, executor, say))

"""Outline of a run, before any model is loaded."""

from dataclasses import dataclass

from pipeline.process import ExtractConfig
from pipeline.runner.cache_setup import Opening, checked
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.tasks import RunOptions, Workload, blocks_to_do
from pipeline.runner.worker import unloaded_model_info
from pipeline.store.location import Location, LocationLike
from pipeline.types import DatasetIndex


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Outline of a run: clips, blocks, bytes by array.

    Attributes:
        index: The dataset as read now.
        config: The settings of all steps.
        cache: Location of the cache, which may not exist.
        opening: State of the cache as the run would begin with it. Nothing is written yet.
        workload: The blocks that the run would process.
    """

    index: DatasetIndex
    config: ExtractConfig
    cache: Location
    opening: Opening
    workload: Workload

    @property
    def num_clips(self) -> int:
        """Clips of the complete cache."""
        return self.opening.meta.num_clips

    @property
    def num_blocks(self) -> int:
        """Blocks of the complete cache."""
        return -(-self.num_clips // self.opening.meta.block_clips)

    @property
    def bytes_by_array(self) -> dict[str, int]:
        """Bytes of the complete cache, by array."""
        return self.opening.meta.bytes_by_array()


def outline(
    index: DatasetIndex,
    config: ExtractConfig,
    executor: BlockExecutor,
    cache: LocationLike,
    options: RunOptions,
) -> Outline:
    """Outline a run of `extract`; no model is loaded and nothing is written.

    An existing cache is checked as by `extract`, except for the weights of its models.

    Args:
        index: The clips.
        config: The settings of all steps.
        executor: The run's workers.
        cache: Location of the cache.
        options: Options of the run.

    Raises:
        CacheError: The cache has other settings or clips.
        ConfigError: The settings do not fit the device or each other.
    """
    place = Location.of(cache)
    opening = checked(index, config, unloaded_model_info(executor), place)
    workload = Workload.of(index.root, opening.clips, blocks_to_do(opening, options))
    return Outline(index=index, config=config, cache=place, opening=opening, workload=workload)

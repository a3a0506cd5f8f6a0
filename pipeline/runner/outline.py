"""What a run would do, known before any model is loaded."""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import counted, some
from pipeline.process import ExtractConfig
from pipeline.runner.opening import Opening, checked
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.tasks import RunOptions, Workload, blocks_to_do
from pipeline.runner.worker import unloaded_model_info
from pipeline.store.place import Place, Where
from pipeline.types import DatasetIndex


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a run would do, and on what: clips, blocks, bytes by array."""

    index: DatasetIndex
    config: ExtractConfig
    cache: Place
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
        """Bytes of the complete cache."""
        return self.opening.meta.bytes_by_array()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "num_clips": self.num_clips,
            "num_pending": self.workload.num_clips,
            "num_missing": len(self.workload.missing),
            "num_blocks": self.num_blocks,
            "num_blocks_pending": len(self.workload.blocks),
            "block_clips": self.opening.meta.block_clips,
            "bytes_by_array": self.bytes_by_array,
            "num_bytes": sum(self.bytes_by_array.values()),
        }

    def lines(self) -> list[str]:
        """For people."""
        plain = self.to_dict()
        lines = [
            f"{plain['num_pending']} of {counted(self.num_clips, 'clip')} to do, in "
            f"{plain['num_blocks_pending']} of {counted(self.num_blocks, 'block')} of {plain['block_clips']}"
        ]
        if self.workload.missing:
            ids = self.workload.missing_ids(self.opening.clips)
            lines.append(
                f"  {len(ids)} of them have no file ({some(ids)}): extract records them as failed, and they "
                "are no part of the estimate"
            )
        sizes = {**self.bytes_by_array, "in all": plain["num_bytes"]}
        return [*lines, *(f"  {size / 1e6:10.2f} MB  {name}" for name, size in sizes.items())]


def outline(
    index: DatasetIndex, config: ExtractConfig, executor: BlockExecutor, cache: Where, options: RunOptions
) -> Outline:
    """Find out what `extract` would do; no model is loaded and nothing is written.

    A cache that is there is checked as `extract` does it, but for the weights of its models.

    Raises:
        CacheError: The cache was made otherwise or from other clips.
        ConfigError: The settings do not fit the device or each other.
    """
    place = Place.of(cache)
    opening = checked(index, config, unloaded_model_info(executor), place)
    workload = Workload.of(index.root, opening.clips, blocks_to_do(opening, place, options))
    return Outline(index=index, config=config, cache=place, opening=opening, workload=workload)

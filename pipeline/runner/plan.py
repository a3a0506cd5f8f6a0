"""What a run would do: for `--dry-run`."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from pipeline.process import ExtractConfig
from pipeline.runner.crew import Crew
from pipeline.runner.opening import checked
from pipeline.runner.tasks import RunOptions, blocks_to_do
from pipeline.runner.work import Timed
from pipeline.store.place import Place, Where
from pipeline.types import DatasetIndex

_LONG_MINUTES = 5
_FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do: clips in all and still to do, blocks, bytes by array, and the time.

    seconds: an estimate from `num_timed` clips that one worker processed; None when all those tried
    failed.
    """

    num_clips: int
    num_pending: int
    num_blocks_pending: int
    block_clips: int
    bytes_by_array: dict[str, int]
    where: str
    num_workers: int
    seconds: float | None
    num_timed: int

    @property
    def num_blocks(self) -> int:
        """Blocks of the complete cache."""
        return -(-self.num_clips // self.block_clips)

    @property
    def num_bytes(self) -> int:
        """Bytes of the complete cache."""
        return sum(self.bytes_by_array.values())

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {**dataclasses.asdict(self), "num_blocks": self.num_blocks, "num_bytes": self.num_bytes}

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.num_pending} of {self.num_clips} clips to do, in {self.num_blocks_pending} of "
            f"{self.num_blocks} blocks of {self.block_clips}",
            *(f"  {size / 1e6:10.2f} MB  {name}" for name, size in self.bytes_by_array.items()),
            f"  {self.num_bytes / 1e6:10.2f} MB  in all",
            f"{self._time()}; nothing was written",
        ]

    def _time(self) -> str:
        if not self.num_pending:
            return "nothing to do"
        if self.seconds is None:
            return "NO ESTIMATE OF THE TIME: every clip that was tried failed"
        return f"about {_spoken(self.seconds)}, from {self.num_timed} clips timed {self.where}"


def plan(index: DatasetIndex, config: ExtractConfig, crew: Crew, cache: Where, options: RunOptions) -> Plan:
    """What `extract` would do, without writing; an existing cache is checked as it would be.

    A few clips are timed, spread over those to do, enough to fill a batch of the encoder. Start-up is
    left out; so is the overlap of one block's decoding with another's encoding.
    """
    place, brief = Place.of(cache), crew.brief()
    opening = checked(index, config, brief, place)
    meta, blocks = opening.meta, blocks_to_do(opening, place, options)
    rows = [row for _, block in blocks for row in block]
    enough = max(_FEWEST, brief.batch_pictures // (config.frames.num_frames * config.frames.num_views))
    spread = rows[:: max(1, len(rows) // enough)][:enough]
    tried = [clip for row in spread if (clip := opening.clips[row]) is not None]
    timed = crew.time_clips(index.root.absolute(), tried) if tried else Timed(num_clips=0, seconds=0.0)
    workers = max(1, crew.num_workers)
    seconds = timed.seconds / timed.num_clips * len(rows) / workers if timed.num_clips else None
    return Plan(
        num_clips=meta.num_clips,
        num_pending=len(rows),
        num_blocks_pending=len(blocks),
        block_clips=meta.block_clips,
        bytes_by_array=meta.bytes_by_array(),
        where=crew.where,
        num_workers=workers,
        seconds=seconds,
        num_timed=timed.num_clips,
    )


def _spoken(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes >= _LONG_MINUTES else f"{seconds:.0f} s"

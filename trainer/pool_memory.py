"""Settings and sizes -> how many clips the memory of streamed clips holds, for training and for measuring.

A slot is the memory of one clip. Letters: as in `batches`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from pipeline.errors import ConfigError, counted
from trainer.block_reading import ClipSource, bytes_needed, stored_block_bytes
from trainer.clip_loading import BYTES_PER_GB, READERS
from trainer.config import TrainConfig

_HELD_SHARE = 0.25
"""Part of the memory that holds clips which are measured."""
_STEP = 1e6
"""Step of the memory that a message proposes, in bytes."""


@dataclass(frozen=True, kw_only=True)
class PoolMemory:
    """How `data.pool_gb` is used, beside the blocks that are being read.

    Attributes:
        slots: Slots of clips that train: the window of the shuffle, a batch, and a block for each reader.
        held: Clips that are measured at a time, a multiple of the batch size.
    """

    slots: int
    held: int

    @classmethod
    def of(cls, sources: Sequence[ClipSource], config: TrainConfig, most_of_block: int) -> "PoolMemory":
        """Return the use of the memory.

        Args:
            sources: Rows of caches, which do not fit into the memory.
            config: Settings of the run.
            most_of_block: Largest number of clips of a block.

        Raises:
            ConfigError: The memory is too small for the settings.
        """
        data, batch_size, meta = config.data, config.optim.batch_size, sources[0].cache.meta
        of_clip, pool = bytes_needed(meta, config, 1), int(data.pool_gb * BYTES_PER_GB)
        num_bytes = bytes_needed(meta, config, sum(len(one.row_N) for one in sources))
        reading = READERS * max(stored_block_bytes(one.cache.meta, config) for one in sources)
        beside = batch_size + READERS * most_of_block
        found = f"data.pool_gb is {data.pool_gb:g}, and the features of this training take {_gb(num_bytes)}"
        num_trained = int((pool - reading) * (1 - _HELD_SHARE)) // of_clip
        num_held = int((pool - reading) * _HELD_SHARE) // of_clip
        most = (num_trained - beside) // most_of_block
        if most < 1 or num_held < batch_size:
            blocks = max(1, data.shuffle_blocks)
            slots = max((blocks * most_of_block + beside) / (1 - _HELD_SHARE), batch_size / _HELD_SHARE)
            needed = reading + slots * of_clip
            msg = f"{found}; {_remedy(config, needed, num_bytes)}"
            raise ConfigError(msg)
        if data.draws_clips:
            msg = (
                f"{found}; they can be read block by block only with data.sampling=natural and "
                f"data.mixture=size. Set these and data.shuffle_blocks (1 to {most}), or a larger "
                "data.pool_gb."
            )
            raise ConfigError(msg)
        if not 1 <= data.shuffle_blocks <= most:
            window = (
                f"a window of {data.shuffle_blocks} blocks does not fit either"
                if data.shuffle_blocks
                else "a full shuffle needs all of them in memory"
            )
            msg = (
                f"{found}; {window}. Set data.shuffle_blocks to 1 to {most} (more is nearer to a full "
                "shuffle), or a larger data.pool_gb."
            )
            raise ConfigError(msg)
        return cls(
            slots=data.shuffle_blocks * most_of_block + beside, held=num_held // batch_size * batch_size
        )


def _remedy(config: TrainConfig, needed: float, num_bytes: int) -> str:
    """Return the least memory with which a training can be done.

    Args:
        config: Settings of the run.
        needed: Size of the memory of a window, in bytes.
        num_bytes: Size of all features. With a pool of this size they are read into memory once.
    """
    window = config.data.shuffle_blocks
    all_of_them = f"set data.pool_gb to at least {_least_gb(num_bytes)}, which holds all of them."
    if config.data.draws_clips or _least_gb(needed) >= _least_gb(num_bytes):
        return all_of_them
    pool = (
        f"data.pool_gb to at least {_least_gb(needed)}, which holds the blocks that are being read and a "
        f"window of {counted(window or 1, 'block')}"
    )
    return f"set {pool}." if window else f"set data.shuffle_blocks to 1 and {pool}; or {all_of_them}"


def _least_gb(num_bytes: float) -> float:
    """Return the smallest `data.pool_gb` in steps of 0.001 that has a number of bytes."""
    return ceil(num_bytes / _STEP) / (BYTES_PER_GB / _STEP)


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / BYTES_PER_GB:.4g} GB"

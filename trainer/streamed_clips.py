"""Clips whose features stay in the cache: blocks are read ahead of the steps into a bounded memory.

Only the place of the features differs from `ClipData`: order, views and numbers are the same. A block is read
when the order first needs one of its clips, and a clip's memory is free once its batch is made. With a block
shuffle (`block_shuffle`), each block is read once in an epoch.

Letters: as in `batches`. A slot is the memory of one clip.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import torch

from pipeline.errors import counted
from trainer.batches import OF_EACH_CLIP, Batch, ClipData, Clips
from trainer.block_reading import (
    BlockReader,
    ClipSource,
    Scratches,
    bytes_needed,
    empty_arrays,
    require_arrays,
)
from trainer.clip_loading import BYTES_PER_GB, READERS, clip_data, load_sources, of_each_clip
from trainer.config import TrainConfig
from trainer.finite import require_finite
from trainer.pool_memory import PoolMemory
from trainer.threads import one_thread_executor


def open_clips(sources: Sequence[ClipSource], config: TrainConfig, device: torch.device) -> Clips:
    """Return the clips of one or several caches, in memory or, with ``data.residence=disk``, streamed.

    Args:
        sources: Rows of caches with features of one identity. Of streamed clips, the caches stay in use.
        config: Settings of the run.
        device: Device of the batches.

    Raises:
        CacheError: The valid frames of a clip are not its first ones. Features are NaN or infinite; of
            streamed clips, this is found when they are read.
        ConfigError: The settings need an array that the cache does not hold, or the memory is too small for
            them.
    """
    num_clips = sum(len(source.row_N) for source in sources)
    num_bytes = bytes_needed(sources[0].cache.meta, config, num_clips)
    if config.data.residence != "disk":
        return load_sources(sources, config, device)
    if num_bytes <= int(config.data.pool_gb * BYTES_PER_GB):
        data = load_sources(sources, config, device)
        pool = f"they fit into data.pool_gb, {config.data.pool_gb:g} GB, and are read from disk once"
        return replace(data, residence=f"{data.residence} ({pool})")
    for source in sources:
        require_arrays(source.cache.meta, config)
    scratches = Scratches()
    readers = tuple(BlockReader(source, config, scratches) for source in sources)
    each = of_each_clip(sources, readers, config)
    most_of_block = int(each["block_N"].unique(return_counts=True)[1].max())
    memory = PoolMemory.of(sources, config, most_of_block)
    return StreamedClips(
        **each,
        device=device,
        residence=_in_words(num_bytes, config),
        sources=tuple(sources),
        readers=readers,
        source_N=torch.cat([torch.full((len(one.row_N),), n) for n, one in enumerate(sources)]),
        clip_N=torch.cat([torch.arange(len(one.row_N)) for one in sources]),
        config=config,
        memory=memory,
        executor=one_thread_executor(READERS),
    )


def _in_words(num_bytes: int, config: TrainConfig) -> str:
    window = counted(config.data.shuffle_blocks, "block")
    return (
        f"{num_bytes / BYTES_PER_GB:.2f} GB of features on disk, at most {config.data.pool_gb:g} GB of them "
        f"in memory, shuffled within {window} at a time"
    )


@dataclass
class _Slots:
    """Memory that is in use.

    Attributes:
        arrays: Features by name of the cache's array.
        data: The same memory as clips.
        held: Clips that were measured last, and their places.
    """

    arrays: dict[str, torch.Tensor] = field(default_factory=dict)
    data: ClipData | None = None
    held: tuple[torch.Tensor, ClipData] | None = None


@dataclass(frozen=True, kw_only=True)
class StreamedClips(Clips):
    """N clips whose features stay in the cache. Close it after use.

    Attributes:
        sources: Rows of caches.
        readers: The reader of each.
        source_N, clip_N: Source of each clip, and its place there.
        config: Settings of the run.
        memory: Number of clips in memory.
        executor: Threads that read.
    """

    sources: tuple[ClipSource, ...]
    readers: tuple[BlockReader, ...]
    source_N: torch.Tensor
    clip_N: torch.Tensor
    config: TrainConfig
    memory: PoolMemory
    executor: ThreadPoolExecutor
    _slots: _Slots = field(init=False, default_factory=_Slots)

    def close(self) -> None:
        """End the threads, after the blocks that they are reading."""
        self.executor.shutdown(cancel_futures=True)

    def subset(self, place_N: torch.Tensor) -> ClipData:
        """Return the clips at `place_N` (0 to N - 1) as clips in memory, in this order.

        Memory of other clips is freed before, because that of these is not part of `memory`.
        """
        slots = self._slots
        slots.held = slots.data = None
        slots.arrays = {}
        return self._loaded(place_N)

    def _loaded(self, place_N: torch.Tensor) -> ClipData:
        arrays, data = self._empty(len(place_N))
        plan = _Plan.of(self.block_N[place_N], [len(place_N)])
        _finish([self._submit(place_N[at], at, arrays, data) for at in plan.blocks])
        return data

    def evaluation_batches(self, places: torch.Tensor, batch_size: int) -> Iterator[Batch]:
        """Yield the clips at `places` in their order, in the first view.

        As many as `memory` allows are read at a time. If these are all, they stay in memory until other
        clips are measured.
        """
        at_once = max(batch_size, self.memory.held // batch_size * batch_size)
        for start in range(0, len(places), at_once):
            yield from self._held(places[start : start + at_once]).evaluation_batches(
                torch.arange(min(at_once, len(places) - start)), batch_size
            )

    def _held(self, places: torch.Tensor) -> ClipData:
        """Return clips in memory, in place of those that were held before."""
        slots = self._slots
        if slots.held is None or not torch.equal(slots.held[0], places):
            slots.held = None
            slots.held = (places, self._loaded(places))
        return slots.held[1]

    def _batches(self, order_N: torch.Tensor, view_N: torch.Tensor, ends: Sequence[int]) -> Iterator[Batch]:
        plan = _Plan.of(self.block_N[order_N], ends)
        arrays, data = self._training_slots(plan.most_clips)
        free = list(range(len(data.label_N)))
        slot_N = torch.empty(len(order_N), dtype=torch.int64)
        reading: deque[Future[None]] = deque()
        waiting = deque(plan.blocks)
        num_read = 0

        def read_ahead() -> None:
            while waiting and len(free) >= len(waiting[0]):
                at = waiting.popleft()
                slot_N[at] = torch.tensor([free.pop() for _ in range(len(at))])
                reading.append(self._submit(order_N[at], slot_N[at], arrays, data))

        try:
            read_ahead()
            for (start, end), needed in zip(pairwise([0, *ends]), plan.blocks_of_batch, strict=True):
                while num_read < needed:
                    reading.popleft().result()
                    num_read += 1
                batch = data.gather(slot_N[start:end], view_N[start:end])
                free += slot_N[start:end].tolist()
                read_ahead()
                yield batch
        finally:
            for block in reading:
                block.cancel()
            wait(reading)

    def _training_slots(self, most_clips: int) -> tuple[dict[str, torch.Tensor], ClipData]:
        """Return the slots of clips that train, which every epoch uses.

        Args:
            most_clips: Clips that the epoch needs at a time. Only batches that were joined make it more than
                `memory` allows.
        """
        slots = self._slots
        if slots.data is None or len(slots.data.label_N) < most_clips:
            slots.data = None
            slots.arrays = {}
            slots.arrays, slots.data = self._empty(max(self.memory.slots, most_clips))
        return slots.arrays, slots.data

    def _empty(self, num: int) -> tuple[dict[str, torch.Tensor], ClipData]:
        """Return memory for clips on the host: their features by name of the cache's array, and as clips."""
        with torch.inference_mode(False):  # measuring is in this mode, whose tensors no thread may write
            arrays = empty_arrays(self.sources[0].cache.meta, self.config, num)
            each = {
                name: None if value is None else torch.empty((num, *value.shape[1:]), dtype=value.dtype)
                for name, value in self._of_each_clip().items()
            }
            host = torch.device("cpu")
            return arrays, clip_data(dict(arrays), each, host, self.device, self.residence)

    def _of_each_clip(self) -> dict[str, torch.Tensor | None]:
        return {name: getattr(self, name) for name in OF_EACH_CLIP}

    def _submit(
        self, places: torch.Tensor, slots: torch.Tensor, arrays: dict[str, torch.Tensor], data: ClipData
    ) -> Future[None]:
        """Start to read the clips at `places`, which are of one block, into slots."""
        for name, value in self._of_each_clip().items():
            if value is not None:
                getattr(data, name)[slots] = value[places]
        number = int(self.source_N[places[0]])
        return self.executor.submit(self._read, number, self.clip_N[places], slots, arrays)

    def _read(
        self, number: int, clips: torch.Tensor, slots: torch.Tensor, arrays: dict[str, torch.Tensor]
    ) -> None:
        self.readers[number].read(clips, slots, arrays)
        source = self.sources[number]
        read = {name: array[slots] for name, array in arrays.items()}
        require_finite(read, source.cache, source.row_N[clips.numpy()])


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The blocks that an order of clips needs.

    Attributes:
        blocks: Places in the order of the clips of each block, blocks in the order of their first clips.
        blocks_of_batch: Number of these blocks that must be in memory for each batch.
        most_clips: Largest number of clips in memory, if each block is read for the batch that needs it.
    """

    blocks: list[torch.Tensor]
    blocks_of_batch: list[int]
    most_clips: int

    @classmethod
    def of(cls, block_N: torch.Tensor, ends: Sequence[int]) -> "_Plan":
        """Return the plan.

        Args:
            block_N: Block of each clip, in the order.
            ends: End of each batch in the order.
        """
        _, first, of_block, count = np.unique(
            block_N.numpy(), return_index=True, return_inverse=True, return_counts=True
        )
        entry = np.argsort(first)
        rank = np.empty_like(entry)
        rank[entry] = np.arange(len(entry))
        rank_N = rank[of_block]
        num_entered = np.cumsum(count[entry])
        last = np.maximum.accumulate(rank_N)[np.array(ends) - 1]
        starts = np.array([0, *ends[:-1]])
        clips = np.split(np.argsort(rank_N, kind="stable"), num_entered[:-1])
        return cls(
            blocks=[torch.from_numpy(places) for places in clips],
            blocks_of_batch=(last + 1).tolist(),
            most_clips=int((num_entered[last] - starts).max()),
        )


def _finish(reading: Sequence[Future[None]]) -> None:
    """Wait for blocks, and raise the first error among them after all have ended."""
    wait(reading)
    for block in reading:
        block.result()

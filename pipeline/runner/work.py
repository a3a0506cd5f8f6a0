"""A block of clips as a task, and the worker that does it: the same in one process and on a cluster."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch

from pipeline.device import device_fault, is_device_fault
from pipeline.errors import CacheError, OusError, counted, first_line
from pipeline.fingerprint import sha256_json
from pipeline.process import (
    CLIP_SECONDS,
    BlockOutcome,
    DecodePool,
    Decoder,
    ExtractConfig,
    InlineDecoder,
    StageSeconds,
    Tools,
    identity_differences,
    load_tools,
    process_block,
)
from pipeline.runner.machine import choose_device, decoders_for, keep_memory, use_cores
from pipeline.store.rows import fill_row
from pipeline.store.writer import CacheWriter
from pipeline.types import Bytes, ClipFailed, ClipRef

THREADS_PER_WORKER = 2
"""Blocks that a worker is at: one is decoded while the other is on the device."""

_BLOCK_OF_GPU, _BLOCK_OF_CPU, _BLOCK_OF_ALL_TOKENS = 64, 8, 4


@dataclass(frozen=True, kw_only=True)
class BlockTask:
    """Clips of one block that are to be processed; small, so that it travels.

    start: first row of the block. rows: those to process. num_clips: of the cache, by which a worker
    that has written to it before knows that it has grown. fingerprint: of the cache, which the worker's
    models must match.
    """

    cache: str
    root: Path
    start: int
    rows: tuple[int, ...]
    clips: tuple[ClipRef, ...]
    num_clips: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class BlockReport:
    """What became of a block's clips. warnings: of the worker, such as a batch that had to shrink."""

    start: int
    num_clips: int
    num_failed: int
    num_pictures: int
    seconds: StageSeconds
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Seconds for some clips; those that failed are not counted."""

    num_clips: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What a worker's models are: all that the description of a cache needs of them.

    conventions: activation, mean and std of the encoder in words, and where they are stated.
    """

    identity: dict[str, Any]
    embed_width: int
    encoder_width: int
    num_tokens: int
    visual_sha256: str
    text_sha256: str
    conventions: str
    precision: str
    device: str
    batch_pictures: int
    block_clips: int
    num_decoders: int

    @cached_property
    def fingerprint(self) -> str:
        """The hash of whatever changes a feature."""
        return sha256_json(self.identity)

    @classmethod
    def of(cls, tools: Tools, num_decoders: int) -> Self:
        """The brief of these models."""
        on_gpu = tools.device.type == "cuda"
        block = _BLOCK_OF_GPU if on_gpu else _BLOCK_OF_CPU
        return cls(
            identity=tools.identity(),
            embed_width=tools.clip.embed_width,
            encoder_width=tools.clip.encoder_width,
            num_tokens=tools.encoder.num_tokens,
            visual_sha256=tools.clip.visual_sha256,
            text_sha256=tools.clip.text_sha256,
            conventions=str(tools.clip.conventions),
            precision=tools.encoder.precision,
            device=torch.cuda.get_device_name(tools.device) if on_gpu else "CPU",
            batch_pictures=tools.encoder.batch_pictures,
            block_clips=_BLOCK_OF_ALL_TOKENS if tools.config.features.tokens == "all" else block,
            num_decoders=num_decoders,
        )


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """All it takes to start a worker, wherever it is. Nothing here changes a feature.

    device: auto, cpu or cuda. decoders: child processes that decode, None to choose by the cores.
    clip_seconds: limit for decoding a clip. cores: that it may use, None for all it is given.
    """

    config: ExtractConfig
    device: str = "auto"
    decoders: int | None = None
    clip_seconds: float = CLIP_SECONDS
    cores: tuple[int, ...] | None = None

    def start(self) -> "Worker":
        """Load the models and start the decoders. Raises WeightsError or ConfigError."""
        keep_memory()
        cores = use_cores(self.cores)
        device = choose_device(self.device)
        tools = load_tools(self.config, device)
        num_decoders = self.decoders if self.decoders is not None else decoders_for(device, len(cores))
        pool = DecodePool(num_decoders, clip_seconds=self.clip_seconds, buffer=_buffer_for(device))
        return Worker(tools, pool, num_decoders)


@dataclass
class Worker:
    """Models and decoders of one process, at the service of its threads."""

    tools: Tools
    decoder: Decoder = field(default_factory=InlineDecoder)
    num_decoders: int = 1
    _writers: dict[str, CacheWriter] = field(default_factory=dict)
    _equal: set[str] = field(default_factory=set)  # fingerprints of other spellings of this identity
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def brief(self) -> Brief:
        """What its models are."""
        return self._brief

    def run(self, task: BlockTask, on_progress: Callable[[float], None] | None = None) -> BlockReport:
        """Process the missing clips of one block and write the block whole, its status last.

        on_progress: told how much more is done, in clips; what it raises ends the block, unwritten.
        Raises CacheError when the cache cannot be written or was made by other models.
        """
        self._refuse_other(task)
        began = time.monotonic()
        writer = self._writer(task)
        first, end = writer.block_bounds(task.start)
        whole = len(task.rows) == end - first
        arrays = writer.empty_rows(task.start) if whole else writer.read_block(task.start)
        writer.mark_pending(task.start, [row - first for row in task.rows])
        opened = time.monotonic()
        done = self._processed(task, on_progress)
        processed = time.monotonic()
        for row, outcome in zip(task.rows, done.outcomes, strict=True):
            fill_row(arrays, row - first, outcome)
        if on_progress is not None:
            on_progress(0.0)  # a run that is over writes no more
        writer.write_block(task.start, arrays)
        done.seconds.write += opened - began + time.monotonic() - processed
        return BlockReport(
            start=task.start,
            num_clips=len(task.rows),
            num_failed=sum(isinstance(outcome, ClipFailed) for outcome in done.outcomes),
            num_pictures=done.num_pictures,
            seconds=done.seconds,
            warnings=self.tools.warnings,
        )

    def time_clips(self, root: Path, clips: Sequence[ClipRef]) -> Timed:
        """How long it takes to process the clips, after the first to warm up; nothing is kept."""
        process_block(root, clips[:1], self.tools, decoder=self.decoder)
        began = time.monotonic()
        done = process_block(root, clips, self.tools, decoder=self.decoder)
        seconds = time.monotonic() - began
        good = sum(not isinstance(outcome, ClipFailed) for outcome in done.outcomes)
        return Timed(num_clips=good, seconds=seconds)

    @cached_property
    def _brief(self) -> Brief:
        """Found once: every block asks for its hash, and the models stay."""
        return Brief.of(self.tools, self.num_decoders)

    def close(self) -> None:
        """Stop the decoders."""
        if isinstance(self.decoder, DecodePool):
            self.decoder.close()

    def _processed(self, task: BlockTask, on_progress: Callable[[float], None] | None) -> BlockOutcome:
        try:
            return process_block(
                task.root, task.clips, self.tools, decoder=self.decoder, on_progress=on_progress
            )
        except (MemoryError, torch.OutOfMemoryError) as error:
            msg = (
                f"Out of memory at a block of {counted(len(task.clips), 'clip')}, first "
                f"'{task.clips[0].clip_id}' ({first_line(error)[:200]}); finished blocks are safe. Use fewer "
                "--workers, --decoders or --frames, or smaller batches: --set features.batch_pictures=8."
            )
            raise OusError(msg) from error
        except RuntimeError as error:
            if not is_device_fault(error):
                raise
            raise device_fault(error, "finished blocks are safe") from error

    def _refuse_other(self, task: BlockTask) -> None:
        mine = self._brief
        if task.fingerprint in (mine.fingerprint, *self._equal):
            return
        with self._opening:
            there = CacheWriter.resume(task.cache).meta.identity
        if found := identity_differences(mine.identity, there):
            msg = f"A worker on {mine.device} would compute other features than '{task.cache}' holds: "
            msg += "; ".join(found) + ". Use equal workers, or set the precision."
            raise CacheError(msg)
        self._equal.add(task.fingerprint)

    def _writer(self, task: BlockTask) -> CacheWriter:
        with self._opening:
            writer = self._writers.get(task.cache)
            if writer is None or writer.meta.num_clips != task.num_clips:
                writer = self._writers[task.cache] = CacheWriter.resume(task.cache)
            return writer


def _buffer_for(device: torch.device) -> Callable[[int], Bytes]:
    """Memory for decoded pixels; beside a GPU page-locked, so that they travel while others compute."""

    def buffer(num_bytes: int) -> Bytes:
        try:
            memory = torch.empty(num_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
        except RuntimeError as error:
            raise MemoryError(first_line(error)) from error
        pixels: Bytes = memory.numpy()
        return pixels

    return buffer

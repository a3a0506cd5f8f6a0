"""Worker that processes blocks of clips, in this process or on a cluster."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import methodcaller
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from pipeline.device import choose_device, device_fault, is_device_fault
from pipeline.errors import CacheError, OusError, counted, first_line
from pipeline.executor import Executor, LocalExecutor, Observer, TaskContext
from pipeline.executor.machine import available_cores, decoders_for, keep_memory, use_cores
from pipeline.process import (
    CLIP_SECONDS,
    BlockOutcome,
    DecodePool,
    Decoder,
    ExtractConfig,
    InlineDecoder,
    Models,
    Pace,
    identity_differences,
    load_models,
    process_block,
)
from pipeline.runner.block_task import BlockReport, BlockTask
from pipeline.runner.model_metadata import ModelInfo
from pipeline.store.at_once import all_at_once
from pipeline.store.location import Location
from pipeline.store.meta import CacheMeta
from pipeline.store.rows import fill_row
from pipeline.store.writer import CacheWriter
from pipeline.types import Bytes, ClipDone, ClipFailed, ClipOutcome, NoteKind, Status

SLOTS, QUEUED = 2, 2
"""Blocks that a worker processes at a time (one is decoded, one is on the device), and blocks that wait."""
_SECONDS_OF_BUCKET = 60.0
"""Work of a thread that may be lost on object storage, where each store of a block is a request per array."""
_DONE = (Status.DONE, Status.DONE_WITHOUT_FACE)


@dataclass(frozen=True, kw_only=True)
class BlockWorkerSetup:
    """Setup of a `BlockWorker` in any process. Except for `config`, nothing here changes a feature.

    Attributes:
        config: The settings of all steps.
        device: ``auto``, ``cpu`` or ``cuda``.
        decoders: Number of decoding processes; None to choose by the cores.
        clip_seconds: Limit for the decoding of a clip.
        for_timing: Whether random weights replace weights that are not on this machine. Nothing is
            downloaded then, and such a worker only processes trials.
    """

    config: ExtractConfig
    device: str = "auto"
    decoders: int | None = None
    clip_seconds: float = CLIP_SECONDS
    for_timing: bool = False
    slots: ClassVar[int] = SLOTS
    queued: ClassVar[int] = QUEUED

    def model_info(self) -> ModelInfo:
        """Describe the worker's models as far as they are known before weights are read."""
        device = choose_device(self.device)
        return ModelInfo.before_loading(
            self.config, device, self._num_decoders(device, len(available_cores()))
        )

    def start(self, cores: tuple[int, ...] | None = None) -> "BlockWorker":
        """Start the decoders and load the models. Raises WeightsError or ConfigError."""
        keep_memory()
        num_cores = len(use_cores(cores))
        device = choose_device(self.device)
        num_decoders = self._num_decoders(device, num_cores)
        pool = DecodePool(
            num_decoders, clip_seconds=self.clip_seconds, buffer=_buffer_for(device), starts_at_once=True
        )
        try:  # the processes start while the models are loaded
            models = load_models(self.config, device, for_timing=self.for_timing)
        except BaseException:
            pool.close()
            raise
        return BlockWorker(models, pool, num_decoders)

    def _num_decoders(self, device: torch.device, num_cores: int) -> int:
        return self.decoders if self.decoders is not None else decoders_for(device, num_cores)


@dataclass
class _LoadedSetup:
    """Setup of a worker that exists already; it cannot be sent to a cluster."""

    worker: "BlockWorker"
    slots: ClassVar[int] = SLOTS
    queued: ClassVar[int] = 0

    def model_info(self) -> ModelInfo:
        """See `BlockWorkerSetup`."""
        return self.worker.model_info()

    def start(self, cores: tuple[int, ...] | None = None) -> "BlockWorker":
        """See `BlockWorkerSetup`."""
        return self.worker


def model_info(executor: Executor[Any, Any], say: Callable[[str], None] | None = None) -> ModelInfo:
    """Load the workers' models and describe them.

    Args:
        executor: The workers.
        say: Called if all workers are lost meanwhile, so that others are waited for.

    Raises:
        WeightsError: Weights are missing or damaged.
        ConfigError: A setting does not fit the workers' device.
    """
    info: ModelInfo = executor.ask_worker(methodcaller("model_info"), _Waiting(say))
    return info


class _Waiting(Observer):
    """Observer that shows that there is no worker."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say

    def on_waiting(self) -> None:
        if self._say is not None:
            self._say("no worker is connected; waiting for one")


def unloaded_model_info(executor: Executor[Any, Any]) -> ModelInfo:
    """Describe the workers' models as far as they are known before weights are read.

    Raises ConfigError for settings that do not fit the workers' device.
    """
    info: ModelInfo = executor.ask_setup(methodcaller("model_info"))
    return info


def executor_of(models: Models) -> LocalExecutor[BlockTask, BlockReport]:
    """Return an executor with loaded models, which decodes in its own threads."""
    return LocalExecutor(_LoadedSetup(BlockWorker(models)))


@dataclass
class BlockWorker:
    """Models and decoders of one process, for all its threads."""

    models: Models
    decoder: Decoder = field(default_factory=InlineDecoder)
    num_decoders: int = 1
    _writers: dict[str, CacheWriter] = field(default_factory=dict)
    _equal: set[str] = field(default_factory=set)  # fingerprints of other spellings of this identity
    _opening: threading.Lock = field(default_factory=threading.Lock)
    _of_thread: threading.local = field(default_factory=threading.local)
    _pace: Pace = field(default_factory=Pace)
    _pace_of_bucket: Pace = field(default_factory=lambda: Pace(seconds=_SECONDS_OF_BUCKET))

    def model_info(self) -> ModelInfo:
        """Describe its models."""
        return self._model_info

    def run(self, task: BlockTask, context: TaskContext | None = None) -> BlockReport:
        """Process the pending clips of one block and write the whole block, its status last.

        If the block takes long, it is written with the clips so far, again and again, so that a kill costs
        little work (`Pace`). A trial is processed in the same way and written to memory.

        Args:
            task: The block.
            context: Receives the progress in clips. A cancelled block is not written any more.

        Raises:
            CacheError: The cache cannot be written, was made by other models, or is now held by another run.
            TaskCancelledError: The context is cancelled.
        """
        context = context or TaskContext()
        self._refuse_other(task)
        began = time.monotonic()
        writer = self._writer(task)
        rows = _StoredRows(writer, task.start, _status_of(task, writer))
        work = task if task.trial is not None else task.without(rows.done)
        context.advance(task.num_there - work.num_there)  # an attempt before has stored them
        arrays = rows.begin(work.rows)
        writing = time.monotonic() - began

        def store(outcomes: Mapping[int, ClipOutcome]) -> None:
            nonlocal writing
            started = time.monotonic()
            for place, outcome in outcomes.items():
                fill_row(arrays, work.rows[place] - rows.first, outcome)
            context.cancel.raise_if_cancelled()  # a run that has ended writes nothing
            status = _status_of(task, writer)
            if task.trial is None:
                rows.keep_done(arrays, status)
            writer.write_block(task.start, arrays)
            writing += time.monotonic() - started

        done = self._processed(work, context, store)
        store(dict(enumerate(done.outcomes)))
        done.seconds.write += writing
        there = [one for row, one in zip(work.rows, done.outcomes, strict=True) if row not in task.missing]
        finished = [one for one in there if isinstance(one, ClipDone)]
        return BlockReport(
            start=task.start,
            num_clips=task.num_there,
            num_failed=sum(isinstance(outcome, ClipFailed) for outcome in there),
            num_damaged=sum(one.has_note(NoteKind.DAMAGE) for one in finished),
            num_beyond_end=sum(one.has_note(NoteKind.WINDOW) for one in finished),
            num_pictures=done.num_pictures,
            seconds=done.seconds,
            warnings=self.models.warnings,
            num_reused=done.num_reused,
        )

    @cached_property
    def _model_info(self) -> ModelInfo:
        """Description of the models, computed once because every block needs its hash."""
        return ModelInfo.of(self.models, self.num_decoders)

    def close(self) -> None:
        """Stop the decoders."""
        if isinstance(self.decoder, DecodePool):
            self.decoder.close()

    def _processed(
        self, task: BlockTask, context: TaskContext, store: Callable[[Mapping[int, ClipOutcome]], None]
    ) -> BlockOutcome:
        try:
            return process_block(
                task.root,
                task.clips,
                self.models,
                decoder=self.decoder,
                on_progress=_of_clips_there(task, context.advance),
                cancel=context.cancel,
                earlier=task.earlier.read() if task.earlier else (),
                pace=self._pace if Location.of(task.cache).is_local else self._pace_of_bucket,
                on_finished=store,
            )
        except (MemoryError, torch.OutOfMemoryError) as error:
            msg = (
                f"Out of memory at a block of {counted(len(task.clips), 'clip')}, first "
                f"'{task.clips[0].clip_id}' ({first_line(error)[:200]}); stored clips are safe. Use fewer "
                "--workers, --decoders or --frames, or smaller batches: --set features.batch_pictures=8."
            )
            raise OusError(msg) from error
        except RuntimeError as error:
            if not is_device_fault(error):
                raise
            raise device_fault(error, "stored clips are safe") from error

    def _refuse_other(self, task: BlockTask) -> None:
        mine = self._model_info
        if task.fingerprint in (mine.fingerprint, *self._equal):
            return
        there = self._writer(task).meta.identity
        if found := identity_differences(mine.identity, there):
            msg = f"A worker on {mine.device} would compute other features than those of '{task.cache}': "
            msg += "; ".join(found) + ". Use equal workers, or set the precision."
            raise CacheError(msg)
        self._equal.add(task.fingerprint)

    def _writer(self, task: BlockTask) -> CacheWriter:
        if task.trial is not None:
            return self._trial_writer(task.trial)
        with self._opening:
            writer = self._writers.get(task.cache)
            if writer is None or writer.meta.num_clips != task.num_clips:
                writer = self._writers[task.cache] = CacheWriter.resume(task.cache)
            return writer

    def _trial_writer(self, meta: CacheMeta) -> CacheWriter:
        """Return this thread's cache in memory, in which each trial overwrites the previous one."""
        writer: CacheWriter | None = getattr(self._of_thread, "writer", None)
        if writer is None or writer.meta != meta:
            writer = self._of_thread.writer = CacheWriter.in_memory(meta)
        return writer


def _status_of(task: BlockTask, writer: CacheWriter) -> npt.NDArray[Any]:
    """Return the stored status of a task's block. Raises CacheError if its run has lost the cache."""
    calls: list[Callable[[], Any]] = [task.require_held, partial(writer.read_status, task.start)]
    status: npt.NDArray[Any] = all_at_once(writer.place, calls)[-1]
    return status


class _StoredRows:
    """Rows of a block as the cache has them, which a task changes step by step.

    Another attempt of the task may have stored some before it was lost, or may do so at the same time.
    """

    def __init__(self, writer: CacheWriter, start: int, status: npt.NDArray[Any]) -> None:
        self.first, _ = writer.block_bounds(start)
        self._writer = writer
        self._start = start
        self._status = status

    @property
    def done(self) -> list[int]:
        """Rows that are stored as done."""
        return [self.first + place for place in np.flatnonzero(np.isin(self._status, _DONE)).tolist()]

    def begin(self, rows: Sequence[int]) -> dict[str, npt.NDArray[Any]]:
        """Store these rows as pending, and return the block's arrays, in which they have fill values."""
        places = [row - self.first for row in rows]
        arrays = self._writer.empty_rows(self._start)
        others = np.setdiff1d(np.flatnonzero(self._status), places)
        if len(others):
            for name, stored in self._writer.read_block(self._start).items():
                arrays[name][others] = stored[others]
        if self._status[places].any():
            self._writer.mark_pending(self._start, places)
        return arrays

    def keep_done(self, arrays: dict[str, npt.NDArray[Any]], status: npt.NDArray[Any]) -> None:
        """Copy rows that are pending in `arrays` and done in the cache, whose status is `status` now."""
        is_done = np.isin(status, _DONE)
        places = np.flatnonzero(is_done & (arrays["status"] == Status.PENDING))
        if len(places):
            for name, stored in self._writer.read_block(self._start).items():
                arrays[name][places] = stored[places]


def _of_clips_there(task: BlockTask, on_progress: Callable[[float], None]) -> Callable[[float], None]:
    """Convert a block's progress from clips of any kind to clips that have a file."""
    if not task.missing:
        return on_progress
    fraction = task.num_there / len(task.rows)
    return lambda clips: on_progress(clips * fraction)


def _buffer_for(device: torch.device) -> Callable[[int], Bytes]:
    """Return an allocator for decoded pixels, page-locked for a GPU, so that copies overlap computation."""

    def buffer(num_bytes: int) -> Bytes:
        try:
            memory = torch.empty(num_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
        except RuntimeError as error:
            raise MemoryError(first_line(error)) from error
        pixels: Bytes = memory.numpy()
        return pixels

    return buffer

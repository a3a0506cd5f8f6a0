"""A run's blocks on the workers of a Dask cluster: a few handed out at a time, deaths told and survived."""

import itertools
import math
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Any, Self

from distributed import as_completed
from distributed.scheduler import KilledWorker

from pipeline.errors import OusError, counted
from pipeline.runner.cluster import connect, plugins
from pipeline.runner.cluster.answers import LOST, result, translate_errors
from pipeline.runner.work import THREADS_PER_WORKER, BlockReport, BlockTask, Brief, WorkerSetup

_IN_FLIGHT = 4
"""Blocks per worker thread that are handed out: enough that none waits, few enough to forget."""
_SECONDS_BETWEEN_LOOKS = 5.0
_POLL_SECONDS = 0.02


class ClusterCrew:
    """Workers of a Dask cluster. Made by `on_gpus`, `on_cores` or `join`."""

    def __init__(self, connection: connect.Connection, setup: WorkerSetup) -> None:
        self._connection = connection
        self._client = connection.client
        self._plugin = f"ous-{secrets.token_hex(4)}"
        self._looked, self._threads = -math.inf, {"": 1}
        self._tell: Callable[[float], None] | None = None
        self._check: Callable[[], None] | None = None
        holder = plugins.Holder(setup, connection.cores, is_own=connection.own is not None)
        connection.register(self._plugin, holder)
        with translate_errors():
            self._client.subscribe_topic(self._plugin, self._heard)

    @classmethod
    def on_cores(cls, num_workers: int, setup: WorkerSetup, *, dashboard: bool = False) -> Self:
        """So many worker processes on this machine, each kept to its share of the cores.

        dashboard: whether to serve Dask's pages, over plain HTTP, to this machine.
        """
        return cls(connect.on_cores(num_workers, dashboard=dashboard), setup)

    @classmethod
    def on_gpus(cls, num_gpus: int, setup: WorkerSetup, *, dashboard: bool = False) -> Self:
        """One worker process per GPU of this machine. dashboard: as of `on_cores`."""
        return cls(connect.on_gpus(num_gpus, dashboard=dashboard), setup)

    @classmethod
    def join(cls, scheduler: str, setup: WorkerSetup) -> Self:
        """The workers of a cluster that stands, by its scheduler's address or file.

        Raises OusError when no scheduler answers.
        """
        return cls(connect.joined(scheduler), setup)

    @property
    def where(self) -> str:
        """See `Crew`."""
        return self._connection.where

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `Crew`."""
        return self._connection.warnings

    @property
    def num_workers(self) -> int:
        """Workers at this moment."""
        return max(1, len(self._client.nthreads()))

    @property
    def is_waiting(self) -> bool:
        """See `Crew`."""
        return not self._threads

    @property
    def dashboard(self) -> str:
        """The address of Dask's pages about the cluster."""
        has_pages = "dashboard" in self._client.scheduler_info().get("services", {})
        return str(self._client.dashboard_link) if has_pages else ""

    def unloaded_brief(self) -> Brief:
        """See `Crew`. Raises OusError when no worker comes."""
        return self._brief_by(plugins.unloaded_brief)

    def brief(self) -> Brief:
        """See `Crew`. Raises OusError when no worker comes."""
        return self._brief_by(plugins.brief)

    def _brief_by(self, function: Callable[[str], Brief]) -> Brief:
        self._connection.require_a_worker()
        brief: Brief = result(self._client.submit(function, self._plugin, pure=False))
        return brief

    def run(
        self,
        tasks: Iterable[BlockTask],
        on_progress: Callable[[float], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[BlockReport, None, None]:
        """See `Crew`. A block that keeps killing its workers is left undone, and told at the end."""
        self._tell, self._check = on_progress, check
        suspects: list[BlockTask] = []
        yield from self._do(iter(tasks), self._window, suspects)
        lost: list[BlockTask] = []
        yield from self._do(iter(suspects), lambda: 1, lost)  # Dask blames whoever was on a dead worker
        if lost:
            msg = (
                f"Workers died again and again at {counted(len(lost), 'block')}, first the one at clip "
                f"{lost[0].start}: out of memory, perhaps. What is not done is pending still; run again with "
                "fewer workers."
            )
            raise OusError(msg)

    def _do(
        self, tasks: Iterator[BlockTask], window: Callable[[], int], lost: list[BlockTask]
    ) -> Iterator[BlockReport]:
        """The reports of the tasks, so many handed out at a time; those whose workers died become `lost`."""
        done = as_completed((), with_results=True, raise_errors=False, loop=self._client.loop)
        run, out, numbers = secrets.token_hex(4), dict[str, BlockTask](), itertools.count()

        def hand_out() -> None:
            size = window()
            if len(out) > size // 2:
                return  # many at a time: a graph of one block costs the scheduler most of a block's time
            batch = list(itertools.islice(tasks, size - len(out)))
            keys = [f"block-{run}-{next(numbers):08d}" for _ in batch]
            out.update(zip(keys, batch, strict=True))
            if batch:
                done.update(self._client.map(partial(plugins.run, self._plugin), batch, key=keys, pure=False))

        hand_out()
        for future, answer in self._ready(done):
            task = out.pop(future.key)
            if isinstance(answer, BlockReport):  # whatever has become of its worker since
                yield answer
            elif not isinstance(answer, tuple):  # of what was raised; this is a cancellation
                raise OusError(LOST)
            elif isinstance(error := answer[1], KilledWorker):
                lost.append(task)
            else:
                raise error
            future.release()
            hand_out()

    def close(self) -> None:
        """See `Crew`. Blocks under way end unwritten at their next batch."""
        self._connection.close(self._plugin)

    def _ready(self, done: Any) -> Iterator[tuple[Any, Any]]:
        """What an `as_completed` gives, with a look at the workers now and then while nothing comes."""
        while not done.is_empty():
            if self._check is not None:
                self._check()
            if not done.has_ready():
                time.sleep(_POLL_SECONDS)
                self._look()
            yield from done.next_batch(block=False)

    def _look(self) -> None:
        """See which workers are there, if the last look is long ago; a run that waits for some says so."""
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._threads = self._connection.workers()
        self._looked = time.monotonic()
        if self.is_waiting and self._tell is not None:
            self._tell(0.0)

    def _window(self) -> int:
        """How many blocks to have handed out; workers may come and go."""
        self._look()
        threads = sum(min(threads, THREADS_PER_WORKER) for threads in self._threads.values())
        return _IN_FLIGHT * max(1, threads)

    def _heard(self, event: tuple[float, float]) -> None:
        """A worker's word about its progress."""
        if self._tell is not None:
            self._tell(float(event[1]))

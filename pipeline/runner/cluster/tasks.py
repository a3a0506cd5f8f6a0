"""Any tasks on the workers of a Dask cluster, one per worker at a time; a death costs its task alone.

A worker is a process of its own, and has one task at a time because tasks may need it for themselves:
torch's random numbers are one stream per process.
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar

from distributed import Future, WorkerPlugin, get_worker
from distributed.scheduler import KilledWorker

from pipeline.errors import OusError
from pipeline.runner.cluster import connect, plugins, settings
from pipeline.runner.cluster.answers import LOST, translate_errors
from pipeline.runner.crew import StoppedError
from pipeline.runner.machine import use_cores

Task = TypeVar("Task")
Result = TypeVar("Result")

_SECONDS_BETWEEN_LOOKS, _POLL_SECONDS = 1.0, 0.02
_ATTEMPTS = 2
_one_at_a_time = threading.Lock()


class TaskCrew(Generic[Task, Result]):
    """Workers that do tasks by a function, which must be importable there.

    function: takes a task, and a call that raises StoppedError once the tasks are no longer wanted.
    """

    def __init__(
        self, connection: connect.Connection, function: Callable[[Task, Callable[[], None]], Result]
    ) -> None:
        self._connection = connection
        self._client = connection.client
        self._function = function
        self._plugin = f"ous-{secrets.token_hex(4)}"
        self._looked = 0.0
        self._there: frozenset[str] = frozenset()
        seat = _Seat(connection.cores, is_own=connection.own is not None)
        connection.register(self._plugin, seat)

    @property
    def where(self) -> str:
        """Who the workers are, for people."""
        return self._connection.where

    @property
    def warnings(self) -> tuple[str, ...]:
        """For people, such as that a cluster is without TLS."""
        return self._connection.warnings

    def run(
        self, tasks: Sequence[Task], on_waiting: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Task, Result | None]]:
        """Each task with its result, as they come; None where its worker died, and the next one too.

        on_waiting: called when there is no worker at all. Raises OusError when none has come at the
        beginning, or the scheduler is gone, and what a task raises.
        """
        with translate_errors():
            self._connection.require_a_worker()
        waiting = deque((task, 1) for task in tasks)
        out: dict[str, tuple[Future[Result], Task, int]] = {}
        is_waiting = False
        while waiting or out:
            there = self._workers(now=bool(waiting) and len(out) < len(self._there))
            if not there and not is_waiting:
                on_waiting()
            is_waiting = not there
            for address in sorted(there - out.keys())[: len(waiting)]:
                task, attempt = waiting.popleft()
                out[address] = self._submit(address, task), task, attempt
            ended = [
                address for address, (future, *_) in out.items() if future.done() or address not in there
            ]
            for address in ended:
                future, task, attempt = out.pop(address)
                if not self._has_died(future):
                    with translate_errors():
                        result = future.result()
                    yield task, result
                elif attempt < _ATTEMPTS:
                    waiting.append((task, attempt + 1))
                else:
                    yield task, None
            if not ended:
                time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """End what this process has started; tasks on a cluster that stands end at their next check."""
        self._connection.close(self._plugin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(self, address: str, task: Task) -> "Future[Result]":
        with translate_errors():
            only = {"workers": [address], "allow_other_workers": False}
            return self._client.submit(_do, self._plugin, self._function, task, pure=False, **only)

    def _has_died(self, future: "Future[Result]") -> bool:
        """Whether the worker of a task has died, so that there is no result."""
        if future.status in ("pending", "lost"):
            with translate_errors():
                future.cancel()
            return True
        if future.status == "cancelled":
            raise OusError(LOST)
        return future.status == "error" and isinstance(future.exception(), KilledWorker)

    def _workers(self, *, now: bool) -> frozenset[str]:
        """The addresses of the workers, looked up `now`, or if the last look is long ago."""
        if now or time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            self._there = frozenset(self._connection.workers())
            self._looked = time.monotonic()
        return self._there


class _Seat(WorkerPlugin):
    """On every worker: the cores that it is kept to, by its name, and whether its tasks are still wanted."""

    def __init__(self, cores: settings.Cores, *, is_own: bool) -> None:
        self._cores_by_name = cores
        self._is_own = is_own

    def setup(self, worker: Any) -> None:
        self.cores = plugins.settle(worker, self._cores_by_name, is_own=self._is_own)
        self._stopped = False

    def teardown(self, worker: Any) -> None:
        self._stopped = True

    def check(self) -> None:
        """Raise StoppedError when this plugin was taken away."""
        if self._stopped:
            raise StoppedError


def _do(plugin: str, function: Callable[[Task, Callable[[], None]], Result], task: Task) -> Result:
    seat = get_worker().plugins[plugin]
    assert isinstance(seat, _Seat), plugin
    with _one_at_a_time:  # two clients may share the workers of a cluster that stands
        seat.check()
        if seat.cores:
            use_cores(seat.cores)
        return function(task, seat.check)

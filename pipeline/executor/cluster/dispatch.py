"""Assignment of tasks to workers. It is pure bookkeeping without Dask."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic

from pipeline.executor.task import TaskT

_ATTEMPTS = 2
_MOST_QUEUED = 32


@dataclass(frozen=True, eq=False)
class Assigned(Generic[TaskT]):
    """A task that is assigned to a worker; `attempt` is 1, or more after a worker's death."""

    task: TaskT
    address: str
    attempt: int = 1


@dataclass
class Dispatch(Generic[TaskT]):
    """Dispatcher, which assigns a few tasks to workers at a time.

    Each worker runs up to `slots` tasks, and `queued` tasks wait at it. It gets new ones when none waits,
    several together, because single short tasks would mostly cost time of the scheduler. If a worker has no
    task left by then, its tasks are shorter than the latency, and it gets twice as many waiting tasks the
    next time. Few long tasks wait, so that no worker is idle at the end while another has a queue.

    If a worker dies, its tasks are assigned once more after all others, each to a worker without other tasks,
    so that a second death is caused by this task.

    Args:
        tasks: All tasks, taken lazily.
        slots: Tasks that a worker runs at the same time, at least 1.
        queued: Further tasks that wait at each worker, at least 0.
    """

    tasks: Iterator[TaskT]
    slots: int
    queued: int
    _at: dict[str, list[Assigned[TaskT]]] = field(default_factory=dict)
    _queued_of: dict[str, int] = field(default_factory=dict)
    _again: deque[Assigned[TaskT]] = field(default_factory=deque)
    _is_exhausted: bool = False

    @property
    def is_done(self) -> bool:
        """Whether every task has ended."""
        return self._is_exhausted and not self._at and not self._again

    def assign(self, workers: dict[str, int]) -> list[Assigned[TaskT]]:
        """Assign tasks to workers that have room.

        Args:
            workers: Number of threads of each worker, by its address. A worker with fewer threads than slots
                runs fewer tasks at a time.
        """
        new: list[Assigned[TaskT]] = []
        for address in sorted(workers, key=lambda address: len(self._at.get(address, ()))):
            new += self._for_worker(address, max(1, min(self.slots, workers[address])))
        for assigned in new:
            self._at.setdefault(assigned.address, []).append(assigned)
        return new

    def finished(self, assigned: Assigned[TaskT]) -> None:
        """Record that a task has ended."""
        at = self._at[assigned.address]
        at.remove(assigned)
        if not at:
            del self._at[assigned.address]

    def died(self, assigned: Assigned[TaskT]) -> bool:
        """Record that a task's worker died, and return whether the task is given up."""
        self.finished(assigned)
        if assigned.attempt == _ATTEMPTS:
            return True
        self._again.append(assigned)
        return False

    def _for_worker(self, address: str, slots: int) -> list[Assigned[TaskT]]:
        at = self._at.get(address, [])
        if len(at) > slots or any(one.attempt > 1 for one in at):
            return []
        new = [Assigned(task, address) for task in self._take(slots + self._queue_of(address) - len(at))]
        if not new and not at and self._again:
            before = self._again.popleft()
            new = [Assigned(before.task, address, before.attempt + 1)]
        return new

    def _queue_of(self, address: str) -> int:
        """Return the number of tasks that may wait at a worker that gets new ones."""
        queued = self._queued_of.get(address, 0)
        if not queued:
            queued = self.queued
        elif address not in self._at:
            queued = min(2 * queued, max(_MOST_QUEUED, self.queued))
        self._queued_of[address] = queued
        return queued

    def _take(self, number: int) -> list[TaskT]:
        taken: list[TaskT] = []
        while len(taken) < number and not self._is_exhausted:
            try:
                taken.append(next(self.tasks))
            except StopIteration:
                self._is_exhausted = True
        return taken

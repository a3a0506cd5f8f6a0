"""What a task, a worker and an executor are."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pipeline.cancel import CancelToken

TaskT = TypeVar("TaskT")
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)
AnyT = TypeVar("AnyT")


def _ignore(_: float) -> None:
    """Drop progress that nobody asked for."""


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """What a task is given beside its input.

    cancel: cancelled when the result is no longer wanted. advance: call it with how much more of the task is
    done, in the task's own unit.
    """

    cancel: CancelToken = field(default_factory=CancelToken)
    advance: Callable[[float], None] = _ignore


class Worker(Protocol[TaskT_contra, ResultT_co]):
    """Does tasks in one process, in several threads at once. It holds what is large, such as models."""

    def run(self, task: TaskT_contra, context: TaskContext) -> ResultT_co:
        """Do a task. Raises TaskCancelledError when it is cancelled before the result is complete."""
        ...

    def close(self) -> None:
        """Free what the worker holds; a task that is still under way may fail."""
        ...


class WorkerSetup(Protocol[TaskT_contra, ResultT_co]):
    """All it takes to start a worker, wherever it is. It travels by pickle, so it is small."""

    @property
    def slots(self) -> int:
        """Tasks that a worker does at the same time, each in a thread of its own."""
        ...

    @property
    def queued(self) -> int:
        """Further tasks that wait at each worker of a cluster, so that no slot waits for the next one."""
        ...

    def start(self, cores: tuple[int, ...] | None = None) -> Worker[TaskT_contra, ResultT_co]:
        """Start a worker. cores: those that it may use, None for all that the process has."""
        ...


class Observer:
    """Is called while tasks are done. Override what is needed."""

    def on_progress(self, amount: float) -> None:
        """More of the tasks is done, by so much. Any thread may call it."""

    def on_waiting(self) -> None:
        """There is no worker at this moment. Called once, by the thread that waits for results."""

    def on_tick(self) -> None:
        """About a second has passed. What this raises ends the tasks. Called by the thread that waits."""


class Executor(Protocol[TaskT, ResultT_co]):
    """Workers, wherever they are. Close it; tasks that are not finished by then stay undone."""

    @property
    def where(self) -> str:
        """Where the tasks are done, for people."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the workers for people, such as that their cluster is without TLS."""
        ...

    @property
    def dashboard(self) -> str:
        """The address of pages that show the workers; empty without any."""
        ...

    @property
    def num_workers(self) -> int:
        """Workers at this moment, at least 1."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether there is no worker at this moment, so that nothing is done until one comes."""
        ...

    def ask_setup(self, question: Callable[[Any], AnyT]) -> AnyT:
        """Return `question(setup)`, computed on the machine of a worker; no worker is started."""
        ...

    def ask_worker(self, question: Callable[[Any], AnyT]) -> AnyT:
        """Return `question(worker)` of a worker, which is started for it. Raises what starting raises."""
        ...

    def run(
        self, tasks: Iterable[TaskT], observer: Observer | None = None
    ) -> Generator[tuple[TaskT, ResultT_co | None], None, None]:
        """Do the tasks, and give each with its result as soon as it is done, in any order.

        The tasks are taken a few at a time, as workers become free. A task whose worker died is done once
        more, by a worker that has nothing else to do.

        Args:
            tasks: Taken lazily, by the thread that asks for results or by one of this process.
            observer: Called while the results are waited for.

        Yields:
            A task and its result; None where its worker died twice.

        Raises:
            Exception: Whatever a task or the observer raises. No other task begins then, as after the
                generator is closed; tasks under way are cancelled at once in this process, and on a
                cluster when the executor is closed.
        """
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...

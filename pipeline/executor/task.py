"""Protocols of tasks, workers and executors."""

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
    """Drop progress for which there is no observer."""


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """Context of a running task.

    Attributes:
        cancel: Token that is cancelled when the result is no longer needed.
        advance: Function that the task calls with its progress since the last call, in its own unit.
    """

    cancel: CancelToken = field(default_factory=CancelToken)
    advance: Callable[[float], None] = _ignore


class Worker(Protocol[TaskT_contra, ResultT_co]):
    """Worker that runs tasks in several threads of one process, and owns large objects such as models."""

    def run(self, task: TaskT_contra, context: TaskContext) -> ResultT_co:
        """Run a task. Raises TaskCancelledError if it is cancelled before the result is complete."""
        ...

    def close(self) -> None:
        """Free the worker's resources; a task that still runs may fail."""
        ...


class WorkerSetup(Protocol[TaskT_contra, ResultT_co]):
    """Setup from which a worker is started in any process. It is pickled, therefore it is small."""

    @property
    def slots(self) -> int:
        """Tasks that a worker runs at the same time, each in a thread of its own."""
        ...

    @property
    def queued(self) -> int:
        """Further tasks that wait at each worker of a cluster, so that no slot waits for the next one."""
        ...

    def start(self, cores: tuple[int, ...] | None = None) -> Worker[TaskT_contra, ResultT_co]:
        """Start a worker on some cores; None for all cores of the process."""
        ...


class Observer:
    """Observer of running tasks, whose methods do nothing and can be overridden."""

    def on_progress(self, amount: float) -> None:
        """Receive progress of the tasks. Any thread may call it."""

    def on_waiting(self) -> None:
        """Handle that no worker is left. The thread that waits for results calls it once."""

    def on_tick(self) -> None:
        """Do regular checks, about every second, in the thread that waits. An exception ends the tasks."""


class Executor(Protocol[TaskT, ResultT_co]):
    """Executor of tasks on workers. Close it; tasks that are not finished by then are dropped."""

    @property
    def where(self) -> str:
        """Place of the workers, in words."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the workers for the user, such as a cluster without TLS."""
        ...

    @property
    def dashboard(self) -> str:
        """Address of pages that show the workers; empty if there are none."""
        ...

    @property
    def num_workers(self) -> int:
        """Current number of workers, at least 1."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether there is currently no worker, so that all tasks wait."""
        ...

    def ask_setup(self, question: Callable[[Any], AnyT], observer: Observer | None = None) -> AnyT:
        """Return `question(setup)`, computed on the machine of a worker; no worker is started."""
        ...

    def ask_worker(self, question: Callable[[Any], AnyT], observer: Observer | None = None) -> AnyT:
        """Return `question(worker)`; a worker is started if needed, and errors of its start are raised.

        If the worker's process is lost meanwhile, another one is asked, or waited for. The observer is called
        as in `run`.
        """
        ...

    def run(
        self, tasks: Iterable[TaskT], observer: Observer | None = None
    ) -> Generator[tuple[TaskT, ResultT_co | None], None, None]:
        """Run tasks, and yield each with its result as soon as it is finished, in any order.

        A few tasks are taken at a time, as workers become free. If a worker dies, its tasks are run once
        more, each on a worker without other tasks.

        Args:
            tasks: The tasks, taken lazily by the calling thread or by another thread of this process.
            observer: Called during the wait for results.

        Yields:
            A task and its result; None if its worker died twice.

        Raises:
            Exception: Any exception of a task or the observer. As when the generator is closed, no other
                task begins then. Running tasks are cancelled at once in this process, and on a cluster when
                the executor is closed.
        """
        ...

    def close(self) -> None:
        """End the workers of this executor, or release those of a shared cluster."""
        ...

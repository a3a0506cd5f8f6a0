"""Those who do a run's blocks: here the threads of this process; in `cluster` the workers of Dask."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol, Self

from pipeline.process import Tools
from pipeline.runner.work import THREADS_PER_WORKER, BlockReport, BlockTask, Brief, Worker, WorkerSetup

_GOODBYE_SECONDS = 2.0
SECONDS_BETWEEN_CHECKS = 1.0
_left_inside: list[threading.Thread] = []


class Crew(Protocol):
    """Workers, wherever they are. `close` lets them go; what they have not finished stays undone."""

    @property
    def where(self) -> str:
        """Who does the work, for people."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know of the workers, such as that their cluster is without TLS."""
        ...

    @property
    def dashboard(self) -> str:
        """The address of pages that show the workers; empty where there are none."""
        ...

    @property
    def num_workers(self) -> int:
        """Workers at this moment."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether there is no worker at this moment, so that nothing goes on until one comes."""
        ...

    def unloaded_brief(self) -> Brief:
        """What the workers' models will be, as far as it is known before any weights are read.

        Raises ConfigError for settings that do not fit the workers' device.
        """
        ...

    def brief(self) -> Brief:
        """What the workers' models are; loads them. Raises WeightsError or ConfigError."""
        ...

    def run(
        self,
        tasks: Iterable[BlockTask],
        on_progress: Callable[[float], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[BlockReport, None, None]:
        """Do the tasks, a few at a time, and give each one's report when it is done.

        on_progress: called by any thread with how much more of a block is done, in clips. check: called
        about every second by the thread that waits for a report. Raises what a task or the check raises;
        tasks under way then are not finished.
        """
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class StoppedError(Exception):
    """The run is over; ends a block that is under way."""


def is_at_work() -> bool:
    """Whether a run of this process ended before all its threads were out of their blocks.

    True from then on: a thread that has come out since may still be taking its libraries' memory down.
    """
    return bool(_left_inside)


class LocalCrew:
    """Threads of this process, which share one worker: its models, its device, its decoders."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._worker: Worker | None = None

    @classmethod
    def of(cls, tools: Tools) -> Self:
        """A crew with models that are loaded; it decodes in its own threads."""
        crew = cls(WorkerSetup(config=tools.config))
        crew._worker = Worker(tools)
        return crew

    @property
    def where(self) -> str:
        """This process."""
        return "in this process"

    @property
    def warnings(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def dashboard(self) -> str:
        """None."""
        return ""

    @property
    def num_workers(self) -> int:
        """One."""
        return 1

    @property
    def is_waiting(self) -> bool:
        """See `Crew`."""
        return False

    @property
    def worker(self) -> Worker:
        """The worker, started when it is first needed."""
        if self._worker is None:
            self._worker = self._setup.start()
        return self._worker

    def unloaded_brief(self) -> Brief:
        """See `Crew`."""
        return self._setup.brief() if self._worker is None else self._worker.brief()

    def brief(self) -> Brief:
        """See `Crew`."""
        return self.worker.brief()

    def run(
        self,
        tasks: Iterable[BlockTask],
        on_progress: Callable[[float], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[BlockReport, None, None]:
        """See `Crew`."""
        stop = threading.Event()
        answers: queue.SimpleQueue[BlockReport | BaseException | None] = queue.SimpleQueue()

        def tell(clips: float) -> None:
            if stop.is_set():
                raise StoppedError
            if on_progress is not None:
                on_progress(clips)

        source = _Shared(tasks)
        threads = [
            threading.Thread(
                target=_work, args=(self.worker, source, answers, tell), name=f"block-{n}", daemon=True
            )
            for n in range(THREADS_PER_WORKER)
        ]
        for thread in threads:
            thread.start()
        try:
            yield from _answered(answers, len(threads), check)
        finally:
            stop.set()
            for thread in threads:
                thread.join(_GOODBYE_SECONDS / len(threads))
            _left_inside.extend(thread for thread in threads if thread.is_alive())

    def close(self) -> None:
        """See `Crew`."""
        if self._worker is not None:
            self._worker.close()


class _Shared:
    """Tasks that several threads take from."""

    def __init__(self, tasks: Iterable[BlockTask]) -> None:
        self._tasks = iter(tasks)
        self._lock = threading.Lock()

    def next(self) -> BlockTask | None:
        """The next task, None after the last."""
        with self._lock:
            return next(self._tasks, None)


def _work(
    worker: Worker,
    source: _Shared,
    answers: "queue.SimpleQueue[BlockReport | BaseException | None]",
    tell: Callable[[float], None],
) -> None:
    """Do one block after the other; the end, or whatever goes wrong, is an answer too."""
    try:
        while (task := source.next()) is not None:
            answers.put(worker.run(task, tell))
            tell(0.0)
    except StoppedError:
        pass
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
        answers.put(error)
    answers.put(None)


def _answered(
    answers: "queue.SimpleQueue[BlockReport | BaseException | None]",
    num_threads: int,
    check: Callable[[], None] | None,
) -> Iterator[BlockReport]:
    while num_threads:
        if check is not None:
            check()
        try:
            answer = answers.get(timeout=SECONDS_BETWEEN_CHECKS)
        except queue.Empty:
            continue
        if answer is None:
            num_threads -= 1
        elif isinstance(answer, BaseException):
            raise answer
        else:
            yield answer

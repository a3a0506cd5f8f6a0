import threading
from dataclasses import dataclass, field

import pytest

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.executor import LocalExecutor, Observer


@dataclass
class Squares:
    """Squares numbers; raises at -1; waits at None until it is cancelled."""

    threads: set = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def run(self, task, context):
        self.threads.add(threading.current_thread())
        if task == -1:
            msg = "minus one"
            raise ValueError(msg)
        if task is None:
            try:
                while True:
                    context.cancel.raise_if_cancelled()
                    threading.Event().wait(0.01)
            except TaskCancelledError:
                self.cancelled.set()
                raise
        context.advance(1.0)
        return task * task

    def close(self):
        self.is_closed = True


@dataclass
class Setup:
    slots: int = 2
    queued: int = 0
    started: list = field(default_factory=list)

    def start(self, cores=None):
        self.started.append(Squares())
        return self.started[-1]


def cancelled():
    token = CancelToken()
    token.cancel()
    return token


class Counting(Observer):
    def __init__(self):
        self.done, self.ticks, self.lock = 0.0, 0, threading.Lock()

    def on_progress(self, amount):
        with self.lock:
            self.done += amount

    def on_tick(self):
        self.ticks += 1


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_every_task_has_its_result_and_one_worker_is_started_for_all(slots):
    setup, seen = Setup(slots), Counting()
    executor = LocalExecutor(setup)
    assert executor.ask_setup(lambda setup: setup.slots) == slots
    assert setup.started == [], "a question about the setup starts nothing"
    assert dict(executor.run(range(40), seen)) == {n: n * n for n in range(40)}
    assert list(executor.run([])) == []
    assert executor.ask_worker(lambda worker: worker is setup.started[0])
    assert (len(setup.started), seen.done) == (1, 40.0)
    assert seen.ticks > 0
    executor.close()
    assert setup.started[0].is_closed


def test_a_worker_of_one_slot_works_in_the_calling_thread():
    setup = Setup(slots=1)
    assert list(LocalExecutor(setup).run([3])) == [(3, 9)]
    assert setup.started[0].threads == {threading.current_thread()}


@pytest.mark.parametrize("slots", [1, 2])
def test_what_a_task_raises_is_raised_here(slots):
    with pytest.raises(ValueError, match="minus one"):
        list(LocalExecutor(Setup(slots)).run([1, -1, 2]))


def test_a_task_that_ends_as_cancelled_by_itself_is_not_lost():
    class Leaving(Setup):
        def start(self, cores=None):
            return type("Leaver", (), {"run": lambda *_: cancelled().raise_if_cancelled()})()

    with pytest.raises(TaskCancelledError):
        list(LocalExecutor(Leaving()).run([1]))


def test_tasks_under_way_are_cancelled_when_another_raises_or_the_caller_stops():
    for stop in (lambda runs: pytest.raises(ValueError, next, runs), lambda runs: runs.close()):
        setup = Setup()
        runs = LocalExecutor(setup).run([2, None, -1])
        assert next(runs) == (2, 4)
        stop(runs)
        assert setup.started[0].cancelled.wait(5)


def test_what_the_observer_raises_ends_the_tasks():
    class Lost(Observer):
        def on_tick(self):
            raise LookupError

    setup = Setup()
    with pytest.raises(LookupError):
        list(LocalExecutor(setup).run([None], Lost()))
    assert setup.started[0].cancelled.wait(5)

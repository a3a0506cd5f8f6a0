import threading
import time

import pytest

from pipeline.errors import OusError
from pipeline.executor import Observer
from pipeline.executor.cluster import ClusterExecutor
from pipeline.executor.machine import available_cores, shares_of_cores
from tests.stub_tasks import StubTaskSetup


@pytest.fixture(scope="module")
def executor():
    executor = ClusterExecutor.on_cores(2, StubTaskSetup())
    yield executor
    executor.close()


def test_every_task_is_done_once_by_workers_on_their_own_cores(executor):
    tasks = [f"task {number}" for number in range(8)]
    done = dict(executor.run(tasks))
    assert sorted(done) == tasks
    kept = {answer.partition(" ")[2] for answer in done.values()}
    assert kept == {str(sorted(share)) for share in shares_of_cores(available_cores(), 2)}
    assert len({answer.split()[0] for answer in done.values()}) == 2


@pytest.mark.slow
def test_a_death_costs_its_task_alone_and_is_tried_once_more(executor, tmp_path):
    tasks = [f"die-once {tmp_path / 'once'}", f"die {tmp_path / 'always'}", "task a", "task b", "task c"]
    done = dict(executor.run(tasks))
    assert sorted(done) == sorted(tasks)
    assert [task for task, answer in done.items() if answer is None] == [tasks[1]]


def test_what_a_task_raises_is_raised_here(executor):
    with pytest.raises(ValueError, match="raise me"):
        list(executor.run(["raise me"]))


def test_without_a_worker_it_waits_and_goes_on(executor, monkeypatch):
    class Seen(Observer):
        waited = 0

        def on_waiting(self):
            self.waited += 1
            assert executor.is_waiting

    seen = Seen()
    looks, look = [{}, {}], executor._connection.workers
    monkeypatch.setattr(executor._connection, "workers", lambda: looks.pop() if looks else look())
    assert len(list(executor.run(["task a"], seen))) == 1
    assert seen.waited == 1
    assert not executor.is_waiting


def test_progress_is_passed_on_and_tasks_may_be_equal(executor):
    class Seen(Observer):
        done = 0.0

        def on_progress(self, amount):
            self.done += amount

    seen = Seen()
    assert len(list(executor.run(["task"] * 5, seen))) == 5
    until = time.monotonic() + 10
    while seen.done < 5:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert executor.warnings == ()


def test_what_the_observer_raises_ends_the_tasks_and_the_executor_goes_on(executor, tmp_path):
    class Lost(Observer):
        def on_tick(self):
            if (tmp_path / "begun").exists():
                raise LookupError

    with pytest.raises(LookupError):
        list(executor.run([f"wait-once {tmp_path / 'begun'}"], Lost()))
    assert len(list(executor.run(["task a", "task b"]))) == 2


@pytest.mark.slow
def test_closing_ends_a_task_under_way(tmp_path):
    executor = ClusterExecutor.on_cores(1, StubTaskSetup())
    runs = executor.run([f"wait {tmp_path / 'begun'}"])
    answers = []
    waiting = threading.Thread(target=lambda: answers.extend(_until_closed(runs)))
    waiting.start()
    until = time.monotonic() + 120
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    executor.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert answers == []


def _until_closed(runs):
    try:
        yield from runs
    except OusError as error:
        assert "connection to the Dask scheduler is lost" in str(error)  # noqa: PT017

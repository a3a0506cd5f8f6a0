import threading
import time

import pytest

from pipeline.errors import OusError
from pipeline.runner.cluster import connect
from pipeline.runner.cluster.tasks import TaskCrew
from pipeline.runner.machine import available_cores, shares_of_cores
from tests import stub_tasks


@pytest.fixture(scope="module")
def crew():
    with TaskCrew(connect.on_cores(2), stub_tasks.do) as crew:
        yield crew


def test_every_task_is_done_once_by_workers_on_their_own_cores(crew):
    tasks = [f"task {number}" for number in range(8)]
    done = dict(crew.run(tasks))
    assert sorted(done) == tasks
    kept = {answer.partition(" ")[2] for answer in done.values()}
    assert kept == {str(sorted(share)) for share in shares_of_cores(available_cores(), 2)}
    assert len({answer.split()[0] for answer in done.values()}) == 2


def test_a_death_costs_its_task_alone_and_is_tried_once_more(crew, tmp_path):
    tasks = [f"die-once {tmp_path / 'once'}", f"die {tmp_path / 'always'}", "task a", "task b", "task c"]
    done = dict(crew.run(tasks))
    assert sorted(done) == sorted(tasks)
    assert [task for task, answer in done.items() if answer is None] == [tasks[1]]


def test_what_a_task_raises_is_raised_here(crew):
    with pytest.raises(ValueError, match="raise me"):
        list(crew.run(["raise me"]))


def test_without_a_worker_it_waits_aloud_and_goes_on(crew, monkeypatch):
    told = []
    looks, look = iter([frozenset(), frozenset()]), crew._workers
    monkeypatch.setattr(crew, "_workers", lambda now: next(looks, look(now=True)))
    assert len(list(crew.run(["task a"], lambda: told.append("waiting")))) == 1
    assert told == ["waiting"]


@pytest.mark.slow
def test_closing_ends_a_task_under_way(tmp_path):
    crew = TaskCrew(connect.on_cores(1), stub_tasks.do)
    runs = crew.run([f"wait {tmp_path / 'begun'}"])
    answers = []
    waiting = threading.Thread(target=lambda: answers.extend(_until_closed(runs)))
    waiting.start()
    until = time.monotonic() + 120
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    crew.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert answers == []


def _until_closed(runs):
    try:
        yield from runs
    except OusError as error:
        assert "connection to the Dask scheduler is lost" in str(error)  # noqa: PT017

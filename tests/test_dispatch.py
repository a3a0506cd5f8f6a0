import random

import pytest

from pipeline.executor.cluster.dispatch import Dispatch

TWO = {"a": 2, "b": 2}


def dispatch(number, slots=2, queued=2):
    return Dispatch(iter(range(number)), slots, queued)


def by_worker(assigned):
    found = {}
    for one in assigned:
        found.setdefault(one.address, []).append(one.task)
    return found


def test_each_worker_gets_what_it_does_and_what_waits():
    assert by_worker(dispatch(100).assign(TWO)) == {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7]}
    assert by_worker(dispatch(100, slots=1, queued=0).assign(TWO)) == {"a": [0], "b": [1]}


def test_a_worker_with_fewer_threads_than_slots_does_fewer():
    assert by_worker(dispatch(100).assign({"a": 1, "b": 8})) == {"a": [0, 1, 2], "b": [3, 4, 5, 6]}


def test_new_tasks_come_when_none_waits_several_together():
    tasks = dispatch(100)
    first = tasks.assign(TWO)
    tasks.finished(first[0])
    assert tasks.assign(TWO) == []
    tasks.finished(first[1])
    assert by_worker(tasks.assign(TWO)) == {"a": [8, 9]}


def test_a_worker_that_has_nothing_left_gets_twice_as_many_to_wait():
    tasks, numbers = dispatch(1000), []
    for _ in range(7):
        new = tasks.assign({"a": 2})
        numbers.append(len(new))
        for one in new:
            tasks.finished(one)
    assert numbers == [4, 6, 10, 18, 34, 34, 34]
    runs = dispatch(1000, slots=1, queued=0)
    for _ in range(3):
        (one,) = runs.assign({"a": 2})
        runs.finished(one)


def test_the_worker_with_the_fewest_tasks_comes_first():
    tasks = dispatch(9)
    for one in tasks.assign(TWO):
        if one.address == "b" or one.task == 0:
            tasks.finished(one)
    assert by_worker(tasks.assign(TWO)) == {"b": [8]}


def test_tasks_are_taken_lazily():
    taken = []
    tasks = Dispatch((taken.append(n) or n for n in range(10**9)), 2, 2)
    tasks.assign(TWO)
    assert taken == list(range(8))


def test_without_tasks_it_is_done_at_once_and_without_workers_it_waits():
    tasks = dispatch(0)
    tasks.assign(TWO)
    assert tasks.is_done
    tasks = dispatch(1)
    assert tasks.assign({}) == []
    assert not tasks.is_done


def test_tasks_of_a_dead_worker_are_done_again_after_the_others_each_alone():
    tasks = dispatch(6)
    first = tasks.assign(TWO)
    assert [tasks.died(one) for one in first if one.address == "a"] == [False] * 4
    assert by_worker(tasks.assign({"b": 2})) == {}, "two of b still wait"
    for one in first:
        if one.address == "b":
            tasks.finished(one)
    again = tasks.assign({"b": 2, "c": 2})
    assert by_worker(again) == {"b": [0], "c": [1]}
    assert tasks.assign({"b": 2, "c": 2}) == []
    assert tasks.died(again[0]), "a second death is its own"
    tasks.finished(again[1])
    assert by_worker(tasks.assign({"c": 2})) == {"c": [2]}


@pytest.mark.parametrize("seed", range(20))
def test_every_task_ends_once_whatever_workers_do(seed):
    """Workers come, go and die at random: each task is finished or given up, none twice."""
    chance = random.Random(seed)
    slots, queued = chance.randint(1, 3), chance.randint(0, 3)
    tasks, out, ended = dispatch(60, slots, queued), [], []
    workers = {"w0": 2}
    for step in range(2000):
        if tasks.is_done:
            break
        out += tasks.assign(workers)
        counts = {address: sum(one.address == address for one in out) for address in workers}
        assert max(counts.values(), default=0) <= slots + (32 if queued else 0)
        if out and chance.random() < 0.7:
            one = out.pop(chance.randrange(len(out)))
            tasks.finished(one)
            ended.append(one.task)
        if workers and chance.random() < 0.1:
            gone = chance.choice(sorted(workers))
            del workers[gone]
            ended += [one.task for one in out if one.address == gone and tasks.died(one)]
            out = [one for one in out if one.address != gone]
        if chance.random() < 0.2:
            workers[f"w{step}"] = chance.randint(1, 3)
    assert tasks.is_done
    assert sorted(ended) == list(range(60))

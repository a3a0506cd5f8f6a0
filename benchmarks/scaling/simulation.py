"""Discrete simulation of an extraction by many workers.

A run of the program is simulated event by event, with its own `Dispatch`, so that blocks wait, are lost and
are assigned again as in a run. Everything else is a resource with a rate:

client      scheduler and client, one after the other; each shard of a job array has its own
slot        a worker has two; a block holds one from its first request to the store until its last
decoders    of a worker, one block at a time
device      of a worker, one block at a time
store       each request takes the latency; all workers together share the rates of requests and bytes

Times are in seconds. The same scenario and seed give the same result.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.scaling.scenario import ORDERS, Result, Scenario
from pipeline.executor.cluster.dispatch import Assigned, Dispatch

_MOST_LOAD = 0.98


@dataclass
class _Rate:
    """Resource that serves amounts one after the other at a rate."""

    per_second: float
    free: float = 0.0
    used: float = 0.0

    def take(self, now: float, amount: float) -> float:
        """Return the time at which the amount is served."""
        seconds = amount / self.per_second
        self.free = max(now, self.free) + seconds
        self.used += seconds
        return self.free


@dataclass
class _Worker:
    """State of a worker. work: blocks that it has. active: those in a slot."""

    number: int
    cluster: "_Cluster"
    node: int
    factor: float
    epoch: int = 0
    is_alive: bool = True
    waiting: deque[Assigned[int]] = field(default_factory=deque)
    work: list[Assigned[int]] = field(default_factory=list)
    active: set[int] = field(default_factory=set)
    decoders_free: float = 0.0
    device_free: float = 0.0

    @property
    def address(self) -> str:
        return f"{self.number}.{self.epoch}"


@dataclass
class _Cluster:
    """Client of a shard with its workers."""

    dispatch: Dispatch[int]
    ended: list[tuple[_Worker, int, Assigned[int]]] = field(default_factory=list)
    workers: list[_Worker] = field(default_factory=list)
    is_busy: bool = False
    used: float = 0.0


def block_lengths(scenario: Scenario) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the mean length of each block's clips, in units of the mean clip, and their number."""
    clips, size = scenario.num_clips, scenario.block_clips
    starts = np.arange(0, clips, size)
    sizes = np.diff(np.append(starts, clips))
    if not scenario.sigma:
        return np.ones(len(starts)), sizes
    generator = np.random.default_rng([scenario.seed, 1])
    lengths = generator.lognormal(-(scenario.sigma**2) / 2, scenario.sigma, clips)
    if scenario.order != ORDERS[0]:
        lengths.sort()
    if scenario.order == ORDERS[2]:
        lengths = lengths[::-1]
    return np.add.reduceat(lengths, starts) / sizes, sizes


def simulate(scenario: Scenario) -> Result:
    """Simulate a run from the first assignment of a block to the last result."""
    return _Run(scenario).result()


class _Run:
    """State of a simulated run."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        lengths, sizes = block_lengths(scenario)
        self.lengths, self.sizes = lengths.tolist(), sizes.tolist()
        self.events: list[tuple[float, int, Any, tuple[Any, ...]]] = []
        self.order = count()
        self.generator = np.random.default_rng([scenario.seed, 2])
        store = scenario.store
        self.reads, self.writes = _Rate(store.reads_per_second), _Rate(store.writes_per_second)
        self.sent = _Rate(store.bytes_per_second)
        self.decoded = self.encoded = 0.0
        self.deaths = self.lost_clips = self.given_up = 0
        self.last = self.first_idle = 0.0
        shards = scenario.shards
        tasks = [iter(range(shard, len(self.sizes), shards)) for shard in range(shards)]
        self.clusters = [_Cluster(Dispatch(part, scenario.slots, scenario.queued)) for part in tasks]
        self.workers = []
        for number in range(scenario.workers):
            factor = scenario.slow_factor if number < scenario.slow_workers else 1.0
            cluster = self.clusters[number * shards // scenario.workers]
            worker = _Worker(number, cluster, number // scenario.node_workers, factor)
            cluster.workers.append(worker)
            self.workers.append(worker)
        self.load = _client_load(scenario)

    def result(self) -> Result:
        """Process all events."""
        scenario = self.scenario
        for cluster in self.clusters:
            self._assign(cluster, cluster.workers, scenario.load_seconds)
        if math.isfinite(scenario.life_seconds):
            for node in range(self.workers[-1].node + 1):
                self._at(self._life(), self._node_vanishes, node)
        while self.events and not all(cluster.dispatch.is_done for cluster in self.clusters):
            now, _, call, arguments = heapq.heappop(self.events)
            call(now, *arguments)
        seconds = max(self.last, 1e-12)
        whole = scenario.plan_seconds + seconds + scenario.end_seconds
        used = max(cluster.used for cluster in self.clusters)
        busy = {
            "client": used,
            "reads": self.reads.used,
            "writes": self.writes.used,
            "bytes": self.sent.used,
            "decoders": self.decoded / scenario.workers,
            "devices": self.encoded / scenario.workers,
        }
        busy = {name: value / seconds for name, value in busy.items()}
        return Result(
            seconds=whole, block_seconds=seconds, efficiency=scenario.ideal_seconds / whole,
            block_efficiency=scenario.ideal_seconds / seconds, busy=busy,
            tail_seconds=self.last - self.first_idle if self.first_idle else 0.0, deaths=self.deaths,
            lost_clips=self.lost_clips, given_up=self.given_up,
        )  # fmt: skip

    def _at(self, time: float, call: Any, *arguments: Any) -> None:
        heapq.heappush(self.events, (time, next(self.order), call, arguments))

    def _assign(self, cluster: _Cluster, workers: list[_Worker], now: float) -> None:
        """Assign blocks to some workers, as the client does after a wake-up."""
        by_address = {worker.address: worker for worker in workers if worker.is_alive}
        new = cluster.dispatch.assign(dict.fromkeys(by_address, self.scenario.slots))
        for assigned in new:
            worker = by_address[assigned.address]
            worker.waiting.append(assigned)
            worker.work.append(assigned)
        for worker in by_address.values():
            if not worker.work and not self.first_idle:
                self.first_idle = now
            self._fill_slots(now, worker)

    def _fill_slots(self, now: float, worker: _Worker) -> None:
        while worker.waiting and len(worker.active) < self.scenario.slots:
            assigned = worker.waiting.popleft()
            worker.active.add(assigned.task)
            self._begin(now, worker, assigned)

    def _begin(self, now: float, worker: _Worker, assigned: Assigned[int]) -> None:
        """Occupy a slot with a block: read its state, decode, encode. Its writing is an event."""
        scenario, store = self.scenario, self.scenario.store
        size, length = self.sizes[assigned.task], self.lengths[assigned.task]
        opened = now + store.rounds_before * store.latency_seconds
        if store.reads:
            opened = max(opened, self.reads.take(now, store.reads))
        decoding = length * size / scenario.decoded_per_second * worker.factor
        encoding = length * size / scenario.clips_per_second * worker.factor
        worker.decoders_free = max(opened, worker.decoders_free) + decoding
        worker.device_free = max(worker.decoders_free, worker.device_free) + encoding
        self.decoded += decoding
        self.encoded += encoding
        self._at(worker.device_free, self._write, worker, worker.epoch, assigned)

    def _write(self, now: float, worker: _Worker, epoch: int, assigned: Assigned[int]) -> None:
        if epoch != worker.epoch:
            return
        store = self.scenario.store
        part = self.sizes[assigned.task] / self.scenario.block_clips
        num_bytes = store.num_bytes * part
        written = now + store.rounds_after * store.latency_seconds + num_bytes / store.worker_bytes_per_second
        if store.writes:
            written = max(written, self.writes.take(now, store.writes))
        if num_bytes:
            written = max(written, self.sent.take(now, num_bytes))
        self._at(written, self._written, worker, epoch, assigned)

    def _written(self, now: float, worker: _Worker, epoch: int, assigned: Assigned[int]) -> None:
        if epoch != worker.epoch:
            return
        worker.active.remove(assigned.task)
        worker.cluster.ended.append((worker, epoch, assigned))
        self._fill_slots(now, worker)
        self._wake(now, worker.cluster)

    def _wake(self, now: float, cluster: _Cluster) -> None:
        """Let the client of a cluster handle all results that wait, if it is free."""
        if cluster.is_busy or not cluster.ended:
            return
        batch, cluster.ended, cluster.is_busy = cluster.ended, [], True
        client = self.scenario.client
        seconds = len(batch) * client.block_seconds + len(cluster.workers) * client.worker_seconds
        seconds /= 1 - self.load
        cluster.used += seconds
        self._at(now + seconds, self._handled, cluster, batch)

    def _handled(
        self, now: float, cluster: _Cluster, batch: list[tuple[_Worker, int, Assigned[int]]]
    ) -> None:
        cluster.is_busy = False
        current = [(worker, assigned) for worker, epoch, assigned in batch if worker.epoch == epoch]
        for worker, assigned in current:
            worker.work.remove(assigned)
            cluster.dispatch.finished(assigned)
            self.last = now
        self._assign(cluster, list({worker.number: worker for worker, _ in current}.values()), now)
        self._wake(now, cluster)

    def _life(self) -> float:
        return float(self.generator.exponential(self.scenario.life_seconds))

    def _node_vanishes(self, now: float, node: int) -> None:
        self.deaths += 1
        first = node * self.scenario.node_workers
        for worker in self.workers[first : first + self.scenario.node_workers]:
            begun = {*worker.active, *(one.task for one in worker.work if one not in worker.waiting)}
            self.lost_clips += sum(self.sizes[block] for block in begun)
            self._at(now + self.scenario.notice_seconds, self._noticed, worker.cluster, worker.work)
            worker.epoch += 1
            worker.is_alive, worker.waiting, worker.work, worker.active = False, deque(), [], set()
        self._at(now + self.scenario.restart_seconds, self._node_returns, node)

    def _noticed(self, now: float, cluster: _Cluster, work: list[Assigned[int]]) -> None:
        for assigned in work:
            self.given_up += cluster.dispatch.died(assigned)
        self.last = max(self.last, now) if work else self.last
        self._assign(cluster, [worker for worker in cluster.workers if not worker.work], now)

    def _node_returns(self, now: float, node: int) -> None:
        first = node * self.scenario.node_workers
        for worker in self.workers[first : first + self.scenario.node_workers]:
            worker.is_alive, worker.decoders_free, worker.device_free = True, now, now
            self._assign(worker.cluster, [worker], now)
        self._at(now + self._life(), self._node_vanishes, node)


def _client_load(scenario: Scenario) -> float:
    """Return the fraction of a client's time that progress reports and reads of the lock take."""
    store, client = scenario.store, scenario.client
    device = scenario.block_clips / scenario.clips_per_second
    chain = (store.rounds_before + store.rounds_after) * store.latency_seconds
    held = max(scenario.slots * device, chain + device + scenario.block_clips / scenario.decoded_per_second)
    per_second = math.floor(held) / held
    workers = scenario.workers / scenario.shards
    events = client.event_seconds * per_second * scenario.slots * workers
    return min(_MOST_LOAD, events + client.check_seconds)

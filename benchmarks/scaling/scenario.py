"""One simulated run: its scenario and its result. Times are in seconds."""

import math
from dataclasses import dataclass, field

ORDERS = ("as listed", "sorted by length", "longest first")


@dataclass(frozen=True, kw_only=True)
class Store:
    """Cost of a block at the place of the cache.

    Attributes:
        latency_seconds: Time of one request.
        rounds_before: Rounds of requests before a block is decoded. A round waits for the one before.
        rounds_after: Rounds of requests after it is encoded.
        reads: All reading requests of a block.
        writes: All writing requests of a block.
        num_bytes: Bytes that a block writes.
        reads_per_second: Limit of reading requests of all workers together.
        writes_per_second: Limit of writing requests of all workers together.
        bytes_per_second: Limit of bytes of all workers together.
        worker_bytes_per_second: Limit of bytes of one worker.
    """

    latency_seconds: float = 0.0
    rounds_before: float = 0.0
    rounds_after: float = 0.0
    reads: float = 0.0
    writes: float = 0.0
    num_bytes: float = 0.0
    reads_per_second: float = math.inf
    writes_per_second: float = math.inf
    bytes_per_second: float = math.inf
    worker_bytes_per_second: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Client:
    """Cost of scheduler and client.

    Attributes:
        block_seconds: Time for assigning a block and receiving its result.
        worker_seconds: Time for each worker, at every wake-up of the client.
        event_seconds: Time for a progress report. A block that is in work sends one every second.
        check_seconds: Time for reading the lock, once a second.
    """

    block_seconds: float = 0.0
    worker_seconds: float = 0.0
    event_seconds: float = 0.0
    check_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One simulated run.

    Attributes:
        num_clips: Clips to process.
        workers: Number of workers, each with one device.
        clips_per_second: Speed of a device.
        decoded_per_second: Clips per second of the decoders of a worker.
        block_clips: Clips of a block.
        slots: Blocks that a worker processes at the same time.
        queued: Blocks that wait at each worker.
        client: Cost of scheduler and client.
        store: Cost of the store.
        shards: Commands that share the blocks, each with its own client and its part of the workers.
        sigma: Standard deviation of the logarithm of a clip's length, to which its time is proportional.
        order: One of ORDERS; the last two are of clips that are sorted by length.
        slow_workers: Number of slow workers.
        slow_factor: Time of a slow worker divided by that of others.
        life_seconds: Mean life time of a node, exponential; infinite for nodes that stay.
        node_workers: Workers of a node, which vanish together.
        notice_seconds: Time until the client notices that a worker is gone.
        restart_seconds: Time until a node is replaced, with the start of its workers.
        plan_seconds: Time before the first block is assigned.
        load_seconds: Time in which a worker starts, after the plan.
        end_seconds: Time after the last block.
        seed: Seed of all draws.
    """

    num_clips: int
    workers: int
    clips_per_second: float = 80.0
    decoded_per_second: float = math.inf
    block_clips: int = 64
    slots: int = 2
    queued: int = 2
    client: Client = field(default_factory=Client)
    store: Store = field(default_factory=Store)
    shards: int = 1
    sigma: float = 0.0
    order: str = ORDERS[0]
    slow_workers: int = 0
    slow_factor: float = 1.0
    life_seconds: float = math.inf
    node_workers: int = 1
    notice_seconds: float = 30.0
    restart_seconds: float = 0.0
    plan_seconds: float = 0.0
    load_seconds: float = 0.0
    end_seconds: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.order not in ORDERS or not 1 <= self.shards <= self.workers:
            msg = f"order is '{self.order}', of {ORDERS}; shards are {self.shards}, from 1 to {self.workers}."
            raise ValueError(msg)

    @property
    def ideal_seconds(self) -> float:
        """Time of the devices alone, without any other cost."""
        return self.num_clips / (self.workers * self.clips_per_second)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a simulated run.

    Attributes:
        seconds: Time of the whole command.
        block_seconds: Time from the first assignment to the last result.
        efficiency: Time of the devices alone divided by `seconds`.
        block_efficiency: The same for `block_seconds`.
        busy: Utilisation of client, store (requests to read and write, bytes), decoders and devices while
            blocks are processed.
        tail_seconds: Time from the moment at which a worker first has no block left to the last result.
        deaths: Nodes that vanished.
        lost_clips: Clips that were in work on them or had no recorded result, and were computed again.
        given_up: Blocks that stay pending, because their workers died twice.
    """

    seconds: float
    block_seconds: float
    efficiency: float
    block_efficiency: float
    busy: dict[str, float]
    tail_seconds: float
    deaths: int
    lost_clips: int
    given_up: int

"""The simulated runs, and the limits by arithmetic."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from benchmarks.scaling.constants import Constants
from benchmarks.scaling.scenario import ORDERS, Client, Result, Scenario, Store
from benchmarks.scaling.simulation import simulate
from pipeline.store.schema import ARRAYS

SIZES = {"DFEW": 16_372, "1 million": 1_000_000, "10 million": 10_000_000}
WORKERS = (1, 2, 4, 8, 16, 32, 64, 100, 128, 200, 256, 400)
SPEEDS = (10, 20, 40, 80, 160)
PLACES = ("shared disk", "object store")
MILLION = SIZES["1 million"]
_DROP, _SEEDS = 0.9, 3
_BLOCK_ARRAYS = sum(spec.per_block and not spec.tokens_only for spec in ARRAYS)
_HOUR = 3600.0

Change = Callable[[Scenario, Constants], Scenario]


def base(constants: Constants, place: str, num_clips: int, workers: int, **changes: Any) -> Scenario:
    """Return a run of the program as it is.

    Args:
        constants: The constants.
        place: One of PLACES, or "none" for a store without any cost.
        num_clips: Clips of the dataset.
        workers: Number of GPUs.
        changes: Other attributes of the scenario.
    """
    read_seconds = _read_seconds(constants, place)
    blocks = -(-num_clips // 64)
    scenario = Scenario(
        num_clips=num_clips,
        workers=workers,
        clips_per_second=constants["clips_per_second"],
        decoded_per_second=constants["decoded_per_core"] * constants["cores_per_worker"],
        client=Client(
            block_seconds=constants["block_seconds"],
            worker_seconds=constants["loop_worker_seconds"],
            event_seconds=constants["event_seconds"],
            check_seconds=_lock_seconds(constants, place),
        ),
        store=store_of(constants, place),
        plan_seconds=constants["start_seconds"] + constants["load_seconds"]
        + constants["plan_clip_seconds"] * num_clips
        + constants.of_requests("start", "reads", "per block") * blocks * read_seconds,
        load_seconds=constants["load_seconds"],
        end_seconds=constants.of_requests("end", "reads", "per block") * blocks * read_seconds,
        notice_seconds=constants["notice_seconds"],
    )  # fmt: skip
    return replace(scenario, **changes)


def store_of(constants: Constants, place: str) -> Store:
    """Return the cost of a block at a place.

    On an object store, requests that do not depend on each other are one round. On a disk, each is one.
    """
    if place == "none":
        return Store()
    kinds = ("reads", "writes", "rounds_before", "rounds_after", "bytes")
    requests = {kind: constants.of_requests("block", kind) for kind in kinds}
    common = {
        "num_bytes": requests["bytes"], "worker_bytes_per_second": constants["worker_bytes_per_second"]
    }  # fmt: skip
    if place == "shared disk":
        latency, most = constants["disk_latency_seconds"], constants["disk_bytes_per_second"]
        return Store(
            latency_seconds=latency, bytes_per_second=most, rounds_before=requests["reads"] / 2,
            rounds_after=requests["reads"] / 2 + _BLOCK_ARRAYS, **common,
        )  # fmt: skip
    return Store(
        latency_seconds=constants["store_latency_seconds"],
        rounds_before=requests["rounds_before"],
        rounds_after=requests["rounds_after"],
        reads=requests["reads"],
        writes=requests["writes"],
        reads_per_second=constants["store_reads_per_second"],
        writes_per_second=constants["store_writes_per_second"],
        **common,
    )


def _latency(constants: Constants, place: str) -> float:
    names = {"shared disk": "disk_latency_seconds", "object store": "store_latency_seconds"}
    return constants[names[place]] if place in names else 0.0


def _read_seconds(constants: Constants, place: str) -> float:
    """Return the seconds for each of many chunks that one process reads; on a disk one after the other."""
    latency = _latency(constants, place)
    if place != "object store":
        return constants["disk_chunk_seconds"] + latency
    at_a_time = latency / constants["concurrent_reads"]
    return max(constants["chunk_seconds"], at_a_time, 1 / constants["store_reads_per_second"])


def _lock_seconds(constants: Constants, place: str) -> float:
    """Return the time in which the client checks its lock, once a second."""
    return constants.of_requests("block, client", "reads") * _latency(constants, place)


def row(scenario: Scenario, **names: Any) -> dict[str, Any]:
    """Return the result of a simulated run with the names of its row, rounded."""
    result = simulate(scenario)
    busiest = max(result.busy, key=lambda name: result.busy[name])
    values = {name: _rounded(value) for name, value in asdict(result).items()}
    return {**names, "workers": scenario.workers, **values, "busiest": busiest}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return value if isinstance(value, int) else float(f"{value:.4g}")


# What can be changed, one after the other


def larger_blocks(scenario: Scenario, constants: Constants) -> Scenario:
    """Use blocks of 256 clips: four times the bytes and parts of uploads, and as many other requests."""
    store, factor = scenario.store, 4
    parts = math.ceil(constants.of_requests("block", "bytes") * 0.89 / (5 << 20))  # of the array scene/early
    return replace(
        scenario,
        block_clips=factor * scenario.block_clips,
        store=replace(
            store,
            num_bytes=factor * store.num_bytes,
            writes=store.writes + (factor - 1) * parts if store.writes else 0,
        ),
        plan_seconds=scenario.plan_seconds,
        end_seconds=scenario.end_seconds / factor,
    )


def _four_commands(scenario: Scenario, constants: Constants) -> Scenario:
    return replace(scenario, shards=4)


def _four_caches(scenario: Scenario, constants: Constants) -> Scenario:
    """Fill four caches of a quarter of the clips each: each command plans and reports its own clips alone."""
    store, start = scenario.store, constants["start_seconds"] + constants["load_seconds"]
    rates = {
        "reads_per_second": 4 * store.reads_per_second,
        "writes_per_second": 4 * store.writes_per_second,
    }
    return replace(
        scenario,
        store=replace(store, **rates),
        plan_seconds=start + (scenario.plan_seconds - start) / 4,
        end_seconds=scenario.end_seconds / 4,
    )


REMEDIES: dict[str, Change] = {
    "blocks of 256 clips": larger_blocks,
    "4 commands, --blocks i/4": _four_commands,
    "4 caches under prefixes of their own instead": _four_caches,
}


def by_workers(constants: Constants) -> Iterator[dict[str, Any]]:
    """Yield runs by place, size and number of workers."""
    for place in PLACES:
        for size, num_clips in SIZES.items():
            for workers in WORKERS:
                yield row(base(constants, place, num_clips, workers), place=place, clips=size)


def by_speed(constants: Constants) -> Iterator[dict[str, Any]]:
    """Yield, by place and speed of a GPU, the most GPUs that are used by 90% while blocks are processed."""
    for place in ("none", *PLACES):
        for speed in SPEEDS:
            best, result = 0, None
            for workers in WORKERS:
                found = simulate(
                    base(constants, place, MILLION, workers, clips_per_second=speed, load_seconds=0.0)
                )
                if found.block_efficiency < _DROP:
                    result = found
                    break
                best = workers
            busy = _busiest(result)
            yield {"place": place, "clips_per_second": speed, "most_workers": best, "then": busy}


def _busiest(result: Result | None) -> str:
    """Return the resource that limits a run: the busiest one, or waiting if none is busy."""
    if result is None:
        return ""
    others = {name: value for name, value in result.busy.items() if name != "devices"}
    name = max(others, key=lambda name: others[name])
    return name if others[name] > _DROP else "latency"


def by_remedy(constants: Constants) -> Iterator[dict[str, Any]]:
    """Yield runs of ten million clips with one change after the other, each with those before it."""
    for workers in (4, 16, 100, 400):
        scenario = base(constants, "object store", SIZES["10 million"], workers)
        yield row(scenario, change="as it is")
        for change, apply in REMEDIES.items():
            scenario = apply(scenario, constants)
            yield row(scenario, change=change)


def by_straggler(constants: Constants) -> Iterator[dict[str, Any]]:
    """Yield runs on 100 workers with blocks of unequal lengths, a slow worker, and fixed shards."""
    scenario = base(constants, "none", MILLION, 100, load_seconds=0.0)
    shared = {"one queue": scenario, "100 shards": replace(scenario, shards=100)}
    changes: dict[str, dict[str, Any]] = {
        "equal blocks": {},
        "lengths vary, sigma 0.5": {"sigma": 0.5},
        "lengths vary, sigma 1": {"sigma": 1.0},
        "sigma 1, sorted by length": {"sigma": 1.0, "order": ORDERS[1]},
        "sigma 1, longest first": {"sigma": 1.0, "order": ORDERS[2]},
        "a worker of half the speed": {"slow_workers": 1, "slow_factor": 2.0},
        "a worker of a tenth of the speed": {"slow_workers": 1, "slow_factor": 10.0},
    }
    for name, change in changes.items():
        for queue, one in shared.items():
            yield row(replace(one, **change), what=name, queue=queue)


def by_life(constants: Constants) -> Iterator[dict[str, Any]]:
    """Yield means over three seeds of runs of ten million clips on 100 workers whose nodes vanish."""
    restart = constants["replace_seconds"] + constants["start_seconds"] + constants["load_seconds"]
    for node_workers in (1, int(constants["node_workers"])):
        for hours in (0.5, 2, 8):
            scenario = base(
                constants, "none", SIZES["10 million"], 100, life_seconds=hours * _HOUR,
                node_workers=node_workers, restart_seconds=restart,
            )  # fmt: skip
            found = [simulate(replace(scenario, seed=seed)) for seed in range(_SEEDS)]
            names = ("block_efficiency", "deaths", "lost_clips", "given_up")
            means = {name: sum(getattr(one, name) for one in found) / _SEEDS for name in names}
            # a worker works for its life time out of life time and replacement
            ready = hours * _HOUR / (hours * _HOUR + restart)
            yield {"hours": hours, "node_workers": node_workers, "seeds": _SEEDS, "ready": ready, **means}
    stays = simulate(base(constants, "none", SIZES["10 million"], 100))
    same = {"block_efficiency": stays.block_efficiency, "deaths": 0, "lost_clips": 0, "given_up": 0}
    yield {"hours": None, "node_workers": 1, "seeds": 1, "ready": 1.0, **same}


def limits(constants: Constants) -> list[dict[str, Any]]:
    """Return, by arithmetic, the most GPUs that each shared resource serves, and serial times."""
    speed, clips = constants["clips_per_second"], 64
    store, disk = store_of(constants, "object store"), store_of(constants, "shared disk")
    cycle = (store.rounds_before + store.rounds_after) * store.latency_seconds + clips / speed
    rates = {
        "client on an object store, whose lock is read once a second": (
            1 - _lock_seconds(constants, "object store")
        )
        / constants["block_seconds"],
        "client on a shared disk": (1 - _lock_seconds(constants, "shared disk")) / constants["block_seconds"],
        "object store, writing requests": store.writes_per_second / store.writes,
        "object store, reading requests": store.reads_per_second / store.reads,
        "shared disk, bytes": disk.bytes_per_second / disk.num_bytes,
        "object store, heartbeats of a lock for each GPU": math.inf,
    }
    beats = constants.of_requests("heartbeat", "reads") / 10
    rows = []
    for name, blocks_per_second in rates.items():
        most = blocks_per_second * clips / speed
        if math.isinf(most):
            most = constants["store_reads_per_second"] / beats
        rows.append({"what": name, "blocks_per_second": _finite(blocks_per_second), "most_workers": most})
    device = {"what": "two slots of a worker on an object store", "share": 2 * clips / speed / cycle}
    return [*rows, device]


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def serial(constants: Constants) -> list[dict[str, Any]]:
    """Return the seconds of start, plan and end by place and size, of a new run and a resumed one."""
    rows = []
    for place in PLACES:
        for size, num_clips in SIZES.items():
            scenario = base(constants, place, num_clips, 1)
            blocks, each = -(-num_clips // 64), _read_seconds(constants, place)
            resumed = constants.of_requests("resumed start", "reads", "per block")
            fresh = constants.of_requests("start", "reads", "per block")
            rows.append(
                {
                    "place": place,
                    "clips": size,
                    "plan_seconds": scenario.plan_seconds,
                    "resumed_plan_seconds": scenario.plan_seconds + (resumed - fresh) * blocks * each,
                    "end_seconds": scenario.end_seconds,
                    "seconds_of_100_workers": num_clips / 100 / constants["clips_per_second"],
                }
            )
    return rows


def validation(constants: Constants) -> dict[str, float]:
    """Return the seconds of the real run of two workers and of the same run simulated."""
    ran = constants.validation
    blocks = int(ran["num_blocks"])
    scenario = Scenario(
        num_clips=blocks,
        workers=2,
        block_clips=1,
        clips_per_second=1 / ran["device_seconds"],
        client=Client(
            block_seconds=constants["block_seconds"], worker_seconds=constants["loop_worker_seconds"]
        ),
        store=Store(latency_seconds=ran["write_seconds"], rounds_after=1),
    )
    return {**ran, "simulated_seconds": simulate(scenario).block_seconds}

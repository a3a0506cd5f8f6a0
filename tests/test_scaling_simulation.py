"""The simulation of many workers agrees with closed forms, and loses no block."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scaling.scenario import ORDERS, Client, Scenario, Store
from benchmarks.scaling.simulation import block_lengths, simulate

IDEAL = Scenario(num_clips=64 * 400, workers=8)


def test_without_other_costs_the_devices_are_busy_all_the_time() -> None:
    result = simulate(IDEAL)
    assert result.seconds == pytest.approx(IDEAL.ideal_seconds)
    assert result.efficiency == pytest.approx(1)
    assert result.busy["devices"] == pytest.approx(1)
    assert (result.deaths, result.lost_clips, result.given_up) == (0, 0, 0)


def test_the_last_block_may_have_fewer_clips() -> None:
    scenario = replace(IDEAL, num_clips=64 * 3 + 16, workers=1)
    assert simulate(scenario).seconds == pytest.approx((64 * 3 + 16) / 80)


def test_a_slow_client_handles_one_block_per_service_time() -> None:
    client = Client(block_seconds=0.05)
    scenario = replace(IDEAL, clips_per_second=1e6, client=client)
    assert simulate(scenario).block_seconds == pytest.approx(400 * 0.05, rel=0.01)
    assert simulate(scenario).busy["client"] == pytest.approx(1, rel=0.01)
    shared = simulate(replace(scenario, shards=4))
    assert shared.block_seconds == pytest.approx(400 * 0.05 / 4, rel=0.02), "each shard has its own client"


def test_a_client_that_looks_at_every_worker_needs_time_for_each() -> None:
    client = Client(worker_seconds=0.01)
    one_at_a_time = replace(IDEAL, workers=1, slots=1, queued=1, clips_per_second=1e9, client=client)
    assert simulate(one_at_a_time).block_seconds == pytest.approx(400 * 0.01, rel=0.02)


def test_progress_reports_leave_less_of_the_client() -> None:
    client = Client(block_seconds=0.05, event_seconds=0.001)
    scenario = replace(IDEAL, num_clips=64 * 4000, workers=50, clips_per_second=64, client=client)
    plain = replace(scenario, client=replace(client, event_seconds=0))
    load = 0.001 * 2 * 50  # two blocks of two seconds in each worker's slots
    assert simulate(scenario).busy["client"] > 0.99
    assert simulate(scenario).block_seconds == pytest.approx(
        simulate(plain).block_seconds / (1 - load), rel=0.05
    )


def test_a_lock_that_is_read_once_a_second_leaves_the_rest_of_the_client() -> None:
    client = Client(block_seconds=0.05, check_seconds=0.2)
    scenario = replace(IDEAL, clips_per_second=1e6, client=client)
    assert simulate(scenario).block_seconds == pytest.approx(400 * 0.05 / 0.8, rel=0.01)


def test_the_limit_of_requests_holds_for_all_workers_together() -> None:
    store = Store(writes=27, writes_per_second=35)
    result = simulate(replace(IDEAL, clips_per_second=1e6, store=store, shards=2))
    assert result.block_seconds == pytest.approx(400 * 27 / 35, rel=0.01)
    store = Store(num_bytes=1e6, bytes_per_second=1e7)
    result = simulate(replace(IDEAL, clips_per_second=1e6, store=store))
    assert result.block_seconds == pytest.approx(400 * 0.1, rel=0.01)


@pytest.mark.parametrize(("latency", "seconds"), [(0.001, 0.8), (0.2, (0.8 + 0.2 * 25) / 2)])
def test_slots_that_wait_for_requests_keep_the_device_from_work(latency: float, seconds: float) -> None:
    """Two slots: a block every device time, or every half of a slot's time if that is longer."""
    store = Store(latency_seconds=latency, rounds_before=3, rounds_after=22)
    scenario = replace(IDEAL, workers=1, store=store)
    assert simulate(scenario).block_seconds / 400 == pytest.approx(seconds, rel=0.01)


def test_the_start_counts_for_the_command_and_not_for_the_blocks() -> None:
    scenario = replace(IDEAL, plan_seconds=30, end_seconds=10)
    assert simulate(scenario).seconds == pytest.approx(IDEAL.ideal_seconds + 40)
    assert simulate(scenario).block_efficiency == pytest.approx(1)


def test_lengths_vary_around_one_and_are_sorted_on_request() -> None:
    scenario = replace(IDEAL, sigma=0.5)
    lengths, sizes = block_lengths(scenario)
    assert len(lengths) == 400
    assert sizes.sum() == IDEAL.num_clips
    assert lengths.mean() == pytest.approx(1, abs=0.02)
    assert lengths.std() == pytest.approx(math.sqrt(math.exp(0.25) - 1) / 8, rel=0.2)
    longest_first, _ = block_lengths(replace(scenario, order=ORDERS[2]))
    assert (np.diff(longest_first) <= 0).all()
    assert longest_first.mean() == pytest.approx(lengths.mean())


def test_a_slow_worker_delays_a_shard_of_its_own_and_hardly_a_shared_queue() -> None:
    slow = replace(IDEAL, slow_workers=1, slow_factor=2.0)
    own_shard = simulate(replace(slow, shards=8))
    assert own_shard.block_seconds == pytest.approx(2 * IDEAL.ideal_seconds)
    assert simulate(slow).block_seconds < 1.15 * IDEAL.ideal_seconds


@pytest.mark.parametrize("node_workers", [1, 4])
def test_every_block_is_done_or_given_up_when_nodes_vanish(node_workers: int) -> None:
    scenario = replace(
        IDEAL, num_clips=64 * 2000, life_seconds=60, restart_seconds=10, notice_seconds=5, seed=3,
        node_workers=node_workers,
    )  # fmt: skip
    result = simulate(scenario)
    assert result.deaths > 5
    assert 0 < result.lost_clips <= result.deaths * node_workers * 2 * 64
    computed = result.busy["devices"] * result.block_seconds * 8 * 80
    assert computed >= scenario.num_clips - 64 * result.given_up
    assert result.block_efficiency < 1


def test_the_same_seed_gives_the_same_result() -> None:
    scenario = replace(IDEAL, sigma=0.5, life_seconds=60, restart_seconds=10, seed=1)
    assert simulate(scenario) == simulate(scenario)
    assert simulate(scenario) != simulate(replace(scenario, seed=2))


def test_an_impossible_scenario_is_an_error() -> None:
    with pytest.raises(ValueError, match="shards are 9, from 1 to 8"):
        replace(IDEAL, shards=9)

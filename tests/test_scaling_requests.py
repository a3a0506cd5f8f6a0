"""Requests of a run, counted at a local server, and how many of them wait for each other."""

import pytest

from benchmarks.scaling import requests
from benchmarks.scaling.requests import Log, Request, counted_requests, rounds
from pipeline.store.schema import ARRAYS

BLOCK_ARRAYS = sum(spec.per_block and not spec.tokens_only for spec in ARRAYS)


def request(began, ended, method="GET"):
    return Request(method, 0, 0, began, ended)


def test_requests_at_the_same_time_are_one_round():
    together = [request(0, 2), request(0.1, 2.5), request(1.9, 3)]
    assert rounds([]) == 0
    assert rounds(together) == 1
    assert rounds([*together, request(3, 4), request(3.5, 5)]) == 2
    assert rounds([request(n, n + 1) for n in range(7)]) == 7
    assert rounds([request(0, 100), request(1, 2), request(2, 3)]) == 2, "a long one does not hide a chain"


def test_a_log_counts_from_a_request_on():
    log = Log([request(0, 1), request(1, 2, "PUT"), request(2, 3)])
    assert log.since(1) == {"reads": 1, "writes": 1, "rounds": 2, "bytes": 0, "answer_bytes": 0}


@pytest.mark.slow
def test_requests_of_a_run(monkeypatch):
    """Blocks are so small that no array is uploaded in parts."""
    monkeypatch.setattr(requests, "BLOCK_CLIPS", 2)
    monkeypatch.setattr(requests, "_DELAY_SECONDS", 1.0)  # a busy machine sends late
    counts = counted_requests()
    block = counts["block"]["fixed"]
    assert (block["reads"], block["writes"]) == (4, BLOCK_ARRAYS), "claim and status, twice"
    assert (block["rounds_before"], block["rounds_after"]) == (1, 3), "claim and status; arrays; status"
    assert counts["block, client"]["fixed"]["reads"] <= 1
    assert counts["heartbeat"]["fixed"] == {"reads": 1, "writes": 1}
    assert "per block" not in counts["start"], "a new cache is known to be empty"
    assert counts["resumed start"]["per block"]["reads"] == 2, "status and sizes of files"
    assert counts["end"]["per block"]["reads"] == 7, "status once, and no reasons without failures"

"""Clusters that a run starts, with stand-ins for Dask's cluster and for dask-cuda."""

import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from distributed.core import Status
from distributed.security import Security

from pipeline.errors import OusError
from pipeline.executor.cluster import connect
from pipeline.executor.cluster import own_cluster as own
from pipeline.executor.cluster.own_cluster import OwnCluster


class StubCluster:
    """Of SpecCluster what is used; `deaths`: how often the worker of each name does not come up."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.deaths: dict[int, int] = {}
        self.cause: Exception = RuntimeError("Nanny failed to start worker process")
        self.attempts: list[list[int]] = []
        self.workers: dict[int, Any] = {}
        self.worker_spec: dict[int, Any] = {}
        self.scheduler = SimpleNamespace(
            http_server=SimpleNamespace(stop=lambda: self.closed.append("pages")), services={"dashboard": 1}
        )
        self.closed: list[str] = []

    def sync(self, function: Any, *arguments: Any) -> None:
        if function is not own._as_specified:
            with pytest.raises(StopIteration):
                function(*arguments).send(None)
            return
        new = [name for name in self.worker_spec if name not in self.workers]
        self.attempts.append(new)
        for name in new:
            comes = self.deaths.get(name, 0) == 0
            self.deaths[name] = max(0, self.deaths.get(name, 0) - 1)
            self.workers[name] = SimpleNamespace(
                status=Status.running if comes else Status.failed, close_gracefully=lambda: None
            )
        if any(self.workers[name].status == Status.failed for name in new):
            msg = "Nanny failed to start."
            raise RuntimeError(msg) from self.cause

    def close(self, timeout: float) -> None:
        self.closed.append("cluster")


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """The cluster that a run starts, with two workers to start."""
    made: list[StubCluster] = []
    monkeypatch.setattr(own, "SpecCluster", lambda **options: made.append(StubCluster(**options)) or made[0])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cluster = OwnCluster.with_scheduler([{"A": "1"}, {"A": "2"}], {0: (0,), 1: (1,)}, 2, dashboard=False)
    yield cluster
    cluster.scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_scheduler_and_workers_have_one_temporary_certificate_and_the_loopback_address(stub):
    security, scheduler = stub.cluster.options["security"], stub.cluster.options["scheduler"]["options"]
    assert security.require_encryption
    assert security.tls_scheduler_cert.startswith("-----BEGIN CERTIFICATE-----\n")
    assert scheduler["protocol"] == "tls://"
    for options in (scheduler, *(spec["options"] for spec in stub.specs.values())):
        assert options["security"] is security
        assert options["host"] == "127.0.0.1"
        assert options["dashboard_address"] == "127.0.0.1:0"
        assert options["local_directory"] == str(stub.scratch.path)
    assert [spec["options"]["env"] for spec in stub.specs.values()] == [{"A": "1"}, {"A": "2"}]


def test_without_a_dashboard_the_port_for_pages_is_closed(stub):
    assert stub.cluster.closed == ["pages"]
    assert stub.cluster.scheduler.services == {}


def test_workers_that_come_up_are_started_once(stub):
    assert stub.start_workers() == ""
    assert stub.cluster.attempts == [[0, 1]]


def test_a_worker_that_dies_while_it_starts_is_started_again_alone(stub):
    stub.cluster.deaths = {1: 2}
    assert stub.start_workers() == ""
    assert stub.cluster.attempts == [[0, 1], [1], [1]]


def test_a_worker_that_never_comes_up_is_a_warning_and_the_others_do_the_work(stub):
    stub.cluster.deaths = {1: 99}
    assert stub.start_workers() == (
        "1 of 2 worker processes could not be started (ended while starting, 3 times: killed, or out of "
        "memory); the others do its work"
    )


def test_without_any_worker_the_run_ends_in_a_line_that_gives_the_reason(stub):
    stub.cluster.deaths = {0: 99, 1: 99}
    with pytest.raises(
        OusError, match=r"^The 2 worker processes could not be started \(ended while starting, 3 times: kill"
    ):
        stub.start_workers()
    stub.cluster.cause = PermissionError(13, "Permission denied", "/site/torch.so")
    with pytest.raises(
        OusError, match=r"could not be started \(\[Errno 13\] Permission denied: '/site/torch"
    ):
        stub.start_workers()


def test_a_scheduler_that_does_not_start_is_one_line_and_leaves_nothing(monkeypatch, tmp_path):
    def refused(**_options):
        msg = "Cluster failed to start"
        raise RuntimeError(msg) from OSError(98, "Address in use")

    monkeypatch.setattr(own, "SpecCluster", refused)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(
        OusError, match=r"^No Dask scheduler can be started on 127.0.0.1 \(.*Address in use\)\.$"
    ):
        OwnCluster.with_scheduler([{}], {}, 2, dashboard=False)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_directory_that_cannot_be_made_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(
        OusError, match=r"missing' \(No such file or directory\); set TMPDIR to a directory w"
    ):
        OwnCluster.with_scheduler([{}], {}, 2, dashboard=False)


def test_dask_cuda_gets_the_same(monkeypatch, tmp_path):
    module = ModuleType("dask_cuda")
    module.LocalCUDACluster = StubCluster
    monkeypatch.setitem(sys.modules, "dask_cuda", module)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cluster = OwnCluster.of_dask_cuda(["0", "1"], 2, dashboard=False)
    options = cluster.cluster.options
    assert isinstance(options["security"], Security)
    assert options["security"].require_encryption
    assert (options["protocol"], options["host"]) == ("tls", "127.0.0.1")
    assert options["dashboard_address"] == "127.0.0.1:0"
    assert options["local_directory"] == str(cluster.scratch.path)
    assert options["CUDA_VISIBLE_DEVICES"] == ["0", "1"]
    assert cluster.cluster.closed == ["pages"]
    assert cluster.start_workers() == ""
    cluster.scratch.close()


class StubClient:
    """Of Client what is used to register: the first calls fail."""

    def __init__(self, failures: int) -> None:
        self.id, self.failures, self.registered = "client", failures, []

    def register_plugin(self, plugin: Any, name: str = "") -> None:
        self.registered.append(name)
        if len(self.registered) <= self.failures:
            raise ConnectionResetError

    def unregister_worker_plugin(self, name: str) -> None:
        pass

    def close(self, timeout: float) -> None:
        self.registered.append("closed")


def test_a_worker_that_dies_while_it_takes_the_plugin_does_not_end_the_run(monkeypatch):
    monkeypatch.setattr(connect, "_SECONDS_BETWEEN_ATTEMPTS", 0)
    client = StubClient(failures=2)
    connect.Connection(client=client, where="").register("ous-1", object())
    assert client.registered == ["ous-1", "ous-1", "ous-1", ""]


def test_a_scheduler_that_is_gone_ends_the_run_and_closes_the_connection(monkeypatch):
    monkeypatch.setattr(connect, "_SECONDS_BETWEEN_ATTEMPTS", 0)
    client = StubClient(failures=99)
    with pytest.raises(
        OusError, match=r"^The connection to the Dask scheduler is lost. Finished work is safe"
    ):
        connect.Connection(client=client, where="").register("ous-1", object())
    assert client.registered[-1] == "closed"


def test_workers_of_ones_own_that_stay_away_end_the_run_and_others_are_waited_for(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(connect.time, "monotonic", lambda: now[0])
    there: dict[str, int] = {}
    client = SimpleNamespace(nthreads=lambda: there)
    mine = connect.Connection(client=client, where="", own=SimpleNamespace())
    others = connect.Connection(client=client, where="")
    assert mine.workers() == others.workers() == {}
    now[0] += 119
    there["tls://a"] = 2
    assert mine.workers() == {"tls://a": 2}
    there.clear()
    assert mine.workers() == {}
    now[0] += 121
    assert others.workers() == {}
    with pytest.raises(
        OusError, match=r"^All workers of this run ended, and none could be started again for 120"
    ):
        mine.workers()


def test_dask_reports_nothing_by_itself(stub):
    assert logging.getLogger("distributed.nanny").getEffectiveLevel() == logging.CRITICAL

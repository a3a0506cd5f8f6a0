import asyncio
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import psutil
import pytest
from distributed.comm import connect as reach
from distributed.security import Security

from pipeline.errors import OusError
from pipeline.executor import Observer
from pipeline.executor.cluster import ClusterExecutor, connect
from pipeline.executor.machine import available_cores, shares_of_cores
from pipeline.runner import model_info
from tests import real_runs
from tests.real_runs import chunks, decoders, extract, finish, finished_blocks, start, wait_for
from tests.stub_workers import StubSetup, tasks

pytestmark = pytest.mark.slow

DASK = Path(sys.executable).with_name("dask")


def listening() -> set[tuple[str, int]]:
    """The addresses and ports at which this process and those that it has started listen."""
    mine = {process.pid for process in psutil.Process().children(recursive=True)} | {os.getpid()}
    found = [c for c in psutil.net_connections("inet") if c.status == "LISTEN" and c.pid in mine]
    return {(c.laddr.ip, c.laddr.port) for c in found}


@pytest.fixture(scope="module")
def listening_before():
    """Those of servers of other tests, such as one of S3."""
    return listening()


@pytest.fixture(scope="module")
def executor(listening_before):
    """Two workers without models."""
    executor = ClusterExecutor.on_cores(2, StubSetup())
    yield executor
    executor.close()


class Cluster:
    """A scheduler and workers that were started by hand, each a process of its own."""

    def __init__(self, folder: Path, code: Path = real_runs.ROOT, **environment: str) -> None:
        path = f"{real_runs.FAULTY}:{code}" if code == real_runs.ROOT else str(code)
        self._environment = {"PYTHONPATH": path, **real_runs.slowed(folder / "noted"), **environment}
        self.file = folder / "scheduler.json"
        self._folder = folder
        options = ("--scheduler-file", self.file, "--port", "0", "--interface", "lo")
        self.scheduler = self._start("scheduler", *options)
        wait_for(self.file.exists, "a scheduler file")
        self.workers = []

    def add_worker(self) -> subprocess.Popen:
        options = ("--nthreads", "2", "--memory-limit", "0", "--interface", "lo")
        self.workers.append(self._start("worker", "--scheduler-file", self.file, *options))
        return self.workers[-1]

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            real_runs.kill_group(process)

    def _start(self, *what: object) -> subprocess.Popen:
        log = (self._folder / f"{what[0]}.log").open("a")
        with log:
            return subprocess.Popen(
                [str(DASK), *map(str, what), "--no-dashboard"],
                env={**os.environ, **self._environment},
                stdout=log, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip


@pytest.fixture
def cluster(tmp_path):
    """A scheduler without workers."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


class Counting(Observer):
    def __init__(self):
        self.done = 0.0

    def on_progress(self, amount):
        self.done += amount


def test_many_blocks_are_done_and_each_is_reported_once(executor):
    seen = Counting()
    reports = [report for _, report in executor.run(tasks(*[""] * 300), seen)]
    assert sorted(report.start for report in reports) == list(range(300))
    wait_for(lambda: seen.done == 300, "progress of every block", 60)
    assert executor.num_workers == 2
    assert not executor.is_waiting


def test_a_block_may_be_processed_several_times_as_when_a_run_is_timed(executor):
    (task,) = tasks("")
    assert [report.start for _, report in executor.run([task] * 5)] == [0] * 5


def test_workers_of_this_machine_can_be_reached_from_it_alone(executor, listening_before):
    found = listening() - listening_before
    assert {ip for ip, _ in found} == {"127.0.0.1"}
    scheduler, nannies, workers = 1, 2, 2  # and no port for pages
    assert len(found) == scheduler + nannies + workers


def test_nobody_without_the_certificate_of_the_run_reaches_its_scheduler_or_its_workers(executor):
    address = executor._client.scheduler_info()["address"]
    assert address.startswith("tls://")
    for target in (address, *executor._client.nthreads()):
        for security in (Security(), Security.temporary()):
            with pytest.raises((TypeError, OSError), match="ssl_context|TLS certificate does not match"):
                # A Client that fails hangs when the next one's start collects it as garbage.
                asyncio.run(reach(target, timeout=60, **security.get_connection_args("client")))


def test_scratch_directories_of_the_workers_are_in_one_of_mode_0700(executor):
    own = executor._connection.own.scratch.path
    assert own.stat().st_mode & 0o777 == 0o700
    found = executor._client.run(lambda dask_worker: dask_worker.local_directory)
    assert {Path(path).is_relative_to(own) for path in found.values()} == {True}


def test_each_worker_of_this_machine_keeps_to_its_share_of_the_cores(executor):
    found = executor._client.run(lambda: tuple(sorted(os.sched_getaffinity(0))))
    assert sorted(found.values()) == sorted(shares_of_cores(available_cores(), 2))


def test_a_worker_that_is_killed_while_it_starts_is_replaced(capfd):
    others, killed = set(real_runs.workers(os.getpid())), []

    def new():
        return set(real_runs.workers(os.getpid())) - others

    def kill_the_first():
        wait_for(new, "a worker process")
        killed.append(min(new()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    executor = ClusterExecutor.on_cores(2, StubSetup())
    try:
        killer.join()
        assert executor.num_workers == 2
        assert executor.warnings == ()
        assert killed[0] not in executor._client.run(os.getpid).values()
    finally:
        executor.close()
    assert "Traceback" not in "".join(capfd.readouterr())


def test_what_stops_a_worker_from_starting_is_told_as_it_is(executor, monkeypatch):
    class Ended:
        def exception(self, timeout=None):
            return PermissionError(13, "Permission denied", "/weights/ViT-L-14.pt")

        def add_done_callback(self, function):
            function(self)

    monkeypatch.setattr(executor._client, "submit", lambda *_args, **_more: Ended())
    with pytest.raises(PermissionError, match="ViT-L-14.pt"):
        model_info(executor)


def test_a_run_whose_lock_is_lost_ends_while_its_blocks_go_on(executor):
    class Lost(Observer):
        def on_tick(self):
            msg = "The lock was taken over; this run ends here."
            raise OusError(msg)

    with pytest.raises(OusError, match="this run ends here"):
        list(executor.run(tasks("", ""), Lost()))


def test_what_a_block_raises_ends_the_run_as_it_is(executor):
    with pytest.raises(OusError, match="^Out of memory at a block of 1 clips.$"):
        list(executor.run(tasks("", "fail", "")))


def test_a_block_that_kills_its_workers_is_named_and_the_others_are_done(executor):
    done = dict((task.start, report) for task, report in executor.run(tasks("", "", "die", "", "")))
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert [start for start, report in done.items() if report is None] == [2]


def test_two_workers_started_by_hand_give_the_same_bytes_and_are_left_as_they_were(
    run_clips, undisturbed_chunks, cluster, tmp_path
):
    workers = [cluster.add_worker() for _ in range(2)]
    path = tmp_path / "feats.zarr"
    killed = start(run_clips.root, path, "--scheduler", str(cluster.file))
    wait_for(lambda: any(decoders(worker.pid) for worker in workers), "decoders, started with the models")
    killed.kill()
    killed.communicate()
    wait_for(lambda: not any(decoders(worker.pid) for worker in workers), "a vanished client is noticed", 60)
    before = finished_blocks(path)
    stopped = start(run_clips.root, path, "--scheduler", str(cluster.file))
    wait_for(lambda: finished_blocks(path) > before or stopped.poll() is not None, "a block of the next run")
    asked = time.monotonic()
    os.killpg(stopped.pid, signal.SIGINT)
    code, said = finish(stopped)
    print(f"{time.monotonic() - asked:.1f} s after Ctrl-C")  # noqa: T201
    assert code == 130, said
    assert f"stored clips are safe in {path}. The same command resumes from there." in said
    code, said = extract(run_clips.root, path, "--scheduler", str(cluster.file))
    assert code == 0, said
    assert chunks(path) == undisturbed_chunks
    assert [worker.poll() for worker in workers] == [None, None]
    wait_for(lambda: not any(decoders(worker.pid) for worker in workers), "the decoders end", 60)


@pytest.mark.parametrize("when", ["models", "clips"])
def test_workers_that_are_gone_are_waited_for_aloud(run_clips, undisturbed_chunks, cluster, tmp_path, when):
    """A worker dies while it loads its models, with its decoders started, or after the first clips."""
    first = cluster.add_worker()
    path = tmp_path / "feats.zarr"
    run = start(run_clips.root, path, "--scheduler", str(cluster.file))
    printed = []
    assert run.stdout is not None
    reader = threading.Thread(target=lambda: printed.extend(run.stdout))
    reader.start()
    if when == "models":
        wait_for(lambda: decoders(first.pid), "decoders that wait for the models")
    else:
        wait_for(lambda: finished_blocks(path), "a first block")
    real_runs.kill_group(first)
    before = len(printed)
    shown = {"models": "no worker is connected; waiting for one", "clips": "waiting for workers"}[when]
    wait_for(lambda: any(shown in line for line in printed[before:]), f"'{shown}'")
    cluster.add_worker()
    reader.join(real_runs.PATIENCE_SECONDS)
    run.stdout.close()
    assert run.wait(real_runs.PATIENCE_SECONDS) == 0, "".join(printed)
    assert chunks(path) == undisturbed_chunks


def test_a_scheduler_that_is_gone_ends_the_run_in_one_line(run_clips, cluster, tmp_path):
    worker = cluster.add_worker()
    run = start(run_clips.root, tmp_path / "feats.zarr", "--scheduler", str(cluster.file))
    wait_for(lambda: decoders(worker.pid), "decoders, started with the models")
    asked = time.monotonic()
    cluster.scheduler.kill()
    code, said = finish(run)
    print(f"told {time.monotonic() - asked:.0f} s after the scheduler's death")  # noqa: T201
    assert code == 1, said
    assert said.splitlines()[-1] == (
        "error: The connection to the Dask scheduler is lost. Finished work is safe; run again."
    )
    assert "Traceback" not in said


def test_a_scheduler_without_workers_and_an_address_without_one_are_one_line(cluster, monkeypatch):
    monkeypatch.setattr("pipeline.executor.cluster.connect.START_SECONDS", 1)
    executor = ClusterExecutor.join(str(cluster.file), StubSetup())
    address = json.loads(cluster.file.read_text())["address"]
    assert executor.warnings[0].startswith(f"{address} is without TLS: everybody who can connect to it")
    try:
        with pytest.raises(
            OusError, match=f"No worker has joined the scheduler at {address} within 1 s; start some"
        ):
            model_info(executor)
    finally:
        executor.close()
    with pytest.raises(OusError, match="No Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        ClusterExecutor.join("tcp://127.0.0.1:9", StubSetup())


def test_a_scheduler_with_certificates_is_joined_by_those_alone_who_have_them(tmp_path, monkeypatch):
    make = runpy.run_path(str(real_runs.ROOT / "docs/slurm/certificates.py"))["main"]
    make(tmp_path / "right")
    make(tmp_path / "wrong")
    cluster = Cluster(tmp_path, DASK_CONFIG=str(tmp_path / "right/dask.yaml"))
    try:
        address = json.loads(cluster.file.read_text())["address"]
        assert address.startswith("tls://127.0.0.1:")
        pid = cluster.scheduler.pid
        listening = [c for c in psutil.net_connections("inet") if c.status == "LISTEN" and c.pid == pid]
        assert [f"tls://{c.laddr.ip}:{c.laddr.port}" for c in listening] == [address]
        with dask.config.set(_configuration(tmp_path / "right")):
            connection = connect.joined(str(cluster.file))
            assert connection.warnings == ()
            assert "dashboard" not in connection.client.scheduler_info()["services"]
            connection.close("none")
        with (
            dask.config.set(_configuration(tmp_path / "wrong")),
            pytest.raises(OusError, match="^The scheduler at .* has other certificates than Dask's config"),
        ):
            connect.joined(address)
    finally:
        cluster.close()


def _configuration(certificates: Path) -> dict:
    settings = json.loads((certificates / "dask.yaml").read_text())
    return dask.config.merge(dask.config.config, settings)


def test_a_cluster_without_this_code_is_one_line(tmp_path):
    without = f"""import sys
sys.path[:] = [path for path in sys.path if path != {str(real_runs.ROOT)!r}]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
"""
    (tmp_path / "sitecustomize.py").write_text(without)  # `make install` installs this code too
    cluster = Cluster(tmp_path, code=tmp_path)
    try:
        with pytest.raises(OusError, match=r"The cluster lacks code \(.*No module named 'pipeline'.*PYTHONP"):
            ClusterExecutor.join(str(cluster.file), StubSetup())
    finally:
        cluster.close()


@pytest.mark.parametrize(
    "script", sorted((real_runs.ROOT / "docs/slurm").glob("*.sbatch")), ids=lambda p: p.stem
)
def test_the_slurm_scripts_are_sound_and_the_doc_names_them(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.name in (real_runs.ROOT / "docs/cluster.md").read_text()


def test_a_task_of_workers_sbatch_removes_its_temporary_directory_at_any_path(tmp_path):
    text = (real_runs.ROOT / "docs/slurm/workers.sbatch").read_text()
    task = text.partition("bash -c '")[2].partition("' worker")[0]
    (tmp_path / "a b").mkdir()
    (tmp_path / "a").mkdir()
    done = ["bash", "-c", task, "worker", "true"]
    subprocess.run(done, env={**os.environ, "TMPDIR": str(tmp_path / "a b")}, cwd=tmp_path, check=True)
    assert (tmp_path / "a").is_dir(), "no other directory is removed"
    assert list((tmp_path / "a b").iterdir()) == []

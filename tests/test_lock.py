import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import CacheError, ConfigError
from pipeline.store.location import Location
from pipeline.store.lock import Shard, creating, hold
from pipeline.store.lock_owner import BEAT_SECONDS, Holder, OwnerState
from pipeline.store.lock_records import records_of
from pipeline.store.writer import CacheWriter
from tests.tiny_cache import tiny_meta, tiny_static

ROOT = Path(__file__).parent.parent
FAST = 0.05
HOLDING = """
import sys, time
from pipeline.store.lock import Shard, hold
share = Shard.parse(sys.argv[2]) if sys.argv[2] else None
with hold(sys.argv[1], share):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """Where a cache is to be: the lock works the same in a folder and in a bucket."""
    if request.param == "folder":
        return Location.of(tmp_path / "feats.zarr")
    return Location.of(request.getfixturevalue("bucket").url("p/feats.zarr"))


@pytest.fixture(autouse=True)
def _short_beats(monkeypatch):
    """The beats of these tests are below what a record of a real run may claim."""
    monkeypatch.setattr("pipeline.store.lock_owner._BEAT_SECONDS_READ", (FAST, 30.0))


@pytest.fixture
def other_process(place):
    """Starts a process that holds the lock until it is killed."""
    with ExitStack() as children:

        def start(share: str = "") -> subprocess.Popen[str]:
            child = subprocess.Popen(
                [sys.executable, "-c", HOLDING, str(place), share],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            children.enter_context(child)
            children.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == "held\n"
            return child

        yield start


def test_shares_are_parsed_and_divide_the_blocks():
    shares = [Shard.parse(f"{i}/3") for i in (1, 2, 3)]
    assert [str(share) for share in shares] == ["1/3", "2/3", "3/3"]
    assert [[block for block in range(7) if share.has(block)] for share in shares] == [
        [0, 3, 6],
        [1, 4],
        [2, 5],
    ]


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "1", "", "a/b", "-1/3", "1/0", "1/3/5", "1.5/3", "1/9999999999"]
)
def test_other_shares_are_refused(text):
    with pytest.raises(
        ConfigError, match=f"--blocks is '{text}'; allowed: a shard i/n of the cache's blocks"
    ):
        Shard.parse(text)


def test_the_second_is_refused_and_told_who_holds_it(place):
    with hold(place) as lock:
        lock.check()
        assert lock.notes == ()
        match = (
            rf"is being extracted already by .*@.*, process {os.getpid()}, since .* last seen .* --take-over"
        )
        with pytest.raises(CacheError, match=match), hold(place):
            pass
    with hold(place) as lock:
        assert lock.notes == (), "the lock was given back"


def test_nothing_is_left_behind(place, request):
    with hold(place), hold(place.beside("other.zarr")):
        pass
    if place.is_local:
        assert list(place.path.parent.iterdir()) == []
    else:
        assert request.getfixturevalue("bucket").objects() == []


def test_shares_of_one_count_live_together_and_no_others(place):
    with hold(place, Shard(1, 3)) as first, hold(place, Shard(3, 3)) as third:
        for other in (None, Shard(1, 3), Shard(1, 2), Shard(2, 2)):
            with pytest.raises(CacheError, match=r"process .*, shard [13]/3, since"), hold(place, other):
                pass
        first.check()
        third.check()
        with hold(place, Shard(2, 3)) as second:
            second.check()
    with hold(place), pytest.raises(CacheError, match="is being extracted already"), hold(place, Shard(1, 3)):
        pass


def test_of_many_at_once_one_holds_it(place):
    refused = threading.Semaphore(0)

    def attempt(_):
        try:
            with hold(place) as lock:
                assert all(refused.acquire(timeout=60) for _ in range(5))
                lock.check()
        except CacheError:
            refused.release()
            return "refused"
        return "held"

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(attempt, range(6))) == ["held"] + ["refused"] * 5


def test_a_killed_process_is_taken_over_at_once(place, other_process):
    child = other_process("1/2")
    with pytest.raises(CacheError, match=f"process {child.pid}, shard 1/2"), hold(place):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    with hold(place) as lock:
        (note,) = lock.notes
        assert f"process {child.pid}, shard 1/2" in note
        assert note.endswith("was taken over; that run has died")
        lock.check()


def test_the_number_of_a_dead_process_that_is_in_use_again_deceives_nobody(place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.store.lock_owner._process_start", lambda _: "12345")
        leave_behind(place)
    with hold(place) as lock:
        assert "was taken over; that run has died" in lock.notes[0]


def test_missed_beats_of_another_machine_are_stale(place, monkeypatch):
    foreign(monkeypatch)
    leave_behind(place, beat=time.time() - 100 * FAST)
    with hold(place) as lock:
        assert "someone@far, process 7" in lock.notes[0]
        assert lock.notes[0].endswith(f"it gave no heartbeat for {3 * FAST:g} s")


def test_a_wait_for_a_heartbeat_is_shown(place, monkeypatch):
    foreign(monkeypatch)
    leave_behind(place, beat=time.time() - 100 * FAST)
    shown = []
    with hold(place, say=shown.append):
        pass
    (line,) = shown
    assert "is locked by someone@far, process 7" in line
    assert line.endswith(f": waiting up to {3 * FAST:g} s for a heartbeat")


@pytest.mark.parametrize("ahead", [60.0, 1e9, 1e300])
def test_a_heartbeat_in_the_future_is_watched_and_not_believed(place, monkeypatch, ahead):
    foreign(monkeypatch)
    leave_behind(place, beat=time.time() + ahead)
    shown = []
    with hold(place, say=shown.append) as lock:
        assert "it gave no heartbeat for" in lock.notes[0]
    assert " s ahead of this machine's clock: waiting" in shown[0]


def test_a_living_one_whose_clock_is_ahead_keeps_it(place, monkeypatch):
    foreign(monkeypatch)
    real = time.time
    monkeypatch.setattr("pipeline.store.lock.time.time", lambda: real() + 1e6)
    with hold(place, beat_seconds=10 * FAST) as lock:
        time.sleep(11 * FAST)
        monkeypatch.setattr("pipeline.store.lock_owner.time.time", real)
        before = time.monotonic()
        with pytest.raises(CacheError, match="is being extracted already by someone@far"), hold(place):
            pass
        assert time.monotonic() - before < 3 * 10 * FAST, "the first change ends the wait"
        lock.check()


@pytest.mark.parametrize(
    ("claimed", "taken"),
    [(1e9, 30.0), (float("inf"), 30.0), (1e-9, 1.0), (-5, 1.0), (float("nan"), BEAT_SECONDS), (7, 7.0)],
)
def test_what_a_record_claims_of_its_beats_is_bounded(monkeypatch, claimed, taken):
    monkeypatch.undo()
    record = json.loads(Holder.this_process("", 1.0).to_bytes())
    assert Holder.read(json.dumps({**record, "beat_seconds": claimed}).encode()).beat_seconds == taken


@pytest.mark.parametrize("field", ["user", "host", "machine", "share"])
def test_a_record_with_a_text_beyond_all_measure_is_damaged(field):
    record = {**json.loads(Holder.this_process("", 1.0).to_bytes()), field: "x" * 10_000}
    assert Holder.read(json.dumps(record).encode()).user == "unknown"


def test_a_record_without_a_finite_heartbeat_is_damaged():
    record = json.loads(Holder.this_process("", 1.0).to_bytes())
    for beat in (float("nan"), float("inf"), -float("inf")):
        assert Holder.read(json.dumps({**record, "beat": beat}).encode()).user == "unknown"


@pytest.mark.slow
def test_many_planted_records_are_watched_at_once(place, monkeypatch):
    foreign(monkeypatch)
    planted = Holder(**{**vars(Holder.this_process("", 20 * FAST)), "beat": 1e12}).to_bytes()
    for number in range(1, 9):
        assert records_of(place).create(f"share-{number}-of-8", planted)
    before = time.monotonic()
    with hold(place) as lock:
        assert len(lock.notes) == 8
    assert time.monotonic() - before < 2 * 3 * 20 * FAST


def test_files_of_other_names_are_no_locks(tmp_path):
    folder = tmp_path / ".feats.zarr.locks"
    folder.mkdir()
    (folder / "notes.json").write_text("{}")
    with hold(tmp_path / "feats.zarr") as lock:
        assert lock.notes == ()
    assert (folder / "notes.json").read_text() == "{}"


def test_a_stopped_process_keeps_it_and_is_named_as_such(place, other_process, monkeypatch):
    child = other_process()
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    monkeypatch.setattr("pipeline.store.lock_owner.Holder.has_recent_beat", False)
    match = (
        rf"already by .*process {child.pid}, .* That process is stopped \(Ctrl-Z\): continue it with "
        rf"`kill -CONT {child.pid}`, or end it with `kill -9 {child.pid}` and run this again."
    )
    with pytest.raises(CacheError, match=match), hold(place):
        pass
    child.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, child.pid, os.WCONTINUED)
    with pytest.raises(CacheError, match="Wait for it, or give another --cache"), hold(place):
        pass
    child.send_signal(signal.SIGSTOP)
    child.kill()
    child.wait()
    with hold(place) as lock:
        assert lock.notes[0].endswith("was taken over; that run has died")


def test_a_process_of_this_machine_that_gives_no_heartbeat_is_alive(place, monkeypatch):
    monkeypatch.setattr("pipeline.store.lock_owner.Holder.has_recent_beat", False)
    with (
        hold(place, beat_seconds=600),
        pytest.raises(CacheError, match="is being extracted already"),
        hold(place),
    ):
        pass


def test_a_process_that_this_user_may_not_see_has_not_ended(monkeypatch):
    def refuse(*_):
        raise PermissionError

    holder = Holder.this_process("", 1.0)
    assert holder.state is OwnerState.RUNNING
    monkeypatch.setattr("pipeline.store.lock_owner._process", lambda _: None)
    monkeypatch.setattr("pipeline.store.lock_owner.os.kill", refuse)
    assert holder.state is OwnerState.UNKNOWN
    monkeypatch.undo()
    assert Holder(**{**vars(holder), "pid": 2**22 + 1}).state is OwnerState.ENDED
    assert Holder(**{**vars(holder), "pid": 10**30}).state is OwnerState.ENDED
    assert Holder(**{**vars(holder), "pid": -1}).state is OwnerState.ENDED


def test_a_worker_finds_that_its_run_has_lost_the_cache(place, bucket_or_folder):
    with hold(place, beat_seconds=600) as lock:
        claim = pickle.loads(pickle.dumps(lock.claim))  # noqa: S301 - ours, as it travels to a worker
        claim.require()
        bucket_or_folder.remove()
        claim.require()
        with hold(place, Shard(1, 2)), pytest.raises(CacheError, match="was taken over by .*; this run ends"):
            claim.require()


def test_creation_waits_for_another_creator_and_no_longer_than_its_limit(place, monkeypatch):
    with creating(place):
        monkeypatch.setattr("pipeline.store.lock._CREATING_SECONDS", 3 * FAST)
        with (
            pytest.raises(CacheError, match=rf"not created after .* of waiting: .* process {os.getpid()}"),
            creating(place),
        ):
            pass


def test_a_refusal_ends_creation_at_once(bucket):
    with pytest.raises(CacheError, match="there is no bucket 'nowhere'"):
        CacheWriter.create("s3://nowhere/c", tiny_meta(), tiny_static())


def test_a_living_one_whose_clock_is_behind_keeps_it(place, monkeypatch):
    foreign(monkeypatch)
    with hold(place, beat_seconds=10 * FAST) as lock:
        monkeypatch.setattr("pipeline.store.lock_owner.Holder.has_recent_beat", False)
        with pytest.raises(CacheError, match="is being extracted already by someone@far"), hold(place):
            pass
        lock.check()


def test_the_robbed_one_notices(place):
    with hold(place, Shard(2, 3), beat_seconds=FAST) as robbed:
        with hold(place, take_over=True, beat_seconds=FAST) as robber:
            assert "shard 2/3" in robber.notes[0]
            robber.check()
            with pytest.raises(CacheError, match=r"was taken over by .*process .*; this run ends here"):
                robbed.claim.require()
            time.sleep(3 * FAST)
            with pytest.raises(CacheError, match=r"was taken over by .*process .*; this run ends here"):
                robbed.require_held()
            with pytest.raises(CacheError, match=r"was taken over by .*process .*; this run ends here"):
                robbed.check()
            robber.check()
        with pytest.raises(CacheError, match="was taken over"):
            robbed.check()
    with hold(place) as lock:
        assert lock.notes == (), "the robbed one removed nothing, the robber its own"


def test_a_lock_is_read_once_by_a_check_and_not_again_within_the_given_time(place, monkeypatch):
    clock, reads, records = SimpleNamespace(now=100.0), [], type(records_of(place))
    real = records.read
    with hold(place, beat_seconds=600) as lock:
        time_of_lock = SimpleNamespace(monotonic=lambda: clock.now, time=time.time, sleep=time.sleep)
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.store.lock.time", time_of_lock)
            patch.setattr(records, "read", lambda self, name: (reads.append(name), real(self, name))[1])
            for seconds, num_reads in ((0, 1), (0.5, 1), (0.49, 1), (0.01, 2), (0.9, 2)):
                clock.now += seconds
                lock.check(every_seconds=1.0)
                assert len(reads) == num_reads, seconds
            lock.check()
            assert len(reads) == 3, "a check without a time always reads"
            with hold(place, take_over=True, beat_seconds=600):
                lock.check(every_seconds=1.0)  # not read yet
                clock.now += 1.0
                with pytest.raises(CacheError, match="was taken over by .*; this run ends here"):
                    lock.check(every_seconds=1.0)
                known = len(reads)
                with pytest.raises(CacheError, match="was taken over by .*; this run ends here"):
                    lock.check(every_seconds=1.0)
                with pytest.raises(CacheError, match="was taken over by .*; this run ends here"):
                    lock.check()
                assert len(reads) == known, "it stays lost"


def test_a_lock_removed_by_hand_is_put_back(place, bucket_or_folder):
    with hold(place, beat_seconds=600) as lock:
        bucket_or_folder.remove()
        lock.check()
        with pytest.raises(CacheError, match="is being extracted already"), hold(place):
            pass


def test_a_damaged_record_is_taken_over_after_a_while(place, bucket_or_folder, monkeypatch):
    monkeypatch.setattr("pipeline.store.lock_owner.BEAT_SECONDS", FAST)
    for value in (b"", b"{}", b"[1]", b'{"beat": NaN}', json.dumps({"pid": "x" * 99}).encode()):
        bucket_or_folder.write(value)
        with hold(place) as lock:
            assert "unknown@unknown" in lock.notes[0]


def test_a_sign_of_life_that_cannot_be_given_ends_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    with hold(tmp_path / "c.zarr", beat_seconds=FAST) as lock:
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.store.lock_records._FolderRecords.swap", refuse)
            patch.setattr("pipeline.store.lock_records._FolderRecords.read", refuse)
            time.sleep(3 * FAST)
            lock.check()
        time.sleep(3 * FAST)
        lock.check()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(CacheError, match="cannot be locked: '.*/file' cannot be opened: Not a directory.$"),
        hold(tmp_path / "file" / "c.zarr"),
    ):
        pass


def test_a_bucket_that_is_not_there_is_one_line(bucket):
    with (
        pytest.raises(CacheError, match="cannot be locked: there is no bucket 'nowhere'"),
        hold("s3://nowhere/c"),
    ):
        pass


@pytest.fixture
def bucket_or_folder(place, request):
    """The record of a run of the whole cache, to be damaged."""

    class Record:
        key = "p/.feats.zarr.locks/whole.json"

        def _path(self) -> Path:
            path = place.path.parent / ".feats.zarr.locks" / "whole.json"
            path.parent.mkdir(exist_ok=True)
            return path

        def write(self, value: bytes) -> None:
            if place.is_local:
                self._path().write_bytes(value)
            else:
                request.getfixturevalue("bucket").store().put(self.key, value)

        def remove(self) -> None:
            if place.is_local:
                self._path().unlink()
            else:
                request.getfixturevalue("bucket").store().delete(self.key)

    return Record()


def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks taken from now on are those of another machine."""
    real = Holder.this_process

    def this_process(share: str, beat_seconds: float) -> Holder:
        holder = real(share, beat_seconds)
        return Holder(**{**vars(holder), "user": "someone", "host": "far", "machine": "another", "pid": 7})

    monkeypatch.setattr("pipeline.store.lock_owner.Holder.this_process", this_process)


def leave_behind(place: Location, **changes: object) -> None:
    """The record of a run that has ended without giving its lock back."""
    holder = Holder.this_process("", FAST)
    assert records_of(place).create("whole", Holder(**{**vars(holder), **changes}).to_bytes())

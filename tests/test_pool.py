import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import OusError
from pipeline.frames import ipc
from pipeline.frames.decode_child import Child
from pipeline.frames.pool import CHILD_BYTES, DecodePool, PoolClosedError
from pipeline.frames.requests import Decoded, DecodeJob, InlineDecoder
from pipeline.frames.sampling import FrameConfig
from pipeline.types import ClipFailed
from tests.small_clips import write_video

NAMES = ("a", "b", "c", "d", "e", "f")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(NAMES):
        write_video(folder / f"{name}.mp4", seed=number)
    (folder / "bad.mp4").write_bytes(b"no video")
    for name in ("segfault", "abort", "exit", "hang", "hungry"):
        shutil.copy(folder / "a.mp4", folder / f"{name}.mp4")
    return folder


@pytest.fixture
def faulty(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "faulty_decoder"))


def jobs_of(folder, *names):
    return [DecodeJob(path=folder / f"{name}.mp4", config=FrameConfig(num_frames=4)) for name in names]


def answers(pool, jobs):
    """Each job's answer, in the jobs' order; pixels are copied, since their room is given back."""
    found = dict(pool.stream(jobs))
    return [found[place] for place in range(len(jobs))]


def gone(pid, seconds=10.0):
    """Whether a process ends within some seconds; one that is dead but not collected has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_children_answer_as_the_plain_decoder_does(folder):
    jobs = jobs_of(folder, *NAMES, "bad")
    with DecodePool(2) as pool:
        there = answers(pool, jobs)
        pids = pool.pids
    for one, (_, other) in zip(there, InlineDecoder().stream(jobs), strict=True):
        if isinstance(other, ClipFailed):
            assert one == other
            continue
        assert one.source == other.source
        np.testing.assert_array_equal(one.frames.rgb_UHWC, other.frames.rgb_UHWC)
        for field in dataclasses.fields(one.frames.meta):
            here, there_ = getattr(one.frames.meta, field.name), getattr(other.frames.meta, field.name)
            np.testing.assert_array_equal(here, there_)
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize(
    ("name", "stage", "reason"),
    [
        ("segfault", "decode", r"the decoder crashed on it in 2 attempts \(SIGSEGV\)"),
        ("abort", "decode", r"the decoder crashed on it in 2 attempts \(SIGABRT\)"),
        ("exit", "decode", r"the decoder crashed on it in 2 attempts \(exit code 3\)"),
        ("hungry", "decode", "its frames do not fit into the decoder's memory"),
        ("hang", "decode", "not decoded within 4 s; cut the clip shorter, or raise --clip-seconds"),
    ],
)
def test_a_clip_that_kills_or_holds_its_decoder_fails_alone(folder, faulty, name, stage, reason):
    with DecodePool(1, clip_seconds=4) as pool:
        before, there, after = answers(pool, jobs_of(folder, "b", name, "c"))
    assert isinstance(before, Decoded)
    assert isinstance(after, Decoded)
    assert isinstance(there, ClipFailed)
    assert there.stage == stage
    assert re.fullmatch(reason, there.reason)


def test_a_child_that_is_killed_is_replaced_and_nothing_is_lost(folder):
    jobs = jobs_of(folder, *NAMES)
    with DecodePool(1) as pool:
        stream = pool.stream(jobs)
        next(stream)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        assert [type(answer) for _, answer in stream] == [Decoded] * (len(jobs) - 1)
        assert pool.pids != [pid]


def test_ctrl_c_does_not_end_a_child_that_is_starting():
    child = Child(CHILD_BYTES)
    try:
        os.kill(child.pid, signal.SIGINT)
        child.greet()
    finally:
        child.kill()
        child.stop()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_pixels_that_wait_are_bounded_and_room_comes_back(folder):
    size = 4 * 96 * 128 * 3
    taken = []

    def buffer(num_bytes):
        taken.append(num_bytes)
        return np.empty(num_bytes, dtype=np.uint8)

    with DecodePool(2, waiting_bytes=2 * size, buffer=buffer) as pool:
        stream = pool.stream(jobs_of(folder, *NAMES))
        next(stream)
        time.sleep(1.0)
        assert taken == [size] * 2
        assert len(list(stream)) == len(NAMES) - 1
        left = pool.stream(jobs_of(folder, *NAMES))
        next(left)
        left.close()
        assert len(answers(pool, jobs_of(folder, *NAMES))) == len(NAMES)
        left = pool.stream(jobs_of(folder, *NAMES))
        next(left)
        with pytest.raises(KeyboardInterrupt):
            left.throw(KeyboardInterrupt)
        deadline = time.monotonic() + 20
        while pool._room._taken and time.monotonic() < deadline:
            time.sleep(0.05)
        assert pool._room._taken == 0


def test_children_that_cannot_start_end_the_run_and_blame_no_clip(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with DecodePool(1) as pool, pytest.raises(OusError, match=r"do not start \(exit code 1\); see the lines"):
        list(pool.stream(jobs_of(folder, *NAMES)))


def wait_for_children(pool, number, seconds=60.0):
    until = time.monotonic() + seconds
    while len(pool.pids) < number and time.monotonic() < until:
        time.sleep(0.05)
    return pool.pids


def test_children_that_start_at_once_are_there_before_the_first_job_and_do_it(folder):
    with DecodePool(2, starts_at_once=True) as pool:
        pids = wait_for_children(pool, 2)
        assert len(pids) == 2
        assert [type(answer) for answer in answers(pool, jobs_of(folder, *NAMES))] == [Decoded] * len(NAMES)
        assert sorted(pool.pids) == sorted(pids)
    assert all(gone(pid) for pid in pids)


def test_children_that_start_at_once_and_are_not_needed_end_with_the_pool():
    pool = DecodePool(2, starts_at_once=True)
    pids = wait_for_children(pool, 2)  # they import their modules now
    pool.close()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_child_that_could_not_start_at_once_is_tried_again_at_the_first_job(folder, monkeypatch):
    real = sys.executable
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with DecodePool(1, starts_at_once=True) as pool:
        with pytest.raises(OusError, match=r"do not start \(exit code 1\)"):
            answers(pool, jobs_of(folder, "a"))
        monkeypatch.setattr(sys, "executable", real)
        assert type(answers(pool, jobs_of(folder, "a"))[0]) is Decoded


def test_two_threads_share_the_children(folder):
    found = {}
    with DecodePool(1) as pool:

        def stream(names):
            found[names] = answers(pool, jobs_of(folder, *names))

        threads = [threading.Thread(target=stream, args=(names,)) for names in (NAMES[:3], NAMES[3:])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert {names: [type(answer) for answer in found[names]] for names in found} == {
        NAMES[:3]: [Decoded] * 3,
        NAMES[3:]: [Decoded] * 3,
    }


def test_closing_the_pool_ends_a_stream_that_waits(folder, faulty):
    pool, ended = DecodePool(1), []

    def stream():
        try:
            answers(pool, jobs_of(folder, "hang", "a", "b"))
        except PoolClosedError as error:
            ended.append(error)

    thread = threading.Thread(target=stream)
    thread.start()
    time.sleep(1.0)
    pool.close()
    thread.join(60)
    assert len(ended) == 1
    with pytest.raises(PoolClosedError):
        answers(pool, jobs_of(folder, "a"))


def test_memory_that_this_process_has_not_got_is_told_to_the_caller(folder):
    short = [True]

    def buffer(num_bytes):
        if short.pop() if short else False:
            raise MemoryError
        return np.empty(num_bytes, dtype=np.uint8)

    with DecodePool(1, buffer=buffer) as pool:
        with pytest.raises(MemoryError):
            answers(pool, jobs_of(folder, "a", "b"))
        assert [type(answer) for answer in answers(pool, jobs_of(folder, *NAMES))] == [Decoded] * 6


_PARENT = """
import sys, time
from pathlib import Path
from tests.test_pool import jobs_of
from pipeline.frames.pool import DecodePool
pool = DecodePool(2, clip_seconds=600)
print(len(list(pool.stream(jobs_of(Path(sys.argv[1]), "a", "b", "c", "d")))), *pool.pids, flush=True)
list(pool.stream(jobs_of(Path(sys.argv[1]), "hang", "hang")))
"""


@pytest.mark.slow
def test_children_do_not_outlive_a_parent_that_is_killed(folder, faulty):
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        num_answers, *pids = map(int, parent.stdout.readline().split())
        time.sleep(0.5)
        parent.kill()
    assert num_answers == 4
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


@contextmanager
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_pixels_arrive_in_the_given_memory_and_small_arrays_outside_of_it():
    pixels, small = np.arange(1 << 20, dtype=np.uint32).view(np.uint8), np.arange(1 << 12)
    sent = {"a": small, "b": [pixels[:1000].reshape(10, 100), pixels[1000:]], "c": small > 3}
    with pair() as (one, other):
        sender = threading.Thread(target=ipc.send, args=(one, sent))
        sender.start()
        message = ipc.receive(other)
        assert (message.num_bytes, message.sizes) == (pixels.nbytes, (1000, pixels.nbytes - 1000))
        target = np.zeros_like(pixels)
        received = ipc.receive_pixels(other, message, target.data)
        sender.join()
    np.testing.assert_array_equal(target, pixels)
    for mine, theirs in zip(received["b"], sent["b"], strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert np.shares_memory(mine, target)
    for name in ("a", "c"):
        np.testing.assert_array_equal(received[name], sent[name])
        assert not np.shares_memory(received[name], target)


def test_an_end_that_is_gone_is_told_from_one_that_is_slow():
    with pair() as (one, other):
        other.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ipc.receive(other)
        one.sendall(b"half a hea")
        one.close()
        with pytest.raises(ipc.ClosedError):
            ipc.receive(other)
        with pytest.raises(ipc.ClosedError):
            ipc.send(other, "who is there?")

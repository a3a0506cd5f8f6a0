"""What may happen to a run, done to real processes. $OUS_TEST_KILLS: how many random moments, [1]."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.store.reader import FeatureCache
from tests import real_runs
from tests.real_runs import (
    alive,
    chunks,
    decoders,
    extract,
    family,
    finish,
    finished_blocks,
    noted_blocks,
    start,
    wait_for,
    with_troubles,
    workers,
)
from tests.small_clips import write_clips

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("OUS_TEST_KILLS", "1"))
THREADS = 2
MODES = {"here": (), "workers": ("--workers", "2")}
TROUBLES = ("abort", "hang", "hungry", "segfault")


@pytest.fixture
def running():
    """Starts runs, and sees to it that none outlives its test."""
    runs = []

    def begin(*args, **options):
        runs.append(start(*args, **options))
        return runs[-1]

    yield begin
    for run in runs:
        if run.poll() is None:
            real_runs.kill_group(run)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_killed_at_random_moments_redoes_what_was_in_flight(
    run_clips, undisturbed_chunks, running, tmp_path, mode
):
    path, moments = tmp_path / "feats.zarr", np.random.default_rng(5)
    in_flight = THREADS * (2 if mode == "workers" else 1)
    lost = []
    for kill in range(KILLS):
        if len(finished_blocks(path)) == len(run_clips.clips) // real_runs.BLOCK_CLIPS:
            path = tmp_path / f"feats{kill}.zarr"
        before, noted = finished_blocks(path), tmp_path / f"noted{kill}"
        run = running(run_clips.root, path, *MODES[mode], noted=noted)
        wait_for(lambda noted=noted, run=run: noted.exists() or run.poll() is not None, "a clip taken up")
        time.sleep(moments.uniform(0.0, 3.0))
        others = list(family(run.pid))
        run.kill()
        run.communicate()
        wait_for(lambda others=others: not alive(others), "workers and decoders end with their client", 60)
        after, begun = finished_blocks(path), noted_blocks(noted, run_clips)
        assert before <= after
        assert not begun & before
        lost.append(len(begun - after))
    assert max(lost) <= in_flight
    code, said = extract(run_clips.root, path, *MODES[mode])
    assert code == 0, said
    assert "was taken over; that run has died" in said
    assert chunks(path) == undisturbed_chunks
    print(f"{mode}: blocks redone after each of {KILLS} kills: {lost}")  # noqa: T201


def test_workers_and_decoders_killed_at_random_moments_cost_nothing_but_time(
    run_clips, undisturbed_chunks, running, tmp_path
):
    path, moments, ended = tmp_path / "feats.zarr", np.random.default_rng(6), []
    killed = {"worker": 0, "decoder": 0}

    hit = set()

    def first_of_its_clip(decoder):
        """A clip whose decoder dies a second time is a failure, as it is meant to be."""
        clips = [file.read_text() for file in tmp_path.glob(f"noted*.{decoder}")]
        is_first = not hit & set(clips)
        hit.update(clips)
        return is_first

    def begin():
        noted = tmp_path / f"noted{len(ended)}"
        run = running(run_clips.root, path, "--workers", "2", noted=noted)
        wait_for(lambda: noted.exists() or run.poll() is not None, "a clip taken up")
        return run

    run = begin()
    while sum(killed.values()) < 2 * KILLS:
        kind = "decoder" if killed["decoder"] <= killed["worker"] else "worker"
        find = workers if kind == "worker" else decoders
        wait_for(lambda find=find, run=run: find(run.pid) or run.poll() is not None, f"a {kind} that runs")
        time.sleep(moments.uniform(0.0, 1.0))
        for victim in find(run.pid)[:1]:
            if kind == "decoder" and not first_of_its_clip(victim):
                continue
            os.kill(victim, signal.SIGKILL)
            killed[kind] += 1
        if run.poll() is not None:
            code, said = finish(run)
            if code == 0:
                break
            ended.append(gave_up(said))
            run = begin()
    else:
        code, said = finish(run)
        if code:
            ended.append(gave_up(said))
            code, said = finish(begin())
    assert code == 0, said
    assert min(killed.values()) >= 1
    assert chunks(path) == undisturbed_chunks
    print(f"killed: {killed}; runs that gave up, each begun again: {ended}")  # noqa: T201


def gave_up(said):
    """How a run ended whose workers or decoders were killed repeatedly; no other end is right."""
    last = said.splitlines()[-1]
    ends = "error: Workers died repeatedly at ", "error: Decoding processes do not start (SIGKILL)"
    assert last.startswith(ends), said
    return last


@pytest.mark.parametrize("mode", MODES)
def test_decoders_that_crash_hang_or_ask_for_too_much_cost_their_clips_alone(
    run_clips, undisturbed_chunks, tmp_path, mode
):
    troubled = with_troubles(tmp_path / "data", 6, TROUBLES)
    path, plain = tmp_path / "feats.zarr", tmp_path / "plain.zarr"
    code, said = extract(troubled.root, path, *MODES[mode], "--clip-seconds", "5")
    assert code == 0, said
    assert extract(write_clips(tmp_path / "good", num_good=6).root, plain)[0] == 0
    with FeatureCache.open(path) as cache, FeatureCache.open(plain) as other:
        ids, reasons = cache.read("clip_id").tolist(), cache.read("reason").tolist()
        told = {Path(i).stem: reason for i, reason in zip(ids, reasons, strict=True) if reason}
        common = other.read("clip_id").tolist()
        rows = [ids.index(clip_id) for clip_id in common]
        for spec in cache.meta.arrays():
            np.testing.assert_array_equal(cache.read(spec.name)[rows], other.read(spec.name), spec.name)
    assert len(common) == 8
    assert {name: told[name] for name in TROUBLES} == {
        "abort": "the decoder crashed on it in 2 attempts (SIGABRT)",
        "hang": "not decoded within 5 s; cut the clip shorter, or raise --clip-seconds",
        "hungry": "its frames do not fit into the decoder's memory",
        "segfault": "the decoder crashed on it in 2 attempts (SIGSEGV)",
    }


@pytest.fixture
def small_disk(tmp_path):
    """A disk of half a megabyte, half of what the cache takes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_ends_the_run_in_one_line_and_room_lets_it_go_on(
    run_clips, undisturbed_chunks, small_disk, mode
):
    path = small_disk / "feats.zarr"
    code, said = extract(run_clips.root, path, *MODES[mode])
    assert code == 1, said
    assert said.splitlines()[-1].startswith("error: ")
    assert "could not be written, at clips" in said
    assert "No space left on device. Stored clips are safe; fix that and run again." in said
    assert "Traceback" not in said
    done = finished_blocks(path)
    assert 0 < len(done) < 6
    assert not list(path.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    code, said = extract(run_clips.root, path, *MODES[mode])
    assert code == 0, said
    assert chunks(path) == undisturbed_chunks


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_ends_soon_and_says_how_to_go_on(run_clips, undisturbed_chunks, running, tmp_path, mode):
    path, noted = tmp_path / "feats.zarr", tmp_path / "noted"
    run = running(run_clips.root, path, *MODES[mode], noted=noted)
    wait_for(lambda: noted.exists() and path.exists() or run.poll() is not None, "a clip taken up")
    time.sleep(1.0)
    others, asked = list(family(run.pid)), time.monotonic()
    os.killpg(run.pid, signal.SIGINT)
    code, said = finish(run)
    seconds = time.monotonic() - asked
    assert code == 130, said
    assert f"stopped; stored clips are safe in {path}. The same command resumes from there." in said
    assert "Traceback" not in said
    wait_for(lambda: not alive(others), "workers and decoders end with their client", 60)
    assert extract(run_clips.root, path, *MODES[mode])[0] == 0
    assert chunks(path) == undisturbed_chunks
    print(f"{mode}: {seconds:.1f} s after Ctrl-C")  # noqa: T201


def test_a_second_run_is_refused_and_told_who_unless_it_takes_over(
    run_clips, undisturbed_chunks, running, tmp_path
):
    path, noted = tmp_path / "feats.zarr", tmp_path / "noted"
    first = running(run_clips.root, path, noted=noted)
    wait_for(lambda: noted.exists() and path.exists(), "a clip taken up")
    os.killpg(first.pid, signal.SIGSTOP)
    code, said = extract(run_clips.root, path)
    assert code == 1
    assert f"'{path}' is being extracted already by " in said
    assert f"process {first.pid}, since " in said
    assert f"is stopped (Ctrl-Z): continue it with `kill -CONT {first.pid}`" in said
    assert "loading the models" not in said
    robbed, noted = first, tmp_path / "noted again"
    second = running(run_clips.root, path, "--take-over", noted=noted)
    wait_for(noted.exists, "a clip taken up by the second run")
    os.killpg(robbed.pid, signal.SIGCONT)
    code, said = finish(robbed)
    assert code == 1, said
    assert f"The lock of '{path}' was taken over by " in said
    assert f"process {second.pid}, since " in said
    code, said = finish(second)
    assert code == 0, said
    assert f"process {robbed.pid}, since " in said
    assert chunks(path) == undisturbed_chunks


def test_two_shares_started_at_the_same_moment_fill_one_cache(
    run_clips, undisturbed_chunks, running, tmp_path
):
    path = tmp_path / "feats.zarr"
    runs = [running(run_clips.root, path, "--blocks", share) for share in ("1/2", "2/2")]
    for code, said in map(finish, runs):
        assert code == 0, said
    assert chunks(path) == undisturbed_chunks

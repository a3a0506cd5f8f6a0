import dataclasses
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import runner
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.errors import CacheError, DatasetError, OusError, WeightsError
from pipeline.executor import LocalExecutor, Observer
from pipeline.features import Encoder
from pipeline.frames.pool import PoolClosedError
from pipeline.frames.requests import DecodeJob
from pipeline.frames.sampling import FrameConfig
from pipeline.process import ExtractConfig, Pace, prepare
from pipeline.runner import BlockWorkerSetup, RunOptions, RunReport, executor_of, worker
from pipeline.store.location import Location
from pipeline.store.lock import Shard, hold
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import DatasetIndex, Status
from tests.small_clips import small_models, small_models_with, write_clips, write_video
from tests.stub_workers import tasks


def extract(index: DatasetIndex, models, path: Path, options: RunOptions, **more) -> RunReport:
    """An extraction by these models, in this process."""
    return runner.extract(index, models.config, executor_of(models), path, options, **more)


def report(path: Path) -> RunReport:
    return runner.report(Location.of(path), processed=0)


def plan(index: DatasetIndex, path: Path, options: RunOptions):
    models = small_models()
    return runner.plan(index, models.config, executor_of(models), path, options)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), num_good=18)


@pytest.fixture(scope="module")
def undisturbed(index, tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "feats.zarr"
    extract(index, small_models(), path, RunOptions())
    return path


def chunks(path: Path) -> dict[str, bytes]:
    """Every file of a cache but the root's attributes, which tell the command line."""
    files = (p for p in path.rglob("*") if p.is_file() and p != path / "zarr.json")
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


def test_other_settings_are_rejected_before_any_weights_are_looked_for(index, undisturbed):
    """Such as the defaults, whose weights are to be downloaded, for a cache of another encoder."""
    config = ExtractConfig()
    executor = LocalExecutor(worker.BlockWorkerSetup(config=config, device="cpu"))
    with pytest.raises(CacheError, match=r"made differently: .* Give another --cache, or the"):
        runner.extract(index, config, executor, undisturbed, RunOptions())


def test_decoders_start_before_the_models_and_end_if_these_cannot_be_loaded(monkeypatch):
    pools = []

    class Pool(worker.DecodePool):
        def __init__(self, *args, **named):
            super().__init__(*args, **named)
            pools.append((self, named["starts_at_once"]))

    def load(*_args, **_named):
        assert [at_once for _, at_once in pools] == [True]
        raise WeightsError("no weights here")  # noqa: TRY003

    monkeypatch.setattr(worker, "DecodePool", Pool)
    monkeypatch.setattr(worker, "load_models", load)
    with pytest.raises(WeightsError, match="no weights here"):
        worker.BlockWorkerSetup(config=ExtractConfig(), device="cpu", decoders=1).start()
    with pytest.raises(PoolClosedError):
        pools[0][0].parts(DecodeJob(path=Path("none.mp4"), config=FrameConfig()))
    assert_ends(pools[0][0])


def assert_ends(pool):
    until = time.monotonic() + 60
    while pool.pids and time.monotonic() < until:
        time.sleep(0.05)
    assert not pool.pids


def test_a_cache_is_filled_and_tells_each_outcome(index, undisturbed):
    found = report(undisturbed)
    assert found.counts == {"pending": 0, "done": 17, "done_without_face": 1, "failed": 2}
    assert {(clip, stage) for clip, stage, _ in found.failures} == {
        ("clips/bad.mp4", "open"),
        ("clips/empty.mp4", "open"),
    }
    assert found.face_found_share == pytest.approx((17 * 4 - 1) / (18 * 4 - 1))
    with FeatureCache.open(undisturbed) as cache:
        assert cache.meta.block_clips == 8
        assert "RANDOM ENCODER WEIGHTS (seed 0): modest" in cache.meta.warnings[0]
        assert np.isfinite(cache.read("face/embedding")[cache.done_rows()]).all()


def test_stopping_anywhere_and_going_on_gives_the_same_bytes(index, undisturbed, tmp_path):
    path = tmp_path / "feats.zarr"
    for limit in (1, 4, 6, None):
        extract(index, small_models(), path, RunOptions(limit=limit))
    assert chunks(path) == chunks(undisturbed)


def test_an_interrupt_in_a_block_leaves_the_finished_ones(index, undisturbed, tmp_path, monkeypatch):
    path, real, calls = tmp_path / "feats.zarr", worker.process_block, []

    def interrupted(*args, **more):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(worker, "process_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(index, small_models(), path, RunOptions())
    left = report(path).counts["pending"]
    assert 4 <= left <= 20  # of the other thread's block, the clips that were not finished are dropped
    monkeypatch.undo()
    assert extract(index, small_models(), path, RunOptions()).processed == left
    assert chunks(path) == chunks(undisturbed)


def test_an_interrupt_in_a_slow_block_leaves_its_finished_clips(index, tmp_path, monkeypatch):
    path, models, calls = tmp_path / "feats.zarr", small_models_with(features={"batch_pictures": 1}), []
    encode = models.encoder.encode

    def interrupted(*args, **more):
        calls.append(args)
        if len(calls) == 7:  # of the fourth clip: faces and scenes are encoded apart
            raise KeyboardInterrupt
        return encode(*args, **more)

    def block_worker():
        return LocalExecutor(worker_in_parts(models))

    monkeypatch.setattr("pipeline.runner.worker._LoadedSetup.slots", 1)
    monkeypatch.setattr(models.encoder, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.extract(index, models.config, block_worker(), path, RunOptions())
    done = len(index.clips) - report(path).counts["pending"]
    assert done == 5  # two failed ones and the first three others
    monkeypatch.undo()
    found = runner.extract(index, models.config, block_worker(), path, RunOptions())
    assert found.processed == len(index.clips) - done
    extract(index, models, tmp_path / "undisturbed.zarr", RunOptions())
    assert chunks(path) == chunks(tmp_path / "undisturbed.zarr")


def worker_in_parts(models):
    return worker._LoadedSetup(worker.BlockWorker(models, _pace=Pace(seconds=0)))


def test_failed_clips_are_done_again_in_parts_too(index, tmp_path, monkeypatch):
    """While they wait, they are pending, with fill values in every array."""
    path, models = tmp_path / "feats.zarr", small_models_with(features={"batch_pictures": 1})
    with monkeypatch.context() as patch:
        patch.setattr(prepare.track_step, "nearest_track", lambda *_: 1 / 0)
        extract(index, models, path, RunOptions())
    assert report(path).counts["failed"] == 20
    seen, real = [], CacheWriter.write_block

    def watched(self, start, rows):
        empty = self.empty_rows(start)
        waiting = rows["status"] == Status.PENDING
        seen.append(int(waiting.sum()))
        for name, value in rows.items():
            np.testing.assert_array_equal(value[waiting], empty[name][waiting], err_msg=name)
        real(self, start, rows)

    monkeypatch.setattr(CacheWriter, "write_block", watched)
    setup = worker_in_parts(models)
    runner.extract(index, models.config, LocalExecutor(setup), path, RunOptions(retry_failed=True))
    assert sum(map(bool, seen)) > 10
    extract(index, models, tmp_path / "undisturbed.zarr", RunOptions())
    assert chunks(path) == chunks(tmp_path / "undisturbed.zarr")


def first_task(index, path, models):
    """The task of the first block of a new cache."""
    found = []

    class Recorded(LocalExecutor):
        def run(self, tasks, observer=None):
            found.extend(tasks)
            return super().run([], observer)

    runner.extract(index, models.config, Recorded(worker_in_parts(models)), path, RunOptions())
    return dataclasses.replace(found[0], claim=None)


def test_another_attempt_computes_the_clips_that_the_first_did_not_store(index, tmp_path, monkeypatch):
    path, models, calls = tmp_path / "feats.zarr", small_models_with(features={"batch_pictures": 1}), []
    task, attempt = first_task(index, path, models), worker_in_parts(models).worker
    encode = models.encoder.encode

    def lost(*args, **more):
        calls.append(args)
        if len(calls) == 7:
            raise MemoryError
        return encode(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(models.encoder, "encode", lost)
        with pytest.raises(OusError, match="Out of memory"):
            attempt.run(task)
    stored = chunks(path)
    again = attempt.run(task)
    assert (again.num_clips, again.num_failed) == (8, 2)
    assert again.num_pictures < 6 * 2 * 4, "three of six clips were stored"
    assert stored != chunks(path)
    extract(index, models, path, RunOptions())
    extract(index, models, tmp_path / "undisturbed.zarr", RunOptions())
    assert chunks(path) == chunks(tmp_path / "undisturbed.zarr")
    assert attempt.run(task).num_pictures == 0
    assert chunks(path) == chunks(tmp_path / "undisturbed.zarr")


def test_a_lost_attempt_takes_no_clip_back_that_another_has_stored(index, tmp_path, monkeypatch):
    path, models = tmp_path / "feats.zarr", small_models_with(features={"batch_pictures": 1})
    task = first_task(index, path, models)
    late, other, stores, real = (
        worker_in_parts(models).worker,
        worker_in_parts(models).worker,
        [],
        CacheWriter.write_block,
    )

    def in_between(self, start, rows):
        stores.append((rows["status"] == Status.PENDING).sum())
        if len(stores) == 2:  # the other attempt does the whole block before the late one continues
            with monkeypatch.context() as patch:
                patch.setattr(CacheWriter, "write_block", real)
                other.run(task)
        real(self, start, rows)

    monkeypatch.setattr(CacheWriter, "write_block", in_between)
    late.run(task)
    monkeypatch.undo()
    assert max(stores) > 0
    extract(index, models, path, RunOptions())
    extract(index, models, tmp_path / "undisturbed.zarr", RunOptions())
    assert chunks(path) == chunks(tmp_path / "undisturbed.zarr")


def test_a_run_whose_lock_is_taken_over_writes_no_further_block(index, undisturbed, tmp_path, monkeypatch):
    path, real, calls = tmp_path / "feats.zarr", worker.process_block, []
    robber = ExitStack()

    def robbed(*args, **more):
        calls.append(args)
        if len(calls) == 2:
            robber.enter_context(hold(path, take_over=True, beat_seconds=600))
        return real(*args, **more)

    monkeypatch.setattr(worker, "process_block", robbed)
    monkeypatch.setattr("pipeline.runner.worker._LoadedSetup.slots", 1)
    with robber, pytest.raises(CacheError, match="was taken over by .*; this run ends here"):
        extract(index, small_models(), path, RunOptions())
    assert len(calls) == 2
    assert report(path).counts["pending"] == len(index.clips) - 8
    monkeypatch.undo()
    extract(index, small_models(), path, RunOptions())
    assert chunks(path) == chunks(undisturbed)


def test_a_run_whose_lock_is_lost_ends_within_seconds_while_a_block_goes_on(monkeypatch):
    monkeypatch.setattr("pipeline.executor.local._left_inside", [])  # the command line asks for it at its end
    held, started = threading.Event(), threading.Event()

    class Slow:
        def run(self, task, context):
            started.set()
            held.wait(60)
            context.cancel.raise_if_cancelled()

    class Setup(BlockWorkerSetup):
        def start(self, cores=None):
            return Slow()

    class Lost(Observer):
        def on_tick(self):
            if started.is_set():
                msg = "The lock was taken over; this run ends here."
                raise CacheError(msg)

    executor = LocalExecutor(Setup(config=ExtractConfig(), device="cpu"))
    before = time.monotonic()
    with pytest.raises(CacheError, match="this run ends here"):
        list(executor.run(tasks("", ""), Lost()))
    assert time.monotonic() - before < 10
    held.set()


def test_a_fault_of_the_gpu_ends_the_run_in_one_line_and_no_clip_is_to_blame(index, tmp_path, monkeypatch):
    path = tmp_path / "feats.zarr"

    def faulty(*_args, **_more):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")  # noqa: TRY003

    monkeypatch.setattr(worker, "process_block", faulty)
    with pytest.raises(
        OusError, match=r"^The GPU on .* reports an error \(CUDA error: an illegal .*are safe\. Run"
    ):
        extract(index, small_models(), path, RunOptions())
    assert report(path).counts["failed"] == 0


def test_a_finished_cache_has_nothing_to_do(index, undisturbed):
    seen = []
    again = extract(index, small_models(), undisturbed, RunOptions(), on_progress=seen.append)
    assert (again.processed, again.speed, [speed.total for speed in seen]) == (0, None, [0])


def test_failed_clips_are_taken_up_on_request_only(tmp_path):
    index, path = write_clips(tmp_path / "data", num_good=2), tmp_path / "feats.zarr"
    extract(index, small_models(), path, RunOptions())
    assert extract(index, small_models(), path, RunOptions(retry_failed=True)).processed == 2
    with FeatureCache.open(path) as cache:
        before = cache.read("face/embedding", 2, 4)
        sizes = [(index.root / clip.path).stat().st_size for clip in index.clips[2:]]
        assert cache.read("source_bytes").tolist() == [-1, -1, *sizes]
    assert extract(index, small_models(), path, RunOptions()).processed == 0
    with FeatureCache.open(path) as cache:
        np.testing.assert_array_equal(cache.read("face/embedding", 2, 4), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"streams": {"scene": "full"}}, 'streams.scene: "full" here, "masked" there'),
        ({"frames": {"num_frames": 5}}, "frames.num_frames: 5 here, 4 there"),
        ({"encoder": {"seed": 1}}, "encoder.text_sha256: .* here, .* there"),
        ({"features": {"precision": "bf16"}}, 'features.precision: "bf16" here, "fp32" there'),
    ],
)
def test_another_config_is_refused_with_the_difference_named(index, undisturbed, settings, message):
    with pytest.raises(CacheError, match=message) as caught:
        extract(index, small_models_with(**settings), undisturbed, RunOptions())
    assert "Give another --cache, or the settings it was made with" in str(caught.value)


def test_other_clips_are_refused_by_name(undisturbed, tmp_path):
    changed = write_clips(tmp_path / "changed", num_good=18)
    write_video(tmp_path / "changed" / "clips/good3.mp4", num_frames=30, seed=77)
    with pytest.raises(
        CacheError, match="the files of 1 clip have another size .*, first 'clips/good3.mp4': .* bytes here"
    ):
        extract(changed, small_models(), undisturbed, RunOptions())
    manifest = tmp_path / "changed" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("rage", "fury"))
    from pipeline.datasets import read_dataset

    with pytest.raises(CacheError, match=r'class_names: \["fury", "joy"\] here, \["joy", "rage"\] there'):
        extract(read_dataset("manifest", tmp_path / "changed"), small_models(), undisturbed, RunOptions())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_seconds": 0.2}, "start_seconds of 1 clip, first 'clips/good3.mp4': 0.2 here, 0.0 there"),
        ({"end_seconds": 0.5}, "end_seconds of 1 clip, first 'clips/good3.mp4': 0.5 here, -1.0 there"),
        ({"provided_boxes": None}, "given_boxes_sha256 of 1 clip, first 'clips/good3.mp4':  here, .* there"),
        ({"label": 0}, "label of 1 clip, first 'clips/good3.mp4': 0 here, 1 there. `cache relabel`"),
    ],
)
def test_another_window_box_or_label_of_one_clip_is_refused(index, undisturbed, change, message):
    clips = [
        dataclasses.replace(clip, **change) if clip.clip_id == "clips/good3.mp4" else clip
        for clip in index.clips
    ]
    with pytest.raises(CacheError, match=message):
        extract(dataclasses.replace(index, clips=tuple(clips)), small_models(), undisturbed, RunOptions())


def test_a_bad_file_made_good_is_taken_up_and_one_that_vanishes_is_told(tmp_path):
    index, path = write_clips(tmp_path / "data", num_good=2), tmp_path / "feats.zarr"
    extract(index, small_models(), path, RunOptions())
    write_video(index.root / "clips/bad.mp4")
    (index.root / "clips/good1.mp4").unlink()
    again = extract(index, small_models(), path, RunOptions(retry_failed=True))
    assert again.counts == {"pending": 0, "done": 2, "done_without_face": 1, "failed": 1}
    told = "1 clip with features has no file any more (clips/good1.mp4); the features stay, unchecked"
    assert again.notes == (told,)
    assert extract(index, small_models(), path, RunOptions()).processed == 0


def test_a_retried_clip_is_pending_until_its_block_is_written(tmp_path, monkeypatch):
    index, path = write_clips(tmp_path / "data", num_good=2), tmp_path / "feats.zarr"
    extract(index, small_models(), path, RunOptions())

    def killed(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "process_block", killed)
    with pytest.raises(KeyboardInterrupt):
        extract(index, small_models(), path, RunOptions(retry_failed=True))
    assert report(path).counts == {"pending": 2, "done": 2, "done_without_face": 0, "failed": 0}
    monkeypatch.undo()
    extract(index, small_models(), path, RunOptions())
    assert report(path).counts["failed"] == 2


def test_provided_boxes_that_nobody_gave_are_refused(index, tmp_path):
    clips = tuple(dataclasses.replace(clip, provided_boxes=None) for clip in index.clips)
    with pytest.raises(DatasetError, match="--faces boxes, but no clip of .* has a box; add the columns"):
        extract(dataclasses.replace(index, clips=clips), small_models(), tmp_path / "c.zarr", RunOptions())
    assert not (tmp_path / "c.zarr").exists()


def test_a_plan_tells_bytes_and_writes_nothing(index, undisturbed, tmp_path):
    path = tmp_path / "feats.zarr"
    fresh = plan(index, path, RunOptions(limit=5))
    assert not path.exists()
    shown = to_json_values(fresh)
    assert {name: shown[name] for name in ("num_clips", "num_pending", "num_blocks", "block_clips")} == {
        "num_clips": 20, "num_pending": 5, "num_blocks": 3, "block_clips": 8,
    }  # fmt: skip
    assert shown["bytes_by_array"]["scene/early"] == 20 * 1 * 4 * 4 * 3 * 64 * 2
    assert (shown["num_timed"], shown["num_failed"], shown["where"]) == (5, 2, "in this process")
    assert "!! 5 clips to time, fewer than 8: a rough estimate" in lines(fresh)
    finished = plan(index, undisturbed, RunOptions())
    assert (to_json_values(finished)["num_timed"], finished.estimate.seconds) == (0, None)
    assert lines(finished)[-1] == "nothing to do; nothing was written"
    assert "0 of 20 clips to do, in 0 of 3 blocks of 8" in lines(finished)[0]


def test_shares_together_give_the_same_bytes(index, undisturbed, tmp_path):
    path = tmp_path / "feats.zarr"
    first = plan(index, path, RunOptions(shard=Shard(1, 2)))
    assert (first.outline.workload.num_clips, len(first.outline.workload.blocks)) == (12, 2)
    assert extract(index, small_models(), path, RunOptions(shard=Shard(1, 2))).processed == 12
    assert extract(index, small_models(), path, RunOptions(shard=Shard(2, 2))).processed == 8
    assert chunks(path) == chunks(undisturbed)


def test_a_worker_with_other_models_is_refused(index, tmp_path, monkeypatch):
    path, models = tmp_path / "feats.zarr", small_models()

    mixed = executor_of(models)
    monkeypatch.setattr(
        mixed, "ask_worker", executor_of(small_models_with(streams={"scene": "full"})).ask_worker
    )
    config = small_models_with(streams={"scene": "full"}).config
    with pytest.raises(
        CacheError, match='other features than .*: streams.scene: "masked" here, "full" there'
    ):
        runner.extract(index, config, mixed, path)


def test_a_run_tells_its_speed_and_its_bottleneck(index, tmp_path, monkeypatch):
    seen, encode = [], Encoder.encode

    def slow(self, *args, **kwargs):
        time.sleep(0.5)  # the small encoder would be as fast as the disk
        return encode(self, *args, **kwargs)

    monkeypatch.setattr(Encoder, "encode", slow)
    done = extract(index, small_models(), tmp_path / "feats.zarr", RunOptions(), on_progress=seen.append)
    assert seen[0].clips == 0
    assert seen[0].total == 20
    assert seen[-1].clips == pytest.approx(20)
    assert [speed.clips for speed in seen] == sorted(speed.clips for speed in seen)
    assert done.speed.bottleneck == "encode"
    assert done.speed.failed == 2
    assert done.speed.pictures == 2 * (17 * 4 + 3)
    assert "clips/s; " in str(done.speed)
    assert to_json_values(done)["speed"]["bottleneck"] == "encode"


def test_clips_without_a_file_count_neither_as_progress_nor_in_rates(tmp_path):
    index, path, seen, remarks = write_clips(tmp_path / "data", num_good=9), tmp_path / "feats.zarr", [], []
    gone = [clip.path for clip in index.clips if "good" in clip.path][1:]
    for name in gone:
        (index.root / name).unlink()
    done = extract(index, small_models(), path, RunOptions(), on_progress=seen.append, say=remarks.append)
    assert [speed.total for speed in seen] == [3] * len(seen)
    assert seen[-1].clips == 3
    assert (done.processed, done.num_missing, done.counts["failed"], done.speed.failed) == (3, 8, 10, 2)
    assert done.speed.pictures == 2 * 4
    assert "8 more clips without a file, recorded as failed" in lines(done)
    assert remarks[1:] == [
        f"note: 8 of 11 clips to do have no file ({', '.join(gone[:3])} and 5 more); they are recorded as "
        "failed, and count neither as progress nor in rates"
    ]


def test_a_run_names_its_precision_and_counts_clips_with_damage(tmp_path):
    index, path = write_clips(tmp_path / "data", num_good=3), tmp_path / "feats.zarr"
    file = index.root / "clips/good0.mp4"
    content = bytearray(file.read_bytes())
    start = content.index(b"mdat") + len(content) // 2
    content[start : start + 400] = bytes(400)
    file.write_bytes(content)
    done = extract(index, small_models(), path, RunOptions())
    assert (done.num_damaged, dict(done.precision)) == (1, {"encoder": "fp32"})
    (line,) = [line for line in lines(done) if line.startswith("5 clips in ")]
    assert line.endswith("; encoder in fp32")
    assert any(line.startswith("1 clip with damage (") for line in lines(done))
    again = extract(index, small_models(), path, RunOptions())
    assert (again.num_damaged, to_json_values(again)["precision"]) == (0, {"encoder": "fp32"})


def test_a_run_counts_windows_that_end_after_their_file(tmp_path):
    index, path = write_clips(tmp_path / "data", num_good=3), tmp_path / "feats.zarr"
    clips = tuple(
        dataclasses.replace(clip, end_seconds=900.0) if clip.path == "clips/good0.mp4" else clip
        for clip in index.clips
    )
    done = extract(dataclasses.replace(index, clips=clips), small_models(), path, RunOptions())
    note = (
        "1 clip done with an end_seconds after the end of the file; `cli.py cache info "
        f"{path} --all-clips` lists them"
    )
    assert note in done.notes
    assert f"note: {note}" in lines(done)


def test_no_cache_is_made_with_weights_that_stand_in(index, tmp_path):
    models = dataclasses.replace(small_models(), stand_ins=("modest",))
    with pytest.raises(WeightsError, match="No cache is created with random weights .* of modest"):
        extract(index, models, tmp_path / "feats.zarr", RunOptions())
    assert not (tmp_path / "feats.zarr").exists()


def test_what_the_models_had_to_do_is_told_once(index, tmp_path, monkeypatch):
    models = small_models()
    monkeypatch.setattr(type(models), "warnings", property(lambda _: ("half the batch",)))
    done = extract(index, models, tmp_path / "feats.zarr", RunOptions())
    assert done.notes == ("half the batch",)
    assert "note: half the batch" in lines(done)


def test_a_run_reads_the_whole_status_for_its_plan_its_sweep_and_its_report(index, undisturbed, monkeypatch):
    read, real = [], FeatureCache.read
    monkeypatch.setattr(
        FeatureCache,
        "read",
        lambda cache, name, *rows, **how: (read.append(name), real(cache, name, *rows, **how))[1],
    )
    assert extract(index, small_models(), undisturbed, RunOptions()).processed == 0
    assert read.count("status") == 3


def test_the_models_are_described_once_however_many_blocks(index, tmp_path, monkeypatch):
    models, real, calls = small_models(), type(small_models()).identity, []

    def counting(self):
        calls.append(self)
        return real(self)

    monkeypatch.setattr(type(models), "identity", counting)
    assert extract(index, models, tmp_path / "feats.zarr", RunOptions()).processed == 20
    assert len(calls) == 1


def test_memory_that_does_not_suffice_is_one_line(index, tmp_path, monkeypatch):
    def hungry(*_args, **_more):
        raise MemoryError("12 GB asked")  # noqa: TRY003

    monkeypatch.setattr(worker, "process_block", hungry)
    with pytest.raises(
        OusError, match=r"Out of memory at a block of \d clips, .*12 GB asked.*fewer --workers"
    ):
        extract(index, small_models(), tmp_path / "feats.zarr", RunOptions())


def test_hdf5_is_no_place_for_extraction(index, tmp_path):
    with pytest.raises(CacheError, match="has the suffix of an HDF5 file; extraction writes Zarr"):
        extract(index, small_models(), tmp_path / "feats.h5", RunOptions())


_CHILD = """
import sys
from pathlib import Path
from pipeline.datasets import read_dataset
from pipeline.runner import executor_of, extract
from tests.small_clips import small_models
import torch
torch.set_num_threads(2)
models = small_models()
print("ready", flush=True)
extract(read_dataset("manifest", Path(sys.argv[1])), models.config, executor_of(models), sys.argv[2])
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_still_ends_with_the_same_bytes(index, undisturbed, tmp_path):
    path, generator, kills = tmp_path / "feats.zarr", np.random.default_rng(0), 0
    while kills < 3:
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(index.root), str(path)],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
        ) as child:
            child.stdout.readline()
            time.sleep(generator.uniform(0.0, 0.8))
            child.send_signal(signal.SIGKILL)
        if child.returncode == 0:
            break
        kills += 1
    assert kills
    extract(index, small_models(), path, RunOptions())
    assert chunks(path) == chunks(undisturbed)

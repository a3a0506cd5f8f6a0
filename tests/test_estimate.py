"""The estimate of a run: by an executor whose clips take known times, and by one with real models."""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline import runner
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.executor import LocalExecutor
from pipeline.faces import DetectorConfig, FaceConfig
from pipeline.process import InlineDecoder, StageSeconds, load_models
from pipeline.runner import RunOptions, executor_of, model_info
from pipeline.runner.block_task import BlockReport
from pipeline.runner.worker import BlockWorker, BlockWorkerSetup
from pipeline.store.writer import CacheWriter
from pipeline.types import ClipRef, DatasetIndex, ProvidedBoxes, Split
from tests.small_clips import small_models, small_models_with, write_clips

BOX = ProvidedBoxes(box_xyxy=np.array([[0, 0, 9, 9]], np.float32))
SECONDS_OF_BLOCK, SECONDS_OF_CLIP, SECONDS_PER_BYTE = 0.05, 0.2, 0.001


class Clocked(LocalExecutor):
    """Takes a block's time, a clip's, and one by the bytes of its file; `ran` keeps the blocks' clips."""

    def __init__(self, root, now, info):
        self.root, self.now, self.ran, self._info = root, now, [], info

    def ask_setup(self, question, observer=None):
        return dataclasses.replace(self._info, has_weights=False)

    def ask_worker(self, question, observer=None):
        return self._info

    def seconds(self, clips) -> float:
        paths = [self.root / clip.path for clip in clips]
        sizes = [path.stat().st_size for path in paths if path.exists()]
        return SECONDS_OF_BLOCK + len(sizes) * SECONDS_OF_CLIP + sum(sizes) * SECONDS_PER_BYTE

    def run(self, tasks, observer=None):
        for task in tasks:
            self.ran.append([clip.path for clip in task.clips])
            assert task.trial is not None, "an estimate writes nothing"
            self.now[0] += self.seconds(task.clips)
            yield (
                task,
                BlockReport(
                    start=0, num_clips=task.num_there, num_failed=0, num_pictures=0, seconds=StageSeconds()
                ),
            )


@pytest.fixture
def clocked(tmp_path, monkeypatch):
    """Makes an executor for an index of clips with files of these sizes; -1 for one without a file."""
    now = [0.0]
    for module in ("timing", "estimate"):
        monkeypatch.setattr(f"pipeline.runner.{module}.time.monotonic", lambda: now[0])

    def make(sizes):
        clips = []
        for number, size in enumerate(sizes):
            name = f"{number:05d}.mp4"
            if size >= 0:
                (tmp_path / name).write_bytes(bytes(int(size)))
            clips.append(ClipRef(clip_id=name, path=name, label=0, splits=(Split.TRAIN,), provided_boxes=BOX))
        index = DatasetIndex(
            name="manifest", root=tmp_path, class_names=("a", "b"), fold_names=("1",), clips=tuple(clips)
        )
        return index, Clocked(tmp_path, now, model_info(executor_of(small_models())))

    return make


def plan(index, executor, path, **options):
    return runner.plan(index, small_models().config, executor, path, RunOptions(**options))


@pytest.mark.parametrize("share_there", [1.0, 0.5, 0.05])
def test_an_estimate_is_near_the_time_of_the_run(clocked, tmp_path, share_there):
    random = np.random.default_rng(1)
    sizes = random.lognormal(5, 1.2, 600)  # most small, a few thirty times as large
    index, executor = clocked(np.where(random.random(600) < share_there, sizes, -1))
    found = plan(index, executor, tmp_path / "c.zarr").estimate
    blocks = [index.clips[start : start + 8] for start in range(0, 600, 8)]
    assert found.seconds == pytest.approx(sum(map(executor.seconds, blocks)), rel=0.15)
    assert found.num_timed >= 8


def test_at_least_eight_clips_in_whole_blocks_are_timed_after_a_first_pass(clocked, tmp_path):
    index, executor = clocked([2000] * 80)
    found = plan(index, executor, tmp_path / "c.zarr").estimate
    warm_up, timed = executor.ran[:2], executor.ran[2:]
    assert ([len(clips) for clips in warm_up], [len(clips) for clips in timed]) == ([1, 1], [8, 8])
    assert found.num_timed == 16
    assert found.seconds == pytest.approx(10 * executor.seconds(index.clips[:8]))


def test_a_quick_timing_is_followed_by_one_of_more_blocks(clocked, tmp_path):
    index, executor = clocked([1] * 800)
    found = plan(index, executor, tmp_path / "c.zarr").estimate
    assert found.num_timed == 8 * 8  # 12 seconds of 1.66 a block
    few, executor = clocked([1] * 24)
    assert plan(few, executor, tmp_path / "c.zarr").estimate.num_timed == 24


@pytest.mark.parametrize(
    ("sizes", "num_timed", "line"),
    [
        ([9] * 3 + [-1] * 9, 3, "!! 3 clips to time, fewer than 8: a rough estimate"),
        ([-1] * 12, 0, "NO ESTIMATE OF THE TIME: no pending clip has a file; nothing was written"),
    ],
)
def test_few_clips_and_none_at_all_are_named(clocked, tmp_path, sizes, num_timed, line):
    index, executor = clocked(sizes)
    found = plan(index, executor, tmp_path / "c.zarr")
    assert found.estimate.num_timed == num_timed
    assert line in lines(found)
    assert f"  {sizes.count(-1)} of them have no file (" in lines(found)[1]
    assert to_json_values(found)["num_missing"] == sizes.count(-1)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), num_good=9)


def executor_for_timing(config) -> LocalExecutor:
    executor = LocalExecutor(BlockWorkerSetup(config=config, for_timing=True))
    executor._worker = BlockWorker(load_models(config, torch.device("cpu"), for_timing=True), InlineDecoder())
    return executor


def test_random_weights_stand_in_for_missing_ones_and_are_named(index, tmp_path, monkeypatch):
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    config = small_models().config
    config = dataclasses.replace(
        config, encoder=dataclasses.replace(config.encoder, weights=str(tmp_path / "none.pt"))
    )
    path = tmp_path / "feats.zarr"
    executor = executor_for_timing(config)
    found = runner.plan(index, config, executor, path, RunOptions())
    assert found.estimate.stand_ins == (f"modest ({tmp_path / 'none.pt'})",)
    assert found.estimate.seconds > 0
    assert lines(found)[-3].startswith("!! RANDOM WEIGHTS in the timing: those of modest (")
    assert not path.exists()


def test_a_detector_without_its_weights_is_timed_with_random_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    config = dataclasses.replace(
        small_models().config,
        faces=FaceConfig(),
        detector=DetectorConfig(name="retinaface-mobilenet0.25"),
    )
    models = load_models(config, torch.device("cpu"), for_timing=True)
    assert models.stand_ins == ("retinaface-mobilenet0.25",)
    assert models.detector.weights_sha256 == ""
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_is_there_is_compared_as_far_as_known(index, tmp_path):
    path, models = tmp_path / "feats.zarr", small_models()
    runner.extract(index, models.config, executor_of(models), path, RunOptions(limit=8))
    other = dataclasses.replace(models.config.encoder, seed=1)
    from pipeline.errors import CacheError

    first = []
    config = dataclasses.replace(models.config, encoder=other)
    executor = executor_for_timing(config)
    with pytest.raises(CacheError, match="encoder.visual_sha256"):
        runner.plan(index, config, executor, path, RunOptions(), on_outline=first.append)
    full = small_models_with(streams={"scene": "full"}).config
    with pytest.raises(CacheError, match="streams.scene"):
        runner.plan(index, full, LocalExecutor(BlockWorkerSetup(config=full)), path, RunOptions())


def test_a_trial_writes_what_a_run_does_and_only_to_memory(index, tmp_path, monkeypatch):
    written, real = [], CacheWriter.write_block

    def write(self, start, rows):
        written.append((str(self.place), start, rows["status"].tolist()))
        real(self, start, rows)

    monkeypatch.setattr(CacheWriter, "write_block", write)
    models, path = small_models(), tmp_path / "feats.zarr"
    runner.plan(index, models.config, executor_of(models), path, RunOptions())
    assert {(place, start) for place, start, _ in written} == {("memory", 0)}
    assert any(1 in status for _, _, status in written)
    assert list(tmp_path.iterdir()) == []

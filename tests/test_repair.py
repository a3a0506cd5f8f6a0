import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import runner
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.errors import CacheError
from pipeline.repair import repair
from pipeline.runner import executor_of, model_info
from pipeline.store.location import Location
from pipeline.store.lock import hold
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.verify import verify_stored
from tests.real_runs import chunks
from tests.small_clips import small_models, write_clips, write_video
from tests.tiny_clip import PYTHONPATH


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), num_good=18)


@pytest.fixture(autouse=True)
def loaded_models(monkeypatch):
    """The executor that a repair makes has the models that the tests have loaded already."""
    monkeypatch.setattr("pipeline.repair.make_executor", lambda config, _: executor_of(small_models()))


@pytest.fixture(scope="module")
def undisturbed(index, tmp_path_factory):
    models, path = small_models(), tmp_path_factory.mktemp("cache") / "feats.zarr"
    runner.extract(index, models.config, executor_of(models), path)
    return path


@pytest.fixture
def made(undisturbed, tmp_path):
    """A complete cache of three blocks, and its chunks."""
    path = shutil.copytree(undisturbed, tmp_path / "feats.zarr")
    return path, chunks(path)


def chunk(path: Path, name: str, block: int) -> Path:
    folder = path / name / "c" / str(block)
    return next(p for p in (folder, *sorted(folder.rglob("*"))) if p.is_file())


def flip(file: Path) -> None:
    value = bytearray(file.read_bytes())
    value[len(value) // 3] ^= 4
    file.write_bytes(value)


def test_a_whole_cache_is_left_alone(made):
    path, before = made
    report = repair(path)
    assert report.repaired == ()
    assert lines(report) == [f"{path}: nothing damaged in 3 blocks"]
    assert chunks(path) == before


@pytest.mark.parametrize("name", ["scene/early", "status", "source_sha256", "face_box"])
def test_a_flipped_bit_is_found_and_its_block_alone_is_computed_again(made, name):
    path, before = made
    flip(chunk(path, name, 1))
    with FeatureCache.open(path) as cache:
        assert any(finding.where == "chunks" for finding in verify_stored(cache))
    kept = {p: p.stat().st_mtime_ns for p in (chunk(path, "scene/early", block) for block in (0, 2))}
    seen, told = [], []
    report = repair(path, on_block=lambda: seen.append(1), on_progress=told.append)
    assert [(block.start, block.end) for block in report.repaired] == [(8, 16)]
    assert lines(report) == [
        f"repaired  clips 8 to 15: {name} cannot be read",
        f"{path}: 1 of 3 blocks recomputed, nothing damaged any more",
    ]
    assert len(seen) == 3
    assert (told[-1].clips, told[-1].total) == (8, 8)
    assert chunks(path) == before
    assert {p: p.stat().st_mtime_ns for p in kept} == kept


def test_what_the_models_had_to_do_is_told(made, monkeypatch):
    path, _ = made
    flip(chunk(path, "scene/early", 1))
    monkeypatch.setattr(type(small_models()), "warnings", property(lambda _: ("half the batch",)))
    report = repair(path)
    assert report.notes == ("half the batch",)
    assert lines(report)[0] == "note: half the batch"


def test_one_block_is_said_in_the_singular(tmp_path):
    models, path = small_models(), tmp_path / "feats.zarr"
    runner.extract(write_clips(tmp_path / "data", num_good=3), models.config, executor_of(models), path)
    assert lines(repair(path)) == [f"{path}: nothing damaged in 1 block"]
    flip(chunk(path, "scene/early", 0))
    assert lines(repair(path))[-1] == f"{path}: 1 of 1 block recomputed, nothing damaged any more"


def test_chunks_that_vanished_come_back(made):
    path, before = made
    for name, block in (("face/embedding", 0), ("frame_index", 2)):
        chunk(path, name, block).unlink()
    report = repair(path)
    assert [block.troubles for block in report.repaired] == [
        ("face/embedding is missing",),
        ("frame_index is missing",),
    ]
    assert chunks(path) == before


def test_features_that_are_no_numbers_are_computed_again(made):
    path, before = made
    writer = CacheWriter.resume(path)
    rows = writer.read_block(8)
    rows["scene/early"][2, 0, 0, 1, 2, 3] = np.nan
    writer.write_block(8, rows)
    assert lines(repair(path)) == [
        "repaired  clips 8 to 15: scene/early holds NaN or infinity",
        f"{path}: 1 of 3 blocks recomputed, nothing damaged any more",
    ]
    assert chunks(path) == before


def test_other_models_are_refused_and_nothing_is_touched(made, monkeypatch):
    path, _ = made
    flip(chunk(path, "scene/early", 1))
    damaged = chunks(path)
    other = executor_of(small_models())
    info = model_info(other)
    info.identity["features"]["precision"] = "bf16"
    monkeypatch.setattr(other, "ask_worker", lambda *_: info)
    monkeypatch.setattr("pipeline.repair.make_executor", lambda config, _: other)
    with pytest.raises(
        CacheError, match='only by the models that made it: features.precision: "bf16" here, "fp32" there'
    ):
        repair(path)
    assert chunks(path) == damaged


def test_other_clips_are_refused_and_nothing_is_touched(made, tmp_path):
    path, _ = made
    flip(chunk(path, "scene/early", 1))
    damaged = chunks(path)
    other = write_clips(tmp_path / "other", num_good=17)
    (other.root / "clips/good0.mp4").rename(other.root / "clips/another.mp4")
    manifest = other.root / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("clips/good0.mp4", "clips/another.mp4"))
    with pytest.raises(CacheError, match="2 of its clips are not in this dataset, first 'clips/good0.mp4'"):
        repair(path, root=other.root)
    assert chunks(path) == damaged


@pytest.mark.parametrize("name", ["status", "source_bytes", "scene/early"])
def test_a_changed_file_is_refused_whichever_chunk_is_damaged(made, tmp_path, name):
    path, _ = made
    moved = write_clips(tmp_path / "moved", num_good=18)
    write_video(moved.root / "clips/good0.mp4", num_frames=30, seed=99)
    row = [clip.clip_id for clip in moved.clips].index("clips/good0.mp4")
    flip(chunk(path, name, (row // 8 + (name == "source_bytes")) % 3))
    damaged = chunks(path)
    with pytest.raises(
        CacheError,
        match="the files of 1 clip have another size than at extraction, first 'clips/good0.mp4'",
    ):
        repair(path, root=moved.root)
    assert chunks(path) == damaged


@pytest.mark.parametrize("name", ["scene/early", "status", "source_bytes", "source_sha256"])
def test_a_block_with_a_clip_whose_file_is_gone_stays_as_it_is(made, tmp_path, name):
    path, before = made
    moved = write_clips(tmp_path / "moved", num_good=18)
    (moved.root / "clips/good7.mp4").unlink()
    row = [clip.clip_id for clip in moved.clips].index("clips/good7.mp4")
    other = (row // 8 + 1) % 3
    flip(chunk(path, name, row // 8))
    damaged = chunks(path)
    flip(chunk(path, "face/embedding", other))
    report = repair(path, root=moved.root)
    assert [block.start for block in report.repaired] == [8 * other]
    assert [block.start for block in report.left] == [row // 8 * 8]
    assert (report.gone, report.changed, report.lost) == (("clips/good7.mp4",), (), ())
    assert not report.is_whole
    assert lines(report)[-1] == f"{path}: 1 of 3 blocks recomputed, 1 still damaged"
    assert any("!! clip 'clips/good7.mp4' has no file; put it back" in line for line in lines(report))
    assert chunks(path) == damaged
    (moved.root / "clips/good7.mp4").write_bytes((clip_file(path, "clips/good7.mp4")).read_bytes())
    assert repair(path, root=moved.root).is_whole
    assert chunks(path) == before


@pytest.mark.parametrize("name", ["scene/early", "status"])
def test_features_that_cannot_be_computed_again_are_told_as_lost(made, tmp_path, name):
    path, _ = made
    moved = write_clips(tmp_path / "moved", num_good=18)
    spoilt = moved.root / "clips/good7.mp4"
    spoilt.write_bytes(bytes(spoilt.stat().st_size))
    row = [clip.clip_id for clip in moved.clips].index("clips/good7.mp4")
    flip(chunk(path, name, row // 8))
    report = repair(path, root=moved.root)
    (lost,) = report.lost
    assert lost.startswith("clip 'clips/good7.mp4' failed at ")
    assert not report.is_whole
    assert f"!! features lost: {lost}" in lines(report)
    assert to_json_values(report)["lost"] == [lost]


def test_what_is_not_taken_up_any_more_stays_as_it_was(made, monkeypatch):
    path, _ = made
    for block in (0, 1, 2):
        flip(chunk(path, "scene/early", block))
    damaged = chunks(path)
    executor = executor_of(small_models())

    def stops_at_once(*_):
        msg = "the workers are gone"
        raise CacheError(msg)

    monkeypatch.setattr(executor, "run", stops_at_once)
    monkeypatch.setattr("pipeline.repair.make_executor", lambda config, _: executor)
    with pytest.raises(CacheError, match="the workers are gone"):
        repair(path)
    assert chunks(path) == damaged


def clip_file(path: Path, clip_id: str) -> Path:
    """The file that a clip of the cache was made of."""
    with FeatureCache.open(path) as cache:
        return Path(cache.setting("config.dataset.root", str)) / clip_id


def test_a_file_of_other_content_is_told(made, tmp_path):
    path, _ = made
    moved = write_clips(tmp_path / "moved", num_good=18)
    other = moved.root / "clips/good7.mp4"
    num_bytes = other.stat().st_size
    write_video(other, num_frames=9, seed=99)
    rest = num_bytes - other.stat().st_size
    other.write_bytes(other.read_bytes() + rest.to_bytes(4, "big") + b"free" + bytes(rest - 8))
    row = [clip.clip_id for clip in moved.clips].index("clips/good7.mp4")
    flip(chunk(path, "scene/early", row // 8))
    report = repair(path, root=moved.root)
    assert (report.changed, report.lost) == (("clips/good7.mp4",), ())
    assert "!! the file of clip 'clips/good7.mp4' has changed since extraction" in lines(report)


def test_a_cache_in_use_and_an_export_are_refused(made):
    path, _ = made
    with hold(Location.of(path)), pytest.raises(CacheError, match="is being extracted already by"):
        repair(path)
    with pytest.raises(CacheError, match="is an HDF5 export; repair the cache from which it was made"):
        repair("feats.h5")


def test_a_disk_that_damages_it_again_is_told(made, monkeypatch):
    path, _ = made
    flip(chunk(path, "scene/early", 1))
    real = CacheWriter.write_block

    def damaging(self, start, rows):
        real(self, start, rows)
        flip(chunk(path, "face/embedding", 1))

    monkeypatch.setattr(CacheWriter, "write_block", damaging)
    with pytest.raises(CacheError, match="still or again damaged, at clips 8 to 15: face/embedding cannot"):
        repair(path)


@pytest.mark.slow
def test_the_command_repairs_with_what_the_cache_names(made, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    path, before = made
    flip(chunk(path, "scene/early", 1))
    cli = [sys.executable, str(Path(__file__).parents[1] / "cli.py"), "cache"]
    verified = subprocess.run([*cli, "verify", str(path)], capture_output=True, text=True, check=False)
    assert verified.returncode == 3
    assert "cache repair" in verified.stdout
    run = subprocess.run([*cli, "repair", str(path), "--json"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["repaired"] == [
        {"start": 8, "end": 16, "troubles": ["scene/early cannot be read"]}
    ]
    assert chunks(path) == before
    assert subprocess.run([*cli, "verify", str(path)], capture_output=True, check=False).returncode == 0

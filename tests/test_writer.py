import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.errors import CacheError
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter, remove_partial_chunks
from pipeline.types import Status
from tests.tiny_cache import tiny_cache, tiny_meta


def test_a_block_is_one_chunk_of_every_array_and_status_comes_last(tmp_path, monkeypatch):
    path = tiny_cache(tmp_path / "c.zarr")
    writer, order = CacheWriter.resume(path), []
    set_item = zarr.Array.__setitem__
    monkeypatch.setattr(
        zarr.Array, "__setitem__", lambda a, k, v: (order.append(a.name), set_item(a, k, v))[1]
    )
    writer.write_block(8, writer.read_block(8))
    assert order[-1] == "/status"
    assert order.count("/status") == 1
    for name in ("face/embedding", "scene/early", "status", "frame_valid"):
        array = zarr.open_array(path / name, mode="r")
        assert array.chunks == (8, *array.shape[1:])


def test_what_is_pending_stays_pending_and_other_blocks_stay_as_they_are(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    before = {p: p.read_bytes() for p in path.rglob("c/0*") if p.is_file()}
    writer = CacheWriter.resume(path)
    rows = writer.empty_rows(8)
    writer.write_block(8, rows)
    with FeatureCache.open(path) as cache:
        assert cache.read("status", 8, 16).tolist() == [Status.PENDING] * 8
        assert np.isnan(cache.read("face/embedding", 8, 16)).all()
        assert cache.status_counts()["done"] == 40
    assert before == {p: p.read_bytes() for p in before}


def test_rows_come_back_as_they_went_in(tmp_path):
    writer = CacheWriter.create(tmp_path / "c.zarr", tiny_meta(), _static(tmp_path))
    rows = writer.empty_rows(40)
    assert len(rows["status"]) == 8
    rows["reason"][3] = "a reason with ü and a ; in it"
    rows["face_box"][:] = np.arange(8 * 2 * 4 * 4, dtype=np.float32).reshape(8, 2, 4, 4)
    rows["status"][:] = 2
    writer.write_block(40, rows)
    again = writer.read_block(40)
    assert again.keys() == rows.keys()
    for name, value in rows.items():
        np.testing.assert_array_equal(again[name], value)


def test_creation_is_all_or_nothing(tmp_path, monkeypatch):
    static = _static(tmp_path)
    del static["label"]
    with pytest.raises(KeyError):
        CacheWriter.create(tmp_path / "new.zarr", tiny_meta(), static)
    assert not (tmp_path / "new.zarr").exists()
    CacheWriter.create(tmp_path / "new.zarr", tiny_meta(), _static(tmp_path))
    with pytest.raises(CacheError, match="exists already; give another --cache, or remove it"):
        CacheWriter.create(tmp_path / "new.zarr", tiny_meta(), _static(tmp_path))


def test_wrong_shapes_types_and_places_are_refused(tmp_path):
    writer = CacheWriter.create(tmp_path / "c.zarr", tiny_meta(), _static(tmp_path))
    rows = writer.empty_rows(0)
    with pytest.raises(ValueError, match="'status' was given shape"):
        writer.write_block(0, {**rows, "status": rows["status"][:3]})
    with pytest.raises(ValueError, match="'status' was given type float64; uint8 is needed"):
        writer.write_block(0, {**rows, "status": rows["status"].astype(float)})
    with pytest.raises(CacheError, match="No block begins at row 3"):
        writer.write_block(3, rows)


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    writer = CacheWriter.create(tmp_path / "c.zarr", tiny_meta(), _static(tmp_path))
    rows = writer.empty_rows(0)
    rows["status"][:] = 1

    def refuse(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", refuse)
    with pytest.raises(
        CacheError,
        match="could not be written, at clips 0 to 7: No space left on device. Stored clips are safe",
    ):
        writer.write_block(0, rows)
    monkeypatch.undo()
    with FeatureCache.open(tmp_path / "c.zarr") as cache:
        assert cache.status_counts()["pending"] == 48


def test_what_a_killed_writer_left_is_swept_up_on_demand(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    CacheWriter.resume(path).reset_block(8)
    litter = half_written(path)
    remove_partial_chunks(path)
    assert all(file.exists() for file in litter), "another process may be writing them just now"
    for file in litter:
        os.utime(file, (0, 0))
    CacheWriter.resume(path)
    assert all(file.exists() for file in litter), "a worker opens the cache and leaves litter alone"
    remove_partial_chunks(path)
    assert not any(file.exists() for file in litter)


def test_a_file_that_is_renamed_during_a_sweep_hurts_nobody(tmp_path, monkeypatch):
    path = tiny_cache(tmp_path / "c.zarr")
    CacheWriter.resume(path).reset_block(8)
    litter = half_written(path)
    stat = Path.stat

    def renamed(self, **options):
        if self.suffix == ".partial":
            self.unlink(missing_ok=True)
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", renamed)
    remove_partial_chunks(path)
    assert not any(os.path.lexists(file) for file in litter)  # noqa: PTH110 - Path.exists is patched


@pytest.mark.parametrize("name", ["scene/early/c", "scene/early", "scene"])
def test_a_sweep_removes_nothing_through_a_link(tmp_path, name):
    path = tiny_cache(tmp_path / "c.zarr")
    CacheWriter.resume(path).reset_block(8)
    shutil.move(path / name, tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/1.partial").write_text("mine")
    (path / "scene/early/c/1.partial").write_text("mine")
    for file in (tmp_path / "elsewhere").rglob("1.partial"):
        os.utime(file, (0, 0))
    with suppress(CacheError):
        remove_partial_chunks(path)
    assert (tmp_path / "elsewhere/1.partial").exists()
    assert (path / "scene/early/c/1.partial").exists()


def test_a_sweep_does_not_enter_a_link_among_the_chunks(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    CacheWriter.resume(path).reset_block(8)
    (tmp_path / "elsewhere").mkdir()
    victim = tmp_path / "elsewhere/victim.partial"
    victim.write_text("mine")
    os.utime(victim, (0, 0))
    shutil.rmtree(path / "scene/early/c/1", ignore_errors=True)
    (path / "scene/early/c").mkdir(exist_ok=True)
    (path / "scene/early/c/1").symlink_to(victim.parent)
    remove_partial_chunks(path)
    assert victim.exists()


def half_written(path: Path) -> list[Path]:
    """Files of a chunk that was never finished, in the block of row 8."""
    litter = [path / "status/c/1.abc.partial", path / "scene/early/c/1/0/0/0/0/0.abc.partial"]
    for file in litter:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    return litter


def test_a_status_that_cannot_be_read_is_one_line_when_a_block_is_begun(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    chunk = path / "status/c/1"
    value = bytearray(chunk.read_bytes())
    value[0] ^= 1
    chunk.write_bytes(value)
    writer = CacheWriter.resume(path)
    with pytest.raises(CacheError, match="array 'status', clips 8 to 15, cannot be read"):
        writer.mark_pending(8, [0])


def test_threads_write_different_blocks_at_once(tmp_path):
    with FeatureCache.open(tiny_cache(tmp_path / "a.zarr")) as expected:
        writer = CacheWriter.create(tmp_path / "b.zarr", expected.meta, _static(tmp_path))
        source = CacheWriter.resume(expected.place)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda start: writer.write_block(start, source.read_block(start)), range(0, 48, 8)))
        with FeatureCache.open(tmp_path / "b.zarr") as cache:
            for spec in cache.meta.arrays():
                np.testing.assert_array_equal(cache.read(spec.name), expected.read(spec.name))


FILLING = """
import resource, sys
from pipeline.errors import CacheError
from pipeline.store.writer import CacheWriter
writer = CacheWriter.resume(sys.argv[1])
rows = writer.read_block(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    writer.mark_pending(0, range(8))
    writer.write_block(0, rows)
except CacheError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_leaves_no_half_block(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    told = subprocess.run(
        [sys.executable, "-c", FILLING, str(path), "30000"],
        cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told == (
        f"'{path}' could not be written, at clips 0 to 7: File too large. Stored clips are safe; fix that "
        "and run again.\n"
    )
    assert list(path.rglob("*.partial")) == []
    with FeatureCache.open(path) as cache:
        assert np.flatnonzero(cache.read("status") == Status.PENDING).tolist() == list(range(8))


def test_a_flipped_byte_is_noticed_by_the_checksum(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    chunk = next(p for p in (path / "face/embedding").rglob("c/1/*/*/*") if p.is_file())
    damaged = bytearray(chunk.read_bytes())
    damaged[100] ^= 1
    chunk.write_bytes(damaged)
    message = r"array 'face/embedding', clips 8 to 15, cannot be read \(.*checksum.*The cache is damaged"
    with FeatureCache.open(path) as cache, pytest.raises(CacheError, match=message):
        cache.read("face/embedding", 8, 16)
    with pytest.raises(CacheError, match=message):
        CacheWriter.resume(path).read_block(8)


def _static(tmp_path: Path) -> dict[str, np.ndarray]:
    path = tmp_path / "static.zarr"
    if not path.exists():
        tiny_cache(path)
    with FeatureCache.open(path) as cache:
        return {s.name: cache.read(s.name) for s in cache.meta.arrays() if not s.per_block}

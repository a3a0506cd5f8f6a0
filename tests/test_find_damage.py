import numpy as np
import obstore
import pytest

from pipeline.errors import CacheDamagedError, CacheError
from pipeline.store.find_damage import damaged_blocks
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter, remove_partial_chunks
from pipeline.types import Status
from tests.tiny_cache import tiny_cache, tiny_meta

PER_BLOCK = [spec.name for spec in tiny_meta().arrays() if spec.per_block]
VANISHED = ("face/embedding", "source_bytes", "frame_index", "source_sha256", "stage", "face_box")


@pytest.fixture
def made(tmp_path):
    """A complete cache, its last block a short one, the first clip of each block a failed one."""
    return complete(tmp_path / "c.zarr")


def test_a_whole_cache_has_no_damage(made):
    seen = []
    with FeatureCache.open(made) as cache:
        assert damaged_blocks(cache, lambda: seen.append(1)) == []
    assert len(seen) == 6


def test_flipped_bytes_are_found_and_their_blocks_can_be_computed_again(made):
    with FeatureCache.open(made) as cache:
        before = {spec.name: cache.read(spec.name) for spec in cache.meta.arrays()}
    for name in PER_BLOCK:
        flip(made / name / "c" / "5")
    flip(made / "scene/early/c/1")
    with FeatureCache.open(made) as cache:
        first, last = damaged_blocks(cache)
        with pytest.raises(CacheDamagedError, match="`cli.py cache repair .*c.zarr` computes that again"):
            cache.read("scene/early", 0, 16)
    assert str(first) == "clips 8 to 15: scene/early cannot be read"
    assert (last.start, last.end) == (40, 44)
    assert last.troubles == tuple(f"{name} cannot be read" for name in PER_BLOCK)
    writer = CacheWriter(Location.of(made), tiny_meta(num_clips=44))
    for damage in (first, last):
        writer.reset_block(damage.start)
    with FeatureCache.open(made) as cache:
        assert damaged_blocks(cache) == []
        pending = np.flatnonzero(cache.read("status") == Status.PENDING)
        assert pending.tolist() == [*range(8, 16), *range(40, 44)]
    for damage in (first, last):
        writer.write_block(damage.start, {n: before[n][damage.start : damage.end] for n in PER_BLOCK})
    with FeatureCache.open(made) as cache:
        for key, value in before.items():
            np.testing.assert_array_equal(cache.read(key), value)


def test_a_cache_without_its_status_can_be_resumed_once_it_is_reset(made):
    flip(made / "status/c/1")
    with pytest.raises(CacheDamagedError, match="array 'status'"):
        remove_partial_chunks(made)
    with FeatureCache.open(made) as cache:
        assert [str(damage) for damage in damaged_blocks(cache)] == ["clips 8 to 15: status cannot be read"]
        CacheWriter(cache.place, cache.meta).reset_block(8)
    remove_partial_chunks(made)


def test_chunks_that_vanished_are_found(made):
    for block, name in enumerate(VANISHED):
        chunk = made / name / "c" / str(block)
        next(path for path in (chunk, *chunk.rglob("*")) if path.is_file()).unlink()
    with FeatureCache.open(made) as cache:
        found = damaged_blocks(cache)
    assert [(damage.start, damage.troubles) for damage in found] == [
        (8 * block, (f"{name} is missing",)) for block, name in enumerate(VANISHED)
    ]


def test_pending_clips_are_no_damage(made):
    CacheWriter.resume(made).reset_block(8)
    with FeatureCache.open(made) as cache:
        assert damaged_blocks(cache) == []


def test_what_no_block_can_mend_is_told(made):
    flip(made / "clips-1" / "label" / "c")
    with (
        FeatureCache.open(made) as cache,
        pytest.raises(CacheError, match="'label'.*move it away and extract again"),
    ):
        damaged_blocks(cache)


@pytest.mark.slow
def test_damage_in_a_bucket_is_found_and_a_refusal_is_no_damage(bucket, monkeypatch):
    url = complete(bucket.url("c.zarr"))
    store = bucket.store()
    (key,) = bucket.objects("c.zarr/scene/early/c/1")
    value = bytearray(bytes(store.get(key).bytes()))
    value[100] ^= 1
    store.put(key, bytes(value))
    store.delete("c.zarr/frame_index/c/3/0/0")
    with FeatureCache.open(url) as cache:
        assert [str(damage) for damage in damaged_blocks(cache)] == [
            "clips 8 to 15: scene/early cannot be read",
            "clips 24 to 31: frame_index is missing",
        ]

        refusal = obstore.exceptions.PermissionDeniedError("Server returned 403 Forbidden")

        async def refuse(*_args, **_options):
            raise refusal

        monkeypatch.setattr("zarr.storage.ObjectStore.get", refuse)
        with pytest.raises(CacheError, match="cannot be read: access denied"):
            damaged_blocks(cache)


def complete(where):
    """The tiny cache with 44 clips, every clip described as a real one is."""
    meta = tiny_meta(num_clips=44)
    writer = CacheWriter.resume(tiny_cache(where, meta))
    for start in range(0, 44, 8):
        rows = writer.read_block(start)
        rows["frame_index"][:] = np.arange(meta.num_frames)
        rows["frame_seconds"][:] = np.arange(meta.num_frames) / 25
        rows["num_decoded"][:] = 9
        rows["source_size"][:] = 72
        rows["source_bytes"][:] = 100
        rows["source_sha256"][:] = "ab"
        rows["face_box"][:] = (1, 2, 3, 4)
        rows["face_score"][:] = 0.9
        rows["face_found"][:] = True
        rows["status"][0], rows["stage"][0], rows["reason"][:] = Status.FAILED, "decode", "no video stream"
        writer.write_block(start, rows)
    return where


def flip(folder):
    """Flip a bit in the one chunk file at or under a path."""
    path = next(path for path in (folder, *folder.rglob("*")) if path.is_file())
    value = bytearray(path.read_bytes())
    value[len(value) // 2] ^= 1
    path.write_bytes(value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_of_a_finished_clip_that_are_no_numbers_are_damage(made, value):
    writer = CacheWriter.resume(made)
    for start, name in ((8, "face/embedding"), (24, "scene/early")):
        rows = writer.read_block(start)
        rows[name][0, 0, 0], rows[name][3, 1, 2].flat[4] = (
            np.nan,
            value,
        )  # of a failed clip, and a finished one
        writer.write_block(start, rows)
    with FeatureCache.open(made) as cache:
        assert [str(damage) for damage in damaged_blocks(cache)] == [
            "clips 8 to 15: face/embedding holds NaN or infinity",
            "clips 24 to 31: scene/early holds NaN or infinity",
        ]

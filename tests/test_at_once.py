"""In a bucket, the accesses that do not depend on each other are made at the same time."""

import asyncio
import threading
from collections import Counter
from functools import partial

import numpy as np
import pytest
from obstore.exceptions import GenericError

from pipeline.errors import CacheError
from pipeline.runner.run_report import report
from pipeline.store.at_once import all_at_once
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.store.sandboxed_store import BucketStore
from pipeline.store.writer import CacheWriter
from pipeline.types import Status
from tests.tiny_cache import tiny_cache, tiny_meta

SECONDS = 60
BUCKET = Location("s3://bucket/feats.zarr")


class Meeting:
    """Requests to chunks wait until `number` of them are on their way; `ended` has the keys in order."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.status_after: list[int] = []

    async def take_part(self, key, request):
        if key.startswith("status/c/"):
            self.status_after.append(len(self.ended))
            return await request()
        if "/c/" not in key:
            return await request()
        self.begun.append(key)
        until = asyncio.get_running_loop().time() + SECONDS
        while len(self.begun) < self.number and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
        assert len(self.begun) >= self.number, f"only {len(self.begun)} requests at a time"
        try:
            return await request()
        finally:
            self.ended.append(key)

    def of(self, monkeypatch, *methods):
        """Let the requests of a bucket take part."""
        for method in methods:
            real = getattr(BucketStore, method)

            async def met(store, key, *args, real=real, **options):
                return await self.take_part(key, partial(real, store, key, *args, **options))

            monkeypatch.setattr(BucketStore, method, met)
        return self


@pytest.fixture
def url(bucket):
    """A cache in a bucket, in two blocks."""
    return tiny_cache(bucket.url("feats.zarr"), tiny_meta(block_clips=24))


def num_others(writer):
    """Number of the arrays of a block besides its status."""
    return len([spec for spec in writer.meta.arrays() if spec.per_block]) - 1


def test_all_arrays_of_a_block_are_on_their_way_together_and_the_status_follows(url, monkeypatch):
    writer = CacheWriter.resume(url)
    rows = writer.read_block(24)
    with monkeypatch.context() as patch:
        meeting = Meeting(num_others(writer)).of(patch, "set", "delete")
        writer.write_block(24, rows)
    assert len(meeting.ended) == num_others(writer) > 10
    assert meeting.status_after == [num_others(writer)], "the status is written once, after all others"
    for name, value in CacheWriter.resume(url).read_block(24).items():
        np.testing.assert_array_equal(value, rows[name])


def test_the_arrays_of_a_block_are_read_together(url, monkeypatch):
    writer = CacheWriter.resume(url)
    expected = writer.read_block(0)
    with monkeypatch.context() as patch:
        Meeting(num_others(writer)).of(patch, "get")
        found = writer.read_block(0)
    assert list(found) == list(expected)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])


def test_a_block_that_is_reset_is_pending_before_its_arrays_change(url, monkeypatch):
    writer = CacheWriter.resume(url)
    with monkeypatch.context() as patch:
        meeting = Meeting(num_others(writer)).of(patch, "set", "delete")
        writer.reset_block(0)
    assert meeting.status_after == [0]
    assert (writer.read_status(0) == Status.PENDING).all()


@pytest.mark.parametrize("name", ["scene/early", "reason", "frame_valid"])
def test_any_array_that_fails_is_one_error_and_the_block_stays_pending(url, monkeypatch, name):
    writer = CacheWriter.resume(url)
    rows = writer.read_block(24)
    writer.mark_pending(24, range(24))
    assert rows["status"].any()
    meeting = Meeting(num_others(writer))

    async def failing(store, key, value=None, *, real):
        async def request():
            if key.startswith(f"{name}/c/"):
                msg = "the bucket is full"
                raise GenericError(msg)
            await asyncio.sleep(0.2)
            await (real(store, key) if value is None else real(store, key, value))

        await meeting.take_part(key, request)

    with monkeypatch.context() as patch:
        for method in ("set", "delete"):
            real = getattr(BucketStore, method)
            patch.setattr(
                BucketStore, method, lambda store, *args, real=real: failing(store, *args, real=real)
            )
        with pytest.raises(CacheError, match="could not be written, at clips 24 to 47: .*bucket is full"):
            writer.write_block(24, rows)
        assert len(meeting.ended) == num_others(writer), "none is left on its way"
    assert meeting.status_after == []
    with FeatureCache.open(url) as cache:
        assert cache.status_counts()["pending"] == 24
    writer.write_block(24, rows)
    with FeatureCache.open(url) as cache:
        assert cache.status_counts()["pending"] == 0


def test_results_come_in_the_order_of_the_calls():
    meeting = threading.Barrier(5, timeout=SECONDS)

    def call(number):
        return number, meeting.wait() >= 0

    assert all_at_once(BUCKET, [partial(call, number) for number in range(5)]) == [
        (number, True) for number in range(5)
    ]
    assert all_at_once(BUCKET, []) == []


def test_no_more_threads_than_the_limit(monkeypatch):
    monkeypatch.setattr("pipeline.store.at_once._MOST", 3)
    meeting = threading.Barrier(3, timeout=SECONDS)  # so that all start

    def name():
        meeting.wait()
        return threading.current_thread().name

    assert len(set(all_at_once(BUCKET, [name] * 21))) == 3


def test_on_a_disk_one_call_follows_the_other_and_none_follows_a_failure(tmp_path):
    done = []

    def call(number):
        done.append((number, threading.current_thread()))
        if number == 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        all_at_once(Location(str(tmp_path)), [partial(call, number) for number in range(5)])
    assert done == [(number, threading.current_thread()) for number in range(3)]


def test_bytes_in_a_bucket_are_those_on_a_disk(bucket, tmp_path):
    meta = tiny_meta(block_clips=24)
    tiny_cache(bucket.url("feats.zarr"), meta)
    local = tiny_cache(tmp_path / "feats.zarr", meta)
    files = {str(path.relative_to(local)): path for path in local.rglob("*") if path.is_file()}
    assert {key.removeprefix("feats.zarr/") for key in bucket.objects("feats.zarr")} == set(files)
    store = bucket.store()
    for key, path in files.items():
        assert bytes(store.get(f"feats.zarr/{key}").bytes()) == path.read_bytes(), key


def test_a_report_reads_each_chunk_once_and_reasons_only_of_failures(bucket, monkeypatch):
    models = {"features": {"precision": "fp32"}, "detector": {"sha256": ""}}
    identity = {**tiny_meta().identity, **models}
    url = tiny_cache(bucket.url("feats.zarr"), tiny_meta(block_clips=8, identity=identity))
    writer = CacheWriter.resume(url)
    rows = writer.read_block(16)
    rows["status"][3] = Status.FAILED
    rows["stage"][3], rows["reason"][3] = "decode", "no frame"
    writer.write_block(16, rows)
    read: Counter[str] = Counter()
    real = BucketStore.get

    async def counted(store, key, *args, **options):
        read[key] += 1
        return await real(store, key, *args, **options)

    monkeypatch.setattr(BucketStore, "get", counted)
    found = report(Location.of(url), processed=0)
    assert [reason for _, _, reason in found.failures] == ["no frame"]
    assert {key for key in read if key.startswith("status/c/")} == {f"status/c/{n}" for n in range(6)}
    assert {key for key in read if key.startswith("reason/c/")} == {"reason/c/2"}
    per_block = {spec.name for spec in writer.meta.arrays() if spec.per_block}
    assert {key: n for key, n in read.items() if key.partition("/c/")[0] in per_block and n > 1} == {}

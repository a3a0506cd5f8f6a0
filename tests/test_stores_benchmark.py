"""The comparison of stores reads the same clips from each, and knows which pages are in memory."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.stores import access, peers
from benchmarks.stores.project import ProjectReader
from benchmarks.tables.stores import stores_table
from pipeline.bench.load import synthetic_cache

CLIPS = 70


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "feats.zarr"
    synthetic_cache(path, CLIPS)
    return path


@pytest.fixture(scope="module")
def expected(cache: Path) -> list[str]:
    reader = ProjectReader(str(cache))
    return [access.digest(reader.rows(row, row + 1)) for row in access.check_rows(CLIPS)]


def test_other_readers_return_the_clips_of_the_project(
    cache: Path, expected: list[str], tmp_path: Path
) -> None:
    peers.write("memmap", str(cache), tmp_path / "copy")
    access.verify(ProjectReader(str(cache)), CLIPS, expected)
    access.verify(peers.ZarrReader(str(cache)), CLIPS, expected)
    access.verify(peers.MemmapReader(str(tmp_path / "copy")), CLIPS, expected)
    rows = np.array([69, 3, 64])
    for one, other in zip(
        peers.MemmapReader(str(tmp_path / "copy")).batch(rows),
        ProjectReader(str(cache)).batch(rows),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_a_store_with_other_content_is_rejected(cache: Path, expected: list[str], tmp_path: Path) -> None:
    peers.write("memmap", str(cache), tmp_path / "copy")
    early = np.load(tmp_path / "copy" / "scene-early.npy", mmap_mode="r+")
    early[CLIPS - 1] = 0
    with pytest.raises(RuntimeError, match=f"clip {CLIPS - 1} differs from the cache"):
        access.verify(peers.MemmapReader(str(tmp_path / "copy")), CLIPS, expected)


def test_single_clips_are_of_different_blocks_as_long_as_there_are_enough() -> None:
    rows = access.scattered(64 * 10, 10, seed=0)
    assert sorted(rows // 64) == list(range(10))
    assert (access.scattered(64 * 9 + 1, 40, seed=0) <= 64 * 9).all()
    assert (access.scattered(64 * 10, 10, seed=1) != rows).any()


def test_pages_of_a_file_that_was_read_are_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    path.read_bytes()
    assert access.resident([path]) == 1
    assert 0 <= access.drop_pages([path]) <= 1


def test_all_patterns_are_timed_cold_and_warm(cache: Path, expected: list[str]) -> None:
    options = {"clips": CLIPS, "single": 2, "batches": 1, "turns": 2, "expected": expected}
    found = access.measured(lambda: ProjectReader(str(cache)), peers.files(str(cache)), options)
    assert {name: sorted(of) for name, of in found["seconds_per_clip"].items()} == {
        name: ["cold", "warm"] for name in ("clip", "batch", "blocks")
    }
    assert all(len(of["cold"]) == 2 for of in found["seconds_per_clip"].values())
    assert found["bytes"] > CLIPS * 442_368


def test_the_table_shows_medians_in_ms_and_the_requests_of_a_bucket() -> None:
    times = {"cold": [0.3, 0.1, 0.2], "warm": [0.004] * 3}
    found = {
        "seconds_per_clip": dict.fromkeys(("clip", "batch", "blocks"), times),
        "resident_after_drop": 0.01,
    }
    counts = dict.fromkeys(("open", "clip", "blocks"), {"reads": 6, "answer_bytes": 4_000_000})
    recorded = {
        "machine": {"cpu": "CPU", "cores": 2, "gpu": ""}, "commit": "abc", "date": "2026-11-29T00:00:00",
        "versions": {"torch": "2", "python": "3", "peers: zarr": "3.1.6"}, "clip_bytes": 442_368,
        "options": {"clips": 1000, "turns": 3}, "local": {"memmap": found},
        "bucket": {"clips": 128, "single": 2, "stores": {"lance": counts}},
    }  # fmt: skip
    text = stores_table(recorded)
    assert "| memmap | 200 | 4 | 200 | 4 | 200 | 4 |" in text
    assert "1,000 clips, 0.4 GB; medians of 3 turns" in text
    assert "| lance | 6 | 3.0 | 2.00 | 3.0 | 2.0 |" in text

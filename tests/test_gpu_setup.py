"""The GPU benchmark's setup: disk and clips of the run."""

from pathlib import Path

import pytest

from benchmarks.gpu_steps import setup
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.records import read_rows
from pipeline.errors import ConfigError
from tests.small_clips import write_video
from tests.stub_gpu_steps import context_of


def test_a_disk_without_space_is_rejected_by_the_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "free_bytes", lambda _: 10**9)
    context = context_of(tmp_path, is_tiny=False)
    with pytest.raises(ConfigError, match=r"has 1.0 GB free, and the steps need 3.0 GB"):
        setup.check_free_disk(context)


def test_a_video_that_does_not_decode_is_named(tmp_path: Path) -> None:
    clips = tmp_path / "videos"
    write_video(clips / "a.mp4")
    (clips / "deep").mkdir()
    (clips / "deep" / "broken.mp4").write_bytes(b"no video")
    setup.run(context_of(tmp_path, clips=clips))
    numbers, left_out = read_rows(tmp_path / RESULTS)
    assert (numbers["measurement"], numbers["settings"]) == ("clips", {"source": "videos"})
    assert left_out["skipped"] == "'deep/broken.mp4' does not decode and is left out"

"""The stream gives the wanted frames as `decode_clip` does, whatever happens to its decoders."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.frames import (
    DecodePool,
    FrameConfig,
    InlineDecoder,
    decode_clip,
    frame_stream,
    scan_source,
    stream_frames,
)
from pipeline.frames.frame_stream import segment_jobs
from pipeline.frames.pool import PoolClosedError
from pipeline.frames.segment import SegmentJob
from pipeline.types import SourceScan, StreamedFrame
from tests.long_videos import HEIGHT, WIDTH, write_long
from tests.picture_folders import cut_short, write_folder
from tests.tiny_videos import WIDTH as TINY_WIDTH
from tests.tiny_videos import numbers, write_video

FRAME_BYTES = HEIGHT * WIDTH * 3
FAULTY = Path(__file__).parent / "faulty_decoder"


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SourceScan]:
    """A video of 40 s at 10 frames/s with a key frame every 1.2 s, so that it has segments of 6 s."""
    path = write_long(tmp_path_factory.mktemp("long") / "a.mp4", 400, num_b_frames=3)
    return path, scan_source(path, cuts=None)


def pixels_of(frames: Iterator[StreamedFrame]) -> np.ndarray:
    return np.stack([frame.rgb_HWC for frame in frames])  # type: ignore[arg-type]


def require_whole(frames: list[StreamedFrame], scan: SourceScan, wanted: list[int]) -> None:
    assert [frame.number for frame in frames] == wanted
    assert [frame.seconds for frame in frames] == scan.seconds_N[wanted].tolist()
    assert [frame.reason for frame in frames] == [None] * len(wanted)


MADE = {
    "b-frames.mp4": {"num_b_frames": 3},
    "open-gop.mp4": {"num_b_frames": 3, "x264-params": "open-gop=1:scenecut=0"},
    "vfr.mkv": {"times": [n + 9 * (n // 30) + n // 7 for n in range(120)]},
    "60fps.mov": {"rate": 60, "num_frames": 200},
    "hevc.mp4": {"codec": "libx265", "num_b_frames": 0, "x265-params": "log-level=none:open-gop=1"},
    "keys.mp4": {"key_every": 1, "num_b_frames": 0},
}


@pytest.mark.parametrize("name", MADE)
def test_pixels_are_those_of_extract(
    tmp_path: Path, name: str, pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_stream, "SEGMENT_SECONDS", 1.0)
    path = write_long(tmp_path / name, **MADE[name])  # type: ignore[arg-type]
    scan = scan_source(path, cuts=None)
    clip = decode_clip(path, FrameConfig(num_frames=scan.num_frames))
    assert len(list(segment_jobs(path, scan, range(scan.num_frames)))) > 1
    for decoder in (InlineDecoder(), pool):
        frames = list(stream_frames(path, scan, range(scan.num_frames), decoder))
        require_whole(frames, scan, list(range(scan.num_frames)))
        assert np.array_equal(pixels_of(iter(frames)), clip.rgb_UHWC)
    window = decode_clip(path, FrameConfig(num_frames=5), start_seconds=1.3, end_seconds=2.5)
    start = int(np.searchsorted(scan.seconds_N, 1.3))
    wanted = (start + window.meta.index_U).tolist()
    assert np.array_equal(pixels_of(stream_frames(path, scan, wanted, pool)), window.rgb_UHWC)


def test_sparse_frames_need_few_segments_from_the_nearest_key_frame(
    long: tuple[Path, SourceScan], pool: DecodePool
) -> None:
    path, scan = long
    wanted = [5, 130, 131, 399]
    jobs = list(segment_jobs(path, scan, wanted))
    assert [(job.wanted, getattr(job, "first", None)) for job in jobs] == [
        ((5,), 0),
        ((130, 131), 120),
        ((399,), 396),
    ]
    clip = decode_clip(path, FrameConfig(num_frames=400)).rgb_UHWC
    for decoder in (InlineDecoder(), pool):
        assert np.array_equal(pixels_of(stream_frames(path, scan, wanted, decoder)), clip[wanted])
    assert list(stream_frames(path, scan, [], pool)) == []


def test_part_of_a_video_from_a_frame_that_is_no_key_frame(
    long: tuple[Path, SourceScan], pool: DecodePool
) -> None:
    path, whole = long
    scan = scan_source(path, cuts=None, start_seconds=3.15, end_seconds=16.0)
    assert scan.num_frames == 128
    frames = pixels_of(stream_frames(path, scan, range(0, 128, 9), pool))
    assert np.array_equal(frames, pixels_of(stream_frames(path, whole, range(32, 160, 9), InlineDecoder())))


@pytest.mark.parametrize("name", ["a.avi", "a.ts", "a.h264"])
def test_containers_without_an_index_are_one_segment(tmp_path: Path, name: str, pool: DecodePool) -> None:
    path = write_video(tmp_path / name, 40, codec="mpeg4" if name == "a.avi" else "libx264")
    for start in (None, 1.5):
        scan = scan_source(path, cuts=None, start_seconds=start)
        wanted = list(range(0, scan.num_frames, 3))
        (job,) = segment_jobs(path, scan, wanted)
        assert isinstance(job, SegmentJob)
        assert (job.jump, job.first) == (False, 0)
        frames = list(stream_frames(path, scan, wanted, pool))
        require_whole(frames, scan, wanted)
        clip = decode_clip(path, FrameConfig(num_frames=scan.num_frames), start_seconds=start)
        assert np.array_equal(pixels_of(iter(frames)), clip.rgb_UHWC[wanted])


def test_images_of_a_directory(tmp_path: Path, pool: DecodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_stream, "_IMAGES_PER_SEGMENT", 4)
    folder = write_folder(tmp_path / "images", 20)
    cut_short(folder / "7.png")
    scan = scan_source(folder, cuts=None, rate=10.0)
    for decoder in (InlineDecoder(), pool):
        frames = list(stream_frames(folder, scan, range(0, 20, 2), decoder))
        assert [frame.number for frame in frames] == list(range(0, 20, 2))
        assert [frame.reason for frame in frames if frame.rgb_HWC is None] == [
            "image '7.png' does not decode"
        ]
        whole = [frame for frame in frames if frame.rgb_HWC is not None]
        assert numbers(pixels_of(iter(whole))) == [frame.number for frame in whole]
        assert [frame.seconds for frame in frames] == scan.seconds_N[::2].tolist()


def test_numbers_must_rise_and_be_scanned(long: tuple[Path, SourceScan]) -> None:
    path, scan = long
    for wanted, text in (
        ([3, 3], "do not rise"),
        ([-1, 3], "are -1 to 3; frames of the scan: 0 to 399"),
        ([3, 400], "are 3 to 400; frames of the scan: 0 to 399"),
    ):
        with pytest.raises(ValueError, match=text):
            list(stream_frames(path, scan, wanted, InlineDecoder()))


def test_frames_with_other_times_than_in_the_scan_are_missing(
    long: tuple[Path, SourceScan], pool: DecodePool
) -> None:
    path, scan = long
    moved = scan.seconds_N.copy()
    moved[90:96] += 0.01
    wanted = list(range(80, 260, 5))
    for decoder in (InlineDecoder(), pool):
        frames = list(stream_frames(path, replace(scan, seconds_N=moved), wanted, decoder))
        assert [frame.number for frame in frames] == wanted
        missing = [frame for frame in frames if frame.rgb_HWC is None]
        assert [frame.number for frame in missing] == list(range(90, 120, 5))
        assert {frame.reason for frame in missing} == {
            "frame 90 decodes at 9.000 s and was at 9.010 s before; the file was changed, or is damaged"
        }


def test_file_that_is_shorter_than_its_scan(tmp_path: Path, pool: DecodePool) -> None:
    path = write_long(tmp_path / "a.mp4", 120)
    scan = scan_source(path, cuts=None)
    write_long(path, 90)
    frames = list(stream_frames(path, scan, [10, 85, 95], pool))
    assert [frame.rgb_HWC is None for frame in frames] == [False, False, True]
    assert frames[2].reason == "frame 90 does not decode and did before; the file was changed, or is damaged"
    path.unlink()
    (gone,) = stream_frames(path, scan, [0], pool)
    assert gone.reason == "cannot be read: No such file or directory"


def test_frames_of_another_size_get_that_of_the_first_frame(tmp_path: Path, pool: DecodePool) -> None:
    path = tmp_path / "a.ts"
    for height, number in ((48, 3), (96, 9)):
        part = write_video(
            tmp_path / "part.ts", [np.full((height, TINY_WIDTH, 3), 20 + 4 * number, np.uint8)] * 20
        )
        with path.open("ab") as file:
            file.write(part.read_bytes())
    scan = scan_source(path, cuts=None)
    clip = decode_clip(path, FrameConfig(num_frames=40)).rgb_UHWC
    assert (scan.height_px, scan.width_px) == (48, TINY_WIDTH)
    assert np.array_equal(pixels_of(stream_frames(path, scan, range(40), pool)), clip)


# --- decoders that end, hang or wait ----------------------------------------------------------------


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FAULTY))


def copy_as(name: str, long: tuple[Path, SourceScan], folder: Path) -> tuple[Path, SourceScan]:
    path, scan = long
    return Path(shutil.copy(path, folder / name)), scan


@pytest.mark.usefixtures("faulty")
def test_segment_of_a_child_that_dies_is_resumed(long: tuple[Path, SourceScan], tmp_path: Path) -> None:
    path, scan = copy_as("once100.mp4", long, tmp_path)
    wanted = list(range(0, 400, 3))
    with DecodePool(2) as pool:
        frames = list(stream_frames(path, scan, wanted, pool))
    assert (tmp_path / "once100.died").exists()
    require_whole(frames, scan, wanted)
    plain = pixels_of(stream_frames(long[0], scan, wanted, InlineDecoder()))
    assert np.array_equal(pixels_of(iter(frames)), plain)


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash100.mp4", "the decoder crashed on it in 2 attempts (SIGSEGV)"),
        ("stall100.mp4", "not decoded within 3 s"),
    ],
)
def test_stream_goes_to_the_next_segment_after_a_second_death_or_a_hang(
    long: tuple[Path, SourceScan], tmp_path: Path, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scan = copy_as(name, long, tmp_path)
    wanted = list(range(90, 132, 3))
    (tmp_path / "later").mkdir()
    monkeypatch.setattr(frame_stream, "SEGMENT_SECONDS", 1.0)
    with DecodePool(1, clip_seconds=3) as pool:
        frames = []
        for frame in stream_frames(path, scan, wanted, pool):
            frames.append(frame)
            if frame.number == 105:
                path.with_suffix(".died").touch()  # the fault is over
    assert [frame.number for frame in frames] == wanted
    missing = [frame.number for frame in frames if frame.rgb_HWC is None]
    assert missing == [102, 105]
    assert {frame.reason for frame in frames if frame.rgb_HWC is None} == {reason}


def test_children_killed_from_outside_cost_no_frame(long: tuple[Path, SourceScan]) -> None:
    path, scan = long
    wanted = list(range(0, 400, 2))
    frames = []
    with DecodePool(2) as pool:
        for frame in stream_frames(path, scan, wanted, pool, waiting_bytes=12 * FRAME_BYTES):
            frames.append(frame)
            if frame.number == 100:
                os.kill(pool.pids[0], signal.SIGKILL)
    require_whole(frames, scan, wanted)
    plain = pixels_of(stream_frames(path, scan, wanted, InlineDecoder()))
    assert np.array_equal(pixels_of(iter(frames)), plain)


def test_frames_that_wait_are_bounded_in_every_segment(long: tuple[Path, SourceScan]) -> None:
    path, scan = long
    taken: list[int] = []

    def buffer(num_bytes: int) -> np.ndarray:
        taken.append(num_bytes)
        return np.empty(num_bytes, dtype=np.uint8)

    with DecodePool(2, buffer=buffer) as pool:
        stream = stream_frames(path, scan, range(400), pool, waiting_bytes=3 * 4 * FRAME_BYTES)
        next(stream)
        time.sleep(2.0)
        assert taken == [FRAME_BYTES] * 8, "four frames of each of the two segments that are decoded"
        assert len(list(stream)) == 399
        taken.clear()
        tight = stream_frames(path, scan, range(400), pool, waiting_bytes=1)
        assert len(list(tight)) == 400, "a frame that is larger than the limit waits alone"


def test_leaving_early_frees_the_children(long: tuple[Path, SourceScan]) -> None:
    path, scan = long
    with DecodePool(2) as pool:
        for _ in range(3):
            stream = stream_frames(path, scan, range(400), pool, waiting_bytes=12 * FRAME_BYTES)
            assert next(stream).number == 0
            stream.close()
        assert not pool._streams
        frames = list(stream_frames(path, scan, range(0, 400, 50), pool))
        require_whole(frames, scan, list(range(0, 400, 50)))
        stream = stream_frames(path, scan, range(400), pool)
        next(stream)
        pids = pool.pids
        pool.close()
        with pytest.raises(PoolClosedError):
            list(stream)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "neither running nor a zombie"
    with pytest.raises(PoolClosedError):
        list(stream_frames(path, scan, range(400), pool))


def test_frame_has_pixels_or_a_reason() -> None:
    with pytest.raises(ValueError, match="pixels or a reason, not no pixels and the reason None"):
        StreamedFrame(number=0, seconds=0.0, rgb_HWC=None)


# --- real videos ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_frames_of_the_shared_videos(
    test_data: Path, pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_stream, "SEGMENT_SECONDS", 1.0)
    for path in sorted((test_data / "videos").glob("*/*")):
        if path.suffix == ".wav":
            continue
        scan = scan_source(path, cuts=None)
        clip = decode_clip(path, FrameConfig(num_frames=8))
        wanted = clip.meta.index_U.tolist()
        frames = list(stream_frames(path, scan, wanted, pool))
        require_whole(frames, scan, wanted)
        assert np.array_equal(pixels_of(iter(frames)), clip.rgb_UHWC), path.name

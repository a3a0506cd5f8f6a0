"""A scan gives the frames, times and cuts of `decode_clip`, also if it is joined from parts."""

import math
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ClipError
from pipeline.frames import (
    DecodePool,
    FrameConfig,
    InlineDecoder,
    ShotConfig,
    decode_clip,
    scan_source,
    stream_frames,
)
from pipeline.frames import scan as scan_module
from pipeline.types import WINDOW_BEYOND_END, Frames, NoteKind, SourceScan
from tests.long_videos import HEIGHT, WIDTH, write_long
from tests.picture_folders import BROKEN, write_folder
from tests.tiny_videos import write_video, write_with_sound

CUTS = ShotConfig()
MANY = FrameConfig(num_frames=500)

MADE = {
    "10fps.mp4": {"cuts": (13, 40, 41, 99)},
    "12fps.mkv": {"rate": 12, "cuts": (50, 61, 100), "num_b_frames": 3},
    "25fps.mov": {"rate": 25, "num_frames": 300, "cuts": (74, 125, 126, 200, 203)},
    "60fps.mp4": {"rate": 60, "num_frames": 420, "cuts": (59, 61, 177, 300), "key_every": 60},
    "vfr.mkv": {"times": [n + 9 * (n // 30) + n // 7 for n in range(120)], "cuts": (30, 60, 77)},
    "2fps.mp4": {"rate": 2, "num_frames": 60, "cuts": (20, 41), "key_every": 5},
    "open-gop.mp4": {"cuts": (25, 71), "num_b_frames": 3, "x264-params": "open-gop=1:scenecut=0"},
    "keys.mp4": {"key_every": 1, "num_b_frames": 0, "cuts": (33,)},
    "one-key.mp4": {"key_every": 1000, "cuts": (33, 90)},
}


def require_same(one: SourceScan, other: SourceScan) -> None:
    for field in fields(SourceScan):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert np.array_equal(a, b) if field.name == "seconds_N" else a == b, field.name


def require_like_a_clip(scan: SourceScan, frames: Frames) -> None:
    meta = frames.meta
    assert (scan.num_frames, scan.cuts) == (meta.num_decoded, meta.cuts)
    assert (scan.height_px, scan.width_px, scan.notes) == (meta.height_px, meta.width_px, meta.notes)
    assert np.array_equal(scan.seconds_N[meta.index_U].astype(np.float32), meta.seconds_U)


@pytest.mark.parametrize("name", MADE)
def test_parts_joined_are_the_whole(tmp_path: Path, name: str) -> None:
    path = write_long(tmp_path / name, **MADE[name])  # type: ignore[arg-type]
    whole = scan_source(path, cuts=CUTS)
    assert whole.can_jump
    assert whole.cuts
    require_like_a_clip(whole, decode_clip(path, MANY, cuts=CUTS))
    for seconds in (0.7, 3.0):
        require_same(scan_source(path, cuts=CUTS, part_seconds=seconds), whole)
    plain = scan_source(path, cuts=None, part_seconds=1.0)
    require_same(plain, replace(whole, cuts=None))


def test_parts_are_scanned_by_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_long(tmp_path / "a.mp4", **MADE["25fps.mov"])  # type: ignore[arg-type]
    monkeypatch.setattr(scan_module, "LEAST_PART_SECONDS", 1.0)
    seen: list[float] = []
    with DecodePool(2) as pool:
        require_same(scan_source(path, cuts=CUTS, decoder=pool), scan_source(path, cuts=CUTS))
        scan_source(path, cuts=CUTS, decoder=pool, part_seconds=100.0, on_progress=seen.append)
    assert seen == [pytest.approx((25 * n - 1) / 25) for n in range(1, 13)]


def test_key_frames_are_those_of_the_file(tmp_path: Path) -> None:
    path = write_long(tmp_path / "a.mp4", 50, key_every=12)
    assert scan_source(path, cuts=None).keys == (0, 12, 24, 36, 48)


def test_a_part_of_a_video_is_the_same_part_for_extract(tmp_path: Path) -> None:
    path = write_long(tmp_path / "a.mp4", **MADE["10fps.mp4"])  # type: ignore[arg-type]
    for start, end in ((1.35, 9.9), (3.9, None), (None, 4.15), (4.05, 4.5)):
        frames = decode_clip(path, MANY, start_seconds=start, end_seconds=end, cuts=CUTS)
        for part_seconds in (None, 1.0):
            scan = scan_source(
                path, cuts=CUTS, start_seconds=start, end_seconds=end, part_seconds=part_seconds
            )
            require_like_a_clip(scan, frames)
    assert scan_source(path, cuts=None, end_seconds=4.15).end_seconds == pytest.approx(4.2)
    assert scan_source(path, cuts=None, start_seconds=4.15).end_seconds == pytest.approx(12.0)
    with pytest.raises(ClipError, match=r"no frame begins from 300 s") as no:
        scan_source(path, cuts=None, start_seconds=300.0)
    assert WINDOW_BEYOND_END in no.value.reason


@pytest.mark.parametrize("name", ["a.avi", "a.ts", "a.h264", "a.flv"])
def test_containers_without_an_index_are_scanned_at_once(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, 30, codec="mpeg4" if name == "a.avi" else "libx264")
    scan = scan_source(path, cuts=CUTS, part_seconds=0.5)
    assert not scan.can_jump
    require_like_a_clip(scan, decode_clip(path, MANY, cuts=CUTS))


def test_frames_of_two_sizes_are_searched_at_once(tmp_path: Path) -> None:
    """The search shrinks all frames to one size, which the first frame determines."""
    scan = scan_module.scan_source(write_long(tmp_path / "a.mp4"), cuts=CUTS)
    parts = [
        scan_module.ScannedPart(
            seconds_N=scan.seconds_N, keys=(), hard=(), gradual=(), end_seconds=1.0, size=size,
            stored_sizes=frozenset([size]), codec_ratios=frozenset([None]), frame_rate=25.0, has_sound=False,
            remarks=scan_module.Remarks(), num_jumps=0, notes=(), nearest=(-math.inf, math.inf), file_end=1.0,
            is_still=False,
        )
        for size in ((64, 48), (96, 48))
    ]  # fmt: skip
    assert scan_module.can_be_joined(parts, searched=False)
    assert not scan_module.can_be_joined(parts, searched=True)
    assert scan_module.can_be_joined(parts[:1], searched=True)
    assert not scan_module.can_be_joined([replace(parts[0], num_jumps=1)], searched=False)


def test_sound_and_times_of_a_late_video(tmp_path: Path) -> None:
    path = write_with_sound(tmp_path / "a.mp4", 20, video_at=0.5)
    scan = scan_source(path, cuts=None)
    assert scan.has_sound
    assert scan.seconds_N[0] == pytest.approx(0.5, abs=0.03)
    assert not scan_source(write_long(tmp_path / "b.mp4", 12), cuts=None).has_sound


def test_directory_of_images(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", 5)
    (folder / "3.png").write_bytes(BROKEN)
    (folder / "notes.txt").write_text("")
    scan = scan_source(folder, cuts=CUTS, rate=10.0)
    assert scan.images == ("1.png", "2.png", "4.png", "5.png")
    assert scan.seconds_N.tolist() == [0.0, 0.1, 0.2, pytest.approx(0.3)]
    assert (scan.end_seconds, scan.frame_rate, scan.cuts) == (0.4, 10.0, None)
    assert scan.keys == (0, 1, 2, 3)
    assert [str(note) for note in scan.notes] == [
        "1 image did not decode: 3.png",
        "1 other file ignored: notes.txt",
    ]
    untimed = scan_source(folder, cuts=None)
    assert np.isnan(untimed.seconds_N).all()
    assert (untimed.frame_rate, untimed.has_times, scan.has_times) == (0.0, False, True)
    assert math.isnan(untimed.end_seconds)
    with pytest.raises(ClipError, match="start_seconds or end_seconds with a directory of images"):
        scan_source(folder, cuts=None, start_seconds=1.0)
    (tmp_path / "none").mkdir()
    with pytest.raises(ClipError, match="no image in the directory"):
        scan_source(tmp_path / "none", cuts=None)


def test_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = write_long(tmp_path / "a.mp4", 12)
    one, other = scan_source(path, cuts=None).source, scan_source(path, cuts=CUTS).source
    assert one == other
    assert one.num_bytes == path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\0" * 8)
    assert scan_source(path, cuts=None).source.sha256 != one.sha256


def test_files_that_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for decoder in (None, DecodePool(1)):
        with pytest.raises(ClipError, match="not a readable video"):
            scan_source(tmp_path / "a.mp4", cuts=None, decoder=decoder)
        if decoder is not None:
            decoder.close()


def test_values_of_a_scan_are_checked(tmp_path: Path) -> None:
    scan = scan_source(write_long(tmp_path / "a.mp4", 12), cuts=CUTS)
    assert (scan.height_px, scan.width_px, scan.frame_rate) == (HEIGHT, WIDTH, 10.0)
    for wrong, text in (
        ({"seconds_N": scan.seconds_N[::-1]}, "times of frames never decrease"),
        ({"cuts": (3, 12)}, r"cuts must rise from 1 to 11: \[3, 12\]"),
        ({"keys": (4, 4)}, "key frames must rise from 0 to 11"),
        ({"images": ("a.png",)}, "one image per frame, not 1 for 12 frames"),
        ({"seconds_N": np.array([0.0, np.nan])}, "times of all frames or none, not of 1/2"),
    ):
        with pytest.raises(ValueError, match=text):
            replace(scan, **wrong)


# --- real videos ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_scans_of_the_shared_videos(test_data: Path) -> None:
    """They have 10 to 30 frames/s, variable rates, b-frames, open GOPs, turned frames and damage."""
    paths = [path for path in sorted((test_data / "videos").glob("*/*")) if path.suffix != ".wav"]
    assert len(paths) > 30
    for path in paths:
        whole = scan_source(path, cuts=CUTS)
        require_like_a_clip(whole, decode_clip(path, FrameConfig(num_frames=4), cuts=CUTS))
        require_same(scan_source(path, cuts=CUTS, part_seconds=2.9), whole)
    with pytest.raises(ClipError, match="no video stream; streams: audio"):
        scan_source(test_data / "videos" / "odd" / "sine_mono_s16.wav", cuts=CUTS)


def faulty_scan(
    path: Path, monkeypatch: pytest.MonkeyPatch, num_children: int = 2, **options: object
) -> SourceScan:
    """Scan with decoders that break off at the time in the file's name."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "faulty_decoder"))
    with DecodePool(num_children, clip_seconds=2.0) as pool:
        return scan_source(path, cuts=CUTS, decoder=pool, **options)  # type: ignore[arg-type]


CRASHED = "the decoder crashed on it in 2 attempts (SIGSEGV)"


@pytest.mark.parametrize(
    ("fault", "reason", "part_seconds"),
    [
        ("segfault", CRASHED, None),
        ("segfault", CRASHED, 5.0),
        ("segfault", CRASHED, 4.4),
        ("hungry", "its frames do not fit into the decoder's memory", None),
        ("hang", "not decoded within 2 s", None),
    ],
)
def test_a_scan_continues_at_a_key_frame_after_a_decoder_broke_off(
    fault: str, reason: str, part_seconds: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {"rate": 25, "num_frames": 300, "cuts": (60, 200), "key_every": 10}
    path = write_long(tmp_path / f"scan-{fault}4.mp4", **made)
    whole = scan_source(path, cuts=CUTS)
    scan = faulty_scan(path, monkeypatch, part_seconds=part_seconds)
    (gap,) = scan.gaps
    before, after = float(scan.seconds_N[gap - 1]), float(scan.seconds_N[gap])
    assert 2.5 < before < 4.0
    assert 4.5 <= after < 6.5
    kept = [*range(gap), *range(300 - scan.num_frames + gap, 300)]
    assert np.array_equal(scan.seconds_N, whole.seconds_N[kept])
    assert scan.keys == tuple(place for place, number in enumerate(kept) if number % 10 == 0)
    assert gap in scan.keys
    assert [kept[cut] for cut in scan.cuts or ()] == [60, 200]
    assert scan.end_seconds == whole.end_seconds
    (note,) = scan.notes
    assert note.kind is NoteKind.DAMAGE
    assert re.fullmatch(rf"no frames from 3\.\d\d s to {after:.2f} s: {re.escape(reason)}", note.text)
    numbers = list(range(0, scan.num_frames, 7))
    frames = list(stream_frames(path, scan, numbers, InlineDecoder()))
    assert all(frame.rgb_HWC is not None for frame in frames)


@pytest.mark.parametrize(
    ("name", "part_seconds"),
    [("segfault4.mp4", 4.4), ("segfault4.ts", None), ("segfault4.flv", None)],
)
def test_a_scan_without_jumps_continues_likewise(
    name: str, part_seconds: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second scan makes no jumps if parts cannot be joined, and containers without an index allow none."""
    path = write_long(tmp_path / f"scan-{name}", 300, rate=25, cuts=(60, 200), key_every=10, num_b_frames=0)
    whole = scan_source(path, cuts=CUTS)
    monkeypatch.setattr(scan_module, "can_be_joined", lambda parts, **_: len(parts) == 1)
    scan = faulty_scan(path, monkeypatch, part_seconds=part_seconds)
    (gap,) = scan.gaps
    kept = [*range(gap), *range(300 - scan.num_frames + gap, 300)]
    assert scan.num_frames > 250
    assert np.array_equal(scan.seconds_N, whole.seconds_N[kept])
    assert [kept[cut] for cut in scan.cuts or ()] == [60, 200]
    assert gap in scan.keys
    (note,) = (note for note in scan.notes if note.kind is NoteKind.DAMAGE)
    assert re.match(rf"no frames from 3\.\d\d s to {scan.seconds_N[gap]:.2f} s: ", note.text)
    for can_jump in {scan.can_jump, False}:
        numbers = [gap - 1, gap, gap + 1, scan.num_frames - 1]
        frames = list(stream_frames(path, replace(scan, can_jump=can_jump), numbers, InlineDecoder()))
        every = {frame.seconds: frame for frame in stream_frames(path, whole, range(300), InlineDecoder())}
        for frame in frames:
            assert frame.reason is None
            assert np.array_equal(frame.rgb_HWC, every[frame.seconds].rgb_HWC)  # type: ignore[arg-type]


def test_a_scan_that_cannot_continue_keeps_what_is_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_long(tmp_path / "scan-segfault4.mp4", 300, rate=25, key_every=1000)
    scan = faulty_scan(path, monkeypatch)
    assert (scan.num_frames, scan.gaps) == (99, ())
    assert scan.end_seconds == pytest.approx(99 / 25)
    assert scan.notes[0].text == f"no frames from 3.96 s to 12.00 s: {CRASHED}"


def test_a_scan_without_any_frame_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_long(tmp_path / "scan-segfault0.mp4", 50, rate=25, key_every=1000)
    with pytest.raises(ClipError, match=re.escape(CRASHED)):
        faulty_scan(path, monkeypatch)

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ClipError
from pipeline.frames import FrameConfig, decode_clip, sample_indices
from pipeline.frames.container import Packets, Window, can_jump
from pipeline.frames.decode import _decode_pass
from pipeline.frames.decoded_frames import decoded_frames
from pipeline.frames.remarks import Remarks
from pipeline.types import Frames
from tests.tiny_videos import (
    HEIGHT,
    WIDTH,
    numbers,
    read_plainly,
    remuxed,
    with_matrix,
    write_video,
)

WHOLE = Window(float("-inf"), float("inf"))
OPEN_GOPS = "open-gop=1:bframes=3:b-adapt=0:keyint=10:min-keyint=10:scenecut=0"
KINDS = {
    "plain.mp4": {},
    "b_frames.mp4": {"num_b_frames": 3, "options": {"b_strategy": "0"}},
    "open_gops.mp4": {"options": {"x264-params": OPEN_GOPS}},
    "open_gops.mkv": {"options": {"x264-params": OPEN_GOPS}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": f"{OPEN_GOPS}:log-level=none"}},
    "mpeg4.mp4": {"codec": "mpeg4", "num_b_frames": 2},
    "mpeg2.mkv": {"codec": "mpeg2video", "num_b_frames": 2},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4.avi": {"codec": "mpeg4", "num_b_frames": 2},
    "h264.ts": {"num_b_frames": 2},
    "intra_refresh.mkv": {"options": {"x264-params": "intra-refresh=1:keyint=10"}},
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, how in KINDS.items():
        write_video(folder / name, 40, **how)
    return folder


def config(num_frames: int = 4, num_views: int = 1) -> FrameConfig:
    return FrameConfig(num_frames=num_frames, num_views=num_views)


# What comes of a file


@pytest.mark.parametrize("name", KINDS)
def test_decoded_frames_equal_a_plain_read_of_all(videos, name):
    plain = read_plainly(videos / name)
    frames = decode_clip(videos / name, config(7, num_views=3))
    assert frames.meta.num_decoded == len(plain) == 40
    assert frames.meta.notes == ()
    for place, index in enumerate(frames.meta.index_U):
        assert np.array_equal(frames.rgb_UHWC[place], plain[index])
    assert frames.meta.flip_V == (False, True, False)
    assert np.array_equal(frames.meta.index_U[frames.meta.position_VT], sample_indices(40, config(7, 3))[0])


def test_frames_are_the_ones_painted_and_timed(tmp_path):
    frames = decode_clip(write_video(tmp_path / "a.mp4", 30, num_b_frames=3), config(6))
    assert frames.meta.index_U.tolist() == numbers(frames.rgb_UHWC) == [2, 7, 12, 17, 22, 27]
    assert frames.meta.seconds_U == pytest.approx([0.2, 0.7, 1.2, 1.7, 2.2, 2.7], abs=1e-6)
    assert frames.rgb_UHWC.shape == (6, HEIGHT, WIDTH, 3)


def test_times_of_a_variable_rate_are_the_files(tmp_path):
    times = [0, 1, 2, 9, 30, 31]
    frames = decode_clip(write_video(tmp_path / "a.mp4", 6, times=times), config(6))
    assert frames.meta.seconds_U == pytest.approx([t / 10 for t in times], abs=1e-6)
    assert numbers(frames.rgb_UHWC) == [0, 1, 2, 3, 4, 5]


def test_a_short_clip_has_a_validity_mask(tmp_path):
    frames = decode_clip(write_video(tmp_path / "a.mp4", 3), config(5, 2))
    assert frames.meta.index_U.tolist() == [0, 1, 2]
    assert frames.meta.position_VT.tolist() == [[0, 1, 2, 2, 2]] * 2
    assert frames.meta.valid_VT.tolist() == [[True, True, True, False, False]] * 2


@pytest.mark.parametrize("kept", [range(13, 40), [*range(5), *range(9, 30)], range(3)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_stream_copy_counts_what_decodes(videos, tmp_path, kept, suffix):
    cut = remuxed(videos / "b_frames.mp4", tmp_path / f"cut{suffix}", kept)
    plain = read_plainly(cut)
    frames = decode_clip(cut, config(6))
    assert frames.meta.num_decoded == len(plain)
    assert frames.meta.index_U.tolist() == np.unique(sample_indices(len(plain), config(6))[0]).tolist()
    assert all(np.array_equal(a, plain[i]) for a, i in zip(frames.rgb_UHWC, frames.meta.index_U, strict=True))


def test_a_wrong_guess_of_the_number_of_frames_costs_a_second_pass_only(videos, tmp_path):
    cut = remuxed(videos / "b_frames.mp4", tmp_path / "cut.mp4", range(13, 40))
    with Packets(cut, WHOLE, jump=False) as packets:
        assert packets.count() != decode_clip(cut, config()).meta.num_decoded


def test_only_the_wanted_frames_are_kept(videos):
    with Packets(videos / "plain.mp4", WHOLE, jump=False) as packets:
        taken = _decode_pass(packets, WHOLE, frozenset([3, 30]))
    assert taken.pictures.index == numbers(taken.pictures.rgb_UHWC) == [3, 30]
    assert taken.num_decoded == 40


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv", "a.avi"])
def test_a_truncated_file_gives_the_frames_that_are_there(tmp_path, name, share):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    noise = np.random.default_rng(0).integers(0, 255, (40, HEIGHT, WIDTH, 3), np.uint8)
    path = write_video(tmp_path / name, noise, codec=codec, num_b_frames=2, index_first=name.endswith("mp4"))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    plain = read_plainly(path)
    frames = decode_clip(path, config())
    assert 0 < frames.meta.num_decoded == len(plain) < 40
    assert all(np.array_equal(a, plain[i]) for a, i in zip(frames.rgb_UHWC, frames.meta.index_U, strict=True))


def outcome_of(path: Path, start_seconds: float | None) -> Frames | ClipError:
    try:
        return decode_clip(path, config(), start_seconds=start_seconds)
    except ClipError as error:
        return error


def breaking(container: Any, num_packets: int) -> Iterator[Any]:
    """Packets of the container's first stream that end in an error of reading."""
    yield from islice(container.demux(video=0), num_packets)
    raise av.error.InvalidDataError(1, "broken")


def test_what_the_decoder_holds_comes_out_when_reading_breaks_off(videos):
    remarks = Remarks()
    with av.open(str(videos / "b_frames.mp4")) as container:
        stream = container.streams.video[0]
        frames = [
            frame.to_ndarray(format="rgb24")
            for frame in decoded_frames(breaking(container, 20), stream, remarks)
        ]
    assert len(frames) == 20
    assert remarks.num_errors == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_ends_in_anything_but_frames_or_a_clip_error(videos, tmp_path, data):
    name = data.draw(st.sampled_from(["plain.mp4", "open_gops.mkv", "mpeg4.avi", "h264.ts"]))
    content = bytearray((videos / name).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(content)
    start = data.draw(st.sampled_from([None, 1.5]))
    outcome = outcome_of(path, start)
    if isinstance(outcome, ClipError):
        assert outcome.stage in ("open", "decode")
        assert "\n" not in outcome.reason
    else:
        assert 1 <= len(outcome.rgb_UHWC) <= 4


# Windows of time


@pytest.mark.parametrize("name", KINDS)
def test_a_window_equals_the_same_frames_of_the_whole_file(videos, name):
    path = videos / name
    whole = decode_clip(path, config(40))
    assert len(whole.meta.index_U) == 40
    for start, end in [
        (0.0, 1.0),
        (0.55, 2.0),
        (0.95, 1.35),
        (1.15, None),
        (1.9, 2.6),
        (2.05, 3.95),
        (3.7, 9.0),
    ]:
        seconds = whole.meta.seconds_U.astype(np.float64)
        inside = np.flatnonzero((seconds >= start - 1e-6) & (seconds < (end or 99) - 1e-6))
        part = decode_clip(path, config(40), start_seconds=start, end_seconds=end)
        assert part.meta.num_decoded == len(inside)
        assert part.meta.index_U.tolist() == list(range(len(inside)))
        assert np.array_equal(part.meta.seconds_U, whole.meta.seconds_U[inside])
        assert np.array_equal(part.rgb_UHWC, whole.rgb_UHWC[inside])


def test_a_window_jumps_only_where_no_frame_is_lost(videos):
    assert can_jump(videos / "plain.mp4", Window(2.5, 9))
    assert can_jump(videos / "b_frames.mp4", Window(2.5, 9))
    assert not can_jump(videos / "plain.mp4", Window(float("-inf"), 9)), "nothing to skip"
    assert not can_jump(videos / "mpeg4.avi", Window(2.5, 9))
    assert not can_jump(videos / "h264.ts", Window(2.5, 9))
    # the key frame of time 1.0 is stored before the frames of times 0.7 to 0.9
    late = [k for k in range(1, 40) if not can_jump(videos / "open_gops.mp4", Window(k / 10, 9))]
    assert 0 < len(late) < 20
    assert not {k % 10 for k in late} & {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (
            99.0,
            None,
            "no frame begins from 99 s, and the file ends at .*; times are seconds from .*frame numbers[?]",
        ),
        (1e300, None, "no frame begins from 1e.300 s, and the file ends at .*"),
        (None, 0.0, "no frame begins before 0 s; the nearest frame begins at 0.00 s; widen .*"),
        (
            1.01,
            1.09,
            "no frame begins from 1.01 s before 1.09 s; the nearest frames begin at 1.00 s and 1.10 s; "
            "widen start_seconds to end_seconds",
        ),
    ],
)
@pytest.mark.parametrize("name", ["plain.mp4", "open_gops.mkv", "mpeg4.avi"])
def test_an_empty_window_says_so(videos, name, start, end, message):
    with pytest.raises(ClipError, match=f"^decode: {message}$"):
        decode_clip(videos / name, config(), start_seconds=start, end_seconds=end)


# Pictures as they are shown

CORNERS = {
    # display matrix (a, b, c, d) -> the stored corners 1 2 / 3 4 as shown
    (1, 0, 0, 1): "1234",
    (0, 1, -1, 0): "3142",
    (-1, 0, 0, -1): "4321",
    (0, -1, 1, 0): "2413",
    (-1, 0, 0, 1): "2143",
    (1, 0, 0, -1): "3412",
    (0, 1, 1, 0): "1324",
    (0, -1, -1, 0): "4231",
}


@pytest.mark.parametrize("matrix", CORNERS)
def test_the_display_matrix_is_honoured(tmp_path, matrix):
    quarter = np.ones((24, 32, 3), np.uint8)
    picture = np.block([[[50 * quarter], [100 * quarter]], [[150 * quarter], [200 * quarter]]])
    path = with_matrix(write_video(tmp_path / "a.mp4", [picture.squeeze()] * 2), matrix)
    shown = decode_clip(path, config(2)).rgb_UHWC[0]
    height, width, _ = shown.shape
    assert (width, height) == ((WIDTH, HEIGHT) if matrix[0] else (HEIGHT, WIDTH))
    places = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    places += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    assert "".join(str(round(shown[place].mean() / 50)) for place in places) == CORNERS[matrix]


def test_a_slanted_picture_is_refused(tmp_path):
    path = with_matrix(write_video(tmp_path / "a.mp4", 3), (1, 1, -1, 1))
    with pytest.raises(ClipError, match="rotated by -45 degrees; multiples of 90 are supported"):
        decode_clip(path, config())


def test_pixels_are_made_square(tmp_path):
    path = write_video(tmp_path / "a.mp4", 4, pixel_aspect=Fraction(3, 2))
    assert decode_clip(path, config()).rgb_UHWC.shape == (4, HEIGHT, 96, 3)
    turned = with_matrix(path, (0, 1, -1, 0))
    assert decode_clip(turned, config()).rgb_UHWC.shape == (4, 96, HEIGHT, 3)


def test_pixels_of_absurd_shape_are_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", 4, pixel_aspect=Fraction(1, 50))
    with pytest.raises(ClipError, match="pixels 0.02 times as wide as high; allowed: 0.1 to 10"):
        decode_clip(path, config())

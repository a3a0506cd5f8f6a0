import os
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

from pipeline.errors import ClipError, ConfigError
from pipeline.frames import FrameConfig, decode_clip, is_mirrored, sample_indices, view_offset
from pipeline.frames.decode import _decode_pass, _decoded, _Errors
from pipeline.frames.source import Window, can_jump, count_packets
from pipeline.types import Frames
from tests.tiny_videos import (
    HEIGHT,
    WIDTH,
    grey,
    numbers,
    read_plainly,
    remuxed,
    with_matrix,
    write_picture,
    write_sound,
    write_video,
)

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


# Which frames


def test_indices_lie_in_the_middle_of_equal_parts():
    # parts of 2.5 frames: floor(1.25), floor(3.75), floor(6.25), floor(8.75)
    index, valid = sample_indices(10, config(4))
    assert index.tolist() == [[1, 3, 6, 8]]
    assert valid.all()


def test_as_many_frames_as_asked_gives_each_once():
    assert sample_indices(4, config(4))[0].tolist() == [[0, 1, 2, 3]]


def test_a_short_clip_repeats_its_last_frame_as_invalid():
    index, valid = sample_indices(3, config(5, num_views=2))
    assert index.tolist() == [[0, 1, 2, 2, 2]] * 2
    assert valid.tolist() == [[True, True, True, False, False]] * 2


def test_further_views_move_within_the_parts():
    # parts of 4 frames: offsets 1/2, 1/2 (mirrored), 1/4, 3/4, 1/8
    index, _ = sample_indices(8, config(2, num_views=5))
    assert index.tolist() == [[2, 6], [2, 6], [1, 5], [3, 7], [0, 4]]
    assert [view_offset(v) for v in range(8)] == [1 / 2, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
    assert [is_mirrored(v) for v in range(4)] == [False, True, False, False]


@given(n=st.integers(1, 10**7), t=st.integers(1, 512), views=st.integers(1, 16))
def test_indices_rise_and_stay_in_range(n, t, views):
    index, valid = sample_indices(n, config(t, views))
    assert index.shape == valid.shape == (views, t)
    assert index.min() >= 0
    assert index.max() < n
    assert (np.diff(index, axis=1)[:, : min(n, t) - 1] >= 1).all(), "valid frames are distinct and in order"
    assert (valid.sum(axis=1) == min(n, t)).all()
    assert (index[~valid] == n - 1).all()
    if n >= t:
        exact = [[int((i + Fraction(view_offset(v))) * n / t) for i in range(t)] for v in range(views)]
        assert index.tolist() == exact


@given(n=st.integers(1, 10**6), t=st.integers(1, 64), views=st.integers(1, 15))
def test_more_views_leave_the_earlier_ones_as_they_are(n, t, views):
    fewer, more = sample_indices(n, config(t, views)), sample_indices(n, config(t, views + 1))
    assert np.array_equal(fewer[0], more[0][:views])
    assert np.array_equal(fewer[1], more[1][:views])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_frames": 0}, "frames.num_frames is 0; allowed: 1 to 512."),
        ({"num_frames": 513}, "frames.num_frames is 513; allowed: 1 to 512."),
        ({"num_views": 17}, "frames.num_views is 17; allowed: 1 to 16."),
    ],
)
def test_config_is_checked(values, message):
    with pytest.raises(ConfigError, match=message):
        FrameConfig(**values)


# What comes of a file


@pytest.mark.parametrize("name", KINDS)
def test_decoded_frames_equal_a_plain_read_of_all(videos, name):
    plain = read_plainly(videos / name)
    frames = decode_clip(videos / name, config(7, num_views=3))
    assert frames.num_decoded == len(plain) == 40
    assert frames.notes == ()
    for place, index in enumerate(frames.index_U):
        assert np.array_equal(frames.rgb_UHWC[place], plain[index])
    assert frames.flip_V == (False, True, False)
    assert np.array_equal(frames.index_U[frames.position_VT], sample_indices(40, config(7, 3))[0])


def test_frames_are_the_ones_painted_and_timed(tmp_path):
    frames = decode_clip(write_video(tmp_path / "a.mp4", 30, num_b_frames=3), config(6))
    assert frames.index_U.tolist() == numbers(frames.rgb_UHWC) == [2, 7, 12, 17, 22, 27]
    assert frames.seconds_U == pytest.approx([0.2, 0.7, 1.2, 1.7, 2.2, 2.7], abs=1e-6)
    assert frames.rgb_UHWC.shape == (6, HEIGHT, WIDTH, 3)


def test_times_of_a_variable_rate_are_the_files(tmp_path):
    times = [0, 1, 2, 9, 30, 31]
    frames = decode_clip(write_video(tmp_path / "a.mp4", 6, times=times), config(6))
    assert frames.seconds_U == pytest.approx([t / 10 for t in times], abs=1e-6)
    assert numbers(frames.rgb_UHWC) == [0, 1, 2, 3, 4, 5]


def test_a_short_clip_has_a_validity_mask(tmp_path):
    frames = decode_clip(write_video(tmp_path / "a.mp4", 3), config(5, 2))
    assert frames.index_U.tolist() == [0, 1, 2]
    assert frames.position_VT.tolist() == [[0, 1, 2, 2, 2]] * 2
    assert frames.valid_VT.tolist() == [[True, True, True, False, False]] * 2


@pytest.mark.parametrize("kept", [range(13, 40), [*range(5), *range(9, 30)], range(3)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_stream_copy_counts_what_decodes(videos, tmp_path, kept, suffix):
    cut = remuxed(videos / "b_frames.mp4", tmp_path / f"cut{suffix}", kept)
    plain = read_plainly(cut)
    frames = decode_clip(cut, config(6))
    assert frames.num_decoded == len(plain)
    assert frames.index_U.tolist() == np.unique(sample_indices(len(plain), config(6))[0]).tolist()
    assert all(np.array_equal(a, plain[i]) for a, i in zip(frames.rgb_UHWC, frames.index_U, strict=True))


def test_a_wrong_guess_of_the_number_of_frames_costs_a_second_pass_only(videos, tmp_path):
    cut = remuxed(videos / "b_frames.mp4", tmp_path / "cut.mp4", range(13, 40))
    whole = Window(float("-inf"), float("inf"))
    assert count_packets(cut, whole, jump=False) != decode_clip(cut, config()).num_decoded


def test_only_the_wanted_frames_are_kept(videos):
    whole = Window(float("-inf"), float("inf"))
    taken = _decode_pass(videos / "plain.mp4", whole, frozenset([3, 30]), jump=False)
    assert sorted(taken.frames) == [3, 30]
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
    assert 0 < frames.num_decoded == len(plain) < 40
    assert all(np.array_equal(a, plain[i]) for a, i in zip(frames.rgb_UHWC, frames.index_U, strict=True))


def outcome_of(path: Path, start_seconds: float | None) -> Frames | ClipError:
    try:
        return decode_clip(path, config(), start_seconds=start_seconds)
    except ClipError as error:
        return error


class Breaking:
    """A container whose packets end in an error of reading."""

    def __init__(self, container: Any, num_packets: int) -> None:
        self.container, self.num_packets = container, num_packets

    def demux(self, stream: Any) -> Iterator[Any]:
        yield from islice(self.container.demux(stream), self.num_packets)
        raise av.error.InvalidDataError(1, "broken")


def test_what_the_decoder_holds_comes_out_when_reading_breaks_off(videos):
    errors = _Errors()
    with av.open(str(videos / "b_frames.mp4")) as container:
        stream = container.streams.video[0]
        frames = [
            frame.to_ndarray(format="rgb24") for frame in _decoded(Breaking(container, 20), stream, errors)
        ]
    assert len(frames) == 20
    assert errors.count == 1


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
    assert len(whole.index_U) == 40
    for start, end in [
        (0.0, 1.0),
        (0.55, 2.0),
        (0.95, 1.35),
        (1.15, None),
        (1.9, 2.6),
        (2.05, 3.95),
        (3.7, 9.0),
    ]:
        seconds = whole.seconds_U.astype(np.float64)
        inside = np.flatnonzero((seconds >= start - 1e-6) & (seconds < (end or 99) - 1e-6))
        part = decode_clip(path, config(40), start_seconds=start, end_seconds=end)
        assert part.num_decoded == len(inside)
        assert part.index_U.tolist() == list(range(len(inside)))
        assert np.array_equal(part.seconds_U, whole.seconds_U[inside])
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
        (99.0, None, "no frame decodes from 99 s"),
        (1e300, None, "no frame decodes from 1e.300 s"),
        (None, 0.0, "no frame decodes before 0 s"),
        (1.01, 1.09, "no frame decodes from 1.01 s before 1.09 s"),
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


def test_a_changing_picture_size_is_scaled_to_the_first_and_noted(tmp_path):
    small = write_video(tmp_path / "small.ts", [np.full((HEIGHT, WIDTH, 3), grey(3), np.uint8)] * 6)
    large = write_video(tmp_path / "large.ts", [np.full((96, 80, 3), grey(9), np.uint8)] * 6)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames = decode_clip(both, config(12))
    assert frames.rgb_UHWC.shape == (12, HEIGHT, WIDTH, 3)
    assert numbers(frames.rgb_UHWC) == [3] * 6 + [9] * 6
    assert frames.notes == ("the picture changes size; all frames are scaled to 64x48",)


# What is no video


def test_a_gif_needs_more_than_one_frame(tmp_path):
    moving = decode_clip(write_video(tmp_path / "a.gif", 8, codec="gif", pix_fmt="rgb8"), config(8))
    assert moving.num_decoded == 8
    still = write_video(tmp_path / "b.gif", 1, codec="gif", pix_fmt="rgb8")
    with pytest.raises(ClipError, match="^decode: a still picture, not a video: it holds one frame$"):
        decode_clip(still, config())


@pytest.mark.parametrize(("codec", "pix_fmt"), [("png", "rgb24"), ("mjpeg", "yuvj420p")])
@pytest.mark.parametrize("suffix", [".png", ".mp4"])
def test_a_picture_file_is_refused_whatever_its_name(tmp_path, codec, pix_fmt, suffix):
    with pytest.raises(ClipError, match=r"^open: a still picture \((png|jpeg)_pipe\), not a video$"):
        decode_clip(write_picture(tmp_path / f"a{suffix}", codec, pix_fmt), config())


@pytest.mark.parametrize(
    ("name", "cover"), [("a.mp3", False), ("a.mp3", True), ("a.m4a", False), ("a.wav", False)]
)
def test_sound_is_refused_with_or_without_a_cover_picture(tmp_path, name, cover):
    picture = np.full((HEIGHT, WIDTH, 3), 99, np.uint8) if cover else None
    kinds = "audio, video" if cover else "audio"
    with pytest.raises(ClipError, match=f"^open: no video stream; streams: {kinds}$"):
        decode_clip(write_sound(tmp_path / name, picture), config())


def test_what_cannot_be_a_video_is_refused_in_one_line(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n")
    (tmp_path / "notes.txt").write_text("not a video\n" * 1000)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, message in [
        ("empty.mp4", "the file is empty"),
        ("text.mp4", "not a readable video: Invalid data found when processing input"),
        ("notes.txt", "a playlist or another kind of file that is not read as video"),
        ("folder.mp4", "a folder, not a video file"),
        ("missing.mp4", "cannot be read: No such file or directory"),
        ("pipe.mp4", "a pipe or device, not a video file"),
    ]:
        with pytest.raises(ClipError, match=f"^open: {message}$"):
            decode_clip(tmp_path / name, config())


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
SESSION = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile other.mp4\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile other.mp4\n"),
        ("list.m3u8", PLAYLIST.format("other.ts")),
        ("remote.m3u8", PLAYLIST.format("http://127.0.0.1:9/other.ts")),
        ("session.mp4", SESSION),
    ],
)
def test_a_list_of_other_files_is_refused(tmp_path, name, content):
    write_video(tmp_path / "other.mp4")
    write_video(tmp_path / "other.ts")
    (tmp_path / name).write_text(content)
    with pytest.raises(
        ClipError, match="^open: a playlist or another kind of file that is not read as video$"
    ):
        decode_clip(tmp_path / name, config())


def test_a_file_name_is_never_a_pattern_or_an_address(tmp_path):
    write_picture(tmp_path / "a1.png")
    write_picture(tmp_path / "a%d.png")
    with pytest.raises(ClipError, match="^open: "):
        decode_clip(tmp_path / "a%d.png", config())
    odd = tmp_path / "concat:a|b #1%d?.mp4"
    write_video(tmp_path / "a.mp4").rename(odd)
    assert decode_clip(odd, config()).num_decoded == 30


# The real odd files

ODD_FRAMES = {
    "animated.gif": 4,
    "bt2020_10bit.mp4": 60,
    "corrupted.mp4": 49,
    "discard_first_keyframe.mp4": 25,
    "flipping_a_pancake.mkv": 310,
    "h264_10bits.mp4": 30,
    "h265_video.mp4": 10,
    "nasa_13013.mp4": 325,
    "nasa_13013_mkv_duration_tag.mkv": 390,
    "nasa_13013_rotated.mp4": 17,
    "nasa_13013_vfr.mp4": 50,
    "testsrc2_mpeg4.avi": 30,
    "testsrc2_odd_height_and_width_mpeg2.mp4": 10,
    "testsrc2_odd_height_and_width_vp9.mp4": 25,
    "video_0.mov": 3,
    "video_180.mov": 3,
    "video_90.mov": 3,
}
ODD_REFUSED = {"sine_mono_s16.wav": "open: no video stream; streams: audio"}


@pytest.mark.data
def test_every_odd_file_is_known(test_data):
    there = {path.name for path in (test_data / "videos/odd").iterdir()}
    assert there == ODD_FRAMES.keys() | ODD_REFUSED.keys()


@pytest.mark.data
@pytest.mark.parametrize("name", ODD_FRAMES)
def test_an_odd_file_gives_the_frames_of_a_plain_read(test_data, name):
    path = test_data / "videos/odd" / name
    plain = read_plainly(path)
    frames = decode_clip(path, FrameConfig())
    assert frames.num_decoded == len(plain) == ODD_FRAMES[name]
    assert all(np.array_equal(a, plain[i]) for a, i in zip(frames.rgb_UHWC, frames.index_U, strict=True))
    assert frames.index_U.tolist() == np.unique(sample_indices(len(plain), FrameConfig())[0]).tolist()
    damage = ("1 packets did not decode", "1 frames are marked corrupt") if name == "corrupted.mp4" else ()
    assert frames.notes == damage
    guess = count_packets(path, Window(float("-inf"), float("inf")), jump=False)
    assert guess == len(plain) + len(damage) // 2, "one pass suffices but for the damaged file"


@pytest.mark.data
@pytest.mark.parametrize("name", ODD_REFUSED)
def test_an_odd_file_without_frames_is_refused(test_data, name):
    with pytest.raises(ClipError, match=f"^{ODD_REFUSED[name]}$"):
        decode_clip(test_data / "videos/odd" / name, FrameConfig())


@pytest.mark.data
def test_a_clip_cut_by_stream_copy_counts_what_decodes(test_data):
    path = test_data / "videos/people/no_face.mp4"
    with av.open(str(path)) as file:
        assert file.streams.video[0].frames == 98
    assert decode_clip(path, FrameConfig()).num_decoded == 95


@pytest.mark.data
def test_three_rotations_of_one_keyboard_stand_upright(test_data):
    # looked at: the letters are upright in all three; the desk is lit from above
    for turn, shape in ((0, (320, 568, 3)), (90, (568, 320, 3)), (180, (320, 568, 3))):
        shown = decode_clip(test_data / f"videos/odd/video_{turn}.mov", config(1)).rgb_UHWC[0]
        assert shown.shape == shape
        quarter = len(shown) // 4
        assert shown[:quarter].mean() > 1.05 * shown[-quarter:].mean()


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["discard_first_keyframe.mp4", "nasa_13013_vfr.mp4", "nasa_13013_mkv_duration_tag.mkv"]
)
def test_a_window_of_an_odd_file_equals_the_whole(test_data, name):
    path = test_data / "videos/odd" / name
    whole = decode_clip(path, config(512))
    end = float(whole.seconds_U[-1])
    for share in (0.1, 0.37, 0.8):
        start = share * end
        inside = np.flatnonzero((whole.seconds_U >= start) & (whole.seconds_U < start + end / 8))
        part = decode_clip(path, config(512), start_seconds=start, end_seconds=start + end / 8)
        assert part.num_decoded == len(inside) > 0
        assert np.array_equal(part.rgb_UHWC, whole.rgb_UHWC[inside])

import os

import av
import numpy as np
import pytest

from pipeline.errors import ClipError
from pipeline.frames import FrameConfig, decode_clip, sample_indices
from pipeline.frames.container import Packets, Window
from tests.tiny_videos import (
    HEIGHT,
    WIDTH,
    read_plainly,
    texts,
    write_picture,
    write_sound,
    write_video,
)


def config(num_frames: int = 4, num_views: int = 1) -> FrameConfig:
    return FrameConfig(num_frames=num_frames, num_views=num_views)


# What is no video


def test_a_gif_needs_more_than_one_frame(tmp_path):
    moving = decode_clip(write_video(tmp_path / "a.gif", 8, codec="gif", pix_fmt="rgb8"), config(8))
    assert moving.meta.num_decoded == 8
    still = write_video(tmp_path / "b.gif", 1, codec="gif", pix_fmt="rgb8")
    with pytest.raises(ClipError, match="^decode: a still image, not a video: it has one frame$"):
        decode_clip(still, config())


@pytest.mark.parametrize(("codec", "pix_fmt"), [("png", "rgb24"), ("mjpeg", "yuvj420p")])
@pytest.mark.parametrize("suffix", [".png", ".mp4"])
def test_a_picture_file_is_refused_whatever_its_name(tmp_path, codec, pix_fmt, suffix):
    with pytest.raises(ClipError, match=r"^open: a still image \((png|jpeg)_pipe\), not a video$"):
        decode_clip(write_picture(tmp_path / f"a{suffix}", codec, pix_fmt), config())


@pytest.mark.parametrize(
    ("name", "cover"), [("a.mp3", False), ("a.mp3", True), ("a.m4a", False), ("a.wav", False)]
)
def test_sound_is_refused_with_or_without_a_cover_picture(tmp_path, name, cover):
    picture = np.full((HEIGHT, WIDTH, 3), 99, np.uint8) if cover else None
    kinds = "audio, cover image" if cover else "audio"
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
        ("folder.mp4", "a directory, not a video file"),
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
    assert decode_clip(odd, config()).meta.num_decoded == 30


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
ODD_NOTES = {
    "bt2020_10bit.mp4": ("60 frames with the HDR transfer PQ (SMPTE ST 2084), not tone-mapped",),
    "corrupted.mp4": ("1 packet did not decode", "1 frame marked corrupt"),
    "nasa_13013.mp4": ("2 video streams: stream 0 (320x180) is read, not 3 (480x270)",),
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
    assert frames.meta.num_decoded == len(plain) == ODD_FRAMES[name]
    assert all(np.array_equal(a, plain[i]) for a, i in zip(frames.rgb_UHWC, frames.meta.index_U, strict=True))
    assert frames.meta.index_U.tolist() == np.unique(sample_indices(len(plain), FrameConfig())[0]).tolist()
    assert texts(frames.meta.notes) == ODD_NOTES.get(name, ())
    with Packets(path, Window(float("-inf"), float("inf")), jump=False) as packets:
        guess = packets.count()
    assert guess == len(plain) + (name == "corrupted.mp4"), "one pass suffices but for the damaged file"


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
    assert decode_clip(path, FrameConfig()).meta.num_decoded == 95


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
    end = float(whole.meta.seconds_U[-1])
    for share in (0.1, 0.37, 0.8):
        start = share * end
        inside = np.flatnonzero((whole.meta.seconds_U >= start) & (whole.meta.seconds_U < start + end / 8))
        part = decode_clip(path, config(512), start_seconds=start, end_seconds=start + end / 8)
        assert part.meta.num_decoded == len(inside) > 0
        assert np.array_equal(part.rgb_UHWC, whole.rgb_UHWC[inside])

"""What is odd about a video is a note of its kind."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from pipeline.frames import FrameConfig, decode_clip
from pipeline.frames.remarks import Remarks, note_streams
from pipeline.types import Note, NoteKind
from tests.tiny_videos import HEIGHT, WIDTH, grey, numbers, texts, write_two_videos, write_video

ALL = FrameConfig(num_frames=100)


def frame(**odd):
    return SimpleNamespace(
        **{"is_corrupt": False, "interlaced_frame": False, "pts": 0, "color_trc": 1, **odd}
    )


def test_frames_are_counted_and_nothing_odd_gives_no_note():
    remarks = Remarks()
    remarks.add(frame())
    assert remarks.notes(0) == []
    for odd in (
        {"is_corrupt": True},
        {"interlaced_frame": True},
        {"pts": None},
        {"color_trc": 16},
        {"color_trc": 18},
    ):
        remarks.add(frame(**odd))
    remarks.num_errors = 2
    assert remarks.notes(3) == [
        Note(NoteKind.DAMAGE, "2 packets did not decode"),
        Note(NoteKind.DAMAGE, "1 frame marked corrupt"),
        Note(NoteKind.TIMES, "1 frame without a time stamp; times follow the frame rate"),
        Note(NoteKind.TIMES, "time stamps go back 3 times; times continue from there"),
        Note(NoteKind.HDR, "1 frame with the HDR transfer PQ (SMPTE ST 2084), not tone-mapped"),
        Note(NoteKind.HDR, "1 frame with the HDR transfer HLG (ARIB STD-B67), not tone-mapped"),
        Note(NoteKind.INTERLACED, "1 frame interlaced, not deinterlaced"),
    ]


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG"), ("bt709", "")])
def test_an_hdr_transfer_is_named(tmp_path, transfer, name):
    path = write_video(tmp_path / "a.mp4", 5, options={"x264-params": f"transfer={transfer}"})
    notes = decode_clip(path, FrameConfig(num_frames=2)).meta.notes
    assert [note.kind for note in notes] == ([NoteKind.HDR] if name else [])
    assert all(note.text.startswith(f"5 frames with the HDR transfer {name} (") for note in notes)


@pytest.mark.parametrize("is_interlaced", [True, False])
def test_interlaced_frames_are_named(tmp_path, is_interlaced):
    options = {"x264-params": "interlaced=1"} if is_interlaced else {}
    frames = decode_clip(write_video(tmp_path / "a.mp4", 5, options=options), FrameConfig(num_frames=2))
    assert texts(frames.meta.notes) == (("5 frames interlaced, not deinterlaced",) if is_interlaced else ())


# Several video streams


@pytest.mark.parametrize(
    ("dispositions", "number", "text"),
    [
        ((0, 0), 3, "2 video streams: stream 0 (64x48) is read, not 1 (32x24)"),
        ((1, 1), 3, "2 video streams: stream 0 (64x48) is read, not 1 (32x24)"),
        ((0, 1), 9, "2 video streams: stream 1 (32x24) is read, not 0 (64x48)"),
    ],
)
def test_the_default_video_stream_is_read_and_the_others_are_named(tmp_path, dispositions, number, text):
    frames = decode_clip(write_two_videos(tmp_path / "a.mkv", dispositions), ALL)
    assert numbers(frames.rgb_UHWC) == [number] * 6
    assert frames.meta.notes == (Note(NoteKind.STREAMS, text),)


def test_many_streams_are_named_in_one_short_note():
    sized = SimpleNamespace(width=8, height=6)
    videos = [SimpleNamespace(index=i, codec_context=sized if i != 2 else None) for i in range(9)]
    assert note_streams(videos[:1]) == []
    assert texts(note_streams(videos)) == (
        "9 video streams: stream 0 (8x6) is read, not 1 (8x6), 2 (unknown codec), 3 (8x6) and 5 more",
    )


def test_cover_art_before_the_video_is_left_out(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        cover, video = file.add_stream("mjpeg"), file.add_stream("libx264", rate=10)
        cover.pix_fmt, cover.disposition = "yuvj420p", av.stream.Disposition.attached_pic
        video.pix_fmt = "yuv420p"
        for stream in (cover, video):
            stream.height, stream.width = HEIGHT, WIDTH
        for stream, number, many in ((cover, 3, 1), (video, 9, 6)):
            for time in range(many):
                picture = np.full((HEIGHT, WIDTH, 3), grey(number), np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 10)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    frames = decode_clip(tmp_path / "a.mp4", ALL)
    assert (numbers(frames.rgb_UHWC), frames.meta.notes) == ([9] * 6, ())

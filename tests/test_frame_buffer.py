"""Frames of several sizes and turns become pictures of one size, never stretched."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.frames import FrameConfig, decode_clip, frame_buffer
from pipeline.types import NoteKind
from tests.tiny_videos import HEIGHT, WIDTH, grey, numbers, texts, write_video

ALL = FrameConfig(num_frames=100)
NOTE = "the frame size changes; frames of another size are letterboxed into 64x48"


def joined(path, *parts):
    """MPEG-TS of parts, each of one grey: number, width, height and aspect of its pixels.

    The first has 60 frames, so that FFmpeg opens the file without a look at the second, which has six.
    """
    for place, (number, width, height, aspect) in enumerate(parts):
        pictures = [np.full((height, width, 3), grey(number), np.uint8)] * (6 if place else 60)
        part = write_video(path.with_suffix(".part.ts"), pictures, pixel_aspect=aspect)
        with path.open("ab") as file:
            file.write(part.read_bytes())
    return path


@pytest.mark.parametrize(
    ("width", "height", "aspect", "rows", "columns"),
    [
        (80, 96, None, slice(0, 48), slice(12, 52)),  # half as large: 40x48
        (32, 16, None, slice(8, 40), slice(0, 64)),  # twice as large: 64x32
        (64, 48, Fraction(2), slice(12, 36), slice(0, 64)),  # shown as 128x48
        (40, 96, Fraction(2), slice(0, 48), slice(12, 52)),  # shown as 80x96
    ],
)
def test_frames_of_another_size_are_letterboxed(tmp_path, width, height, aspect, rows, columns):
    frames = decode_clip(joined(tmp_path / "a.ts", (3, 64, 48, None), (9, width, height, aspect)), ALL)
    assert frames.rgb_UHWC.shape == (66, HEIGHT, WIDTH, 3)
    first, later = frames.rgb_UHWC[:60], frames.rgb_UHWC[60:]
    assert numbers(first) == [3] * 60
    assert numbers(later[:, rows, columns]) == [9] * 6
    bars = np.ones((HEIGHT, WIDTH), np.bool_)
    bars[rows, columns] = False
    assert bars.any()
    assert not later[:, bars].any(), "black"
    assert [note.text for note in frames.meta.notes if note.kind is NoteKind.SIZE] == [NOTE]


def test_frames_of_another_size_that_are_shown_alike_fill_the_picture(tmp_path):
    frames = decode_clip(joined(tmp_path / "a.ts", (3, 64, 48, None), (9, 32, 48, Fraction(2))), ALL)
    assert numbers(frames.rgb_UHWC) == [3] * 60 + [9] * 6
    assert not any(note.kind is NoteKind.SIZE for note in frames.meta.notes)


def test_the_first_frame_of_a_window_gives_the_size(tmp_path):
    path = joined(tmp_path / "a.ts", (3, 64, 48, None), (9, 80, 96, None))
    assert decode_clip(path, ALL, start_seconds=6).rgb_UHWC.shape == (6, 96, 80, 3)


def test_a_picture_that_is_turned_in_the_middle_is_letterboxed(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 6)
    monkeypatch.setattr(frame_buffer, "_orientation", lambda frame: (int(frame.time > 0.25), False))
    frames = decode_clip(path, ALL)
    assert numbers(frames.rgb_UHWC[:3]) == [0, 1, 2]
    assert numbers(frames.rgb_UHWC[3:, :, 14:50]) == [3, 4, 5]
    assert not frames.rgb_UHWC[3:, :, :14].any()
    assert not frames.rgb_UHWC[3:, :, 50:].any()
    assert texts(frames.meta.notes) == (NOTE,)


def test_a_letterboxed_picture_is_the_scaled_one_turned():
    picture = np.random.default_rng(0).integers(0, 255, (40, 20, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    pictures = frame_buffer.Pictures(1, aspect_of=lambda _: 1.0)
    pictures.set_size(30, 40)
    pictures.add(0, 0.0, frame)
    assert np.array_equal(pictures.rgb_UHWC[0, :, 5:25], picture)
    assert pictures.changes_size

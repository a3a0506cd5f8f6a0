"""A window that ends or starts after its file, or lies between two frames, is named with its remedy."""

import pytest

from pipeline.errors import ClipError
from pipeline.frames import FrameConfig, decode_clip
from pipeline.types import EMPTY_WINDOW, WINDOW_BEYOND_END, NoteKind
from tests.tiny_videos import write_video, write_with_sound

ALL = FrameConfig(num_frames=100)
MADE = {
    "a.mp4": {"num_b_frames": 2},
    "a.mkv": {},
    "a.avi": {"codec": "mpeg4"},
    "a.ts": {},
    "a.flv": {},
    "a.h264": {},
}


def beyond(path, **window):
    """Return the texts of the notes on a window that ends after its file."""
    return [note.text for note in decode_clip(path, ALL, **window).meta.notes if note.kind is NoteKind.WINDOW]


@pytest.mark.parametrize("name", MADE)
def test_milliseconds_and_frame_numbers_are_noted(tmp_path, name):
    path = write_video(tmp_path / name, 13, **MADE[name])
    for end in (900.0, 13.0):
        (text,) = beyond(path, start_seconds=0.0, end_seconds=end)
        assert text.startswith(f"end_seconds is {end:g}, and the file ends at 1.")
        assert text.endswith(WINDOW_BEYOND_END)
    with pytest.raises(
        ClipError, match=r"no frame begins from 300 s before 1200 s, and the file ends at 1\."
    ) as no:
        decode_clip(path, ALL, start_seconds=300, end_seconds=1200)
    assert WINDOW_BEYOND_END in no.value.reason


@pytest.mark.parametrize("name", MADE)
def test_an_end_that_is_rounded_is_not(tmp_path, name):
    path = write_video(tmp_path / name, 13, **MADE[name])
    for end in (None, 0.9, 1.3, 1.4, 1.75):
        assert beyond(path, end_seconds=end) == [], end
    assert beyond(path, end_seconds=2.0)


def test_an_end_within_longer_sound_or_within_what_was_lost_is_not(tmp_path):
    sound = write_with_sound(tmp_path / "sound.mp4", sound_seconds=6.0)
    assert beyond(sound, end_seconds=6.0) == []
    assert beyond(sound, end_seconds=9.0)
    cut = write_video(tmp_path / "cut.mp4", 40, index_first=True)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    assert decode_clip(cut, ALL).meta.num_decoded < 35
    assert beyond(cut, end_seconds=4.0) == []


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_window_between_two_frames_names_both(tmp_path, name):
    path = write_video(tmp_path / name, 5, times=range(0, 100, 20), **MADE[name])
    with pytest.raises(
        ClipError,
        match=r"^decode: no frame begins from 3 s before 3.5 s; the nearest frames begin at 2.00 s and 4.00",
    ) as no:
        decode_clip(path, ALL, start_seconds=3, end_seconds=3.5)
    assert no.value.reason.endswith(EMPTY_WINDOW)

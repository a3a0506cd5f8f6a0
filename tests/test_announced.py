"""A file that holds less than it announces is noted, and no other is."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import ClipError
from pipeline.frames import FrameConfig, decode_clip
from pipeline.frames.announced import announced
from pipeline.types import NoteKind
from tests.tiny_videos import HEIGHT, WIDTH, remuxed, texts, write_video, write_with_sound

FEW = FrameConfig(num_frames=4)
ANNOUNCING = {
    "a.mkv": {"num_b_frames": 2},
    "a.webm": {"codec": "libvpx-vp9"},
    "a.mp4": {"num_b_frames": 2, "index_first": True},
    "a.avi": {"codec": "mpeg4", "num_b_frames": 2},
    "a.flv": {"num_b_frames": 2},
    "a.ivf": {"codec": "libvpx-vp9"},
}
SILENT = {"a.ts": {}, "a.h264": {}, "a.mpg": {"codec": "mpeg2video"}}


def noise(path, **how):
    pictures = np.random.default_rng(0).integers(0, 255, (40, HEIGHT, WIDTH, 3), np.uint8)
    return write_video(path, pictures, **how)


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def missing(path, **window):
    """Texts of the notes on a length that is not there."""
    notes = decode_clip(path, FEW, **window).meta.notes
    return [note.text for note in notes if note.kind is NoteKind.DAMAGE and "announced" in note.text]


@pytest.mark.parametrize("name", ANNOUNCING)
def test_half_a_file_says_how_much_of_its_length_decodes(tmp_path, name):
    path = noise(tmp_path / name, **ANNOUNCING[name])
    assert decode_clip(path, FEW).meta.notes == ()
    (text,) = missing(cut(path, 0.5))
    seconds, announced_seconds = text.split(" s of the announced ")
    assert announced_seconds == "4.00 s decode"
    assert 0.5 < float(seconds) < 2.5
    assert float(seconds) == pytest.approx(decode_clip(path, FEW).meta.num_decoded / 10, abs=0.01)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_two_lost_frames_of_forty_are_noted(tmp_path, name):
    for share in np.linspace(0.9, 1, 9):
        path = cut(noise(tmp_path / name, **ANNOUNCING[name]), share)
        lost = 40 - decode_clip(path, FEW).meta.num_decoded
        assert bool(missing(path)) == (lost > 1), (share, lost)


@pytest.mark.parametrize("name", SILENT)
def test_containers_that_announce_nothing_give_no_such_note(tmp_path, name):
    path = noise(tmp_path / name, **SILENT[name])
    assert missing(path) == missing(cut(path, 0.6)) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4", "a.mov", "a.flv", "a.ts"])
@pytest.mark.parametrize(
    "how", [{"sound_seconds": 6.0}, {"video_at": 0.7}, {"sound_at": 0.7, "sound_seconds": 1.0}]
)
def test_sound_of_another_length_is_no_damage(tmp_path, name, how):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    assert decode_clip(write_with_sound(tmp_path / name, codec=codec, **how), FEW).meta.notes == ()


def test_matroska_without_tags_is_compared_with_its_longest_stream(tmp_path):
    path = write_with_sound(tmp_path / "a.mkv", sound_seconds=6.0)
    data = path.read_bytes()
    assert data.count(b"DURATION") == 2
    path.write_bytes(data.replace(b"DURATION", b"REMARKED"))
    assert missing(path) == []
    (text,) = missing(cut(path, 0.4))
    assert text.endswith(" s of the announced 6.02 s decode")


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_window_is_missing_only_where_it_reaches_into_the_lost_part(tmp_path, name):
    path = cut(noise(tmp_path / name, **ANNOUNCING[name]), 0.5)
    end = decode_clip(path, FEW).meta.num_decoded / 10
    assert missing(path, start_seconds=0.3, end_seconds=1.2) == []
    assert missing(path, end_seconds=3.0) == [f"{end:.2f} s of the announced 3.00 s decode"]
    assert missing(path, start_seconds=1.0) == [f"{end - 1:.2f} s of the announced 3.00 s decode"]
    assert missing(path, start_seconds=1.0, end_seconds=99) == [
        f"{end - 1:.2f} s of the announced 3.00 s decode"
    ]
    with pytest.raises(
        ClipError, match=r"no frame decodes from 3 s before 3.5 s; .*0.00 s of the announced 0.50 s"
    ):
        decode_clip(path, FEW, start_seconds=3, end_seconds=3.5)


def test_a_start_without_a_key_frame_is_noted_and_no_damage(tmp_path):
    path = write_video(tmp_path / "a.mp4", 40, num_b_frames=3)
    late = decode_clip(remuxed(path, tmp_path / "late.mp4", range(13, 40)), FEW)
    assert texts(late.meta.notes) == ("the first 0.90 s hold no frame that decodes",)
    assert late.meta.notes[0].kind is NoteKind.OTHER
    assert decode_clip(remuxed(path, tmp_path / "sound.mp4", range(10, 40)), FEW).meta.notes == ()


def stream_of(name, duration=None, tags=None, frames=0, num_streams=1):
    """A container and its stream, as PyAV describes them; times in milliseconds."""
    stream = SimpleNamespace(duration=duration, frames=frames, metadata=tags or {})
    container = SimpleNamespace(
        format=SimpleNamespace(name=name), duration=9_000_000, streams=[stream] * num_streams
    )
    return container, stream


class Clock:
    """Of a video that starts at the file's start."""

    stream_start = 0
    tick = 0.1

    def of_stream(self, time):
        return float(time)


@pytest.mark.parametrize(
    ("tag", "end"),
    [("00:00:07.500000000", 7.5), ("00:01:00.0", 9), ("7.5", 9), ("9" * 5000 + ":00:00", 9), ("", 9)],
)
def test_a_tag_counts_where_it_is_a_time_below_the_containers(tag, end):
    found = announced(*stream_of("matroska,webm", tags={"DURATION": tag}, num_streams=2), Clock())
    assert found.end == end
    assert found.is_of_file == (":" not in tag or len(tag) > 99)


@pytest.mark.data
@pytest.mark.slow
def test_no_good_clip_is_noted_to_hold_less_than_it_announces(test_data):
    paths = sorted(path for path in (test_data / "videos").glob("*/*") if path.suffix != ".wav")
    assert len(paths) > 35
    for path in paths:
        notes = [
            note
            for note in decode_clip(path, FEW).meta.notes
            if note.kind in (NoteKind.DAMAGE, NoteKind.OTHER)
        ]
        assert bool(notes) == (path.name == "corrupted.mp4"), (path.name, notes)

"""Times of frames are times in the file, as a player shows them."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import ClipError
from pipeline.frames import FrameConfig, decode_clip
from pipeline.frames.clock import FileClock, RunningClock
from tests.tiny_videos import numbers, texts, write_video, write_with_sound

ALL = FrameConfig(num_frames=100)


def clock_of(container_start=None, stream_start=0, tick=Fraction(1, 1000), name="mov", depth=0):
    """A clock of a stream, and the stream, as PyAV describes them."""
    container = SimpleNamespace(start_time=container_start, format=SimpleNamespace(name=name))
    decoder = SimpleNamespace(reorder_depth=depth)
    stream = SimpleNamespace(
        start_time=stream_start, time_base=tick, codec_context=decoder, guessed_rate=10, average_rate=None
    )
    return FileClock(container, stream), stream


def frame(pts, dts=None, duration=None):
    return SimpleNamespace(pts=pts, dts=dts, duration=duration)


def times_of(stamps, **how):
    running = RunningClock(*clock_of(**how))
    return [
        round(running.seconds(one if isinstance(one, SimpleNamespace) else frame(one)), 6) for one in stamps
    ], running


# The start of the file


def test_times_start_with_the_earliest_stream():
    clock, _ = clock_of(container_start=200_000, stream_start=700)
    assert clock.of_frame(frame(700)) == 0.5
    assert clock.of_packet(frame(800)) == 0.6
    assert clock.ticks(0.5) == 700


@pytest.mark.parametrize("container_start", [None, 1_000_000, 33_367])
def test_a_video_that_starts_first_starts_at_0_whatever_the_container_rounds(container_start):
    clock, _ = clock_of(container_start, stream_start=1, tick=Fraction(1001, 30000))
    assert clock.of_frame(frame(1)) == 0
    assert clock.of_frame(frame(4)) == 3 * 1001 / 30000


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_video_that_starts_after_the_sound_has_the_times_of_a_player(tmp_path, suffix):
    path = write_with_sound(tmp_path / f"a{suffix}", video_at=0.5)
    frames = decode_clip(path, ALL)
    assert frames.meta.seconds_U == pytest.approx(0.5 + np.arange(30) / 10, abs=1e-6)
    assert frames.meta.notes == ()
    part = decode_clip(path, ALL, start_seconds=1.0, end_seconds=2.0)
    assert numbers(part.rgb_UHWC) == list(range(5, 15))
    assert part.meta.seconds_U == pytest.approx(1 + np.arange(10) / 10, abs=1e-6)
    with pytest.raises(
        ClipError, match=r"no frame begins before 0.4 s; the nearest frame begins at 0.50 s; "
    ):
        decode_clip(path, ALL, end_seconds=0.4)


@pytest.mark.parametrize("suffix", [".ts", ".flv"])
def test_sound_that_an_encoder_delays_counts_where_the_container_keeps_it(tmp_path, suffix):
    """AAC starts 1024 samples early; MPEG-TS and FLV do not mark these as silent."""
    path = write_with_sound(tmp_path / f"a{suffix}", video_at=0.5)
    assert decode_clip(path, ALL).meta.seconds_U[0] == pytest.approx(0.5 + 1024 / 48000, abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv"])
def test_a_video_that_starts_before_the_sound_starts_at_0(tmp_path, suffix):
    path = write_with_sound(tmp_path / f"a{suffix}", sound_at=0.5)
    assert decode_clip(path, ALL).meta.seconds_U == pytest.approx(np.arange(30) / 10, abs=1e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.flv"])
def test_a_video_alone_starts_at_0_wherever_its_time_stamps_do(tmp_path, name):
    path = write_video(tmp_path / name, 20, num_b_frames=2, times=range(7, 27))
    assert decode_clip(path, ALL).meta.seconds_U == pytest.approx(np.arange(20) / 10, abs=1e-6)


@pytest.mark.parametrize(
    "how", [{"codec": "mpeg4"}, {"codec": "mpeg4", "num_b_frames": 2}, {"num_b_frames": 2}]
)
def test_frames_of_an_avi_are_shown_in_the_order_of_its_packets(tmp_path, how):
    """AVI stores no times; FFmpeg guesses them a frame late, and for H.264 out of order."""
    path = write_video(tmp_path / "a.avi", 30, **how)
    frames = decode_clip(path, ALL)
    assert frames.meta.seconds_U == pytest.approx(np.arange(30) / 10, abs=1e-6)
    assert frames.meta.notes == ()
    part = decode_clip(path, ALL, start_seconds=1.0, end_seconds=2.0)
    assert np.array_equal(part.rgb_UHWC, frames.rgb_UHWC[10:20])


# Time stamps that are missing or go back


def test_a_frame_without_a_time_stamp_follows_the_one_before():
    assert times_of([None, None, 500, None, 700, frame(None, duration=250), 1000])[0] == [
        0.0, 0.1, 0.5, 0.6, 0.7, 0.8, 1.0,
    ]  # fmt: skip


def test_time_continues_where_time_stamps_go_back():
    times, running = times_of([0, 100, 200, 0, 100, 100, 200, 50, None])
    assert times == [0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.6, 0.7]
    assert running.num_jumps == 2
    assert running.end == pytest.approx(0.8)


def test_an_estimate_that_runs_ahead_waits_for_the_time_stamps():
    times, running = times_of([0, None, None, 150, 300])
    assert times == [0, 0.1, 0.2, 0.2, 0.3]
    assert running.num_jumps == 0


def test_the_longest_step_is_at_least_one_frame():
    assert times_of([0])[1].largest_step == 0.1
    assert times_of([0, 100, 350, 400])[1].largest_step == pytest.approx(0.25)


def test_frames_stored_in_order_of_decoding_are_late_by_what_the_decoder_holds_back():
    late = [frame(100, dts=200), frame(None, dts=300), frame(300, dts=None)]
    assert times_of(late, name="avi", depth=200)[0] == [0, 0.1, 0.2]


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mpg"])
def test_joined_recordings_have_a_running_clock_and_a_note(tmp_path, suffix):
    codec = "mpeg2video" if suffix == ".mpg" else "libx264"
    parts = [write_video(tmp_path / f"{first}{suffix}", 20, codec=codec, num_b_frames=2) for first in (0, 1)]
    both = tmp_path / f"both{suffix}"
    both.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    frames = decode_clip(both, ALL)
    assert frames.meta.seconds_U == pytest.approx(np.arange(40) / 10, abs=2e-3)
    assert texts(frames.meta.notes) == ("time stamps go back 1 time; times continue from there",)
    part = decode_clip(both, ALL, start_seconds=1.45, end_seconds=2.55)
    assert np.array_equal(part.rgb_UHWC, frames.rgb_UHWC[15:26])
    assert part.meta.seconds_U == pytest.approx(np.arange(15, 26) / 10, abs=2e-3)


def test_a_raw_stream_has_no_times_and_the_rate_of_its_frames(tmp_path):
    path = write_video(tmp_path / "a.h264", 30, num_b_frames=2)
    frames = decode_clip(path, ALL)
    assert frames.meta.seconds_U == pytest.approx(np.arange(30) / 10, abs=1e-6)
    assert texts(frames.meta.notes) == ("30 frames without a time stamp; times follow the frame rate",)
    assert numbers(decode_clip(path, ALL, start_seconds=1, end_seconds=1.5).rgb_UHWC) == [10, 11, 12, 13, 14]

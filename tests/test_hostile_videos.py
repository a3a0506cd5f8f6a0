"""Video files that are not to be trusted: each gives frames or a recorded failure, in bounded memory."""

import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ClipError
from pipeline.frames import FrameConfig, container, decode_clip, frame_buffer
from pipeline.frames import decode as decode_step
from pipeline.types import STAGES
from tests.mutants import ROUNDS, mutate, read_in_children
from tests.tiny_videos import HEIGHT, RATE, WIDTH, numbers, read_plainly, remuxed, texts, write_video

SEEDS = {
    "x264.mp4": {"num_b_frames": 2, "index_first": True},
    "x264.mkv": {"num_b_frames": 2},
    "mpeg4.avi": {"codec": "mpeg4"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "x264.ts": {},
    "x264.flv": {},
    "grey.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "fragments_window.mp4": {"key_every": 5},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of undamaged videos."""
    folder = tmp_path_factory.mktemp("whole")
    for name, how in SEEDS.items():
        write_video(folder / name, 12, **how)
    return folder


def config(num_frames: int = 4) -> FrameConfig:
    return FrameConfig(num_frames=num_frames)


# Bytes changed at random


def outcomes_of_mutants(whole: Path, folder: Path, seeds: list[int]) -> list[str]:
    """Write and read one mutant per seed; the test fails with the names of those that end the child."""
    names = list(SEEDS)
    paths = []
    for seed in seeds:
        name = names[seed % len(names)]
        path = folder / f"{seed}-{name}"
        path.write_bytes(mutate((whole / name).read_bytes(), seed))
        paths.append(path)
    outcomes = read_in_children("videos", paths)
    assert outcomes.deaths == {}
    for path, told in outcomes.told.items():
        stage = told.split()[1] if told != "done" else "open"
        assert stage in STAGES[1:], (path, told)
        assert "unexpected" not in told, (path, told)
        Path(path).unlink()
    return list(outcomes.told.values())


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=2)
@given(first=st.integers(0, 1 << 40))
def test_mutants_give_frames_or_a_clip_error(whole, tmp_path, first):
    told = outcomes_of_mutants(whole, tmp_path, list(range(first, first + 120)))
    assert len(told) == 120
    assert "done" in told
    assert len(set(told)) > 1


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=ROUNDS)
@given(first=st.integers(0, 1 << 40))
def test_many_mutants_give_frames_or_a_clip_error(whole, tmp_path, first):
    assert len(outcomes_of_mutants(whole, tmp_path, list(range(first, first + 300)))) == 300


def test_a_coding_that_nobody_knows_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", 6)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(ClipError, match="^open: a video of an unknown codec; convert it, .*H.264$"):
        decode_clip(path, config())


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_tags_that_are_no_utf8_do_not_matter(tmp_path, name):
    path = write_video(tmp_path / name, 6)
    before = decode_clip(path, config())
    tagged = path.read_bytes().replace(b"Lavf", b"\xe9\xff\xfe\xe9")
    assert tagged != path.read_bytes()
    path.write_bytes(tagged)
    assert (decode_clip(path, config()).rgb_UHWC == before.rgb_UHWC).all()


# Large pictures


def sized(path: Path, width: int, height: int, codec: str = "mpeg4", pix_fmt: str = "yuv420p") -> Path:
    """Three plain pictures of this size."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        frame = av.VideoFrame(width, height, pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for time in range(3):
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def test_ten_million_pixels_pass_and_more_than_8k_is_refused_at_its_header(tmp_path):
    large = sized(tmp_path / "large.mp4", 4096, 2560)
    assert decode_clip(large, config(2)).rgb_UHWC.shape == (2, 2560, 4096, 3)
    larger = sized(tmp_path / "larger.mkv", 8_000, 5_040, codec="mjpeg", pix_fmt="yuvj420p")
    message = r"^decode: frames of 8000x5040 pixels; allowed: 40 million\. Scale the file down$"
    with pytest.raises(ClipError, match=message):
        decode_clip(larger, config(2))


def test_a_size_that_grows_in_the_middle_is_not_decoded(tmp_path, monkeypatch):
    small = write_video(tmp_path / "small.ts", 6, codec="mpeg2video").read_bytes()
    large = sized_ts(tmp_path / "large.ts", 640, 480)
    (tmp_path / "both.ts").write_bytes(small + large)
    assert "the frame size changes; frames of another size are letterboxed into 64x48" in texts(
        decode_clip(tmp_path / "both.ts", config(12)).meta.notes
    )
    monkeypatch.setattr(container, "MAX_PIXELS", 100_000)
    frames = decode_clip(tmp_path / "both.ts", config(12))
    assert 4 < frames.meta.num_decoded <= 6
    assert any("packets did not decode" in note.text for note in frames.meta.notes)


def sized_ts(path: Path, width: int, height: int) -> bytes:
    pictures = [np.full((height, width, 3), 90, np.uint8)] * 6
    return write_video(path, pictures, codec="mpeg2video").read_bytes()


def test_more_pixels_than_memory_are_refused_with_what_to_do(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 8)
    monkeypatch.setattr(frame_buffer, "MAX_RGB_BYTES", 4 * WIDTH * HEIGHT * 3)
    assert len(decode_clip(path, config(4)).rgb_UHWC) == 4
    message = r"^decode: 5 frames of 64x48 pixels are 0 MiB; allowed: 0 MiB\. Scale the clip down, take fewer"
    with pytest.raises(ClipError, match=message):
        decode_clip(path, config(5))


# Long videos


def looped(source_path: Path, target: Path, times: int) -> Path:
    """The packets of a video over and over again, each time later."""
    with av.open(str(source_path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        with av.open(str(target), "w") as copy:
            stream = copy.add_stream_from_template(file.streams.video[0])
            step = packets[0].duration
            for number, packet in enumerate(itertools.chain.from_iterable([packets] * times)):
                packet.stream = stream
                packet.pts = packet.dts = number * step
                packet.time_base = file.streams.video[0].time_base
                copy.mux(packet)
                packet.time_base = file.streams.video[0].time_base
    return target


_MEASURE = """
import resource, sys
from pathlib import Path
from pipeline.frames import FrameConfig, decode_clip
decode_clip(Path(sys.argv[1]), FrameConfig(num_frames=4))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = decode_clip(Path(sys.argv[2]), FrameConfig(num_frames=4))
print(frames.meta.num_decoded, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def growth_kib(short: Path, long: Path) -> tuple[int, int]:
    """Frames of the long video, and by how much decoding it takes more memory than the short one."""
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, short, long], capture_output=True, check=True, text=True
    )
    frames, kib = run.stdout.split()
    return int(frames), int(kib)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_long_video_takes_no_more_memory_than_a_short_one(tmp_path, suffix):
    short = write_video(tmp_path / f"short{suffix}", 30, codec="mpeg4", key_every=1)
    long = looped(short, tmp_path / f"long{suffix}", 1200)
    assert len(long.read_bytes()) > 60 * len(short.read_bytes())
    frames, kib = growth_kib(short, long)
    assert frames == 36_000, "an hour at ten frames a second"
    assert kib < 48 << 10


@pytest.mark.slow
def test_ten_hours_take_no_more_memory_than_a_short_one(tmp_path):
    short = write_video(tmp_path / "short.mkv", 30, codec="mpeg4", key_every=1)
    frames, kib = growth_kib(short, looped(short, tmp_path / "long.mkv", 12_000))
    assert frames == 360_000
    assert kib < 48 << 10


def test_packets_that_are_too_many_to_keep_are_read_again(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 30, num_b_frames=2)
    plain = read_plainly(path)
    for kept in (0, 3000):
        monkeypatch.setattr(container, "_KEPT_BYTES", kept)
        whole, part = decode_clip(path, config(30)), decode_clip(path, config(30), start_seconds=1.55)
        assert np.array_equal(whole.rgb_UHWC, np.stack(plain))
        assert np.array_equal(part.rgb_UHWC, np.stack(plain[16:]))


def test_a_clip_that_holds_less_than_it_claims_costs_two_passes_at_most(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 40, num_b_frames=3)
    cut = remuxed(path, tmp_path / "cut.mp4", range(13, 40))
    passes = []
    whole = decode_step._decode_pass
    monkeypatch.setattr(decode_step, "_decode_pass", lambda *args: passes.append(1) or whole(*args))
    frames = decode_clip(cut, config(4))
    assert len(passes) == 2
    assert numbers(frames.rgb_UHWC) == [
        int(n) for n in np.array(numbers(np.stack(read_plainly(cut))))[frames.meta.index_U]
    ]


def test_a_decoder_that_runs_out_of_memory_says_so(tmp_path):
    path = sized(tmp_path / "large.mp4", 4096, 2560)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from pipeline.frames import FrameConfig\n"
        "from pipeline.frames.requests import DecodeJob, decode_job\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20),) * 2)\n"
        "print(decode_job(DecodeJob(path=Path(sys.argv[1]), config=FrameConfig(num_frames=2))))\n"
    )
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, check=True, text=True)
    assert "its frames do not fit into the decoder's memory" in run.stdout

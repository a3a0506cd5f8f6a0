"""Small videos whose every frame tells its number: the whole picture has one grey level."""

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline.types import Note

STEP = 4
FLOOR = 20
WIDTH, HEIGHT = 64, 48
RATE = 10

THREADS = {"threads": "3"}
"""Of encoders, whose output otherwise depends on the number of cores; recorded values are of 3."""


def grey(number: int) -> int:
    """The grey level of a frame; 0 to 50 stay apart after lossy coding."""
    return FLOOR + STEP * number


def numbers(rgb_UHWC: np.ndarray) -> list[int]:
    """The frame numbers that decoded pictures show; coding makes a grey darker by one level or two."""
    levels = rgb_UHWC.reshape(len(rgb_UHWC), -1).astype(np.float64).mean(axis=1)
    return [round((level - FLOOR + 1) / STEP) for level in levels]


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray] | int = 30,
    *,
    codec: str = "libx264",
    container: str | None = None,
    pix_fmt: str = "yuv420p",
    num_b_frames: int = 0,
    key_every: int = 10,
    options: dict[str, str] | None = None,
    index_first: bool = False,
    pixel_aspect: Fraction | None = None,
    times: Iterable[int] | None = None,
) -> Path:
    """Write pictures (or so many grey ones) at 10 frames per second; `times` in tenths of a second.

    index_first: an mp4 that can be cut short, its index stands before the frames.
    """
    if isinstance(pictures, int):
        pictures = [np.full((HEIGHT, WIDTH, 3), grey(i), np.uint8) for i in range(pictures)]
    pictures = list(pictures)
    flags = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", format=container, options=flags) as file:
        stream = file.add_stream(codec, rate=RATE, options=THREADS | (options or {}))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = key_every
        stream.codec_context.max_b_frames = num_b_frames
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for picture, time in zip(pictures, times or range(len(pictures)), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def write_sound(path: Path, cover: np.ndarray | None = None) -> Path:
    """Half a second of silence, with a cover picture if one is given."""
    with av.open(str(path), "w") as file:
        sound = file.add_stream("libmp3lame" if path.suffix == ".mp3" else "aac", rate=44100)
        sound.layout = "mono"
        picture = None
        if cover is not None:
            picture = file.add_stream("mjpeg")
            picture.height, picture.width = cover.shape[:2]
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 22050), np.float32), "fltp", "mono")
        samples.sample_rate = 44100
        file.mux(sound.encode(samples))
        file.mux(sound.encode(None))
        if picture is not None:
            file.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format="rgb24")))
            file.mux(picture.encode(None))
    return path


def write_picture(path: Path, codec: str = "png", pix_fmt: str = "rgb24") -> Path:
    """One grey still picture."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, pix_fmt
    encoder.time_base = Fraction(1, RATE)
    frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), grey(5), np.uint8), format="rgb24")
    packets = [*encoder.encode(frame.reformat(format=pix_fmt)), *encoder.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
    return path


def texts(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return the texts of notes."""
    return tuple(note.text for note in notes)


def read_plainly(path: Path) -> list[np.ndarray]:
    """Every frame that decodes, in order, turned upright: the slow and plain way."""
    pictures = []
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.thread_type = "NONE"
        for packet in file.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            pictures += [np.rot90(f.to_ndarray(format="rgb24"), f.rotation // 90) for f in frames]
    return pictures


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Give an mp4 file the display matrix (a, b, c, d), whole numbers, in place."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    start = header + 4 + 4 + 4 * 5 + 8 + 8  # version and flags, times and number, reserved, layer to volume
    for place, value in zip((0, 1, 3, 4), matrix, strict=True):
        data[start + 4 * place : start + 4 * place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


def remuxed(source: Path, target: Path, keep: Iterable[int]) -> Path:
    """A stream copy that keeps only the packets with these numbers."""
    kept = set(keep)
    buffer = io.BytesIO(source.read_bytes())
    with av.open(buffer) as file, av.open(str(target), "w") as copy:
        stream = file.streams.video[0]
        written = copy.add_stream_from_template(stream)
        for number, packet in enumerate(file.demux(stream)):
            if packet.size and number in kept:
                packet.stream = written
                copy.mux(packet)
    return target


def write_with_sound(
    path: Path,
    num_frames: int = 30,
    *,
    video_at: float = 0.0,
    sound_at: float = 0.0,
    sound_seconds: float = 3.0,
    codec: str = "libx264",
    num_b_frames: int = 2,
    mux: dict[str, str] | None = None,
) -> Path:
    """Write grey frames at 10 a second and silence, each from a time in seconds on."""
    with av.open(str(path), "w", options=mux or {}) as file:
        video = file.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.gop_size, video.codec_context.max_b_frames = 10, num_b_frames
        sound = file.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000)
        sound.layout = "mono"
        packets = []
        for number in range(num_frames):
            picture = np.full((HEIGHT, WIDTH, 3), grey(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(1000 * video_at) + 100 * number, Fraction(1, 1000)
            packets += video.encode(frame)
        packets += video.encode(None)
        for number in range(int(48000 * sound_seconds) // 960):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), "fltp", "mono")
            samples.sample_rate, samples.time_base = 48000, Fraction(1, 48000)
            samples.pts = round(48000 * sound_at) + 960 * number
            packets += sound.encode(samples)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            file.mux(packet)
    return path


def write_two_videos(path: Path, dispositions: tuple[int, int]) -> Path:
    """Write two video streams, of six frames numbered 3 and of six, half as large, numbered 9."""
    with av.open(str(path), "w") as file:
        streams = []
        for height, width, disposition in zip(
            (HEIGHT, HEIGHT // 2), (WIDTH, WIDTH // 2), dispositions, strict=True
        ):
            stream = file.add_stream("libx264", rate=RATE, options=THREADS)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.disposition = av.stream.Disposition(disposition)
            streams.append(stream)
        for stream, number in zip(streams, (3, 9), strict=True):
            picture = np.full((stream.height, stream.width, 3), grey(number), np.uint8)
            for time in range(6):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, RATE)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path

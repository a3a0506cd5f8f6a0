"""Videos of several shots and rates, for tests of scans and streams; every frame is another one."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

HEIGHT, WIDTH = 72, 128


def pictures(
    num_frames: int, cuts: Iterable[int] = (), size: tuple[int, int] = (HEIGHT, WIDTH)
) -> list[np.ndarray]:
    """Return frames [H, W, 3] of a moving texture, which is another one from each cut on."""
    edges, drawn = np.array([*cuts], dtype=np.int64), []
    for number in range(num_frames):
        random = np.random.default_rng(7 + int((edges <= number).sum()))
        texture = random.integers(0, 256, (9, 16, 3), dtype=np.uint8)
        large = cv2.resize(texture, size[::-1], interpolation=cv2.INTER_CUBIC)
        drawn.append(np.roll(large, number, axis=1))
    return drawn


def write_long(
    path: Path,
    num_frames: int = 120,
    *,
    rate: int = 10,
    cuts: Iterable[int] = (),
    key_every: int = 12,
    num_b_frames: int = 2,
    codec: str = "libx264",
    times: Iterable[int] | None = None,
    **options: str,
) -> Path:
    """Write a video, with `times` in frames of the rate, without scene-cut key frames."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.gop_size = key_every
        stream.codec_context.max_b_frames = num_b_frames
        stamps = [*times] if times is not None else list(range(num_frames))
        for stamp, picture in zip(stamps, pictures(num_frames, cuts), strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path

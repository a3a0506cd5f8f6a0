"""Drawn clips with known cuts, and clips without a cut that resemble one, for `benchmarks.cuts`.

Every scene is drawn from two takes, [N, H, W, 3] each, which are real recordings of different people.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.types import Bytes

WIDTH, HEIGHT, RATE = 640, 360, 25
CUT = 30
"""Frame of the cut in most scenes."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drawn clip.

    Attributes:
        frames: RGB frames, uint8 [N, H, W, 3].
        cuts: First and last allowed frame of each cut.
        rate: Frames per second.
        options: Options of the H.264 encoder.
        interlaced: Whether it is encoded interlaced.
    """

    frames: Bytes
    cuts: tuple[tuple[int, int], ...] = ()
    rate: int = RATE
    options: dict[str, str] = field(default_factory=lambda: {"crf": "20"})
    interlaced: bool = False


def read_take(path: Path, num_frames: int = 90) -> Bytes:
    """Return the first frames of a recording, cut to the middle 16:9 part, uint8 [N, H, W, 3].

    A shorter recording continues backwards from its end.
    """
    frames = []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            scale = max(WIDTH / frame.width, HEIGHT / frame.height)
            size = (round(frame.width * scale), round(frame.height * scale))
            rgb = frame.reformat(*size, format="rgb24").to_ndarray()
            top, left = (size[1] - HEIGHT) // 2, (size[0] - WIDTH) // 2
            frames.append(rgb[top : top + HEIGHT, left : left + WIDTH])
            if len(frames) == num_frames:
                break
    return np.stack([*frames, *frames[-2::-1]][:num_frames])


def write_scene(path: Path, scene: Scene) -> None:
    """Encode a scene as H.264."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=scene.rate, options={"preset": "veryfast", **scene.options})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if scene.interlaced:
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for rgb in scene.frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        file.mux(stream.encode(None))


def _mix(one: Bytes, other: Bytes, weight: float) -> Bytes:
    return np.asarray(cv2.addWeighted(one, 1 - weight, other, weight, 0), np.uint8)


def _plain(level: int, number: int) -> Bytes:
    return np.full((number, HEIGHT, WIDTH, 3), level, np.uint8)


def _joined(*parts: Bytes) -> Bytes:
    return np.concatenate(parts)


def _per_frame(take: Bytes, change: Callable[[int, Bytes], Bytes], number: int = 60) -> Bytes:
    return np.stack([change(n, take[n]) for n in range(number)])


def _window(wide: Bytes, left: float, top: float = 0.0, scale: float = 1.0) -> Bytes:
    """Return the part of a wide picture that a camera sees from a place."""
    matrix = np.array([[1 / scale, 0, left], [0, 1 / scale, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (WIDTH, HEIGHT)
    return np.asarray(
        cv2.warpAffine(wide, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def _wide(one: Bytes, other: Bytes) -> Bytes:
    """Return a still panorama from frames of both takes side by side."""
    parts = [one[0], other[0], one[40, :, ::-1], other[40, :, ::-1]]
    return np.ascontiguousarray(np.hstack(parts))


def _dissolve(one: Bytes, other: Bytes, length: int) -> Bytes:
    weight = np.clip((np.arange(80) - CUT + 1) / (length + 1), 0, 1)
    return np.stack([_mix(one[n], other[n], weight[n]) for n in range(80)])


def _fade(one: Bytes, other: Bytes, level: int, length: int, pause: int) -> tuple[Bytes, tuple[int, int]]:
    """Return a fade through a level, and the frames at which the new picture begins."""
    plain = _plain(level, 1)[0]
    down = [_mix(one[CUT + n], plain, (n + 1) / length) for n in range(length)]
    up = [_mix(plain, other[n], (n + 1) / length) for n in range(length)]
    frames = [*one[:CUT], *down, *[plain] * pause, *up, *other[length : length + CUT]]
    first = CUT + length + pause
    return np.stack(frames), (first, first + 2)


def _walker(n: int, frame: Bytes, other: Bytes) -> Bytes:
    """Draw a person who passes close to the camera within half a second: a large, dark, blurred figure."""
    centre = -400 + 80 * (n - 20)
    seen = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(seen, (centre, 260), (260, 420), 0, 0, 360, 255, -1)
    coat = cv2.GaussianBlur(other[n] // 3, (0, 0), 6)
    return np.where(seen[..., None] > 0, coat, frame)


def _subtitle(n: int, frame: Bytes) -> Bytes:
    drawn = frame.copy()
    if n >= CUT:
        cv2.rectangle(drawn, (60, 285), (580, 345), (0, 0, 0), -1)
        cv2.putText(drawn, "I never said that.", (90, 327), cv2.FONT_HERSHEY_DUPLEX, 1.4, (255,) * 3, 2)
    return drawn


def _logo(n: int, frame: Bytes) -> Bytes:
    drawn = frame.copy()
    if n >= CUT:
        cv2.circle(drawn, (540, 90), 70, (240, 200, 20), -1)
        cv2.putText(drawn, "TV 9", (490, 105), cv2.FONT_HERSHEY_DUPLEX, 1.3, (20, 20, 90), 3)
    return drawn


def _low_rate(bits: str) -> dict[str, str]:
    """Return options of an encoder whose key frames look other than the frames before."""
    key_frames = "keyint=12:scenecut=0:bframes=0"
    return {"b": bits, "maxrate": bits, "bufsize": bits, "x264-params": key_frames}


def _brighter(frame: Bytes, gain: float, offset: float = 0.0) -> Bytes:
    return np.clip(frame * gain + offset, 0, 255).astype(np.uint8)


def scenes_with_cuts(one: Bytes, other: Bytes, _: np.random.Generator) -> Iterator[tuple[str, Scene]]:
    """Yield name and scene, each with at least one cut."""
    hard, at = _joined(one[:CUT], other[:CUT]), ((CUT, CUT),)
    yield "hard cut", Scene(frames=hard, cuts=at)
    yield "hard cut, 60 frames/s", Scene(frames=hard, cuts=at, rate=60)
    quick = np.stack([(one, other)[n // 4 % 2][2 * n] for n in range(32)])
    yield (
        "cuts 4 frames apart, 10 frames/s",
        Scene(frames=quick, cuts=tuple((n, n) for n in range(4, 32, 4)), rate=10),
    )
    close = np.stack([cv2.resize(f[90:270, 160:480], (WIDTH, HEIGHT)) for f in one[CUT : 2 * CUT]])
    yield "zoom by a cut", Scene(frames=_joined(one[:CUT], close), cuts=at)
    yield "black, then picture", Scene(frames=_joined(_plain(0, CUT), one[:CUT]), cuts=at)
    black = _joined(one[:CUT], _plain(0, 20), other[:CUT])
    yield "cut to black, then picture", Scene(frames=black, cuts=((CUT, CUT), (CUT + 20, CUT + 20)))
    blended = _joined(one[:CUT], _mix(one[CUT], other[0], 0.5)[None], other[:CUT])
    yield "cut with one mixed frame", Scene(frames=blended, cuts=((CUT, CUT + 1),))
    dark = np.stack([_brighter(f, 0.25) for f in hard])
    yield "cut between dark pictures", Scene(frames=dark, cuts=at)
    pan = np.stack([_window(_wide(one, other), 12 * n) for n in range(CUT)])
    yield "cut out of a pan", Scene(frames=_joined(pan, other[50:80]), cuts=at)
    flash = _joined(one[:CUT], _plain(250, 1), other[:CUT])
    yield "cut with a flash", Scene(frames=flash, cuts=((CUT, CUT + 1),))
    for level, name in ((0, "black"), (255, "white")):
        for length, pause in ((6, 0), (12, 0), (12, 25)):
            frames, allowed = _fade(one, other, level, length, pause)
            title = f"fade through {name}, {2 * length / RATE:.2g} s" + (", 1 s pause" if pause else "")
            yield title, Scene(frames=frames, cuts=(allowed,))
    for length in (8, 13, 25):
        allowed = (CUT + length // 4, CUT + length - length // 4)
        yield f"dissolve, {length / RATE:.1f} s", Scene(frames=_dissolve(one, other, length), cuts=(allowed,))


def scenes_without_cuts(one: Bytes, other: Bytes, rng: np.random.Generator) -> Iterator[tuple[str, Scene]]:
    """Yield name and scene, each without a cut."""
    wide = _wide(one, other)
    for number in (1, 2):
        flash = [_brighter(f, 1.5, 120) for f in one[CUT : CUT + number]]
        frames = _joined(one[:CUT], np.stack(flash), one[CUT + number : 60])
        yield f"flash of {number} frames", Scene(frames=frames)
    yield "strobe", Scene(frames=_per_frame(one, lambda n, f: _brighter(f, 0.15 if n % 4 < 2 else 1.3)))
    lit = rng.random(60) < 0.4
    yield (
        "strobe, irregular",
        Scene(frames=_per_frame(one, lambda n, f: _brighter(f, 1.2 if lit[n] else 0.2))),
    )
    for step in (25, 60, 120):
        left = np.cumsum([0.0] * 10 + [step] * (1500 // step) + [0.0] * 10)
        yield f"pan, {step} pixels a frame", Scene(frames=np.stack([_window(wide, x) for x in left]))
    left = np.cumsum([0.0] * 15 + [220.0] * 6 + [0.0] * 20)
    whip = [
        np.mean([_window(wide, x + 22 * k * (x > 0) * (x < left[-1])) for k in range(10)], axis=0)
        for x in left
    ]
    yield "whip pan, blurred", Scene(frames=np.stack(whip).astype(np.uint8))
    yield (
        "pan at 10 frames/s",
        Scene(frames=np.stack([_window(wide, 150 * max(0, min(n - 8, 10))) for n in range(30)]), rate=10),
    )
    by = np.cumsum(rng.normal(0, 14, (60, 2)), axis=0)
    yield "shaking", Scene(frames=np.stack([_window(one[n], *by[n]) for n in range(60)]))
    jolt = np.zeros((60, 2))
    jolt[30:34] = ((70, 40), (-50, 60), (40, -30), (-20, 10))
    yield "jolt", Scene(frames=np.stack([_window(one[n], *jolt[n]) for n in range(60)]))
    yield "person walks by, close", Scene(frames=_per_frame(one, lambda n, f: _walker(n, f, other)))
    yield (
        "person walks by, close, 10 frames/s",
        Scene(frames=_per_frame(one, lambda n, f: _walker(n, f, other))[::2], rate=10),
    )
    yield "subtitle appears", Scene(frames=_per_frame(one, _subtitle))
    yield "logo appears", Scene(frames=_per_frame(one, _logo))
    pan = np.stack([_window(wide, 20 * n) for n in range(60)])
    yield "24 to 30 frames/s", Scene(frames=pan[np.arange(70) * 4 // 5], rate=30)
    yield "pan, every frame three times", Scene(frames=pan[np.arange(70) // 3 * 2], rate=30)
    woven = pan.copy()
    woven[:-1, 1::2] = pan[1:, 1::2]
    yield "interlaced", Scene(frames=woven, interlaced=True)
    noise = rng.normal(0, 25, (60, HEIGHT, WIDTH, 1))
    yield "noise", Scene(frames=np.clip(one[:60] + noise, 0, 255).astype(np.uint8))
    yield "80 kbit/s, key frame every 12", Scene(frames=one[:75], options=_low_rate("80k"))
    yield "200 kbit/s, pan", Scene(frames=pan, options=_low_rate("200k"))
    frozen = _joined(one[:20], np.repeat(one[20:21], 25, axis=0), one[21:41])
    yield "frozen for 1 s", Scene(frames=frozen)
    yield "brightness flickers", Scene(frames=_per_frame(one, lambda n, f: _brighter(f, 1 + 0.3 * (-1) ** n)))
    yield (
        "light switched on",
        Scene(frames=_per_frame(one, lambda n, f: _brighter(f, 0.25) if n < CUT else f)),
    )
    yield (
        "exposure rises",
        Scene(frames=_per_frame(one, lambda n, f: _brighter(f, float(np.clip((n - 15) / 20, 0.15, 1))))),
    )
    yield (
        "fade out at the end",
        Scene(frames=_per_frame(one, lambda n, f: _brighter(f, float(np.clip((55 - n) / 20, 0, 1))))),
    )
    zoom = [_window(one[n], 4 * n, 2.25 * n, scale=640 / (640 - 8 * n)) for n in range(50)]
    yield "zoom by the lens", Scene(frames=np.stack(zoom))
    cover = np.clip(1 - abs(np.arange(60) - 32) / 9, 0, 1)
    yield "hand covers the lens", Scene(frames=_per_frame(one, lambda n, f: _covered(f, float(cover[n]))))
    yield "no event", Scene(frames=one[:80])


def _covered(frame: Bytes, fraction: float) -> Bytes:
    """Draw a dark blurred hand over a fraction of the picture, from below."""
    seen = np.zeros((HEIGHT, WIDTH, 1), np.float32)
    seen[round(HEIGHT * (1 - 0.9 * fraction)) :] = 1.0
    seen = cv2.GaussianBlur(seen, (0, 0), 15)[..., None]
    return np.asarray(frame * (1 - seen) + 35 * seen, np.uint8)

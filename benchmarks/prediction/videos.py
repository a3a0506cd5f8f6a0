"""Stand-in videos: a drawn film whose scene decides, and long videos that are looped from a short one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline.datasets.synthetic import PlannedClip, SyntheticConfig, plan_clips
from pipeline.datasets.synthetic.compose import Performance, render_foreground, scene_of
from pipeline.datasets.synthetic.write import encode_clip
from pipeline.types import Bytes

SECTION_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a drawn film with one true class, from `start` to `end` in seconds."""

    start: float
    end: float
    label: str


def draw_film(path: Path, *, num_sections: int = 12) -> list[Section]:
    """Draw a film of ambiguous faces in which the scene changes the true class every 10 s.

    Two sections are one performance without a break: the same face, in front of the scenes of both classes
    that it fits. The people are those of the test split of the demo, so that no run has seen them.

    Args:
        path: File to write, H.264 at 8 frames per second.
        num_sections: Sections, an even number.

    Returns:
        The sections, in order.
    """
    config = SyntheticConfig()
    num_frames = round(SECTION_SECONDS * config.fps)
    longer = replace(config, num_frames=2 * num_frames)
    sections: list[Section] = []
    pairs = _twins(plan_clips(config), num_sections // 2)

    def frames() -> Iterator[Bytes]:
        for pair in pairs:
            front = render_foreground(Performance.of(longer, pair[0]), longer)
            for number, clip in enumerate(pair):
                start = len(sections) * SECTION_SECONDS
                sections.append(Section(start=start, end=start + SECTION_SECONDS, label=clip.label))
                scene = scene_of(config, clip)
                for frame in range(num_frames):
                    yield front.over(scene.draw(frame / config.fps), number * num_frames + frame)

    encode_clip(path, frames(), config)
    return sections


def _twins(clips: Sequence[PlannedClip], num_pairs: int) -> list[tuple[PlannedClip, PlannedClip]]:
    """Return twins of the test split: of each pair of classes in turn, and each of another person."""
    by_performance: dict[int, list[PlannedClip]] = {}
    for clip in clips:
        if clip.ambiguous and clip.split == "test":
            by_performance.setdefault(clip.performance, []).append(clip)
    of_classes: dict[frozenset[str], list[tuple[PlannedClip, PlannedClip]]] = {}
    for one, other in by_performance.values():
        of_classes.setdefault(frozenset((one.label, other.label)), []).append((one, other))
    chosen: list[tuple[PlannedClip, PlannedClip]] = []
    waiting = [list(pairs) for _, pairs in sorted(of_classes.items(), key=lambda item: sorted(item[0]))]
    while len(chosen) < num_pairs:
        for pairs in waiting:
            people = {one.identity for one, _ in chosen}
            chosen.append(next(pair for pair in pairs if pair[0].identity not in people))
            pairs.remove(chosen[-1])
    return chosen[:num_pairs]


def side_by_side(
    casts: Sequence[Sequence[Path]], path: Path, size: tuple[int, int], *, num_frames: int, rate: int = 25
) -> None:
    """Encode videos side by side in H.264, in one shot after the other.

    Args:
        casts: The videos of each shot, each scaled to the same share of the width. A video continues in the
            next shot that has it, and a shorter one is repeated.
        path: File to write.
        size: Width and height of the result.
        num_frames: Frames of each shot.
        rate: Its frames per second.
    """
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"preset": "superfast", "crf": "28"})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.codec_context.gop_size = 2 * rate
        sources: dict[tuple[Path, int], Iterator[Bytes]] = {}
        for cast in casts:
            width = size[0] // len(cast)
            for _ in range(num_frames):
                rgb = np.zeros((size[1], size[0], 3), np.uint8)
                for number, video in enumerate(cast):
                    source = sources.setdefault((video, width), _repeated(video, width, size[1]))
                    rgb[:, number * width : (number + 1) * width] = next(source)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        file.mux(stream.encode(None))


def _repeated(video: Path, width: int, height: int) -> Iterator[Bytes]:
    """Yield the frames of a video again and again, filling a part of this size and cut to its shape."""
    while True:
        with av.open(str(video)) as file:
            for frame in file.decode(video=0):
                scale = max(width / frame.width, height / frame.height)
                size = (max(width, round(frame.width * scale)), max(height, round(frame.height * scale)))
                rgb = frame.reformat(*size, format="rgb24").to_ndarray()
                left, top = (size[0] - width) // 2, (size[1] - height) // 2
                yield rgb[top : top + height, left : left + width]


def loop(source: Path, path: Path, seconds: float) -> None:
    """Repeat a video up to a length, by copying its packets."""
    with av.open(str(path), "w") as file:
        with av.open(str(source)) as once:
            stream = file.add_stream_from_template(once.streams.video[0])
        offset = 0
        while True:
            end = 0
            with av.open(str(source)) as once:
                video = once.streams.video[0]
                base = video.time_base or Fraction(1, 90_000)
                for packet in once.demux(video):
                    if packet.pts is None or packet.dts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = stream
                    file.mux(packet)
            offset += end
            if offset * base >= seconds:
                return

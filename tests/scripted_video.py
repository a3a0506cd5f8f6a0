"""Frames whose faces are known, without a video: the corner of a frame has its number."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from pipeline.process import Models
from pipeline.process.windows import (
    FoundFace,
    TrackPart,
    WindowOptions,
    WindowPlan,
    WindowSample,
    plan_windows,
)
from pipeline.process.windows.engine import WindowEngine
from pipeline.strict_json import from_json, to_json
from pipeline.types import Faces, StreamedFrame
from tests.small_clips import small_models_with

HEIGHT, WIDTH, RATE = 96, 128, 10.0
Script = Callable[[int], Mapping[int, tuple[float, float]]]
"""Number of a frame -> person -> left and top of the face."""
SIDE = 40


@dataclass
class ScriptedDetector:
    """Finds the faces of a script, and counts the frames that it has seen."""

    script: Script
    name: str = "haar"
    weights_sha256: str = ""
    precision: str = "fp32"
    warnings: tuple[str, ...] = ()
    searched: list[int] = field(default_factory=list)

    def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
        numbers = [int(one[0, 0, 0]) * 256 + int(one[0, 0, 1]) for one in rgb_UHWC]
        self.searched += numbers
        return [faces_at(self.script(number)) for number in numbers]


def faces_at(places: Mapping[int, tuple[float, float]]) -> Faces:
    boxes = [(x, y, x + SIDE, y + SIDE) for x, y in places.values()]
    return Faces(
        box_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
        score=np.full(len(boxes), 0.9, np.float32),
        landmark_xy_px=np.zeros((len(boxes), 5, 2), np.float32),
    )


def frame_of(number: int, script: Script) -> np.ndarray:
    """A frame: a texture that every frame has another one of, and a texture of its own for each person."""
    rgb = np.random.default_rng(1000 + number).integers(90, 110, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for person, (x, y) in script(number).items():
        texture = np.random.default_rng(person).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        patch = texture.repeat(SIDE // 5, axis=0).repeat(SIDE // 5, axis=1)
        left, top = round(x), round(y)
        rgb[top : top + SIDE, left : left + SIDE] = patch
    rgb[0, 0] = number // 256, number % 256, 0
    return rgb


@dataclass(kw_only=True)
class ScriptedVideo:
    """A script with windows of 4 frames; `lost` frames do not decode."""

    script: Script
    num_frames: int = 120
    cuts: tuple[int, ...] = ()
    window: float = 1.6
    stride: float = 0.4
    seconds_N: np.ndarray | None = None
    lost: tuple[int, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seconds_N is None:
            self.seconds_N = np.arange(self.num_frames) / RATE
        models = small_models_with(**{"detector": {"name": "haar"}, **self.settings})
        self.detector = ScriptedDetector(self.script)
        self.models: Models = replace(models, face_detector=self.detector)
        self.plan: WindowPlan = plan_windows(
            self.seconds_N,
            float(self.seconds_N[-1]) + 1 / RATE,
            self.cuts,
            models.config,
            window_seconds=self.window,
            stride_seconds=self.stride,
        )

    def frames(self, numbers: Sequence[int]) -> list[StreamedFrame]:
        assert self.seconds_N is not None
        return [
            StreamedFrame(
                number=number,
                seconds=float(self.seconds_N[number]),
                rgb_HWC=None if number in self.lost else frame_of(number, self.script),
                reason="lost" if number in self.lost else None,
            )
            for number in numbers
        ]

    def engine(
        self,
        options: WindowOptions,
        state: Mapping[str, np.ndarray] | None = None,
        parts: Sequence[TrackPart] = (),
    ) -> WindowEngine:
        assert self.seconds_N is not None
        return WindowEngine(self.models, self.plan, self.seconds_N, options, state, parts)


@dataclass
class Made:
    """The results of an engine."""

    samples: list[WindowSample]
    faces: list[FoundFace]
    engine: WindowEngine

    @property
    def people(self) -> list[tuple[str, ...]]:
        return [tracks for _, tracks, _ in self.engine.tracks.people()]


def run(
    video: ScriptedVideo,
    options: WindowOptions | None = None,
    *,
    group: int = 7,
    flush_after: int = 3,
    encode_all: bool = False,
    stop_after: int | None = None,
) -> Made:
    """Run an engine over all frames, a group at a time; flush after every so many groups.

    stop_after: Continue with a new engine from the stored state after so many flushes.
    """
    engine = video.engine(options or WindowOptions(min_face_px=0))
    parts: list[TrackPart] = []
    samples: list[WindowSample] = []
    faces: list[FoundFace] = []
    wanted, place, num_groups, num_flushes = video.plan.wanted.tolist(), 0, 0, 0
    while place < len(wanted):
        engine.add(video.frames(wanted[place : place + group]))
        place, num_groups = place + group, num_groups + 1
        if num_groups % flush_after == 0:
            samples += engine.flush(encode_all=encode_all)
            faces += engine.take_faces()
            parts += [
                TrackPart.of_values(from_json(to_json(p.to_values()))) for p in engine.tracks.take_parts()
            ]
            num_flushes += 1
            if num_flushes == stop_after:
                state = engine.to_arrays()
                engine = video.engine(options or WindowOptions(min_face_px=0), state, parts)
                if engine.first_needed is None:
                    break
                place = wanted.index(engine.first_needed)
    samples += engine.flush(encode_all=True)
    return Made(samples, [*faces, *engine.take_faces()], engine)

"""Scenes of the version ``combined``: a neutral place in a light, with objects and second people."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.appearance import Appearance, Rgb
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.cues import (
    COLD,
    FLOWER,
    GREY,
    LARGER,
    LEFT,
    SMALLER,
    WARM,
    Bystander,
    Cues,
    Sighting,
)
from pipeline.datasets.synthetic.expressions import Expression, performed, target_of
from pipeline.datasets.synthetic.figure import FINE, draw_torso, head_rgba, paste_head, tripled
from pipeline.datasets.synthetic.heads import Head
from pipeline.datasets.synthetic.scenes import Scene
from pipeline.types import Bytes

_LIGHTS: Mapping[str, tuple[float, float, float]] = {
    WARM: (1.22, 1.00, 0.62),
    COLD: (0.34, 0.44, 0.72),
    GREY: (1.0, 1.0, 1.0),
}
"""Light -> factors of red, green and blue."""

_PETALS: tuple[Rgb, ...] = ((244, 96, 150), (250, 120, 60), (240, 80, 90), (250, 160, 60))
_THORNS: tuple[Rgb, ...] = ((44, 20, 64), (24, 24, 30), (60, 16, 40), (20, 44, 40))
_YELLOW, _GREEN = (255.0, 226.0, 70.0), (150.0, 200.0, 60.0)
_NUM_PETALS, _NUM_SPIKES = 8, 13
_OBJECT_X, _OBJECT_Y, _OBJECT_RADIUS = 0.14, 0.21, (0.155, 0.175)
"""Place as fractions of width and height, and radius as a fraction of the height."""

_PERSON_X, _PERSON_Y = 0.15, 0.64
_UNITS: Mapping[str, tuple[float, float]] = {SMALLER: (0.075, 0.085), LARGER: (0.140, 0.155)}
"""Size of a second person -> half the height of the face, as a fraction of the height of the frame."""


class CueScene:
    """Moving scene with cues.

    Args:
        cues: Its light, objects and second person.
        height: Height of frames in pixels.
        width: Width of frames in pixels.
        num_frames: Frames of the clip.
        fps: Frames per second.
        rng: Random generator of the place, its movement and the looks of objects.
        person: Random generator of the second person, the same for all clips of a face.
    """

    def __init__(
        self,
        cues: Cues,
        height: int,
        width: int,
        num_frames: int,
        fps: int,
        rng: np.random.Generator,
        person: np.random.Generator,
    ) -> None:
        self._place = Scene("neutral", height, width, rng)
        self._fps, self._num_frames = fps, num_frames
        jitter = rng.uniform(0.95, 1.05, 3)
        self._light = np.diag(np.asarray(_LIGHTS[cues.light]) * jitter)
        half = np.sqrt(self._light.diagonal())  # in full light, a flower of a cold scene would be black
        self._objects = [_Object.drawn_from(seen, half, height, width, rng) for seen in cues.objects]
        self._person = _Person(cues.bystander, height, width, num_frames, person) if cues.bystander else None

    def draw(self, seconds: float) -> Bytes:
        """Draw the scene at a time in seconds, RGB uint8 [height, width, 3]."""
        frame = round(seconds * self._fps)
        picture = self._place.draw(seconds)
        picture = np.asarray(cv2.transform(picture, self._light), np.uint8)
        for one in self._objects:
            if one.is_visible(frame / self._num_frames):
                one.draw(picture, seconds)
        if self._person is not None:
            self._person.draw(picture, frame)
        return picture


@dataclass(frozen=True, kw_only=True)
class _Object:
    """A flower or a thorn: place and size in pixels, colours, first angle in degrees, phase of its sway."""

    seen: Sighting
    x: float
    y: float
    radius: float
    colour: Rgb
    middle: Rgb
    angle: float
    phase: float

    @classmethod
    def drawn_from(
        cls, seen: Sighting, light_3: Points, height: int, width: int, rng: np.random.Generator
    ) -> "_Object":
        colours, middle = (_PETALS, _YELLOW) if seen.name == FLOWER else (_THORNS, _GREEN)
        x = _OBJECT_X * width + float(rng.uniform(-0.02, 0.02)) * height
        return cls(
            seen=seen,
            x=x if seen.side == LEFT else width - x,
            y=(_OBJECT_Y + float(rng.uniform(-0.02, 0.02))) * height,
            radius=float(rng.uniform(*_OBJECT_RADIUS)) * height,
            colour=_lit(colours[int(rng.integers(len(colours)))], light_3),
            middle=_lit(middle, light_3),
            angle=float(rng.uniform(0, 360)),
            phase=float(rng.uniform(0, 2 * np.pi)),
        )

    def is_visible(self, part: float) -> bool:
        start, end = self.seen.during
        return start <= part < end

    def draw(self, picture: Bytes, seconds: float) -> None:
        sway = 0.08 * self.radius * float(np.sin(2.5 * seconds + self.phase))
        draw = _draw_flower if self.seen.name == FLOWER else _draw_thorn
        centre, middle = (self.x + sway, self.y), 0.36 if self.seen.name == FLOWER else 0.22
        draw(picture, centre, self.radius, self.colour, self.angle + 20.0 * seconds)
        brush.disc(picture, centre, (middle * self.radius, middle * self.radius), self.middle)


class _Person:
    """Second person, whose expression has no meaning for the class."""

    def __init__(
        self, bystander: Bystander, height: int, width: int, num_frames: int, rng: np.random.Generator
    ) -> None:
        who = Appearance.drawn_from(rng)
        unit = height * float(rng.uniform(*_UNITS[bystander.size]))
        x = _PERSON_X * width + height * float(rng.uniform(-0.01, 0.01))
        y = height * (_PERSON_Y + float(rng.uniform(-0.015, 0.015)))
        self._middle = np.array([x if bystander.side == LEFT else width - x, y])
        self._angle = float(rng.uniform(-3.0, 3.0))
        self._expressions: list[Expression] = performed(target_of(bystander.expression, ""), num_frames, rng)
        self._head = Head(who, FINE * unit)
        fine = np.zeros((height * FINE, width * FINE, 3), np.uint8)
        opacity = np.zeros(fine.shape[:2], np.uint8)
        draw_torso(fine, opacity, who, self._middle, unit)
        size = (width, height)
        opacity = np.asarray(cv2.resize(opacity, size, interpolation=cv2.INTER_AREA), np.uint8)
        self._clear_HW3 = tripled(255 - opacity)
        self._torso_HW3 = np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), np.uint8)

    def draw(self, picture: Bytes, frame: int) -> None:
        behind = cv2.multiply(picture, self._clear_HW3, scale=1.0 / 255.0)
        picture[:] = cv2.add(behind, self._torso_HW3)
        paste_head(picture, head_rgba(self._head, self._expressions[frame]), self._middle, self._angle)


def _lit(colour: Rgb, light_3: Points) -> Rgb:
    red, green, blue = np.minimum(np.asarray(colour) * light_3, 255.0).tolist()
    return red, green, blue


def _draw_flower(
    picture: Bytes, centre: tuple[float, float], radius: float, colour: brush.Colour, angle: float
) -> None:
    x, y = centre
    for k in range(_NUM_PETALS):
        turn = np.deg2rad(angle + 360.0 * k / _NUM_PETALS)
        at = (x + 0.62 * radius * float(np.cos(turn)), y + 0.62 * radius * float(np.sin(turn)))
        brush.disc(picture, at, (0.40 * radius, 0.25 * radius), colour, float(np.rad2deg(turn)))


def _draw_thorn(
    picture: Bytes, centre: tuple[float, float], radius: float, colour: brush.Colour, angle: float
) -> None:
    turns = np.deg2rad(angle) + np.pi * np.arange(2 * _NUM_SPIKES) / _NUM_SPIKES
    reach = radius * np.where(np.arange(2 * _NUM_SPIKES) % 2, 0.52, 1.05)
    points: Points = np.asarray(centre) + reach[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    brush.fill(picture, points, colour)

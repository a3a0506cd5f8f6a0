"""Frames of a clip: a person before a grey backdrop before a scene, which the face's crop never shows."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.appearance import Appearance
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.canvas import HEIGHT, LEFT, TOP, WIDTH
from pipeline.datasets.synthetic.expressions import Expression, performed, target_of
from pipeline.datasets.synthetic.heads import Head
from pipeline.datasets.synthetic.plan import PlannedClip, SyntheticConfig
from pipeline.datasets.synthetic.scenes import Scene
from pipeline.types import Bytes

CODEC_SLACK_PX = 16
"""Side of a macroblock of H.264, the distance up to which coding errors of the scene spread."""

_REACH_UNITS = (-1.6, -1.5, 1.6, 1.7)
"""Bounds around the root of the nose (x0, y0, x1, y1) that detectors' boxes with their margin stay within."""

_FINE = 2
_EDGE_PX = 14


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Person acting in front of a backdrop: everything in a clip that the face stream may show.

    Attributes:
        appearance: The person.
        expressions: One per frame.
        centre_F2: Root of the nose (x, y) on each frame, in pixels.
        angle_F: Rotation of the head on each frame, in degrees.
        unit_px: Half the height of the face.
        guard_xyxy_px: Box that holds only the person and the backdrop, so that no detector's box with its
            margin contains the scene.
        backdrop: RGB colour.
    """

    appearance: Appearance
    expressions: tuple[Expression, ...]
    centre_F2: Points
    angle_F: Points
    unit_px: float
    guard_xyxy_px: tuple[int, int, int, int]
    backdrop: tuple[float, float, float]

    @classmethod
    def of(cls, config: SyntheticConfig, clip: PlannedClip) -> "Performance":
        """Return the performance of a clip. Both twins have the same, although their labels differ."""
        who = np.random.default_rng([config.seed, 1, clip.identity])
        rng = np.random.default_rng([config.seed, 2, clip.performance])
        unit = config.height * float(rng.uniform(0.14, 0.16))
        left, top, right, bottom = (unit * reach + np.sign(reach) * CODEC_SLACK_PX for reach in _REACH_UNITS)
        middle = np.array(
            [
                rng.uniform(_EDGE_PX - left, config.width - _EDGE_PX - right),
                0.5 * (config.height - top - bottom) + rng.uniform(-0.01, 0.03) * config.height,
            ]
        )
        t = np.linspace(0.0, 1.0, config.num_frames)
        sway_F2 = 0.05 * unit * np.stack([_sway(t, rng), _sway(t, rng)], axis=-1)
        grey = float(rng.uniform(126, 176))
        return cls(
            appearance=Appearance.drawn_from(who),
            expressions=tuple(performed(target_of(clip.label, clip.other_class), config.num_frames, rng)),
            centre_F2=middle + sway_F2,
            angle_F=3.0 * _sway(t, rng) + float(rng.uniform(-2.5, 2.5)),
            unit_px=unit,
            guard_xyxy_px=(
                round(middle[0] + left),
                round(middle[1] + top),
                round(middle[0] + right),
                round(middle[1] + bottom),
            ),
            backdrop=(grey + float(rng.uniform(-6, 6)), grey, grey + float(rng.uniform(-6, 6))),
        )


@dataclass(frozen=True, kw_only=True)
class Foreground:
    """Rendered performance: person and backdrop, to be composed with any scene.

    rgb_FHW3: colour times opacity, uint8. clear_HW3: transparency from 0 to 255, 0 inside the guard.
    """

    rgb_FHW3: Bytes
    clear_HW3: Bytes

    def over(self, scene_HW3: Bytes, frame: int) -> Bytes:
        """Return one finished frame of the clip, RGB uint8 [H, W, 3]."""
        behind = cv2.multiply(scene_HW3, self.clear_HW3, scale=1.0 / 255.0)
        return np.asarray(cv2.add(behind, self.rgb_FHW3[frame]), np.uint8)


def render_foreground(acted: Performance, config: SyntheticConfig) -> Foreground:
    """Draw every frame of a performance."""
    still, opacity_HW = _backdrop_and_torso(acted, config)
    head = Head(acted.appearance, _FINE * acted.unit_px)
    alpha = head.alpha_HW[..., None].astype(np.float32) / 255.0
    frames = np.repeat(still[None], config.num_frames, axis=0)
    for frame, expression in enumerate(acted.expressions):
        rgba = np.dstack([head.show(expression) * alpha, head.alpha_HW])
        place, angle = acted.centre_F2[frame], float(acted.angle_F[frame])
        _paste(frames[frame], np.round(rgba).astype(np.uint8), place, angle)
    return Foreground(rgb_FHW3=frames, clear_HW3=_tripled(255 - opacity_HW))


def scene_of(config: SyntheticConfig, clip: PlannedClip) -> Scene:
    """Return the moving scene of a clip, which does not depend on the person in front of it."""
    rng = np.random.default_rng([config.seed, 3, int(clip.clip_id.rpartition("_")[2])])
    return Scene(clip.scene, config.height, config.width, rng)


def draw_frames(front: Foreground, scene: Scene, fps: int) -> Iterator[Bytes]:
    """Draw the frames of a clip in order.

    Args:
        front: Person and backdrop.
        scene: Scene behind them.
        fps: Frames per second.

    Yields:
        RGB frames, uint8 [H, W, 3].
    """
    for frame in range(len(front.rgb_FHW3)):
        yield front.over(scene.draw(frame / fps), frame)


def _sway(t: Points, rng: np.random.Generator) -> Points:
    """Return a slow oscillation at times `t`, between -1 and 1."""
    turns, phase = rng.uniform(0.5, 1.5), rng.uniform(0.0, 2 * np.pi)
    return np.asarray(rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * turns * t + phase))


def _paste(picture: Bytes, rgba: Bytes, centre_px: Points, angle_degrees: float) -> None:
    """Draw the fine head canvas over an image, with the root of the nose at `centre_px`, in place."""
    height, width = rgba.shape[0] // _FINE, rgba.shape[1] // _FINE
    nose = np.array([-LEFT / WIDTH * rgba.shape[1], -TOP / HEIGHT * rgba.shape[0]])
    corner = np.round(centre_px - nose / _FINE).astype(int)
    turn = cv2.getRotationMatrix2D((float(nose[0]), float(nose[1])), angle_degrees, 1.0)
    turn[:, 2] += _FINE * (centre_px - corner) - nose
    moved = cv2.warpAffine(rgba, turn, (width * _FINE, height * _FINE))
    small = np.asarray(cv2.resize(moved, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    region = picture[corner[1] : corner[1] + height, corner[0] : corner[0] + width]
    clear = 255 - _tripled(small[..., 3])
    region[:] = cv2.add(cv2.multiply(region, clear, scale=1.0 / 255.0), small[..., :3])


def _backdrop_and_torso(acted: Performance, config: SyntheticConfig) -> tuple[Bytes, Bytes]:
    """Return colour times opacity, and opacity from 0 to 255, of the still parts in front of the scene."""
    x0, y0, x1, _ = acted.guard_xyxy_px
    height, width = config.height * _FINE, config.width * _FINE
    opacity, edge = np.zeros((height, width), np.uint8), 0.7 * _EDGE_PX
    corner = (_FINE * (x0 - edge), _FINE * (y0 - edge))
    brush.box(opacity, corner, (_FINE * (x1 - x0 + 2 * edge), height), (255.0,))
    opacity = np.asarray(cv2.GaussianBlur(opacity, (0, 0), 0.12 * _EDGE_PX * _FINE), np.uint8)
    light = brush.mixed(acted.backdrop, (255, 255, 255), 0.10)
    shade = brush.mixed(acted.backdrop, (0, 0, 0), 0.10)
    colour = brush.ramp(height, width, ((0.0, light), (1.0, shade)))
    _torso(colour, opacity, acted)
    whole = (config.width, config.height)
    opacity = np.asarray(cv2.resize(opacity, whole, interpolation=cv2.INTER_AREA), np.uint8)
    colour = np.asarray(cv2.resize(colour, whole, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.multiply(colour, _tripled(opacity), scale=1.0 / 255.0), np.uint8), opacity


def _torso(colour: Bytes, opacity: Bytes, acted: Performance) -> None:
    """Draw neck and shoulders, down to the lower edge of the frame, in place on the fine canvases."""
    who, unit = acted.appearance, acted.unit_px * _FINE
    middle = acted.centre_F2.mean(axis=0) * _FINE
    foot = float(colour.shape[0] - middle[1]) / unit + 0.1

    def at(points: list[tuple[float, float]]) -> Points:
        return np.asarray(middle + unit * np.array(points))

    shirt = [(0.30, 1.12), (0.75, 1.22), (1.12, 1.42), (1.25, 1.80), (1.30, foot)]
    collar = [(-0.30, 1.12), (-0.16, 1.34), (0.0, 1.42), (0.16, 1.34)]
    outline = at([(-x, y) for x, y in shirt[::-1]] + collar[1:] + shirt)
    neck = at([(-0.30, 0.6), (0.30, 0.6), (0.33, 1.16), (0.0, 1.48), (-0.33, 1.16)])
    for shape, paint in ((neck, who.darker(0.22)), (outline, who.clothes)):
        brush.fill(colour, shape, paint)
        brush.fill(opacity, shape, (255.0,))
    x, y = at([(0.0, 0.92)])[0]
    brush.disc(colour, (x, y), (0.34 * unit, 0.24 * unit), who.darker(0.38))
    brush.line(colour, at(collar), brush.mixed(who.clothes, (0, 0, 0), 0.35), 0.03 * unit)


def _tripled(mask_HW: Bytes) -> Bytes:
    return np.ascontiguousarray(np.repeat(mask_HW[..., None], 3, axis=2))

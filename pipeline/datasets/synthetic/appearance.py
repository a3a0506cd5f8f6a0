"""Appearance of a drawn person, without the expression."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.datasets.synthetic import brush

Rgb: TypeAlias = tuple[float, float, float]

_SKINS: tuple[Rgb, ...] = (
    (250, 214, 186),
    (236, 188, 152),
    (214, 160, 120),
    (176, 122, 86),
    (138, 92, 66),
)
_HAIRS: tuple[Rgb, ...] = (
    (28, 22, 20),
    (60, 38, 26),
    (104, 66, 36),
    (168, 118, 62),
    (120, 116, 114),
    (92, 38, 24),
)
_CLOTHES: tuple[Rgb, ...] = (
    (70, 90, 120),
    (120, 70, 70),
    (70, 110, 90),
    (96, 84, 116),
    (120, 106, 76),
    (60, 66, 76),
)
_IRISES: tuple[Rgb, ...] = ((60, 42, 30), (52, 84, 110), (62, 92, 60), (86, 62, 34))

_HAIR_TO_SKIN = 0.42
"""Largest brightness of hair as a fraction of the skin's, because the Haar cascade needs contrast."""


@dataclass(frozen=True, kw_only=True)
class HairStyle:
    """Shape of the hair, in units of half the height of the face.

    beyond: width of the hair around the face. back_to, sides_to: its lowest point behind the head and over
    the temples. lean: slope of the line over the forehead.
    """

    beyond: float
    back_to: float
    sides_to: float
    lean: float


_HAIR_STYLES = (
    HairStyle(beyond=0.09, back_to=0.45, sides_to=0.40, lean=0.0),
    HairStyle(beyond=0.11, back_to=0.95, sides_to=1.0, lean=0.18),
    HairStyle(beyond=0.12, back_to=0.7, sides_to=0.65, lean=-0.15),
    HairStyle(beyond=0.08, back_to=0.25, sides_to=0.20, lean=0.0),
)


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Person. Colours are RGB from 0 to 255, lengths are in units of half the height of the face.

    light: direction of the light on the face, -1 (left) to 1 (right).
    """

    skin: Rgb
    hair: Rgb
    clothes: Rgb
    iris: Rgb
    half_width: float
    jaw: float
    eye_gap: float
    eye_size: float
    brow_width: float
    nose_length: float
    mouth_y: float
    mouth_size: float
    lip: float
    hairline: float
    hair_style: HairStyle
    light: float

    @classmethod
    def drawn_from(cls, rng: np.random.Generator) -> "Appearance":
        """Return a random person."""
        tone = float(rng.uniform(0.0, len(_SKINS) - 1))
        low = min(int(tone), len(_SKINS) - 2)
        skin = brush.mixed(_SKINS[low], _SKINS[low + 1], tone - low)
        any_hair = _HAIRS[int(rng.integers(len(_HAIRS)))]
        hair = brush.mixed(any_hair, (60, 46, 40), float(rng.uniform(0, 0.3)))
        fade = min(1.0, _HAIR_TO_SKIN * sum(skin) / sum(hair))
        clothes = _CLOTHES[int(rng.integers(len(_CLOTHES)))]
        return cls(
            skin=skin,
            hair=brush.mixed((0, 0, 0), hair, fade),
            clothes=brush.mixed(clothes, (128, 128, 128), float(rng.uniform(0, 0.5))),
            iris=_IRISES[int(rng.integers(len(_IRISES)))],
            half_width=float(rng.uniform(0.715, 0.745)),
            jaw=float(rng.uniform(0.20, 0.30)),
            eye_gap=float(rng.uniform(0.315, 0.345)),
            eye_size=float(rng.uniform(1.08, 1.22)),
            brow_width=float(rng.uniform(0.05, 0.085)),
            nose_length=float(rng.uniform(0.30, 0.38)),
            mouth_y=float(rng.uniform(0.60, 0.63)),
            mouth_size=float(rng.uniform(0.31, 0.35)),
            lip=float(rng.uniform(0.035, 0.06)),
            hairline=float(rng.uniform(-0.76, -0.70)),
            hair_style=_HAIR_STYLES[int(rng.integers(len(_HAIR_STYLES)))],
            light=float(rng.uniform(-1, 1)),
        )

    def darker(self, share: float) -> Rgb:
        """Return the skin's colour in shadow, RGB from 0 to 255. share: strength of the shadow, 0 to 1."""
        return brush.mixed(self.skin, (44, 14, 10), share)

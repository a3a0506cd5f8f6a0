"""The trial clips: for each frame the heads in view with their places, the bars before them, and the shot.

A scene is a function of the clip's people, of u from 0 (first frame) to 1 (last frame) and of the frame's
number. Sizes and places are pixels of a frame of 640x360.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

WIDTH_PX, HEIGHT_PX = 640, 360
FACE_WIDTH = 0.5
"""Approximate width of a face in sides of its tile."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A person's head on one frame: a tile centred on x, y."""

    person: str
    x: float
    y: float
    side: float
    first: int = 0
    """Tile of the person's video that frame 0 shows; another one gives the person another expression."""
    label: str = ""
    """Name in the truth; the person's name if it is empty."""
    is_mirrored: bool = False
    is_photo: bool = False
    """Whether it is a framed photograph, which never moves."""
    is_square: bool = False
    """Whether the whole tile is shown instead of an ellipse."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """An upright, skin-coloured bar in front of everyone, such as an arm, from y to the lower edge."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, kw_only=True)
class Moment:
    """All that a frame shows, heads from back to front."""

    heads: tuple[Head, ...] = ()
    bars: tuple[Bar, ...] = ()
    shot: int = 0
    """Number of the shot; a cut is where the number changes."""
    ground: int = 0
    """Number of the background."""
    is_dark: bool = False
    pan_px: float = 0.0
    """Shift of the background to the left."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """People of one clip and its variant."""

    people: tuple[str, ...]
    fps: int
    num_frames: int
    scale: float = 1.0
    """Factor of the sides of heads."""


SceneFunction: TypeAlias = Callable[[Cast, float, int], Moment]


@dataclass(frozen=True, kw_only=True)
class TrialClip:
    """A clip to draw."""

    scene: str
    cast: Cast
    moment: SceneFunction = field(repr=False)

    @property
    def name(self) -> str:
        """Return the file's name: scene, frame rate and people."""
        return f"{self.scene}-{self.cast.fps}-{'-'.join(self.cast.people)}.mp4"

    def at(self, frame: int) -> Moment:
        """Return what a frame shows."""
        return self.moment(self.cast, frame / (self.cast.num_frames - 1), frame)


def _mix(start: float, end: float, u: float) -> float:
    return start + (end - start) * u


def _within(u: float, start: float, end: float) -> float:
    return min(1.0, max(0.0, (u - start) / (end - start)))


def _two(
    cast: Cast, a: tuple[float, float, float], b: tuple[float, float, float], *, a_in_front: bool
) -> Moment:
    heads = tuple(
        Head(person=person, x=x, y=y, side=side * cast.scale)
        for person, (x, y, side) in zip(cast.people, (a, b), strict=False)
    )
    return Moment(heads=heads[::-1] if a_in_front else heads)


def _side_by_side(cast: Cast, u: float, _: int) -> Moment:
    return _two(cast, (200, 170, _mix(90, 210, u)), (460, 190, _mix(210, 90, u)), a_in_front=True)


def _cross_slow(cast: Cast, u: float, _: int) -> Moment:
    return _two(cast, (_mix(90, 540, u), 175, 140), (_mix(550, 100, u), 190, 140), a_in_front=True)


def _cross_fast(cast: Cast, u: float, _: int) -> Moment:
    v = _within(u, 0.4, 0.6)
    return _two(cast, (_mix(110, 530, v), 180, 140), (_mix(530, 110, v), 185, 140), a_in_front=False)


def _cross_larger_in_front(cast: Cast, u: float, _: int) -> Moment:
    return _two(cast, (_mix(90, 540, u), 190, 210), (_mix(550, 100, u), 165, 110), a_in_front=True)


def _cross_sizes_swap(cast: Cast, u: float, _: int) -> Moment:
    a, b = (_mix(110, 530, u), 180, _mix(90, 200, u)), (_mix(530, 110, u), 180, _mix(200, 90, u))
    return _two(cast, a, b, a_in_front=u >= 0.5)


def _meet_and_turn_back(cast: Cast, u: float, _: int) -> Moment:
    near = 0.5 - 0.5 * math.cos(2 * math.pi * u)
    return _two(cast, (_mix(120, 300, near), 180, 140), (_mix(520, 350, near), 180, 150), a_in_front=True)


def _one_walks_past(cast: Cast, u: float, _: int) -> Moment:
    return _two(cast, (330, 175, 130), (_mix(-80, 720, u), 190, 190), a_in_front=False)


def _cut(cast: Cast, u: float, _: int) -> Moment:
    a, b = cast.people
    if u < 0.45:
        return Moment(heads=(Head(person=a, x=180, y=180, side=220, is_square=True),))
    return Moment(heads=(Head(person=b, x=480, y=170, side=200, is_square=True),), shot=1, ground=1)


def _zoom(cast: Cast, u: float, _: int) -> Moment:
    (a,) = cast.people
    x, y, side = (200, 230, 110) if u < 0.5 else (350, 180, 330)
    return Moment(heads=(Head(person=a, x=x, y=y, side=side * cast.scale),), shot=int(u >= 0.5))


def _shot_reverse_shot(cast: Cast, _: float, frame: int) -> Moment:
    shot = (frame // max(6, cast.num_frames // 6)) % 2
    return Moment(
        heads=(Head(person=cast.people[shot], x=(270, 380)[shot], y=180, side=(230, 200)[shot]),),
        shot=shot,
        ground=shot,
    )


def _enters_late(cast: Cast, u: float, _: int) -> Moment:
    a, b = cast.people
    heads = [Head(person=b, x=110, y=220, side=110)]
    if u > 0.55:
        heads.append(Head(person=a, x=_mix(780, 440, _within(u, 0.55, 0.75)), y=180, side=270))
    return Moment(heads=tuple(heads))


def _black_then_face(cast: Cast, u: float, _: int) -> Moment:
    (a,) = cast.people
    if u < 0.4:
        return Moment(is_dark=True)
    return Moment(heads=(Head(person=a, x=360, y=180, side=210, is_square=True),), shot=1, ground=1)


def _poster(cast: Cast, _: float, frame: int) -> Moment:
    a, b = cast.people
    sway = 12 * math.sin(frame / cast.fps * 2)
    photo = Head(person=a, x=180, y=170, side=250, is_photo=True)
    return Moment(heads=(photo, Head(person=b, x=490 + sway, y=210, side=170)))


def _face_half_out(cast: Cast, u: float, _: int) -> Moment:
    (a,) = cast.people
    return Moment(heads=(Head(person=a, x=_mix(10, 50, u), y=180, side=230),))


def _three_cross(cast: Cast, u: float, _: int) -> Moment:
    a, b, c = cast.people
    return Moment(
        heads=(
            Head(person=c, x=_mix(540, 240, u), y=_mix(60, 310, u), side=120),
            Head(person=b, x=_mix(560, 90, u), y=180, side=135),
            Head(person=a, x=_mix(80, 550, u), y=190, side=150),
        )
    )


def _hand_over_face(cast: Cast, u: float, _: int) -> Moment:
    a, b = cast.people
    heads = (Head(person=b, x=530, y=200, side=120), Head(person=a, x=250, y=180, side=190))
    x = _mix(-60, 250, _within(u, 0.2, 0.35)) + _mix(0, 420, _within(u, 0.55, 0.75))
    return Moment(heads=heads, bars=(Bar(x=x, y=60, width=110),))


def _mirror(cast: Cast, u: float, _: int) -> Moment:
    (a,) = cast.people
    near = 0.5 - 0.5 * math.cos(2 * math.pi * u)
    image = Head(person=a, x=_mix(540, 350, near), y=165, side=130, is_mirrored=True, label=f"{a}_mirrored")
    return Moment(heads=(image, Head(person=a, x=_mix(110, 290, near), y=190, side=165)))


def _photo_on_wall(cast: Cast, u: float, _: int) -> Moment:
    a, b = cast.people
    photo = Head(person=b, x=330, y=150, side=130, is_photo=True)
    return Moment(heads=(photo, Head(person=a, x=_mix(80, 570, u), y=180, side=150)))


def _strobe(cast: Cast, u: float, frame: int) -> Moment:
    a, b = cast.people
    heads = (
        Head(person=b, x=_mix(520, 360, u), y=180, side=120),
        Head(person=a, x=_mix(120, 230, u), y=185, side=170),
    )
    return Moment(heads=heads, is_dark=frame % 2 == 1)


def _look_alike(cast: Cast, u: float, _: int) -> Moment:
    (a,) = cast.people
    other = Head(person=a, x=_mix(540, 110, u), y=180, side=135, first=60, label=f"{a}_later")
    return Moment(heads=(other, Head(person=a, x=_mix(110, 540, u), y=190, side=150)))


def _pan(cast: Cast, u: float, _: int) -> Moment:
    a, b, c = cast.people
    pan = _mix(0, 560, _within(u, 0.2, 0.8))
    places = ((c, 1050, 120), (b, 720, 130), (a, 380, 160))
    heads = tuple(Head(person=person, x=x - pan, y=190, side=side) for person, x, side in places)
    return Moment(heads=heads, pan_px=pan)


def _leaves_and_returns(cast: Cast, u: float, _: int) -> Moment:
    a, b = cast.people
    seconds = u * cast.num_frames / cast.fps
    middle = cast.num_frames / cast.fps / 2
    away = min(_within(seconds, middle - 1.0, middle - 0.5), 1 - _within(seconds, middle + 0.5, middle + 1.0))
    heads = (Head(person=b, x=520, y=200, side=110), Head(person=a, x=_mix(240, -120, away), y=180, side=180))
    return Moment(heads=heads)


def _other_comes_to_same_place(cast: Cast, u: float, _: int) -> Moment:
    a, b = cast.people
    gone, come = _within(u, 0.4, 0.5), _within(u, 0.55, 0.65)
    heads = []
    if gone < 1:
        heads.append(Head(person=a, x=_mix(300, -120, gone), y=180, side=180))
    if come > 0:
        heads.append(Head(person=b, x=_mix(-120, 300, come), y=180, side=180))
    return Moment(heads=tuple(heads))


def _crowd(cast: Cast, u: float, frame: int) -> Moment:
    front, *others = cast.people
    seconds = frame / cast.fps
    row = tuple(
        Head(person=p, x=55 + 105 * n, y=110 + 8 * math.sin(2 * seconds + n), side=72)
        for n, p in enumerate(others)
    )
    return Moment(heads=(*row, Head(person=front, x=_mix(150, 480, u), y=165, side=100)))


def _cut_to_other_size(cast: Cast, u: float, _: int) -> Moment:
    (a,) = cast.people
    side = 110 if u < 0.5 else 260
    return Moment(heads=(Head(person=a, x=320, y=180, side=side * cast.scale),), shot=int(u >= 0.5))


def _cut_to_other_at_same_place(cast: Cast, u: float, _: int) -> Moment:
    shot = int(u >= 0.4)
    return Moment(heads=(Head(person=cast.people[shot], x=320, y=180, side=200, is_square=True),), shot=shot)


def _fast_head(cast: Cast, _: float, frame: int) -> Moment:
    a, b = cast.people
    side, reach = 150.0, 110.0
    x = 260 + reach * math.sin(frame * 0.5 * FACE_WIDTH * side / reach)
    return Moment(heads=(Head(person=b, x=560, y=190, side=110), Head(person=a, x=x, y=185, side=side)))


_PAIRS = (
    ("d10", "d12"), ("d11", "d18"), ("d14", "angry"), ("disgust", "happy"), ("fear", "neutral"),
    ("sadness", "surprise"), ("single", "d18"), ("happy", "d11"), ("d12", "neutral"), ("surprise", "d14"),
    ("angry", "d18"), ("d10", "d14"), ("single", "d12"), ("neutral", "happy"),
)  # fmt: skip
_RATES = ((10, 60), (25, 75), (30, 75))
"""Frames per second and number of frames of the variants."""
_CROSSINGS: dict[str, SceneFunction] = {
    "side_by_side_sizes_swap": _side_by_side,
    "cross_slow": _cross_slow,
    "cross_fast": _cross_fast,
    "cross_larger_in_front": _cross_larger_in_front,
    "cross_sizes_swap": _cross_sizes_swap,
    "meet_and_turn_back": _meet_and_turn_back,
    "one_walks_past": _one_walks_past,
}
_OTHERS: dict[str, tuple[int, SceneFunction]] = {
    "cut": (2, _cut),
    "zoom": (1, _zoom),
    "shot_reverse_shot": (2, _shot_reverse_shot),
    "enters_late": (2, _enters_late),
    "black_then_face": (1, _black_then_face),
    "poster": (2, _poster),
    "face_half_out": (1, _face_half_out),
    "three_cross": (3, _three_cross),
    "hand_over_face": (2, _hand_over_face),
    "mirror": (1, _mirror),
    "photo_on_wall": (2, _photo_on_wall),
    "strobe": (2, _strobe),
    "look_alike": (1, _look_alike),
    "pan": (3, _pan),
    "leaves_and_returns": (2, _leaves_and_returns),
    "other_comes_to_same_place": (2, _other_comes_to_same_place),
    "crowd": (7, _crowd),
    "cut_to_other_size": (1, _cut_to_other_size),
    "cut_to_other_at_same_place": (2, _cut_to_other_at_same_place),
    "fast_head": (2, _fast_head),
}
"""Number of people and function of every scene that has two variants."""


def trial_clips() -> tuple[TrialClip, ...]:
    """Return all clips: crossings with three pairs each, other scenes with two casts each."""
    clips = []
    number = 0
    for scene, moment in _CROSSINGS.items():
        for fps, num_frames in _RATES:
            people = _PAIRS[number % len(_PAIRS)]
            cast = Cast(people=people, fps=fps, num_frames=num_frames, scale=(0.85, 1.0, 1.1)[number % 3])
            clips.append(TrialClip(scene=scene, cast=cast, moment=moment))
            number += 1
    for scene, (num_people, moment) in _OTHERS.items():
        for variant in range(2):
            fps, num_frames = _RATES[(number + variant) % 3]
            cast = Cast(people=_cast_of(num_people, number), fps=fps, num_frames=num_frames)
            clips.append(TrialClip(scene=scene, cast=cast, moment=moment))
            number += 1
    return tuple(clips)


def people_of(clips: Sequence[TrialClip]) -> list[str]:
    """Return the names of all people of the clips, sorted."""
    return sorted({person for clip in clips for person in clip.cast.people})


def _cast_of(num_people: int, number: int) -> tuple[str, ...]:
    people = sorted({person for pair in _PAIRS for person in pair})
    return tuple(people[(5 * number + 3 * n) % len(people)] for n in range(num_people))

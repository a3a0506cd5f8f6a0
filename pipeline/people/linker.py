"""Causal linking of detections, frame by frame: everyone's tracklets in a shot.

A tracklet predicts the next box by constant velocity. Frame by frame, tracklets and detections are assigned
to each other at the least total cost, which is a negative log-likelihood in nats: of the movement, whose
uncertainty grows with time, and of the look. So the movement decides between two frames, and the look after a
gap, or where two faces meet.

Letters: K detections of a frame; M open tracklets; D length of a look.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.boxes import centre_of, side_of
from pipeline.people.assignment import assign, margin_of, overlaps_none
from pipeline.people.config import PeopleConfig
from pipeline.types import Faces, Floats

_JITTER, _GROWTH_JITTER = 0.12, 0.12
"""Deviation of a detected centre in sides of the box, and of the logarithm of its side."""
_VELOCITY_SECONDS = 0.5
"""Time over which a tracklet's velocity is fitted, or its last two detections if these are further apart."""
_KEEPS_MOVING_SECONDS, _KEEPS_GROWING_SECONDS = 0.6, 0.3
"""Time after which a person has changed direction, and the most by which a trend in size is continued."""
_LARGEST_GROWTH = 0.5
_SECOND_PASS_COST = 0.5
"""Fraction of `new_cost` that a weak detection may cost to continue a tracklet."""
_TAIL = 4.0
"""Degrees of freedom of the movement's distribution (Student's t): people may start or stop at once."""
_GATE = 10.0
"""Limit of movement and of growth, in deviations."""
_KEPT_LOOKS = 6


@dataclass
class _Open:
    """A tracklet that grows: only as much of it as the next assignments depend on."""

    shot: int
    states: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Seconds, centre x and y in pixels, and logarithm of the side of the last detections."""
    slope: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Change of the last three per second, over the last detections."""
    looks: list[Floats] = field(default_factory=list)
    """Last looks of the detections that overlap no other face, else the first look."""
    is_clean: bool = False
    sum_D: Floats | None = None
    """Sum of these looks, of all detections."""
    num_looks: int = 0

    def add(self, seconds: float, box_xyxy_px: Floats) -> None:
        x0, y0, x1, y1 = box_xyxy_px.tolist()
        log_side = math.log((x1 - x0) * (y1 - y0)) / 2
        self.states.append((seconds, (x0 + x1) / 2, (y0 + y1) / 2, log_side))
        since = seconds - _VELOCITY_SECONDS
        while len(self.states) > 2 and self.states[0][0] < since:  # noqa: PLR2004 - the last two
            self.states.pop(0)
        self.slope = self._slope()

    def see(self, look_D: Floats, *, is_clean: bool) -> None:
        """Add a look, unless it may show another person and one is known."""
        if is_clean and not self.is_clean:
            self.looks, self.is_clean, self.num_looks = [], True, 0
        if is_clean or not self.looks:
            self.sum_D = look_D.copy() if not self.num_looks or self.sum_D is None else self.sum_D + look_D
            self.num_looks += 1
            self.looks = [*self.looks, look_D][-_KEPT_LOOKS:]

    def mean_look(self) -> Floats:
        """Return the mean of the looks so far, float32 [D]."""
        assert self.sum_D is not None, "a tracklet has a detection"
        mean: Floats = self.sum_D / np.float32(self.num_looks)
        return mean

    def _slope(self) -> tuple[float, float, float]:
        """Return the least-squares slopes over the last detections, at least two; 0 for the first one."""
        if len(self.states) == 1:
            return 0.0, 0.0, 0.0
        since = self.states[-1][0] - _VELOCITY_SECONDS
        last = [state for state in self.states if state[0] >= since]
        if len(last) == 1:
            last = self.states[-2:]
        mean = sum(state[0] for state in last) / len(last)
        weight = sum((state[0] - mean) ** 2 for state in last)
        if not weight:  # all at one time, which damaged files have
            return 0.0, 0.0, 0.0
        x, y, log_side = (
            sum((state[0] - mean) * state[axis] for state in last) / weight for axis in (1, 2, 3)
        )
        return x, y, log_side


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A detection that belongs to a tracklet.

    Attributes:
        face: Place of the detection among those of its frame.
        tracklet: Number of the tracklet, from 0, in the order of their first detections.
        margin: How much more the next best assignment costs, in nats; infinite if there is none.
    """

    face: int
    tracklet: int
    margin: float


class Linker:
    """Links the detections of frames that are added in order of time, causally, in bounded memory.

    Detections above `start_score` are assigned first. Weaker ones then continue the tracklets that are left.

    Args:
        config: Settings.
        start_score: Detections with a higher score may start a tracklet.
    """

    def __init__(self, config: PeopleConfig, *, start_score: float = 0.0) -> None:
        self._config, self._start_score = config, start_score
        self._open: dict[int, _Open] = {}
        self._closed: dict[int, Floats] = {}
        self._newly_closed: list[int] = []
        self._before: float | None = None

    def add(self, seconds: float, shot: int, faces: Faces, look_KD: Floats) -> list[Linked]:
        """Link the detections of the next frame.

        Args:
            seconds: Time of the frame, not before that of the frame that was added last.
            shot: Number of its shot.
            faces: The K faces that were detected on it.
            look_KD: Their looks.

        Returns:
            The detections that belong to a tracklet, in the order of the faces.
        """
        config, is_strong = self._config, faces.score > self._start_score
        step = 0.0 if self._before is None else seconds - self._before
        self._before = seconds
        max_gap = max(config.max_gap, step)
        for number in [
            n for n, t in self._open.items() if t.shot != shot or seconds - t.states[-1][0] > max_gap
        ]:
            self._closed[number] = self._open.pop(number).mean_look()
            self._newly_closed.append(number)
        numbers, alive = list(self._open), list(self._open.values())
        distance_MK = _look_distances(alive, look_KD)
        cost_MK = _costs(alive, seconds, step, faces, distance_MK, config)
        strong_MK = np.where(is_strong, cost_MK, np.inf)
        pairs = assign(strong_MK, config.new_cost)
        left_MK = np.where(is_strong, np.inf, cost_MK)
        left_MK[list(pairs)] = np.inf
        weak = assign(left_MK, config.new_cost * _SECOND_PASS_COST)
        clean = overlaps_none(faces.box_xyxy_px, config.overlap)
        by_face = {face: m for m, face in (pairs | weak).items()}
        linked = []
        for face in range(len(faces.score)):
            if face in by_face:
                m = by_face[face]
                number, margin = numbers[m], margin_of(cost_MK, pairs | weak, m, config.new_cost)
            elif is_strong[face]:
                number, margin = len(self._open) + len(self._closed), np.inf
                self._open[number] = _Open(shot=shot)
            else:
                continue
            tracklet = self._open[number]
            tracklet.add(seconds, faces.box_xyxy_px[face])
            tracklet.see(look_KD[face], is_clean=bool(clean[face]))
            linked.append(Linked(face=face, tracklet=number, margin=margin))
        return linked

    def take_closed(self) -> dict[int, Floats]:
        """Return the mean looks, [D], of the tracklets that have ended since the last call, by number."""
        numbers, self._newly_closed = self._newly_closed, []
        return {number: self._closed[number] for number in numbers}

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state, from which `from_arrays` continues to the bit.

        Its size depends on the open tracklets only. `take_closed` returns the others.
        """
        tracklets = list(self._open.values())
        width = max((len(t.sum_D) for t in tracklets if t.sum_D is not None), default=0)
        looks = [look for tracklet in tracklets for look in tracklet.looks]
        return {
            "number": np.array(list(self._open), np.int64),
            "before": np.array(np.nan if self._before is None else self._before),
            "shot": np.array([t.shot for t in tracklets], np.int64),
            "is_clean": np.array([t.is_clean for t in tracklets], np.bool_),
            "num_looks": np.array([t.num_looks for t in tracklets], np.int64),
            "sum": np.array([t.sum_D for t in tracklets], np.float32).reshape(len(tracklets), width),
            "slope": np.array([t.slope for t in tracklets], np.float64).reshape(-1, 3),
            "num_states": np.array([len(t.states) for t in tracklets], np.int64),
            "states": np.array([s for t in tracklets for s in t.states], np.float64).reshape(-1, 4),
            "num_kept": np.array([len(t.looks) for t in tracklets], np.int64),
            "looks": np.array(looks, np.float32).reshape(len(looks), width),
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, npt.NDArray[Any]],
        closed: Mapping[int, Floats],
        config: PeopleConfig,
        *,
        start_score: float = 0.0,
    ) -> "Linker":
        """Return a linker that continues from a state of `to_arrays` and the results of `take_closed`."""
        linker = cls(config, start_score=start_score)
        linker._closed = dict(closed)
        before = float(arrays["before"])
        linker._before = None if math.isnan(before) else before
        states = np.split(arrays["states"], np.cumsum(arrays["num_states"]))
        looks = np.split(arrays["looks"], np.cumsum(arrays["num_kept"]))
        for place, number in enumerate(arrays["number"].tolist()):
            linker._open[number] = _Open(
                shot=int(arrays["shot"][place]),
                states=[(a, b, c, d) for a, b, c, d in states[place].tolist()],
                slope=tuple(arrays["slope"][place].tolist()),
                looks=list(looks[place]),
                is_clean=bool(arrays["is_clean"][place]),
                sum_D=arrays["sum"][place],
                num_looks=int(arrays["num_looks"][place]),
            )
        return linker

    def look_of(self, tracklet: int) -> Floats:
        """Return the mean look of a tracklet so far, float32 [D]."""
        return self._open[tracklet].mean_look() if tracklet in self._open else self._closed[tracklet]


def _costs(
    alive: Sequence[_Open],
    now: float,
    step: float,
    found: Faces,
    look_distance_MK: Floats,
    config: PeopleConfig,
) -> Floats:
    """Return the cost in nats of continuing each tracklet by each detection, [M, K]; inf beyond the limits.

    The cost is that of Student's t distributions of the centre and of the logarithm of the side around their
    predictions, plus that of a normal distribution of the distance to the nearest known look, plus that of
    the time in which the face was missed.

    Args:
        alive: The open tracklets of the shot.
        now: Time of the frame, in seconds.
        step: Seconds since the previous frame that was searched for faces.
        found: Faces on the frame.
        look_distance_MK: Distances of their looks from the nearest known one of each tracklet.
        config: Settings.
    """
    if not alive or not len(found.score):
        return np.full((len(alive), len(found.score)), np.inf)
    box_K4 = found.box_xyxy_px.astype(np.float64)
    state_M4 = np.array([person.states[-1] for person in alive])
    slope_M3 = np.array([person.slope for person in alive])
    is_new_M = np.array([len(person.states) == 1 for person in alive])
    gap_M = now - state_M4[:, 0]
    moving_M = _KEEPS_MOVING_SECONDS * (1 - np.exp(-gap_M / _KEEPS_MOVING_SECONDS))
    expected_M2 = state_M4[:, 1:3] + slope_M3[:, :2] * moving_M[:, None]
    trend_M = slope_M3[:, 2] * np.minimum(moving_M, _KEEPS_GROWING_SECONDS)
    side_M1 = np.exp(state_M4[:, 3] + np.clip(trend_M, -_LARGEST_GROWTH, _LARGEST_GROWTH))[:, None]
    side_K = side_of(box_K4)
    spread_M1 = (_JITTER + (config.max_speed + is_new_M) * gap_M)[:, None]
    growth_spread_M1 = (_GROWTH_JITTER + config.max_growth * gap_M)[:, None]
    offset_MK2 = centre_of(box_K4) - expected_M2[:, None]
    distance_MK = np.hypot(offset_MK2[..., 0], offset_MK2[..., 1]) / ((side_M1 + side_K) / 2)
    growth_MK = np.abs(np.log(side_K / side_M1))
    deviation_MK, growth_deviation_MK = distance_MK / spread_M1, growth_MK / growth_spread_M1
    cost_MK = (_TAIL + 2) / 2 * np.log1p(deviation_MK**2 / _TAIL) + np.log(spread_M1 / _JITTER)
    cost_MK += (_TAIL + 1) / 2 * np.log1p(growth_deviation_MK**2 / _TAIL)
    cost_MK += np.log(growth_spread_M1 / _GROWTH_JITTER) / 2
    cost_MK += (look_distance_MK / config.look_distance) ** 2 / 2
    cost_MK += config.missed_cost * np.maximum(0, gap_M - step)[:, None]
    is_near = (deviation_MK <= _GATE) & (growth_deviation_MK <= _GATE)
    return np.where(is_near, cost_MK, np.inf)


def _look_distances(alive: Sequence[_Open], look_KD: Floats) -> Floats:
    """Return the distance of each detection's look from the nearest known one of each tracklet, [M, K]."""
    if not alive or not len(look_KD):
        return np.zeros((len(alive), len(look_KD)), np.float32)
    known = [person.looks for person in alive]
    known_LD = np.concatenate(known)
    square_LK = (known_LD**2).sum(axis=1)[:, None] + (look_KD**2).sum(axis=1) - 2 * known_LD @ look_KD.T
    starts = np.cumsum([0, *(len(looks) for looks in known[:-1])])
    nearest: Floats = np.sqrt(np.maximum(0, np.minimum.reduceat(square_LK, starts, axis=0)))
    return nearest

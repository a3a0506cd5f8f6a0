"""Where the time of a training run goes, part by part of a step."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Self

import torch

WARM_UP_STEPS = 3
"""Steps at the start of a run that are not timed."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Seconds of a run's steps and of what is done beside them.

    num_steps: that were timed; not the first ones, and not the few that went another way (a short last
    batch beside graphed ones). step: the median of a whole step. parts: of each
    part, the median. once: of the whole run, what is not part of a step. waits: whether every part waited
    for the device, which an ordinary step does not: then the parts tell shares, and more than its time.
    """

    num_steps: int
    step: float
    parts: dict[str, float]
    once: dict[str, float]
    waits: bool


class Stopwatch:
    """Times what lies between its marks; one that is off costs nothing."""

    def __init__(self, device: torch.device | None) -> None:
        """device: where the work is; None for a watch that is off."""
        self._device = device
        self._last = 0.0
        self._step: dict[str, float] = {}
        self._steps: list[dict[str, float]] = []
        self._once: dict[str, float] = defaultdict(float)

    @classmethod
    def off(cls) -> Self:
        """A watch that does nothing."""
        return cls(None)

    def begin(self) -> None:
        """Time from here; what was since the last mark is nobody's."""
        if self._device is not None:
            self._last = self._now()

    def mark(self, part: str) -> None:
        """What was since the last mark is a part of this step."""
        if self._device is not None:
            self._step[part] = self._step.get(part, 0.0) + self._since()

    def end_step(self) -> None:
        """The step is over."""
        if self._device is not None:
            self._steps.append(self._step)
            self._step = {}

    def once(self, what: str) -> None:
        """What was since the last mark is not part of a step."""
        if self._device is not None:
            self._once[what] += self._since()

    def profile(self) -> Profile:
        """What was found so far."""
        ways = Counter(tuple(step) for step in self._steps[WARM_UP_STEPS:])
        names = ways.most_common(1)[0][0] if ways else ()
        steps = [step for step in self._steps[WARM_UP_STEPS:] if tuple(step) == names]
        return Profile(
            num_steps=len(steps),
            step=median(sum(step.values()) for step in steps) if steps else 0.0,
            parts={name: median(step[name] for step in steps) for name in names},
            once=dict(self._once),
            waits=self._device is not None and self._device.type == "cuda",
        )

    def _now(self) -> float:
        if self._device is not None and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _since(self) -> float:
        before, self._last = self._last, self._now()
        return self._last - before

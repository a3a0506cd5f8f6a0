"""Time of a training run, by part of a step."""

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
    """Times of a run, in seconds.

    Attributes:
        num_steps: Number of timed steps, without the first ones and those with other parts than most (a short
            last batch beside graphed steps).
        step: Median of a whole step.
        parts: Median of each part of a step.
        once: Sum over the run of each activity outside of the steps.
        waits: Whether each part was synchronised with the device. An ordinary step is not, so that the sum of
            the parts exceeds its time.
    """

    num_steps: int
    step: float
    parts: dict[str, float]
    once: dict[str, float]
    waits: bool


class Stopwatch:
    """Stopwatch for the parts of steps. If it is off, it costs nothing."""

    def __init__(self, device: torch.device | None) -> None:
        """Start with no marks. `device` is the device of the run; None turns the watch off."""
        self._device = device
        self._last = 0.0
        self._step: dict[str, float] = {}
        self._steps: list[dict[str, float]] = []
        self._once: dict[str, float] = defaultdict(float)

    @classmethod
    def off(cls) -> Self:
        """Return a watch that is off."""
        return cls(None)

    def begin(self) -> None:
        """Start measuring. The time since the last mark is not counted."""
        if self._device is not None:
            self._last = self._now()

    def mark(self, part: str) -> None:
        """Add the time since the last mark to a part of this step."""
        if self._device is not None:
            self._step[part] = self._step.get(part, 0.0) + self._since()

    def end_step(self) -> None:
        """End the step."""
        if self._device is not None:
            self._steps.append(self._step)
            self._step = {}

    def once(self, activity: str) -> None:
        """Add the time since the last mark to an activity outside of the steps."""
        if self._device is not None:
            self._once[activity] += self._since()

    def profile(self) -> Profile:
        """Return the times so far."""
        variants = Counter(tuple(step) for step in self._steps[WARM_UP_STEPS:])
        names = variants.most_common(1)[0][0] if variants else ()
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

"""Where the time of a training run goes, part by part of a step."""

import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Self

import torch

_WARM_UP = 3
_MS = 1e3


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

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values, in seconds."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        if not self.num_steps:
            return [f"no profile: the run had no more than {_WARM_UP} steps, which are not timed"]
        whole = sum(self.parts.values())
        waits = "; every part waits for the device here, which an ordinary step does not" * self.waits
        return [
            f"a step took {self.step * _MS:.1f} ms (median of {self.num_steps}, the first {_WARM_UP} left out"
            f"{waits}); its parts, each by its own median:",
            *(
                f"  {name:<22} {seconds * _MS:8.1f} ms  {seconds / whole:6.1%}"
                for name, seconds in self.parts.items()
            ),
            "beside the steps: "
            + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.once.items()),
        ]


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
        ways = Counter(tuple(step) for step in self._steps[_WARM_UP:])
        names = ways.most_common(1)[0][0] if ways else ()
        steps = [step for step in self._steps[_WARM_UP:] if tuple(step) == names]
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

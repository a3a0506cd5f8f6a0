"""Named scalars of training steps: one tensor for a step, one table for the steps of an epoch.

Letters: K scalars of a step; S steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Scalars:
    """The scalars of a step in one tensor, which a CUDA graph can hold and refill.

    names: K names. values_K: float32, on the device.
    """

    names: tuple[str, ...]
    values_K: torch.Tensor

    @classmethod
    def of(cls, values: Mapping[str, torch.Tensor]) -> "Scalars":
        """Return the values, scalars on one device, without their gradients."""
        return cls(tuple(values), torch.stack([value.detach().float() for value in values.values()]))

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.values_K[self.names.index(name)]

    def clone(self) -> "Scalars":
        """Return a copy that a later replay does not change."""
        return Scalars(self.names, self.values_K.clone())


@dataclass(frozen=True)
class ScalarTable:
    """The scalars of S steps. values_SK: float64, on the host."""

    names: tuple[str, ...]
    values_SK: torch.Tensor

    @classmethod
    def of(cls, steps: Sequence[Scalars]) -> "ScalarTable":
        """Return the table of one step or more, all of the same names, in one copy from the device."""
        return cls(steps[0].names, torch.stack([step.values_K for step in steps]).cpu().double())

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.values_SK[:, self.names.index(name)]

    def means(self) -> dict[str, float]:
        """Return the mean of each scalar over the steps."""
        return dict(zip(self.names, self.values_SK.mean(dim=0).tolist(), strict=True))

    def first_not_finite(self) -> tuple[int, str, float] | None:
        """Return step, name and value of the first scalar that is NaN or infinite; None without any."""
        places = (~self.values_SK.isfinite()).nonzero()
        if not len(places):
            return None
        step, column = places[0].tolist()
        return step, self.names[column], float(self.values_SK[step, column])

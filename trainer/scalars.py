"""Named scalars of training steps: one tensor for a step, one table for the steps of an epoch.

Letters: N steps; X scalars of a step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Scalars:
    """The scalars of a step in one tensor, which a CUDA graph can refill.

    Attributes:
        names: X names.
        values_X: float32, on the device.
    """

    names: tuple[str, ...]
    values_X: torch.Tensor

    @classmethod
    def of(cls, values: Mapping[str, torch.Tensor]) -> "Scalars":
        """Return scalars, all on one device, without their gradients."""
        return cls(tuple(values), torch.stack([value.detach().float() for value in values.values()]))

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.values_X[self.names.index(name)]

    def clone(self) -> "Scalars":
        """Return a copy that a later replay does not change."""
        return Scalars(self.names, self.values_X.clone())


@dataclass(frozen=True)
class ScalarTable:
    """The scalars of N steps. values_NX is float64, on the host."""

    names: tuple[str, ...]
    values_NX: torch.Tensor

    @classmethod
    def of(cls, steps: Sequence[Scalars]) -> "ScalarTable":
        """Return the table of one step or more with the same names. Copies from the device once."""
        return cls(steps[0].names, torch.stack([step.values_X for step in steps]).cpu().double())

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.values_NX[:, self.names.index(name)]

    def means(self) -> dict[str, float]:
        """Return the mean of each scalar over the steps."""
        return dict(zip(self.names, self.values_NX.mean(dim=0).tolist(), strict=True))

    def first_not_finite(self) -> tuple[int, str, float] | None:
        """Return step, name and value of the first scalar that is NaN or infinite; None if all are finite."""
        positions = (~self.values_NX.isfinite()).nonzero()
        if not len(positions):
            return None
        step, column = positions[0].tolist()
        return step, self.names[column], float(self.values_NX[step, column])

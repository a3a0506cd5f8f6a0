"""What is asked of a grid, a table with folds and seeds; kept in its folder, to be shown without a cache."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.config import require_range
from pipeline.errors import ConfigError, some
from trainer.ablate.spec import Row, Spec, spec_of, taken
from trainer.folds import folder_of_fold

MOST_SEEDS = 1000
_MOST_CLIPS = 10**9
_MOST_NAMED = 10

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class AskedRun:
    """A run of a grid. folder: where its run directory lies in the grid's folder."""

    row: Row
    fold: str
    seed: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Rows x folds x seeds of a table.

    dataset, all_folds: of the cache. preset: that the rows start from. settings: the user's, of all rows.
    num_shared_clips: test clips of several of `folds`.
    """

    spec: Spec
    dataset: str
    preset: str
    settings: tuple[str, ...]
    all_folds: tuple[str, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    num_shared_clips: int

    def __post_init__(self) -> None:
        require_range("--seeds", len(self.seeds), 1, MOST_SEEDS)
        require_range("num_shared_clips", self.num_shared_clips, 0, _MOST_CLIPS)
        if (
            not self.folds
            or len(set(self.folds)) < len(self.folds)
            or not set(self.folds) <= set(self.all_folds)
        ):
            asked, there = (some(names, _MOST_NAMED) for names in (self.folds, self.all_folds))
            msg = f"folds is '{asked}'; some of '{there}' are needed, each once."
            raise ConfigError(msg)

    def runs(self) -> Iterator[AskedRun]:
        """Every run, first seeds of all rows first."""
        for seed in self.seeds:
            for fold in self.folds:
                for row in self.spec.rows:
                    folder = Path(row.folder) / f"{folder_of_fold(self.all_folds, fold)}-seed{seed}"
                    yield AskedRun(row=row, fold=fold, seed=seed, folder=folder)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "spec": self.spec.to_dict(),
            "dataset": self.dataset,
            "preset": self.preset,
            "settings": list(self.settings),
            "all_folds": list(self.all_folds),
            "folds": list(self.folds),
            "seeds": list(self.seeds),
            "num_shared_clips": self.num_shared_clips,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Asked":
        """Read `to_dict`'s values. Raises ConfigError for any others."""
        folds = _all_of(values, "folds", str)
        return cls(
            spec=spec_of(taken(values, "spec", dict, "")),
            dataset=taken(values, "dataset", str, ""),
            preset=taken(values, "preset", str, ""),
            settings=_all_of(values, "settings", str),
            all_folds=_all_of(values, "all_folds", str),
            folds=folds,
            seeds=_all_of(values, "seeds", int),
            num_shared_clips=taken(values, "num_shared_clips", int, "") if len(folds) > 1 else 0,
        )


def _all_of(values: Mapping[str, Any], key: str, kind: type[V]) -> tuple[V, ...]:
    members = taken(values, key, list, "")
    if not all(type(member) is kind for member in members):
        msg = f"{key} is {members!r:.100}; values of type {kind.__name__} are needed."
        raise ConfigError(msg)
    return tuple(members)

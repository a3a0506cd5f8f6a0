"""The request of a sweep: a table, folds and seeds. grid.json stores it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pipeline.choices import MeasuredSplit
from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError, some
from trainer.ablate.spec import Row, Spec, spec_of
from trainer.ablate.typed_values import taken
from trainer.folds import folder_of_fold

MOST_SEEDS = 1000
_MOST_CLIPS = 10**9
_MOST_NAMED = 10

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class RequestedRun:
    """A requested run. folder is its run directory, relative to the sweep's."""

    row: Row
    fold: str
    seed: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """Rows x folds x seeds of a table.

    Attributes:
        spec: The table.
        dataset, all_folds: Dataset and folds of the cache.
        preset: Preset of all rows.
        settings: The user's ``section.key=value``, for all rows.
        folds, seeds: Requested ones.
        num_shared_clips: Number of clips that are test clips of several of `folds`.
        split: Split that is measured: test, or validation in a search.
    """

    spec: Spec
    dataset: str
    preset: str
    settings: tuple[str, ...]
    all_folds: tuple[str, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    num_shared_clips: int
    split: MeasuredSplit = "test"

    def __post_init__(self) -> None:
        require_range("--seeds", len(self.seeds), 1, MOST_SEEDS)
        require_range("num_shared_clips", self.num_shared_clips, 0, _MOST_CLIPS)
        if (
            not self.folds
            or len(set(self.folds)) < len(self.folds)
            or not set(self.folds) <= set(self.all_folds)
        ):
            requested, there = (some(names, _MOST_NAMED) for names in (self.folds, self.all_folds))
            msg = f"folds is '{requested}'; some of '{there}' are needed, each once."
            raise ConfigError(msg)

    @property
    def plan(self) -> dict[str, Any]:
        """The plan of the comparisons, with the folds and seeds that they are over."""
        return {**self.spec.plan, "folds": list(self.folds), "num_seeds": len(self.seeds)}

    def runs(self) -> Iterator[RequestedRun]:
        """Yield every run, first those of the first seed."""
        for seed in self.seeds:
            for fold in self.folds:
                for row in self.spec.rows:
                    folder = Path(row.folder) / f"{folder_of_fold(self.all_folds, fold)}-seed{seed}"
                    yield RequestedRun(row=row, fold=fold, seed=seed, folder=folder)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return {
            "spec": self.spec.to_dict(),
            "dataset": self.dataset,
            "preset": self.preset,
            "settings": list(self.settings),
            "all_folds": list(self.all_folds),
            "folds": list(self.folds),
            "seeds": list(self.seeds),
            "num_shared_clips": self.num_shared_clips,
            **({} if self.split == "test" else {"split": self.split}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SweepRequest":
        """Read the values of `to_dict`. Raises ConfigError for other values."""
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
            split=_split(taken(values, "split", str, "", "test")),
        )


def _split(text: str) -> MeasuredSplit:
    require_one_of("split", text, get_args(MeasuredSplit))
    return cast("MeasuredSplit", text)


def _all_of(values: Mapping[str, Any], key: str, kind: type[V]) -> tuple[V, ...]:
    members = taken(values, key, list, "")
    if not all(type(member) is kind for member in members):
        msg = f"{key} is {members!r:.100}; values of type {kind.__name__} are needed."
        raise ConfigError(msg)
    return tuple(members)

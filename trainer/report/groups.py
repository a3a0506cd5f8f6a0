"""Runs -> groups of one data set and one setting, each over its folds and seeds."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import some
from trainer.config import TrainConfig, learnt
from trainer.pages.banners import label_text
from trainer.presets import PRESETS
from trainer.report.identity import Identity
from trainer.report.runs import ReportedRun
from trainer.run_statistics import Score, Summary, summarise

_FOLDS_SHOWN = 10
_FIVE_FOLD = ("dfew", "mafw")
"""Data sets whose owners publish five folds, however many of them a cache holds."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one setting on one cache, by fold and seed.

    label: the name of its rows, with "selected on test" or "LEAK" where that holds. preset, changes: the
    setting, as the nearest preset and every ``section.key=value`` that differs.
    """

    label: str
    runs: tuple[ReportedRun, ...]
    preset: str
    changes: tuple[str, ...]

    @property
    def dataset(self) -> str:
        """The data set that the runs were measured on."""
        return self.runs[0].meta.dataset

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the cache's order."""
        return self.runs[0].info.class_names

    @property
    def folds(self) -> tuple[str, ...]:
        """The folds that have a run, in the cache's order, as `ReportedRun.fold_name`."""
        return tuple(dict.fromkeys(run.fold_name for run in self.runs))

    @property
    def num_folds_of_dataset(self) -> int:
        """How many folds a mean of folds must have."""
        return max(len(self.runs[0].meta.fold_names), 5 if self.dataset in _FIVE_FOLD else 1)

    @property
    def has_mean_of_folds(self) -> bool:
        """Whether a run is there for every fold, of several, and was measured on it."""
        return self.has_own_folds and len(self.folds) == self.num_folds_of_dataset > 1

    @property
    def has_own_folds(self) -> bool:
        """Whether every run was measured on the fold that trained it."""
        return all(run.is_own_fold for run in self.runs)

    @property
    def trained_on(self) -> str:
        """The clips that trained the runs; fold by fold where folds differ in their number."""
        texts = {run.fold_name: str(run.training_set) for run in self.runs}
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return some([f"fold {fold}: {text}" for fold, text in texts.items()], _FOLDS_SHOWN, "; ")

    @property
    def name(self) -> str:
        """The setting in words: the preset, and what differs from it."""
        return ", ".join([self.preset, *self.changes])

    @cached_property
    def num_shared_clips(self) -> int:
        """Clips that are measured in several folds."""
        by_fold: dict[str, set[str]] = {}
        for run in self.runs:
            by_fold.setdefault(run.fold_name, set()).update(run.clip_ids)
        folds_of_clip = Counter(clip_id for ids in by_fold.values() for clip_id in ids)
        return sum(count > 1 for count in folds_of_clip.values())

    @cached_property
    def summary(self) -> Summary:
        """The numbers over folds and seeds."""
        return summarise(
            [Score(fold=run.fold_name, seed=run.info.seed, metrics=run.metrics) for run in self.runs],
            disjoint=not self.num_shared_clips,
        )


def grouped(runs: Sequence[ReportedRun]) -> tuple[Group, ...]:
    """The runs by data set and setting, in the order in which the first of each is given.

    Raises ConfigError when a fold and seed of a setting is given twice.
    """
    by_identity: dict[Identity, list[ReportedRun]] = {}
    for run in runs:
        by_identity.setdefault(Identity.of(run), []).append(run)
    groups = tuple(
        _group(f"ours {number}" if len(by_identity) > 1 else "ours", members)
        for number, members in enumerate(by_identity.values(), 1)
    )
    for group in groups:
        _ = group.summary
    return groups


def apart(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return why groups of equal settings are not one, a sentence for each but the first of them."""
    first: dict[tuple[str, str], Group] = {}
    sentences = []
    for group in groups:
        other = first.setdefault((group.dataset, group.name), group)
        if other is not group:
            reasons = "; ".join(Identity.of(group.runs[0]).differences(Identity.of(other.runs[0])))
            sentences.append(f"{group.label} and {other.label} share no mean: {group.label} was {reasons}.")
    return tuple(sentences)


def nearest_preset(config: TrainConfig) -> tuple[str, tuple[str, ...]]:
    """The preset with the fewest settings that differ, and these, as ``section.key=value``."""
    told = {name: setting_changes(preset(), config) for name, preset in PRESETS.items()}
    name = min(told, key=lambda name: len(told[name]))
    return name, told[name]


def setting_changes(before: TrainConfig, after: TrainConfig) -> tuple[str, ...]:
    """Every setting of `after` that `before` has otherwise, as ``section.key=value``."""
    old, new = _flat(learnt(before)), _flat(learnt(after))
    return tuple(f"{key}={value}" for key, value in new.items() if old[key] != value)


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        f"{name}.{key}": value if isinstance(value, str) else json.dumps(value)
        for name, section in sections.items()
        for key, value in section.items()
    }


def _group(label: str, runs: Sequence[ReportedRun]) -> Group:
    folds = runs[0].meta.fold_names
    order = sorted(runs, key=lambda run: (folds.index(run.fold), run.info.fold, run.info.seed))
    preset, changes = nearest_preset(runs[0].config)
    has_leak = any(run.leak.clip_ids for run in order)
    label = label_text(
        label,
        [run.info.selection for run in order],
        has_leak=has_leak,
        is_unfinished=any(run.is_unfinished for run in order),
    )
    return Group(label=label, runs=tuple(order), preset=preset, changes=changes)

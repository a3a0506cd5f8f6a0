"""Runs -> groups of one dataset and setting, over folds and seeds."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import some
from trainer.config import TrainConfig, result_settings
from trainer.metrics import Metrics
from trainer.pages.banners import label_text
from trainer.presets import PRESETS
from trainer.report.comparability import SharedFacts
from trainer.report.runs import ReportedRun
from trainer.run_statistics import Score, Summary, summarise

_FOLDS_SHOWN = 10
_CHANGES_SHOWN = 3
_FACE_ONLY = {"model.scene=false", "model.polarity=false"}
_FIVE_FOLD = ("dfew", "mafw")
"""Datasets with five published folds, of which a cache may have fewer."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """The runs of one setting on one cache, by fold and seed.

    Attributes:
        label: Name of its rows, with "selected on test" or "LEAK" if applicable.
        preset, changes: The setting, as the nearest preset and every ``section.key=value`` that differs.
    """

    label: str
    runs: tuple[ReportedRun, ...]
    preset: str
    changes: tuple[str, ...]

    @property
    def dataset(self) -> str:
        """Dataset that the runs were measured on."""
        return self.runs[0].meta.dataset

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes, in the order of the cache."""
        return self.runs[0].info.class_names

    @property
    def folds(self) -> tuple[str, ...]:
        """`ReportedRun.fold_name` of the folds with a run, in the order of the cache."""
        return tuple(dict.fromkeys(run.fold_name for run in self.runs))

    @property
    def num_folds_of_dataset(self) -> int:
        """Number of folds that a mean of folds needs."""
        return max(len(self.runs[0].meta.fold_names), 5 if self.dataset in _FIVE_FOLD else 1)

    @property
    def has_mean_of_folds(self) -> bool:
        """Whether every fold, of several, has a run that was measured on it."""
        return self.has_own_folds and len(self.folds) == self.num_folds_of_dataset > 1

    @property
    def has_own_folds(self) -> bool:
        """Whether every run was measured on the fold that trained it."""
        return all(run.is_own_fold for run in self.runs)

    @property
    def trained_on(self) -> str:
        """Clips that trained the runs, in words; by fold if they differ."""
        texts = {run.fold_name: str(run.training_set) for run in self.runs}
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return some([f"fold {fold}: {text}" for fold, text in texts.items()], _FOLDS_SHOWN, "; ")

    @property
    def name(self) -> str:
        """The setting: the preset and the changes."""
        return ", ".join([self.preset, *self.changes])

    @cached_property
    def num_shared_clips(self) -> int:
        """Number of clips that are measured in several folds."""
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

    @cached_property
    def summary_without_doubtful(self) -> Summary | None:
        """The numbers without doubtful face tracks; None if no clip has one, or no clips are left.

        Runs of which every track is doubtful are left out.
        """
        if not any(run.doubtful_tracks for run in self.runs):
            return None
        return self._summary_of_some([run.metrics_without_doubtful for run in self.runs])

    @cached_property
    def summary_with_face(self) -> Summary | None:
        """The numbers of the clips with a face; None if every clip has one, or none has.

        Runs without such clips are left out.
        """
        if not any(run.without_face for run in self.runs):
            return None
        return self._summary_of_some([run.metrics_with_face for run in self.runs])

    def _summary_of_some(self, metrics: Sequence[Metrics | None]) -> Summary | None:
        """Return the numbers of some clips of each run; None if no run has any."""
        scores = [
            Score(fold=run.fold_name, seed=run.info.seed, metrics=of_run)
            for run, of_run in zip(self.runs, metrics, strict=True)
            if of_run is not None
        ]
        return summarise(scores, disjoint=not self.num_shared_clips) if scores else None

    def has_mean_of(self, some: Summary | None) -> bool:
        """Return whether numbers of some clips of each run have a mean of folds: every fold has clips."""
        return self.has_mean_of_folds and some is not None and len(some.by_fold) == len(self.folds)

    def without_face(self, folds: Sequence[str]) -> tuple[int, int]:
        """Return the clips without a face, and all clips, of the first run of each of these folds."""
        first = [next(run for run in self.runs if run.fold_name == fold) for fold in folds]
        without = sum(run.without_face.num_without_face for run in first if run.without_face)
        return without, sum(run.metrics.num_clips for run in first)


def rows_of(runs: Sequence[ReportedRun]) -> tuple[RunRow, ...]:
    """Group runs by dataset and setting, in the order of their first runs.

    Raises ConfigError if a fold and seed of a setting is given twice.
    """
    by_identity: dict[SharedFacts, list[ReportedRun]] = {}
    for run in runs:
        by_identity.setdefault(SharedFacts.of(run), []).append(run)
    labels = row_labels([_setting(members[0]) for members in by_identity.values()])
    run_rows = tuple(
        _row(label, members) for label, members in zip(labels, by_identity.values(), strict=True)
    )
    for run_row in run_rows:
        _ = run_row.summary
    return run_rows


def _setting(run: ReportedRun) -> tuple[str, tuple[str, ...]]:
    """Return the result of `nearest_preset`, with the further caches of the training as changes."""
    name, changes = nearest_preset(run.config)
    return name, (*changes, *(f"with {cache}" for cache in run.info.cache_names[1:]))


def row_labels(settings: Sequence[tuple[str, tuple[str, ...]]]) -> list[str]:
    """Return a name for each setting: its preset, and the changes that other settings do not have as well.

    A single setting is ``ours``. The two changes of a face-only run are named ``face only``. A name that
    several settings share, because they differ in clips or precision, is numbered from the second on.

    Args:
        settings: Results of `nearest_preset`.
    """
    if len(settings) < 2:
        return ["ours"] * len(settings)
    in_all = set.intersection(*(set(changes) for _, changes in settings))
    labels: list[str] = []
    given: Counter[str] = Counter()
    for preset, changes in settings:
        own = [change for change in changes if change not in in_all]
        if set(changes) >= _FACE_ONLY and not _FACE_ONLY.isdisjoint(own):
            own = ["face only", *(change for change in own if change not in _FACE_ONLY)]
        if len(own) > _CHANGES_SHOWN:
            own[_CHANGES_SHOWN - 1 :] = [f"{len(own) - _CHANGES_SHOWN + 1} other changes"]
        label = ", ".join(["ours", preset, *own])
        given[label] += 1
        labels.append(f"{label} ({given[label]})" if given[label] > 1 else label)
    return labels


def apart(run_rows: Sequence[RunRow]) -> tuple[str, ...]:
    """Return a sentence for each group that differs from an earlier group of the same setting."""
    first: dict[tuple[str, str], RunRow] = {}
    sentences = []
    for run_row in run_rows:
        other = first.setdefault((run_row.dataset, run_row.name), run_row)
        if other is not run_row:
            reasons = "; ".join(SharedFacts.of(run_row.runs[0]).differences(SharedFacts.of(other.runs[0])))
            labels = f"{run_row.label} and {other.label}"
            sentences.append(f"{labels} have separate means: {run_row.label} was {reasons}.")
    return tuple(sentences)


def nearest_preset(config: TrainConfig) -> tuple[str, tuple[str, ...]]:
    """Return the preset with the fewest differences, and the differences as ``section.key=value``."""
    changes = {name: setting_changes(preset(), config) for name, preset in PRESETS.items()}
    name = min(changes, key=lambda name: len(changes[name]))
    return name, changes[name]


def setting_changes(before: TrainConfig, after: TrainConfig) -> tuple[str, ...]:
    """Return every setting of `after` that differs in `before`, as ``section.key=value``."""
    old, new = _flat(result_settings(before)), _flat(result_settings(after))
    return tuple(f"{key}={value}" for key, value in new.items() if old[key] != value)


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        f"{name}.{key}": value if isinstance(value, str) else json.dumps(value)
        for name, section in sections.items()
        for key, value in section.items()
    }


def _row(label: str, runs: Sequence[ReportedRun]) -> RunRow:
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
    return RunRow(label=label, runs=tuple(order), preset=preset, changes=changes)

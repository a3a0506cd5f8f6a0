"""The facts that runs of one mean share, and their differences in words."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from trainer.config import learnt
from trainer.report.runs import ReportedRun


@dataclass(frozen=True, kw_only=True)
class SharedFacts:
    """Facts that the runs of a row share over folds and seeds.

    Attributes:
        dataset, class_names: Dataset and classes of the measured cache.
        setting: Result of `learnt`, as JSON.
        precision: Precision of training.
        selection: Rule that chose the checkpoint.
        trained_features: Dataset and fingerprint of the training cache.
        trained_clips: Hash of its clips, labels and folds.
        added: Identities of the further caches of the training, whatever their folds.
        usable: `folds.usable_sha256` at the time of training; unique for a run that did not record it.
        measured_features, measured_clips: The same for the measured cache.
    """

    dataset: str
    class_names: tuple[str, ...]
    setting: str
    precision: str
    selection: str
    trained_features: tuple[str, str]
    trained_clips: str
    added: tuple[str, ...]
    usable: str
    measured_features: str
    measured_clips: tuple[str, str]

    @classmethod
    def of(cls, run: ReportedRun) -> "SharedFacts":
        """Return the identity of a run."""
        info = run.info
        return cls(
            dataset=run.meta.dataset,
            class_names=info.class_names,
            setting=json.dumps(learnt(run.config), sort_keys=True),
            precision=run.precision,
            selection=info.selection,
            trained_features=(info.dataset, info.cache_fingerprint),
            trained_clips=info.clips_sha256,
            added=tuple(one.features for one in info.added_caches),
            usable=run.training_set.usable_sha256 or f"not recorded by {run.run_dir.resolve()}",
            measured_features=run.meta.fingerprint,
            measured_clips=(run.clips_sha256, run.usable_sha256),
        )

    def differences(self, other: "SharedFacts") -> Iterator[str]:
        """Yield the differences between two identities of one dataset and setting, in words."""
        for field in fields(self):
            if field.name in _IN_WORDS and getattr(self, field.name) != getattr(other, field.name):
                yield _IN_WORDS[field.name]


_IN_WORDS: Mapping[str, str] = {
    "precision": "trained in another precision",
    "selection": "selected on validation clips that another rule chose",
    "trained_features": "trained on the features of another cache",
    "trained_clips": "trained on a cache with other clips, labels or folds",
    "added": "trained with other further caches, or with other clips or classes of them",
    "usable": "trained on other clips or groups of clips",
    "measured_features": "measured on the features of another cache",
    "measured_clips": "measured on other clips or groups of clips",
}

"""Folds, and classes of a fold, that have test or validation clips but no training clips."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.errors import counted, printable, some
from pipeline.types import DatasetIndex, Split

CLASS_REMEDY = (
    "put clips of the class into training, or correct its name; without them no model can predict the class"
)
FOLD_REMEDY = "nothing, if runs of another cache are evaluated on it; else put clips into its training split"


@dataclass(frozen=True, kw_only=True)
class MissingTraining:
    """Folds, and classes of a fold, without training clips. folds, classes: one text each, with the fold."""

    folds: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """Return warnings for the user, with remedies."""
        warnings = []
        if self.folds:
            warnings.append(f"{self.of_folds()}: {some(self.folds)}; {FOLD_REMEDY}")
        if self.classes:
            warnings.append(f"{self.of_classes()}: {some(self.classes)}; {CLASS_REMEDY}")
        return warnings

    def of_folds(self) -> str:
        """Return the number of folds, in words."""
        return f"{counted(len(self.folds), 'fold')} without training clips"

    def of_classes(self) -> str:
        """Return the number of classes, in words."""
        return f"{counted(len(self.classes), 'class', 'classes')} of a fold without training clips"


def find_missing_training(labelled: Iterable[tuple[str, Split, str]]) -> MissingTraining:
    """Find folds and classes that have test or validation clips but no training clips.

    labelled: fold, split and class name of every clip in every fold. Clips with an empty class name do not
    count. For a fold without any training clip, its classes are not listed.
    """
    many: dict[str, dict[str, dict[Split, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for fold, split, name in labelled:
        if name and split is not Split.ABSENT:
            many[fold][name][split] += 1
    folds, classes = [], []
    for fold, by_class in many.items():
        where = f"fold {printable(fold)}"
        if not any(Split.TRAIN in splits for splits in by_class.values()):
            folds.append(
                f"{where} ({counted(sum(sum(s.values()) for s in by_class.values()), 'other clip')})"
            )
            continue
        for name, splits in sorted(by_class.items()):
            if Split.TRAIN not in splits:
                parts = [f"{splits[split]} {split.name.lower()}" for split in sorted(splits)]
                clips = "clip" if sum(splits.values()) == 1 else "clips"
                classes.append(f"'{printable(name)}' in {where} ({' and '.join(parts)} {clips})")
    return MissingTraining(folds=tuple(folds), classes=tuple(classes))


def missing_training_of_index(index: DatasetIndex) -> MissingTraining:
    """Find the folds and classes of a dataset that have no training clips."""
    return find_missing_training(_labelled(index))


def _labelled(index: DatasetIndex) -> Iterator[tuple[str, Split, str]]:
    for clip in index.clips:
        if clip.label >= 0:
            for fold, split in zip(index.fold_names, clip.splits, strict=True):
                yield fold, split, index.class_names[clip.label]

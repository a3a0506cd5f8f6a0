"""A dataset as the pipeline sees it, and how it was read."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import get_args

from pipeline.choices import ClipForm
from pipeline.config import require_one_of
from pipeline.errors import DatasetError
from pipeline.types.checks import require
from pipeline.types.clips import ClipRef


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a dataset is read; reading it again needs the same options."""

    lists: tuple[str, ...] = ()
    """Files, or directories of files, used in place of the lists that the dataset's authors publish."""
    label_order: str | None = None
    """Name of the order in which bare integers in lists count the classes."""
    all_clips: bool = False
    """Whether clips that are in no list are read too."""
    source: str = "auto"
    """``video``, ``frames``, ``crops`` (faces only, no scene), or ``auto``: videos, or frames where more of
    the listed clips exist as frames."""

    def __post_init__(self) -> None:
        require_one_of("source", self.source, get_args(ClipForm))


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """The clips of a dataset and the names that their numbers stand for."""

    name: str
    """Name of the dataset, such as ``dfew``."""
    root: Path
    """Directory that the paths of clips start from."""
    class_names: tuple[str, ...]
    """Names of the classes, in the order of the labels."""
    fold_names: tuple[str, ...]
    """Names of the folds, in the order of every clip's splits."""
    clips: tuple[ClipRef, ...]
    """All clips, in order of their ids."""
    notes: tuple[str, ...] = ()
    """Remarks for the user, such as files that were left out."""
    warnings: tuple[str, ...] = ()
    """Limits that must be shown beside every result, such as that there are no scenes."""
    source: Path | None = None
    """The manifest file that the user named; None where it is `root`."""
    options: ReadOptions = ReadOptions()
    """How the dataset was read."""

    def __post_init__(self) -> None:
        ids = [clip.clip_id for clip in self.clips]
        if not ids:
            msg = f"Dataset {self.name} at {self.root} has no clips."
            raise DatasetError(msg)
        if len(set(ids)) != len(ids):
            twice = next(one for one, other in pairwise(sorted(ids)) if one == other)
            msg = f"Clip id '{twice}' appears twice in {self.name}; every clip needs its own."
            raise DatasetError(msg)
        late = next((f"'{other}' after '{one}'" for one, other in pairwise(ids) if other < one), "")
        require(not late, f"clips must be in order of their id: {late}")
        num_folds, num_classes = len(self.fold_names), len(self.class_names)
        for clip in self.clips:
            if (
                len(clip.splits) != num_folds
                or not -1 <= clip.label < num_classes
                or (clip.votes is not None and len(clip.votes) != num_classes)
            ):
                self._refuse(clip)

    def _refuse(self, clip: ClipRef) -> None:
        """Raise ValueError for the number of splits, the label or the number of votes of a clip."""
        folds, classes = len(self.fold_names), len(self.class_names)
        splits, votes = len(clip.splits), None if clip.votes is None else len(clip.votes)
        require(splits == folds, f"{clip.clip_id}: one split per fold, not {splits} for {folds}")
        require(
            -1 <= clip.label < classes,
            f"{clip.clip_id}: label out of range: {clip.label} of {classes} classes",
        )
        require(
            votes in (None, classes), f"{clip.clip_id}: one vote count per class, not {votes} for {classes}"
        )

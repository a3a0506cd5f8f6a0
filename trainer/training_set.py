"""The clips that trained a run. They are part of its identity: no mean is taken over runs on different clips.

A cache may have more features after a training if its extraction had not finished, or failed clips were
repaired.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.errors import counted, printable
from pipeline.own_dir import Folder
from pipeline.store.reader import FeatureCache
from trainer.added_cache import AddedCache
from trainer.clips_without_face import NOT_RECORDED
from trainer.config import TrainConfig
from trainer.folds import FoldRows, fold_rows, usable_sha256
from trainer.holdout import CLIPS
from trainer.run_info import RunInfo
from trainer.training_clips import num_stored


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """The clips that trained a run and chose its checkpoint, compared with the measured cache.

    Attributes:
        usable_sha256: See `folds.usable_sha256`. The hash of the measured cache if its clips are those of the
            run; else as recorded, and empty for runs of versions that did not record it.
        num_train, num_validation: Clips of the first cache.
        left_out: Number of clips of the fold that were not used, by reason; None if not recorded.
        added: Further caches of the training, and their clips.
        added_clips: The same in words.
        num_without_face: Training and validation clips without a face, of all caches; None if not recorded.
        num_more: Training clips that the cache has now and did not have then.
    """

    usable_sha256: str
    num_train: int
    num_validation: int
    left_out: Mapping[str, int] | None
    added: tuple[AddedCache, ...] = ()
    added_clips: tuple[str, ...] = ()
    num_without_face: int | None = None
    num_more: int = 0

    @classmethod
    def of(
        cls, run_dir: Folder, info: RunInfo, config: TrainConfig, now: FeatureCache | None
    ) -> "TrainingSet":
        """Return the clips of a run.

        Args:
            run_dir: Directory of the run.
            info: Origin of the run.
            config: Settings of the run.
            now: The measured cache if it has the features and clips of the training cache, else None.

        Raises:
            CheckpointError: The list of clips of a run of an earlier version cannot be read.
        """
        rows = None
        if now is not None and info.fold in now.meta.fold_names:
            rows = fold_rows(now, info.fold, config.data, info.seed, by_group=info.selection != CLIPS)
            if rows.training_sha256() == info.training_sha256:
                return cls._of_rows(rows, info, usable_sha256(now))
        if info.usable_sha256:
            num_train, num_validation = info.num_train, info.num_validation
        else:
            stored = num_stored(run_dir)
            num_train, num_validation = stored.get("train", 0), stored.get("validation", 0)
        return cls(
            usable_sha256=info.usable_sha256,
            num_train=num_train,
            num_validation=num_validation,
            left_out=info.left_out_of_training if info.usable_sha256 else None,
            added=info.added_caches,
            added_clips=info.added_clips,
            num_without_face=_num_without_face(info),
            num_more=0 if rows is None else _num_more(rows, info, num_train, num_validation),
        )

    @classmethod
    def _of_rows(cls, rows: FoldRows, info: RunInfo, usable: str) -> "TrainingSet":
        return cls(
            usable_sha256=usable,
            num_train=len(rows.train),
            num_validation=len(rows.validation),
            left_out=info.left_out_of_training if info.usable_sha256 else dict(rows.left_out),
            added=info.added_caches,
            added_clips=info.added_clips,
            num_without_face=_num_without_face(info),
        )

    @property
    def banners(self) -> tuple[str, ...]:
        """A warning if the cache has more training clips now and the run's own warnings do not show it."""
        if not self.num_more or (self.left_out or {}).get("pending"):
            return ()
        return (f"TRAINED ON FEWER CLIPS: the cache has {self.num_more} more for this fold now",)

    def __str__(self) -> str:
        if self.left_out is None:
            left_out = "which clips were left out is not recorded"
        else:
            left_out = f"left out: {left_out_text(self.left_out) or 'none'}"
        more = f"; the cache has {self.num_more} more training clips now" if self.num_more else ""
        added = "".join(
            f"; and {clips}{_left_out_of(one)}"
            for one, clips in zip(self.added, self.added_clips, strict=True)
        )
        own = f"{counted(self.num_train, 'clip')}, {self.num_validation} to validate; {left_out}{more}"
        num = self.num_without_face
        return f"{own}{added}{f'; no face found in {num:,} of these clips' if num else ''}"


def _num_without_face(info: RunInfo) -> int | None:
    return None if info.num_without_face == NOT_RECORDED else info.num_without_face


def _left_out_of(added: AddedCache) -> str:
    text = left_out_text(added.left_out)
    return f" (left out: {text})" if text else ""


def _num_more(rows: FoldRows, info: RunInfo, num_train: int, num_validation: int) -> int:
    """Return how many more training clips a cache has now; 0 if only the holdout differs."""
    num_then = num_train if info.selection == "train" else num_train + num_validation
    if len(np.union1d(rows.train, rows.validation)) <= num_then:
        return 0
    return max(0, len(rows.train) - num_train)


def left_out_text(left_out: Mapping[str, int]) -> str:
    """Return the numbers of unused clips and the reasons, in words; empty for none."""
    return ", ".join(f"{count} {printable(why)}" for why, count in left_out.items() if count)

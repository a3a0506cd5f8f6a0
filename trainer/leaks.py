"""Measured clips that share footage with clips that a run has seen: found, rejected, or marked.

Footage is compared by the hash of the file and the window of time, whatever the ids, names of data sets
and folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import CheckpointError, some
from pipeline.footage import Footage, FootageIndex

_ROLES = {"train": "trained", "validation": "chose the checkpoint of"}
"""What a run has done with the clips of its splits."""

_SEEN = {"train": "training", "validation": "validation"}


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Clips of a measured split that share footage with clips that the run has seen.

    num_clips: measured in all. pairs: by the split of the run that saw it, each measured clip's id with the
    id of a clip there. reported: the same for clips whose official splits cause it: no reason to reject.
    """

    split: str
    num_clips: int
    pairs: Mapping[str, tuple[tuple[str, str], ...]]
    reported: tuple[tuple[str, str], ...] = ()

    @classmethod
    def none(cls, split: str, num_clips: int) -> "Leak":
        """Nothing is shared, or the split is the one that was trained on."""
        return cls(split=split, num_clips=num_clips, pairs={})

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """The measured clips that are rejected, each once."""
        return tuple(dict.fromkeys(clip_id for pairs in self.pairs.values() for clip_id, _ in pairs))

    @property
    def banners(self) -> tuple[str, ...]:
        """What must stand, loudly, beside every number that these clips are part of."""
        num = len(self.clip_ids)
        if not num:
            return ()
        shared = f"{num} of {self.num_clips} {self.split} clips"
        return (f"LEAK: {shared} share footage with clips that the run has seen",)

    @property
    def notes(self) -> tuple[str, ...]:
        """Shared footage of official splits, in a sentence."""
        if not self.reported:
            return ()
        return (
            f"{len(self.reported)} of {self.num_clips} {self.split} clips share footage with training clips "
            f"in the official splits: {_named(self.reported)}",
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What training reports of its splits: the notes, and the clips that `evaluate` will reject."""
        found = [
            f"{len(pairs)} of {self.num_clips} {self.split} clips share footage with {_SEEN[split]} clips: "
            f"{_named(pairs)}; evaluate rejects them without --allow-leak"
            for split, pairs in self.pairs.items()
        ]
        return (*self.notes, *found)

    def require_none(self, run: str, place: str) -> None:
        """Raise CheckpointError, naming clips, where any is to be rejected."""
        for split, pairs in self.pairs.items():
            if pairs:
                msg = (
                    f"{len(pairs)} of the {self.num_clips} {self.split} clips of '{place}' share footage "
                    f"with clips that {_ROLES[split]} '{run}': {_named(pairs)}. Measure other clips, or "
                    "train without these; --allow-leak measures them and marks the result."
                )
                raise CheckpointError(msg)


def find_leak(
    split: str,
    measured: Sequence[Footage],
    seen: Mapping[str, Sequence[Footage]],
    *,
    is_official: bool,
    is_own_fold: bool = True,
) -> Leak:
    """Find the clips among `measured` that share footage with those that a run has seen.

    seen: by the run's split. is_official: whether both are of one data set with official splits, where a clip
    is itself by its id, whatever its file. is_own_fold: whether the fold measured is the one that the run has
    seen: in official splits a copy under another id is then reported, and no reason to reject.
    """
    pairs: dict[str, tuple[tuple[str, str], ...]] = {}
    reported: list[tuple[str, str]] = []
    for name, parts in seen.items():
        index, ids = FootageIndex(parts), {part.clip_id for part in parts}
        found = [(part.clip_id, other.clip_id) for part in measured if (other := index.overlapping(part))]
        if is_official:
            copies = [(clip_id, other) for clip_id, other in found if clip_id not in ids]
            found = [(part.clip_id, part.clip_id) for part in measured if part.clip_id in ids]
            (reported if is_own_fold else found).extend(copies)
        if found:
            pairs[name] = tuple(found)
    return Leak(split=split, num_clips=len(measured), pairs=pairs, reported=tuple(reported))


def _named(pairs: Sequence[tuple[str, str]]) -> str:
    return some([f"'{one}'" if one == other else f"'{one}' with '{other}'" for one, other in pairs])

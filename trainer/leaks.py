"""Find measured clips that share footage with clips that a run has seen, and reject or mark them.

Footage is compared by file hash and time window, not by ids or names of datasets and folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from pipeline.errors import CheckpointError, some
from pipeline.footage import Footage, FootageIndex

_ROLES = {"train": "trained", "validation": "chose the checkpoint of"}
"""Split of a run -> its use, for messages."""

_SEEN = {"train": "training", "validation": "validation"}


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Clips of a measured split that share footage with clips that the run has seen.

    Attributes:
        num_clips: Number of measured clips.
        pairs: By split of the run: ids of a measured clip and of a clip of that split. Rejected without
            `allow_leak`.
        reported: The same for overlaps of official splits, which are reported and not rejected.
    """

    split: str
    num_clips: int
    pairs: Mapping[str, tuple[tuple[str, str], ...]]
    reported: tuple[tuple[str, str], ...] = ()

    @classmethod
    def none(cls, split: str, num_clips: int) -> "Leak":
        """Return a leak without clips."""
        return cls(split=split, num_clips=num_clips, pairs={})

    def joined(self, other: "Leak") -> "Leak":
        """Return the clips of this leak and of another of the same measured clips, each clip once."""
        pairs = {
            name: _by_clip(self.pairs.get(name, ()), other.pairs.get(name, ()))
            for name in dict.fromkeys([*self.pairs, *other.pairs])
        }
        return replace(self, pairs=pairs, reported=_by_clip(self.reported, other.reported))

    def of_dataset(self, dataset: str) -> "Leak":
        """Return the leak with the dataset behind the id of each seen clip, for clips of a further cache."""

        def named(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
            return tuple((clip_id, f"{other} ({dataset})") for clip_id, other in pairs)

        pairs = {name: named(pairs) for name, pairs in self.pairs.items()}
        return replace(self, pairs=pairs, reported=named(self.reported))

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """The measured clips of `pairs`, each once. Rejected without `allow_leak`."""
        return tuple(dict.fromkeys(clip_id for pairs in self.pairs.values() for clip_id, _ in pairs))

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings for every number that these clips are part of."""
        num = len(self.clip_ids)
        if not num:
            return ()
        shared = f"{num} of {self.num_clips} {self.split} clips"
        return (f"LEAK: {shared} share footage with clips that the run has seen",)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on shared footage of official splits, if any."""
        if not self.reported:
            return ()
        return (
            f"{len(self.reported)} of {self.num_clips} {self.split} clips share footage with training clips "
            f"in the official splits: {named(self.reported)}",
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines that training shows: the notes, and clips that `evaluate` will reject."""
        found = [
            f"{len(pairs)} of {self.num_clips} {self.split} clips share footage with {_SEEN[split]} clips: "
            f"{named(pairs)}; evaluate rejects them without --allow-leak"
            for split, pairs in self.pairs.items()
        ]
        return (*self.notes, *found)

    def require_none(self, run: str, place: str) -> None:
        """Raise CheckpointError, naming clips, if any is to be rejected."""
        for split, pairs in self.pairs.items():
            if pairs:
                msg = (
                    f"{len(pairs)} of the {self.num_clips} {self.split} clips of '{place}' share footage "
                    f"with clips that {_ROLES[split]} '{run}': {named(pairs)}. Measure other clips, or "
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
    """Find measured clips that share footage with clips that a run has seen.

    Args:
        split: Name of the measured split.
        measured: Footage of the measured clips.
        seen: Footage that the run has seen, by its split.
        is_official: Whether both are of one dataset with official splits. Clips are then identified by id.
        is_own_fold: Whether the measured fold trained the run. In official splits, a copy under another id is
            then reported and not rejected.
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


def _by_clip(*parts: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the first pair of each measured clip."""
    first: dict[str, str] = {}
    for clip_id, other in chain(*parts):
        first.setdefault(clip_id, other)
    return tuple(first.items())


def named(pairs: Sequence[tuple[str, str]]) -> str:
    """Return pairs of a measured clip and a seen one for a message, the first few of many."""
    return some([f"'{one}'" if one == other else f"'{one}' with '{other}'" for one, other in pairs])

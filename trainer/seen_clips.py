"""The fold of a run and the clips of further caches -> the clips that the run sees, and shared footage."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.footage import cached_footage
from pipeline.store.reader import FeatureCache
from trainer.added_cache import cache_names
from trainer.added_clips import AddedClips
from trainer.caches import stored_location
from trainer.folds import FoldRows
from trainer.leaks import Leak, named
from trainer.training_clips import StoredClip, added_forms, added_leak, fold_leak, training_clips_json


@dataclass(frozen=True, kw_only=True)
class SeenClips:
    """The clips that a run sees.

    Attributes:
        json: Text of training_clips.json.
        leaks: Validation clips, and test clips, that share footage with them.
        repeated: A line for each further cache that has training clips of an earlier cache.
    """

    json: str
    leaks: tuple[Leak, Leak]
    repeated: tuple[str, ...]

    @classmethod
    def of(cls, cache: FeatureCache, rows: FoldRows, added: Sequence[AddedClips]) -> "SeenClips":
        """Return the clips of a fold of the first cache, and of further caches."""
        footage, dataset = cached_footage(cache), cache.meta.dataset
        opened = [cache, *(one.source.cache for one in added)]
        own_name, *others = cache_names([(one.meta.dataset, stored_location(one.place)) for one in opened])
        forms: list[StoredClip] = []
        names: list[str] = []
        earlier = added_forms(footage, rows.train, dataset) if added else []
        earlier_names = [own_name] * len(earlier)
        repeated = []
        for one, name in zip(added, others, strict=True):
            parts = cached_footage(one.source.cache)
            row_N = one.source.row_N
            training = [parts[row] for row in row_N.tolist()]
            again = added_leak("training", training, one.dataset, one.fold, earlier, [], earlier_names)
            if num := len(again.clip_ids):
                pairs = [pair for found in again.pairs.values() for pair in found]
                repeated.append(
                    f"{num} of {len(row_N)} training clips of '{one.source.cache.place}' share footage with "
                    f"training clips of another cache, so that it trains more than once: {named(pairs)}"
                )
            own = added_forms(parts, row_N, one.dataset)
            forms += own
            earlier += own
            names += [name] * len(own)
            earlier_names += [name] * len(own)
        folds = [(one.dataset, one.fold) for one in added]
        validation, test = (
            fold_leak(footage, rows, split, dataset, forms, folds, names) for split in ("validation", "test")
        )
        return cls(
            json=training_clips_json(footage, rows, forms),
            leaks=(validation, test),
            repeated=tuple(repeated),
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines on shared footage, which training shows."""
        return (*(line for leak in self.leaks for line in leak.remarks), *self.repeated)

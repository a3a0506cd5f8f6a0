"""A cache that added training clips to a run, as run.json records it.

A run has the classes, folds, validation and test clips of its first cache. Further caches only add training
clips.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pipeline.errors import counted, printable
from pipeline.fingerprint import sha256_json
from pipeline.store.location import Location
from pipeline.store.meta import CacheMeta
from trainer.caches import is_same_place, training_cache
from trainer.class_map import ClassMap

_SHOWN = 100
_MOST_CACHES, _MOST_CLASSES = 1_000, 1_000
_COUNTS, _TEXTS = ("left_out",), ("classes",)


@dataclass(frozen=True, kw_only=True)
class AddedCache:
    """A further cache of a training, and its training clips.

    Attributes:
        cache_path, cache_from_run: Its location, as for the first cache; see `RunInfo`.
        cache_fingerprint, dataset, clips_sha256, usable_sha256: As in `RunInfo`, of this cache.
        fold: Name of the fold whose training and validation clips trained the run.
        training_sha256: Hash of the rows of these clips.
        num_train: Number of these clips.
        left_out: Number of clips of the fold that were not used, by reason.
        classes: Class of this cache -> class of the run; empty for a class whose clips were left out.
    """

    cache_path: str
    cache_from_run: str
    cache_fingerprint: str
    dataset: str
    clips_sha256: str
    usable_sha256: str
    fold: str
    training_sha256: str
    num_train: int
    left_out: Mapping[str, int]
    classes: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the cache, such as ``b.zarr``; the dataset if the location is not recorded."""
        return printable(Location(self.cache_path).name) if self.cache_path else printable(self.dataset)

    @property
    def stem(self) -> str:
        """`name` without a suffix, such as ``b``."""
        return printable(Location(self.cache_path).stem) if self.cache_path else printable(self.dataset)

    @property
    def features(self) -> str:
        """Identity of its features, clips and classes, whatever the fold and the location."""
        return sha256_json(
            [self.dataset, self.cache_fingerprint, self.clips_sha256, self.usable_sha256, dict(self.classes)]
        )

    @property
    def clips(self) -> str:
        """Identity of the clips that trained the run, whatever the location of the cache."""
        return sha256_json(asdict(self.without_location()))

    def without_location(self) -> "AddedCache":
        """Return the record without paths."""
        return replace(self, cache_path="", cache_from_run="")

    def class_changes(self, run_names: tuple[str, ...]) -> str:
        """Return the differences of its classes from those of the run, in words; empty for none."""
        if list(self.classes) == list(self.classes.values()) == list(run_names):
            return ""
        pairs = tuple((name, target or None) for name, target in self.classes.items())
        return printable(str(ClassMap(pairs=pairs, run_names=run_names)))

    def training_cache(self, run_dir: Path) -> Location:
        """Return the location that the run names. Nothing is opened."""
        return training_cache(run_dir, self.cache_path, self.cache_from_run)

    def clips_of(self, name: str) -> str:
        """Return the number of clips, and their fold, of a cache with this name (`cache_names`), in words."""
        return f"{counted(self.num_train, 'clip')} of {name}, fold {printable(self.fold)}"


def cache_names(caches: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return a name for each cache of a training, of printable characters.

    It is the dataset, or "films.zarr (DATASET)" if several caches have this dataset, or "cache 2: films.zarr
    (DATASET)" if they also have one file name. Directories are not shown.

    Args:
        caches: Dataset, and location as stored, of each; an empty location if it is not recorded.
    """
    num_of = Counter(dataset for dataset, _ in caches)
    names = [
        f"{Location(path).name} ({dataset})" if path and num_of[dataset] > 1 else dataset
        for dataset, path in caches
    ]
    num_named = Counter(names)
    return tuple(
        printable(f"cache {number}: {name}" if num_named[name] > 1 else name)
        for number, name in enumerate(names, 1)
    )


def added_cache_of(
    run_dir: Path, added_caches: Sequence[AddedCache], place: Location, meta: CacheMeta, clips_sha256: str
) -> AddedCache | None:
    """Return the record of a cache that added clips to a training; None for another cache.

    It is recognised by its features and clips, or by its location if its clips have changed since.

    Args:
        run_dir: Directory of the run.
        added_caches: Further caches of the training.
        place: Location of the cache.
        meta: Its attributes.
        clips_sha256: Hash of its clips.
    """
    for added in added_caches:
        if (added.cache_fingerprint, added.clips_sha256) == (meta.fingerprint, clips_sha256):
            return added
    for added in added_caches:
        is_there = is_same_place(place, added.training_cache(run_dir))
        if is_there and added.dataset == meta.dataset and added.fold in meta.fold_names:
            return added
    return None


def require_added(values: Any) -> None:
    """Raise ValueError unless JSON values are a list of records, each with every field of its type."""
    if type(values) not in (list, tuple) or len(values) > _MOST_CACHES:
        msg = f"added_caches is {repr(values)[:_SHOWN]}; a list of at most {_MOST_CACHES} caches is needed"
        raise ValueError(msg)
    names = {part.name for part in fields(AddedCache)}
    for one in values:
        if type(one) is not dict or set(one) != names:
            msg = (
                f"added_caches has {repr(one)[:_SHOWN]}; an object with {', '.join(sorted(names))} is needed"
            )
            raise ValueError(msg)
        for name, value in one.items():
            if not _is_right(name, value):
                msg = f"{name} of added_caches is {repr(value)[:_SHOWN]}, of another type than a run writes"
                raise ValueError(msg)


def _is_right(name: str, value: Any) -> bool:
    if name in _COUNTS or name in _TEXTS:
        kind = str if name in _TEXTS else int
        return (
            type(value) is dict
            and len(value) <= _MOST_CLASSES
            and all(type(item) is kind for item in value.values())
            and (kind is str or all(item >= 0 for item in value.values()))
        )
    if name == "num_train":
        return type(value) is int and value > 0
    return type(value) is str


def added_from(values: Any) -> tuple[AddedCache, ...]:
    """Return the records of JSON values that `require_added` accepts."""
    return tuple(AddedCache(**one) for one in values)

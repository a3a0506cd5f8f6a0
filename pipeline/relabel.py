"""Change of labels, folds, polarities, votes or groups in a cache; features stay."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.other_names import keep_names
from pipeline.datasets.polarities import PolarityMap
from pipeline.datasets.spelling import meaning_of
from pipeline.errors import CacheError, counted
from pipeline.runner.cache_setup import dataset_config
from pipeline.runner.clip_matching import changed_rows
from pipeline.store.clip_table import LABELLING, num_groups, replace_table, table_of
from pipeline.store.location import Location, LocationLike
from pipeline.store.lock import hold
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import ARRAYS
from pipeline.types import DatasetIndex, Polarity, Split


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Changes that a relabelling makes.

    Attributes:
        cache: Location of the cache.
        lines_of_change: The changes in lines of text.
        num_changed: Number of clips that change, by array.
        left_out: Ids of the cache's clips that the dataset does not have.
        new: Ids of the dataset's clips that the cache does not have.
        notes: Names that the cache keeps, although the dataset spells them in another way.
        is_written: Whether the changes were written.
    """

    cache: Location
    lines_of_change: tuple[str, ...]
    num_changed: Mapping[str, int]
    left_out: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_written: bool = False

    @property
    def any(self) -> bool:
        """Whether anything changes."""
        return bool(self.lines_of_change)


def relabel(
    where: LocationLike,
    index: DatasetIndex | None,
    polarities: PolarityMap | None = None,
    *,
    dry_run: bool = False,
    take_over: bool = False,
) -> Changes:
    """Write the labels, folds, polarities, votes and groups of an index into a cache, matched by clip ids.

    Clips that the index does not have are in no fold. They keep their group, their label if its class still
    exists, and their votes if the classes are the same. Classes and folds keep the cache's spelling, so that
    existing runs still match the cache.

    Args:
        where: Location of the cache.
        index: The labelled clips; None to change polarities only.
        polarities: Polarities by class or by clip, which override those of the index.
        dry_run: Whether nothing is written.
        take_over: Whether the cache's lock is taken from another run.

    Raises:
        CacheError: No clip is in both, the cache is an HDF5 file, or another run holds it.
    """
    place = Location.of(where)
    if place.is_hdf5:
        msg = (
            f"'{place}' is an HDF5 file; relabel the Zarr cache from which it was exported, and export again."
        )
        raise CacheError(msg)
    with hold(place, take_over=take_over) as lock:
        with FeatureCache.open(place) as cache:
            meta = cache.meta
            old = {spec.name: cache.read(spec.name) for spec in ARRAYS if not spec.per_block}
        notes: tuple[str, ...] = ()
        if index is not None:
            index, notes = keep_names(index, meta.class_names, meta.fold_names)
        table, new_meta = (old, meta) if index is None else _labelled(place, meta, old, index)
        if polarities is not None:
            table = {**table, "polarity": polarities.applied(table, new_meta.class_names)}
        changes = replace(_changes(place, (meta, old), (new_meta, table), index), notes=notes)
        if dry_run or not changes.any:
            return changes
        lock.check()
        replace_table(place, new_meta, table)
        return replace(changes, is_written=True)


_Table = Mapping[str, npt.NDArray[Any]]


def _labelled(
    place: Location, meta: CacheMeta, old: _Table, index: DatasetIndex
) -> tuple[dict[str, npt.NDArray[Any]], CacheMeta]:
    """Return the clip table with the index's labelling, and the attributes that belong to it."""
    by_id = {clip.clip_id: clip for clip in index.clips}
    clips = [by_id.get(clip_id) for clip_id in old["clip_id"].tolist()]
    known = np.array([clip is not None for clip in clips])
    if not known.any():
        msg = (
            f"No clip of '{place}' is in this dataset: its first is '{old['clip_id'][0]}', the dataset's "
            f"'{index.clips[0].clip_id}'. Give the dataset that the cache was extracted from."
        )
        raise CacheError(msg)
    num_clips, num_classes = len(clips), len(index.class_names)
    place_of = {meaning_of(name): number for number, name in enumerate(index.class_names)}
    place_of |= {name: number for number, name in enumerate(index.class_names)}
    moved_to = [place_of.get(name, place_of.get(meaning_of(name), -1)) for name in meta.class_names]
    moved = np.array([*moved_to, -1], dtype=np.int16)
    table = dict(old)
    table["label"] = moved[old["label"]]
    table["polarity"] = old["polarity"].copy()
    table["membership"] = np.full((num_clips, len(index.fold_names)), Split.ABSENT, dtype=np.uint8)
    table["group"] = old["group"].copy()
    table["votes"] = np.full((num_clips, num_classes), np.nan, dtype=np.float32)
    if index.class_names == meta.class_names:
        table["votes"] = old["votes"].copy()
    labelling = table_of([clip for clip in clips if clip is not None], index)
    for name in LABELLING:
        table[name][known] = labelling[name]
    config = {**meta.config, "dataset": dataset_config(index)}
    return table, replace(
        meta,
        dataset=index.name,
        class_names=index.class_names,
        fold_names=index.fold_names,
        num_groups=num_groups(table),
        config=config,
    )


def _changes(
    place: Location,
    before: tuple[CacheMeta, _Table],
    after: tuple[CacheMeta, _Table],
    index: DatasetIndex | None,
) -> Changes:
    (old_meta, old), (new_meta, new) = before, after
    lines = [
        f"{title}: {', '.join(was) or 'none'}  ->  {', '.join(now) or 'none'}"
        for title, was, now in (
            ("dataset", (old_meta.dataset,), (new_meta.dataset,)),
            ("classes", old_meta.class_names, new_meta.class_names),
            ("folds", old_meta.fold_names, new_meta.fold_names),
        )
        if was != now
    ]
    was_class, now_class = _names(old["label"], old_meta), _names(new["label"], new_meta)
    label_moves = Counter(pair for pair in zip(was_class, now_class, strict=True) if pair[0] != pair[1])
    lines += [f"label: {count} clips  {was} -> {now}" for (was, now), count in label_moves.most_common()]
    lines += _fold_lines(before, after)
    polarity_moves = Counter(
        (Polarity(was).name.lower(), Polarity(now).name.lower())
        for was, now in zip(old["polarity"].tolist(), new["polarity"].tolist(), strict=True)
        if was != now
    )
    lines += [
        f"polarity: {count} clips  {was} -> {now}" for (was, now), count in polarity_moves.most_common()
    ]
    votes = len(old["clip_id"])
    if old["votes"].shape == new["votes"].shape:
        votes = int(changed_rows(new["votes"], old["votes"]).sum())
    elif np.isnan(old["votes"]).all() and np.isnan(new["votes"]).all():
        votes = 0
    lines += [f"votes: of {votes} clips"] if votes else []
    groups = int((old["group"] != new["group"]).sum())
    were, now = (counted(meta.num_groups, "group") for meta in (old_meta, new_meta))
    lines += [f"group: of {counted(groups, 'clip')}  ({were} -> {now})"] if groups else []
    ids = set(old["clip_id"].tolist())
    dataset_ids = ids if index is None else {clip.clip_id for clip in index.clips}
    return Changes(
        cache=place,
        lines_of_change=tuple(lines),
        num_changed={
            "label": label_moves.total(),
            "polarity": polarity_moves.total(),
            "votes": votes,
            "group": groups,
        },
        left_out=tuple(sorted(ids - dataset_ids)),
        new=tuple(sorted(dataset_ids - ids)),
    )


def _names(label: npt.NDArray[Any], meta: CacheMeta) -> list[str]:
    names = [*meta.class_names, "no label"]
    return [names[number] for number in label.tolist()]


def _fold_lines(before: tuple[CacheMeta, _Table], after: tuple[CacheMeta, _Table]) -> list[str]:
    """Return how many clips move between splits, for folds of the same name; counts for new folds."""
    (old_meta, old), (new_meta, new) = before, after
    lines = []
    for fold, name in enumerate(new_meta.fold_names):
        now = new["membership"][:, fold]
        if name not in old_meta.fold_names:
            counts = ", ".join(f"{int((now == s).sum())} {s.name.lower()}" for s in Split if s)
            lines.append(f"fold {name} is new: {counts}")
            continue
        was = old["membership"][:, old_meta.fold_names.index(name)]
        moves = Counter(
            (Split(a).name.lower(), Split(b).name.lower())
            for a, b in zip(was.tolist(), now.tolist(), strict=True)
            if a != b
        )
        lines += [f"fold {name}: {count} clips  {a} -> {b}" for (a, b), count in moves.most_common()]
    return lines

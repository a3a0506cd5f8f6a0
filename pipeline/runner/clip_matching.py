"""Matching of a dataset's clips with those of a cache: the same, a part of them, or more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.other_names import under_names
from pipeline.errors import counted, some
from pipeline.fingerprint import differences
from pipeline.store.clip_table import LABELLING, table_of
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import ARRAYS
from pipeline.types import ClipRef, DatasetIndex

OTHER_CACHE = "Give another --cache, or the settings it was made with."
_RELABEL = "`cache relabel` changes labels, folds, polarities, votes and groups without encoding again."
_KEPT = ("polarity", "group")
"""Labelling that a cache keeps if the dataset has another one, for example a cache without groups."""
_MEANINGS = {"given_boxes_sha256": " (hash of the face boxes and the named subject of the clip)"}
"""Array -> its meaning, for messages, if its values do not show it."""
_TABLE = tuple(spec.name for spec in ARRAYS if not spec.per_block)


@dataclass(frozen=True, kw_only=True)
class Match:
    """Result of matching an index with a cache.

    Attributes:
        clips: Clips by row of the cache, None for a row that the index does not have; then the new clips.
        num_new: Number of clips that the cache does not have.
        table: The cache's clip table, extended by the new clips.
        differences: Reasons in words why the cache is not of this index; empty if it is.
        remedy: The fix for the differences.
        notes: Notes for the user.
    """

    clips: tuple[ClipRef | None, ...]
    num_new: int
    table: Mapping[str, npt.NDArray[Any]]
    differences: tuple[str, ...]
    remedy: str
    notes: tuple[str, ...]


def match(index: DatasetIndex, cache: FeatureCache) -> Match:
    """Find the index's clips in the cache. If nothing differs, their extraction can be resumed.

    Other spellings of class and fold names count as equal, and the cache keeps its own.
    """
    index, spelt = under_names(index, cache.meta.class_names, cache.meta.fold_names)
    ids = cache.read("clip_id").tolist()
    by_id = {clip.clip_id: clip for clip in index.clips}
    clips = [by_id.get(clip_id) for clip_id in ids]
    rows = [row for row, clip in enumerate(clips) if clip is not None]
    there = {name: cache.read(name) for name in _TABLE}
    here = table_of([clip for clip in clips if clip is not None], index)
    missing = [ids[row] for row, clip in enumerate(clips) if clip is None]
    new = sorted(by_id.keys() - set(ids))
    found, remedy, notes = [], OTHER_CACHE, (*spelt, *_notes(missing, new))
    if new and missing:
        found = [
            f"{len(missing)} of its clips are not in this dataset, first '{missing[0]}', and {len(new)} "
            f"of this dataset are not in it, first '{new[0]}'"
        ]
    else:
        names = ("class_names", "fold_names")
        found = differences(
            {name: list(getattr(index, name)) for name in names},
            {name: list(getattr(cache.meta, name)) for name in names},
        )
        unread = {"face_path"} if not cache.meta.takes_crops else set()  # no feature was made from crops
        columns = [n for n in _TABLE if n not in unread and not (found and n in LABELLING)]
        known = there if len(rows) == len(ids) else {name: values[rows] for name, values in there.items()}
        other = {name: _difference(name, here, known) for name in columns}
        for name in _KEPT:
            if changes := other.pop(name, ""):
                so = "the cache keeps its own and new clips take the dataset's; `cache relabel` changes both"
                notes = (*notes, f"{changes}: {so}")
        if found or any(text for name, text in other.items() if name in LABELLING):
            remedy = _RELABEL
        if any(text for name, text in other.items() if name not in LABELLING):
            remedy = OTHER_CACHE
        found += [text for text in other.values() if text]
    table = there
    if new and not found:
        added = table_of([by_id[clip_id] for clip_id in new], index)
        table = {name: np.concatenate([there[name], added[name]]) for name in _TABLE}
    return Match(
        clips=(*clips, *(by_id[clip_id] for clip_id in new)),
        num_new=len(new),
        table=table,
        differences=tuple(found),
        remedy=remedy,
        notes=notes,
    )


def _notes(missing: list[str], new: list[str]) -> tuple[str, ...]:
    notes = []
    if missing:
        notes.append(
            f"{len(missing)} clips of the cache are not in the dataset as read now ({some(missing)}); "
            "they stay, with labels and folds"
        )
    if new:
        notes.append(f"{len(new)} clips are new, and `extract` appends them ({some(new)})")
    return tuple(notes)


def _difference(
    name: str, here: Mapping[str, npt.NDArray[Any]], there: Mapping[str, npt.NDArray[Any]]
) -> str:
    """Return in words how many clips differ in an array, and the first; empty if none differs."""
    rows = np.flatnonzero(changed_rows(here[name], there[name]))
    if not len(rows):
        return ""
    row = int(rows[0])
    clip, one, other = here["clip_id"][row], here[name][row], there[name][row]
    clips = counted(len(rows), "clip")
    meaning = _MEANINGS.get(name, "")
    return f"{name} of {clips}, first '{clip}': {_plain(one)} here, {_plain(other)} there{meaning}"


def changed_rows(here: npt.NDArray[Any], there: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return for each row whether two arrays differ, bool [N]. NaN equals NaN."""
    other = here != there
    if here.dtype.kind == "f":
        other &= ~(np.isnan(here) & np.isnan(there))
    return np.asarray(other.reshape(len(other), -1).any(axis=1), dtype=bool)


def _plain(value: Any) -> object:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

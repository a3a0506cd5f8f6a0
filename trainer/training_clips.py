"""The clips that trained a run and chose its checkpoint. The run stores them, so that none is measured.

Clips and folds of a cache may change (`cache relabel`), and another cache may have the same video under
another name.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import CheckpointError, FileError, MissingFileError, counted, first_line
from pipeline.footage import OFFICIAL_SPLITS, FileKey, Footage, by_hash, cached_footage
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.reader import FeatureCache
from pipeline.strict_json import from_json, to_json
from pipeline.types import Ints, Split
from trainer.folds import FoldRows
from trainer.leaks import Leak, find_leak
from trainer.run_info import RunInfo

FILE = "training_clips.json"
_MAX_BYTES = 256 << 20
_SPLITS = ("train", "validation")
_WITH_DATASET = 6
"""Length of a stored clip of a further cache, whose last value is its dataset."""

StoredClip = list[Any]
"""A clip as training_clips.json lists it; see `training_clips_json`."""


def training_clips_json(footage: Sequence[Footage], rows: FoldRows, added: Sequence[StoredClip] = ()) -> str:
    """Return the text of training_clips.json: the clips of `seen_rows`, and those of further caches.

    Each clip is a list of id, path, sha256 of the file, start and end in seconds; the end is null for the end
    of the file. Those of further caches have their dataset as a sixth value.

    Args:
        footage: Footage of the first cache, by row.
        rows: Rows of its fold.
        added: Results of `added_forms`.
    """
    lists = {
        name: sorted(_stored_form(footage[row]) for row in row_N.tolist())
        for name, row_N in seen_rows(rows).items()
    }
    lists["train"].extend(added)
    return to_json(lists, indent=None) + "\n"


def _stored_form(part: Footage) -> StoredClip:
    end = None if part.end_seconds == math.inf else part.end_seconds
    return [part.clip_id, part.key("path"), part.key("sha256"), part.start_seconds, end]


def seen_rows(rows: FoldRows) -> dict[str, Ints]:
    """Return the rows that a run sees, by split; validation only if it is a split of its own."""
    return {"train": rows.train} | ({} if rows.rule in ("test", "train") else {"validation": rows.validation})


def added_forms(footage: Sequence[Footage], row_N: Ints, dataset: str) -> list[StoredClip]:
    """Return clips of a further cache as training_clips.json lists them: with their dataset at the end."""
    return sorted([*_stored_form(footage[row]), dataset] for row in row_N.tolist())


def stored_leak(
    run_dir: Folder,
    info: RunInfo,
    cache: FeatureCache,
    split: str,
    row_N: Ints,
    *,
    fold: str,
    is_own_fold: bool,
) -> Leak:
    """Find clips of a cache that share footage with clips that a run has seen.

    Args:
        run_dir: Directory of the run.
        info: Origin of the run.
        cache: The measured cache.
        split: ``test``, or ``validation``, which is compared with the training clips alone.
        row_N: Rows of the measured clips.
        fold: Name of the measured fold.
        is_own_fold: See `find_leak`.

    Raises:
        CheckpointError: The run's list of clips is missing, unreadable, or of another length.
    """
    lists, dataset = _stored(run_dir), info.dataset
    _require_all(lists["train"], info.num_training_clips, run_dir)
    seen = {
        name: [_seen(clip, dataset) for clip in clips if len(clip) < _WITH_DATASET]
        for name, clips in lists.items()
        if split == "test" or name == "train"
    }
    is_official = dataset == cache.meta.dataset and dataset in OFFICIAL_SPLITS
    footage = cached_footage(cache)
    parts = [footage[row] for row in row_N.tolist()]
    measured = [_measured(part, cache.meta.dataset, is_official=is_official) for part in parts]
    own = find_leak(split, measured, seen, is_official=is_official, is_own_fold=is_own_fold)
    added = [clip for clip in lists["train"] if len(clip) == _WITH_DATASET]
    folds = [(one.dataset, one.fold) for one in info.added_caches]
    names = [
        name
        for one, name in zip(info.added_caches, info.cache_names[1:], strict=True)
        for _ in range(one.num_train)
    ]
    if len(names) != len(added):
        msg = (
            f"'{OwnDir.of(run_dir).path / FILE}' holds {counted(len(added), 'clip')} of further caches; "
            f"{len(names)} trained the run. Put the run's own file there, or train again."
        )
        raise CheckpointError(msg)
    return own.joined(added_leak(split, parts, cache.meta.dataset, fold, added, folds, names))


def added_leak(
    split: str,
    measured: Sequence[Footage],
    dataset: str,
    fold: str,
    added: Sequence[StoredClip],
    folds: Sequence[tuple[str, str]],
    names: Sequence[str],
) -> Leak:
    """Find measured clips that share footage with clips of the further caches of a training.

    Args:
        split: Name of the measured split.
        measured: Footage of the measured clips.
        dataset: Dataset of the measured clips.
        fold: Name of their fold.
        added: Clips of the further caches.
        folds: Dataset and fold of each of these caches.
        names: Name of the cache of each of `added`, which stands behind the id of a seen clip.
    """
    leak = Leak.none(split, len(measured))
    for name in dict.fromkeys(str(clip[-1]) for clip in added):
        is_official = name == dataset and name in OFFICIAL_SPLITS
        seen = [
            _named_after(_seen(clip[:-1], name), "" if is_official else cache)
            for clip, cache in zip(added, names, strict=True)
            if clip[-1] == name
        ]
        found = find_leak(
            split,
            [_measured(part, dataset, is_official=is_official) for part in measured],
            {"train": seen},
            is_official=is_official,
            is_own_fold={one_fold for one, one_fold in folds if one == name} == {fold},
        )
        leak = leak.joined(found.of_dataset(name) if is_official else found)
    return leak


def _named_after(part: Footage, cache: str) -> Footage:
    """Return a clip with its cache behind the id; unchanged without a name."""
    return replace(part, clip_id=f"{part.clip_id} ({cache})") if cache else part


def _require_all(train: Sequence[Any], num_train: int, run_dir: Folder) -> None:
    """Raise CheckpointError unless a run lists as many training clips as it was trained on."""
    if not train or len(train) != (num_train or len(train)):
        wanted = f"{num_train} trained it" if num_train else "at least one is needed"
        msg = (
            f"'{OwnDir.of(run_dir).path / FILE}' holds {counted(len(train), 'training clip')}; {wanted}. "
            "Without all of them, a leak cannot be found. Put the run's own file there, or train again."
        )
        raise CheckpointError(msg)


def is_trained_on(run_dir: Folder, cache: FeatureCache, fold: str) -> bool:
    """Return whether a fold of a cache trained a run, by its clips and not by its name.

    Of the run's training clips that are in the cache, by id, at least half must be training clips of the
    fold, because lists may change and folds may be renamed.

    Args:
        run_dir: Directory of the run.
        cache: An open cache.
        fold: Name of the fold in the cache.

    Raises:
        CheckpointError: As for `stored_leak`.
    """
    id_N, column = cache.read("clip_id"), cache.meta.fold_names.index(fold)
    trains_N = cache.read("membership")[:, column] == Split.TRAIN
    own = [clip for clip in _stored(run_dir)["train"] if len(clip) < _WITH_DATASET]
    known = {clip[0] for clip in own} & set(id_N.tolist())
    return 2 * len(known & set(id_N[trains_N].tolist())) >= len(known)


def num_stored(run_dir: Folder) -> Mapping[str, int]:
    """Return the number of clips that a run lists, by split. Raises CheckpointError as `stored_leak` does."""
    return {name: len(clips) for name, clips in _stored(run_dir).items()}


def _stored(run_dir: Folder) -> Mapping[str, list[Any]]:
    place = OwnDir.of(run_dir)
    path = place.path / FILE
    try:
        lists = from_json(place.read_text(FILE, _MAX_BYTES))
        _require_lists(lists)
        return {name: [_checked(clip) for clip in clips] for name, clips in lists.items()}
    except MissingFileError as error:
        msg = f"'{run_dir}' has no {FILE}, the list of the clips that trained it. Train again."
        raise CheckpointError(msg) from error
    except FileError as error:
        raise CheckpointError(str(error)) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        msg = f"'{path}', which holds the run's own clips, cannot be read: {first_line(error)}. Train again."
        raise CheckpointError(msg) from error


def _require_lists(lists: Any) -> None:
    """Raise ValueError unless `lists` has a list of clips for each split that a run sees."""
    if not isinstance(lists, dict) or not {"train"} <= lists.keys() <= set(_SPLITS):
        msg = f"{str(lists)[:100]!r} is not an object with the lists {' and '.join(_SPLITS)}"
        raise ValueError(msg)
    if wrong := [name for name, clips in lists.items() if not isinstance(clips, list)]:
        msg = f"'{wrong[0]}' is not a list of clips"
        raise ValueError(msg)


def _checked(clip: Any) -> list[Any]:
    """Return a stored clip. Raises ValueError otherwise.

    [id, path], [id, path, sha256, start, end], or this with the dataset of a further cache.
    """
    texts, numbers = [*clip[:3], *clip[5:]], clip[3:5]
    is_whole = (
        isinstance(clip, list)
        and len(clip) in (2, 5, _WITH_DATASET)
        and all(isinstance(text, str) for text in texts)
    )
    if not is_whole or not all(isinstance(n, int | float) for n in numbers if n is not None):
        msg = f"{str(clip)[:100]!r} is not a clip; id, path, sha256, start and end are needed"
        raise ValueError(msg)
    return list(clip)


def _seen(clip: Sequence[Any], dataset: str) -> Footage:
    clip_id, path = clip[:2]
    if len(clip) == 2:
        return Footage(clip_id=clip_id, files=(_by_id(dataset, clip_id, path),))
    sha256, start, end = clip[2:]
    by_content = [by_hash(sha256)] if sha256 else []
    return Footage(
        clip_id=clip_id,
        files=(*by_content, _by_path(dataset, path)),
        start_seconds=start or 0.0,
        end_seconds=math.inf if end is None else end,
    )


def _measured(part: Footage, dataset: str, *, is_official: bool) -> Footage:
    """Return a clip of the cache with the keys by which a run may list it.

    A known hash decides, because another dataset of the same name may have other files at the same paths. In
    an official dataset, equal paths are the same clip, whatever its encoding.
    """
    path, sha256 = part.key("path"), part.key("sha256")
    by_content = [by_hash(sha256)] if sha256 else []
    by_path = [_by_path(dataset, path)] if is_official or not by_content else []
    return replace(part, files=(*by_content, *by_path, _by_id(dataset, part.clip_id, path)))


def _by_path(dataset: str, path: str) -> FileKey:
    return "path", dataset, path


def _by_id(dataset: str, clip_id: str, path: str) -> FileKey:
    """Return the key of runs that store neither hash nor window. All of the file then counts as seen."""
    return "id", dataset, clip_id, os.path.normpath(path)


def fold_leak(
    footage: Sequence[Footage],
    rows: FoldRows,
    split: str,
    dataset: str,
    added: Sequence[StoredClip] = (),
    folds: Sequence[tuple[str, str]] = (),
    names: Sequence[str] = (),
) -> Leak:
    """Find clips of a fold that share footage with clips that a run on this fold sees.

    Args:
        footage: Footage of the cache, by row.
        rows: Rows of the fold.
        split: ``validation`` or ``test``.
        dataset: Dataset of the cache.
        added: Results of `added_forms`, clips of further caches that train the run.
        folds: Dataset and fold of each of these caches.
        names: Name of the cache of each of `added`.
    """
    splits = {"validation": rows.validation, "test": rows.test}
    if split == "validation" and rows.rule == "train":
        return Leak.none(split, len(rows.validation))
    seen = {
        name: [footage[row] for row in row_N.tolist()]
        for name, row_N in seen_rows(rows).items()
        if split == "test" or name == "train"
    }
    measured = [footage[row] for row in splits[split].tolist()]
    own = find_leak(split, measured, seen, is_official=dataset in OFFICIAL_SPLITS)
    return own.joined(added_leak(split, measured, dataset, rows.fold_name, added, folds, names))

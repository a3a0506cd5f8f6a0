"""A cache and a fold -> the rows of training, validation and test, and their polarities."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import require_one_of
from pipeline.errors import CacheError, ConfigError, counted, some
from pipeline.fingerprint import sha256_json
from pipeline.groups import groups_of_cache, has_groups
from pipeline.program import command
from pipeline.store.location import LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import BY_NAME
from pipeline.types import Ints, Polarity, Split, Status
from trainer.data_config import DataConfig
from trainer.holdout import CLIPS, GROUPS, hold_out, hold_out_groups

_RULES = ("holdout", "given", "test", "train")
_FOLDS_SHOWN = 10

_NO_GROUP = (
    " data.validation=holdout takes whole groups of clips, and none can be taken: all training clips are of "
    "one group, or each group has all training clips of some class. Mark validation clips in the dataset, "
    "give other groups (column group of a manifest, then `cache relabel`), or --set data.validation=train."
)


@dataclass(frozen=True, kw_only=True)
class FoldRows:
    """The rows of a cache in a fold, by split.

    Attributes:
        rule: Rule that selects the checkpoint: holdout, holdout by group, given, test or train.
        left_out: Number of clips of the fold that are not used, by reason. Clips without a label count even
            if they are in no fold.
    """

    fold_name: str
    train: Ints
    validation: Ints
    test: Ints
    rule: str
    left_out: Mapping[str, int]

    @property
    def seen(self) -> Ints:
        """The rows of training and validation, each once."""
        seen_N: Ints = np.union1d(self.train, self.validation)
        return seen_N

    def training_sha256(self) -> str:
        """Return a hash of the rows of training and validation. It changes when more clips are done."""
        return sha256_json([self.train.tolist(), self.validation.tolist()])

    @property
    def split_to_measure(self) -> str:
        """The split to measure a model on: test, or validation if the fold has no test clips."""
        return "test" if len(self.test) else "validation"

    def of(self, split: str) -> Ints:
        """Return the rows of a split by its name. Raises ConfigError if it is unknown or empty."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        require_one_of("split", split, tuple(splits))
        if not len(splits[split]):
            counts = [f"{name} {len(rows)}" for name, rows in splits.items()]
            left_out = [f"{count} {reason}" for reason, count in self.left_out.items()]
            remedy = ""
            if split == "test":
                there = [name for name in ("validation", "train") if len(splits[name])]
                measure = f"Measure --split {there[0]}, or mark" if there else "Mark"
                remedy = f" {measure} test clips in the dataset."
            if split == "validation":
                others = ", ".join(rule for rule in _RULES if rule != self.rule)
                remedy = (
                    f" data.validation is {self.rule}; others: {others} (holdout needs two clips a class). "
                    "With a handful of clips: --set data.validation=train."
                )
                if self.rule == GROUPS:
                    remedy = _NO_GROUP
            if pending := self.left_out.get("pending", 0):
                extract = (
                    f" {counted(pending, 'clip')} of the fold without features yet: run `extract` again."
                )
                remedy = extract + remedy
            msg = (
                f"Fold '{self.fold_name}' has no usable clips in split '{split}' "
                f"({', '.join(counts)}; left out: {', '.join(left_out) or 'none'}).{remedy}"
            )
            raise ConfigError(msg)
        return splits[split]


def fold_number(meta: CacheMeta, fold: int | str) -> int:
    """Return the column of a fold, given by name or, if no fold has that name, by number from 1.

    Raises ConfigError for any other fold.
    """
    names, text = meta.fold_names, str(fold)
    if text in names:
        return names.index(text)
    if text.isdecimal() and 1 <= int(text) <= len(names):
        return int(text) - 1
    msg = f"fold is {fold!r}; this cache has {len(names)}: {', '.join(names)}."
    raise ConfigError(msg)


def fold_to_measure(
    meta: CacheMeta, requested: int | str | None, trained: str, *, is_known: bool, where: LocationLike
) -> str:
    """Return the name of the fold of a cache that a run is measured on.

    Args:
        meta: Attributes of the cache.
        requested: The user's choice, a name or a number from 1. None for the default: the run's own fold if
            `is_known`, else the only fold of the cache.
        trained: Name of the fold that trained the run; for a further cache, of its own fold.
        is_known: Whether `trained` is a fold of this cache, the first one or a further one of the training.
        where: The cache, for the message.

    Raises:
        ConfigError: `requested` is not a fold of the cache, or the cache has several folds and no default.
    """
    names = meta.fold_names
    if requested is not None:
        return names[fold_number(meta, requested)]
    if is_known and trained in names:
        return trained
    if len(names) == 1:
        return names[0]
    msg = (
        f"'{where}' has {len(names)} folds ({some(names, _FOLDS_SHOWN)}), and fold '{trained}', which "
        "trained the run, is not known to be one of them: add --fold with the one to measure."
    )
    raise ConfigError(msg)


def folder_of_fold(names: Sequence[str], fold: str) -> str:
    """Return a fold's name in file names: "foldNAME" for letters and digits, else "fold-NUMBER"."""
    return f"fold{fold}" if re.fullmatch(r"[A-Za-z0-9_]+", fold) else f"fold-{names.index(fold) + 1}"


def usable_sha256(cache: FeatureCache) -> str:
    """Return a hash of the usable rows of a cache, those that are done and labelled, of all folds.

    If any of these clips share a group, the hash includes the groups, because a holdout takes clips by group.
    It changes when more clips are done, or groups change. `FeatureCache.clips_sha256` hashes ids, labels and
    folds.
    """
    done = cache.done_rows()
    usable = done[cache.read("label")[done] >= 0]
    group_N = groups_of_cache(cache)[usable]
    if not has_groups(group_N):
        return sha256_json(usable.tolist())
    _, first_G, number_N = np.unique(group_N, return_index=True, return_inverse=True)
    return sha256_json([usable.tolist(), first_G[number_N].tolist()])


def require_usable(cache: FeatureCache, expected: str) -> None:
    """Raise CacheError unless `usable_sha256` of a cache is as expected."""
    if usable_sha256(cache) != expected:
        msg = (
            f"'{cache.place}' has features of other clips, or other groups of clips, than when this sweep "
            "started, so that its runs would be trained on different clips. Wait until `extract`, `cache "
            "repair` or `cache relabel` of this cache has ended, then give a new --out."
        )
        raise CacheError(msg)


def fold_rows(
    cache: FeatureCache, fold: int | str, config: DataConfig, seed: int, *, by_group: bool = True
) -> FoldRows:
    """Return the rows of training, validation and test in a fold of a cache.

    Args:
        cache: An open cache.
        fold: Name, or number from 1.
        config: Rule and size of the validation split.
        seed: Seed of the run; a holdout depends on it.
        by_group: Whether a holdout takes whole groups if training clips share any. False for runs whose
            holdout took single clips.

    Raises:
        ConfigError: The fold is unknown, or no clip of the cache has a label.
        CacheError: A status, label or membership is not in the schema.
    """
    require_labels(cache)
    column = fold_number(cache.meta, fold)
    membership = cache.read("membership")  # [clip, fold]
    membership_N, in_no_fold = membership[:, column], (membership == Split.ABSENT).all(axis=1)
    label_N, status_N = cache.read("label"), cache.read("status")
    _require_known_codes(cache, status=status_N, label=label_N, membership=membership)
    in_fold = membership_N != Split.ABSENT
    done = (status_N == Status.DONE) | (status_N == Status.DONE_WITHOUT_FACE)
    left_out = {
        "pending": int((in_fold & (status_N == Status.PENDING)).sum()),
        "failed": int((in_fold & (status_N == Status.FAILED)).sum()),
        "unlabelled": int(((in_fold | in_no_fold) & done & (label_N < 0)).sum()),
    }
    usable = in_fold & done & (label_N >= 0)
    train, given, test = (
        np.flatnonzero(usable & (membership_N == split))
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
    )
    rule: str = config.validation
    if rule == "auto":
        rule = "given" if len(given) else "holdout"
    if rule != "given":
        left_out[f"marked validation while data.validation={rule}"] = len(given)
    if rule == CLIPS:
        group_N = groups_of_cache(cache)
        if by_group and has_groups(group_N[train]):
            rule = GROUPS
            train, validation = hold_out_groups(train, label_N, group_N, config.holdout_share, seed)
        else:
            train, validation = hold_out(train, label_N, config.holdout_share, seed)
    else:
        validation = {"given": given, "test": test, "train": train}[rule]
    return FoldRows(
        fold_name=cache.meta.fold_names[column],
        train=train,
        validation=validation,
        test=test,
        rule=rule,
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def require_labels(cache: FeatureCache) -> None:
    """Raise ConfigError if no clip of the cache has a label."""
    if not (cache.read("label") >= 0).any():
        msg = (
            f"None of the {cache.meta.num_clips} clips of '{cache.place}' has a label; labelled clips are "
            "needed. Add labels and splits to the manifest, then run "
            f"`{command('cache', 'relabel', cache.place)}`; no clip is encoded again."
        )
        raise ConfigError(msg)


def _require_known_codes(cache: FeatureCache, **values: Ints) -> None:
    """Raise CacheError, naming clips, for codes out of range: the clips would be left out without notice."""
    highest = {"label": len(cache.meta.class_names) - 1}
    for name, value in values.items():
        spec = BY_NAME[name]
        low, high = int(spec.low or 0), highest.get(name, int(spec.high or 0))
        is_bad_N = ((value < low) | (value > high)).reshape(len(value), -1).any(axis=1)
        if is_bad_N.any():
            ids = [f"'{clip_id}'" for clip_id in cache.read("clip_id")[is_bad_N].tolist()]
            bad = value[is_bad_N].reshape(-1)
            first = bad[(bad < low) | (bad > high)][0]
            msg = (
                f"{cache.place}: {name} of {counted(len(ids), 'clip')} is not a number from {low} to {high}: "
                f"{some(ids)}, first {first}. The cache is damaged; "
                f"`{command('cache', 'verify', cache.place)}` lists all damage."
            )
            raise CacheError(msg)


def polarity_labels(cache: FeatureCache, config: DataConfig) -> Ints:
    """Return the polarity of every clip [N], -1 for unknown: `data.polarity_map` overrides the cache.

    Raises ConfigError for a class that the cache does not have, and CacheError as `fold_rows` does.
    """
    names = cache.meta.class_names
    polarity_N = cache.read("polarity").astype(np.int64)
    _require_known_codes(cache, polarity=polarity_N)
    label_N = cache.read("label")
    for name, polarity in config.polarities().items():
        if name not in names:
            msg = f"data.polarity_map names class {name!r}; this cache has: {', '.join(names)}."
            raise ConfigError(msg)
        polarity_N[label_N == names.index(name)] = polarity
    return polarity_N


def require_polarities(cache: FeatureCache, polarity_N: Ints, rows: Ints) -> None:
    """Raise ConfigError if the polarity of any of the rows is unknown.

    Args:
        cache: An open cache, for the message.
        polarity_N: Result of `polarity_labels`.
        rows: Rows of the cache that are used.
    """
    unknown = rows[polarity_N[rows] == Polarity.UNKNOWN]
    if len(unknown):
        labels = np.unique(cache.read("label")[unknown])
        classes = ", ".join(cache.meta.class_names[label] for label in labels)
        msg = (
            f"{len(unknown)} clips of {classes} have no known polarity; give the dataset a 'polarity' "
            f"column, or --set data.polarity_map={cache.meta.class_names[labels[0]]}:positive,... "
            "(positive, neutral, negative), or train without it: --set model.polarity=false."
        )
        raise ConfigError(msg)

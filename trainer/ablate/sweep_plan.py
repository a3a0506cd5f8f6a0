"""A table, a cache, folds and seeds -> the runs. Impossible runs are rejected before any starts."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.choices import MeasuredSplit
from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.fingerprint import sha256_json
from pipeline.footage import Footage, cached_footage
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.location import LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.types import Split
from trainer.ablate.outcome import RunTask
from trainer.ablate.spec import Spec
from trainer.ablate.sweep_request import MOST_SEEDS, SweepRequest
from trainer.added_clips import require_mixture
from trainer.baselines.settings import Baseline
from trainer.block_reading import bytes_needed, require_arrays
from trainer.caches import open_cache
from trainer.config import TrainConfig, learnt
from trainer.folds import fold_number, fold_rows, polarity_labels, require_polarities, usable_sha256
from trainer.losses import require_negatives
from trainer.training_clips import fold_leak

ALL_FOLDS = "all"


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """The request of a sweep on a cache, with the configs of the rows.

    Attributes:
        cache: Location of the cache.
        configs: Configs by name of the row.
        baselines: Baselines by name of the row, of rows that have one.
        feature_bytes: Largest size of a run's features in memory, for all clips of the cache.
        usable_sha256: See `folds.usable_sha256`; all runs must be trained on these clips.
        identity: Facts that all runs of a sweep's directory share.
    """

    request: SweepRequest
    cache: str
    configs: Mapping[str, TrainConfig]
    baselines: Mapping[str, Baseline]
    feature_bytes: int
    usable_sha256: str
    identity: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the cache."""
        return str(self.identity["cache"]["fingerprint"])

    def tasks(
        self, out: Folder, device: str, encoder_weights: str | None, *, allow_leak: bool = False
    ) -> list[RunTask]:
        """Return every run.

        Args:
            out: Directory of the sweep, which has the run directories.
            device: Device of the runs: auto, cpu or cuda.
            encoder_weights: See `train`.
            allow_leak: See `measure`.
        """
        folder = OwnDir.of(out)
        return [
            RunTask(
                cache=self.cache, run_dir=folder / run.folder, row=run.row.name,
                config=self.configs[run.row.name], fold=run.fold, seed=run.seed, device=device,
                encoder_weights=encoder_weights, allow_leak=allow_leak, usable_sha256=self.usable_sha256,
                baseline=self.baselines.get(run.row.name), split=self.request.split,
            )
            for run in self.request.runs()
        ]  # fmt: skip


def plan_sweep(
    cache: LocationLike,
    spec: Spec,
    folds: str,
    num_seeds: int,
    preset: str | None,
    settings: Sequence[str],
    *,
    allow_leak: bool = False,
    split: MeasuredSplit = "test",
) -> SweepPlan:
    """Return the sweep of a table on a cache, after checking every row and fold.

    Args:
        cache: Location of the cache.
        spec: The table.
        folds: ``1-5``, ``1,3``, names, or ``all``.
        num_seeds: Seeds 0 to `num_seeds` - 1.
        preset: Preset of all rows. None: the table's.
        settings: The user's ``section.key=value``, for all rows.
        allow_leak: See `measure`.
        split: Split that runs are measured on.

    Raises:
        ConfigError: A setting, class or fold is unknown, a split is empty, or the cache lacks polarities or
            arrays that a row needs.
        CheckpointError: Test clips share footage with training clips (unless `allow_leak`).
        CacheError: The cache cannot be read.
    """
    require_range("--seeds", num_seeds, 1, MOST_SEEDS)
    configs, baselines = spec.configs(preset, settings), spec.baselines(settings)
    with open_cache(cache) as features:
        spec.require_classes(features.meta.class_names)
        names = read_folds(features.meta, folds)
        first_rows: dict[tuple[Hashable, ...], str] = {}
        for row, config in configs.items():
            first_rows.setdefault(_needs(config), row)
        footage = None if allow_leak else cached_footage(features)
        for row in first_rows.values():
            for name in names:
                _require_trainable(features, row, configs[row], name, footage)
        done = features.done_rows()
        origin = {
            "fingerprint": features.meta.fingerprint,
            "clips_sha256": features.clips_sha256(),
            "num_done": len(done),
            "done_sha256": sha256_json(done.tolist()),
        }
        return SweepPlan(
            request=SweepRequest(
                spec=spec,
                dataset=features.meta.dataset,
                preset=preset or spec.preset,
                settings=tuple(settings),
                all_folds=features.meta.fold_names,
                folds=names,
                seeds=tuple(range(num_seeds)),
                num_shared_clips=_num_shared_clips(features, names),
                split=split,
            ),
            cache=features.place.resolved(),
            configs=configs,
            baselines=baselines,
            feature_bytes=max(
                bytes_needed(features.meta, config, features.meta.num_clips) for config in configs.values()
            ),
            usable_sha256=usable_sha256(features),
            identity={
                "cache": origin,
                "table": spec.title,
                "rows": {name: _identity(config, baselines.get(name)) for name, config in configs.items()},
            },
        )


def read_folds(meta: CacheMeta, text: str) -> tuple[str, ...]:
    """Return the names of folds for a text such as ``1-5``, ``1,3``, names or ``all``, each once.

    Raises ConfigError for an unknown fold, or a range that counts down.
    """
    if text.strip() == ALL_FOLDS:
        return meta.fold_names
    columns: list[int] = []
    for part in (part.strip() for part in text.split(",")):
        first, dash, last = part.partition("-")
        if dash and part not in meta.fold_names and first.isdecimal() and last.isdecimal():
            ends = fold_number(meta, first), fold_number(meta, last)
            if ends[0] > ends[1]:
                msg = f"--folds has '{part}', which counts down; write {last}-{first}."
                raise ConfigError(msg)
            columns.extend(range(ends[0], ends[1] + 1))
        else:
            columns.append(fold_number(meta, part))
    return tuple(meta.fold_names[column] for column in dict.fromkeys(columns))


def _require_trainable(
    features: FeatureCache, row: str, config: TrainConfig, fold: str, footage: Sequence[Footage] | None
) -> None:
    """Raise ConfigError, with the row's name, if a run on the cache is impossible.

    With the `footage` of the cache, raise CheckpointError for test clips that `evaluate` would reject.
    """
    try:
        rows = fold_rows(features, fold, config.data, 0)
        used = np.concatenate([rows.of("train"), rows.of("validation")])
        rows.of("test")
        if config.has_polarity_loss:
            require_polarities(features, polarity_labels(features, config.data), used)
        require_mixture(config, 1)
        require_arrays(features.meta, config)
        require_negatives(config, features.read("label")[rows.of("train")])
    except ConfigError as error:
        msg = f"Row '{row}': {error}"
        raise ConfigError(msg) from error
    if footage is not None:
        leak = fold_leak(footage, rows, "test", features.meta.dataset)
        leak.require_none(f"a run on fold {fold}", str(features.place))


def _identity(config: TrainConfig, baseline: Baseline | None) -> dict[str, Any]:
    """Return the settings of a row that affect its results."""
    values = learnt(config)
    return values if baseline is None else {**baseline.used(), "data": values["data"]}


def _num_shared_clips(features: FeatureCache, folds: Sequence[str]) -> int:
    """Return the number of labelled clips that are test clips of several of the folds."""
    columns = [features.meta.fold_names.index(name) for name in folds]
    is_test = features.read("membership")[features.read("label") >= 0][:, columns] == Split.TEST
    return int((is_test.sum(axis=1) > 1).sum())


def _needs(config: TrainConfig) -> tuple[Hashable, ...]:
    """Return the settings that `_require_trainable` depends on. Rows that agree in them are checked once."""
    compared = config.losses.contrast == "batch" and config.optim.batch_size
    return config.data, config.has_polarity_loss, config.model.has_patch_tokens, compared

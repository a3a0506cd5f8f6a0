"""A cache, a fold, a seed -> the metrics of a baseline on the test split, with the facts beside them."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline.cancel import CancelToken
from pipeline.footage import cached_footage
from pipeline.store.location import LocationLike
from pipeline.store.reader import FeatureCache
from pipeline.types import Doubles, Ints
from trainer.baselines.clip_means import mean_features
from trainer.baselines.majority import most_frequent
from trainer.baselines.settings import Baseline
from trainer.baselines.zero_shot import cosines, text_features
from trainer.caches import open_cache
from trainer.clip_predictions import ClipPredictions
from trainer.clips_without_face import ClipsWithoutFace, read_without_face
from trainer.config import TrainConfig
from trainer.folds import FoldRows, fold_rows, require_usable
from trainer.leaks import Leak
from trainer.measurement import unfinished_banners
from trainer.metrics import Metrics
from trainer.run_info import RunInfo
from trainer.training_clips import fold_leak

_LOGIT_SCALE = 100.0
_PRECISIONS = {"majority": "", "zero_shot": "fp32 on the CPU", "linear_probe": "fp64 on the CPU"}


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """Predictions of the test split, and the facts that must be shown beside them.

    Attributes:
        predictions: Probabilities of each clip: 1 for the majority class; for zero-shot CLIP, softmax of the
            cosines times 100, its logit scale.
        info: Origin; its selection is empty if no clips chose anything.
        facts: What the method used or chose, in words.
        without_face: See `EvalResult`.
        left_out: Number of clips of the fold that were not measured, by reason.
        leak: Test clips whose footage the method has seen.
    """

    predictions: ClipPredictions
    info: RunInfo
    facts: tuple[str, ...]
    without_face: ClipsWithoutFace | None
    left_out: dict[str, int]
    leak: Leak

    @property
    def metrics(self) -> Metrics:
        """Metrics of the test split."""
        return self.predictions.metrics()

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings to show beside the numbers."""
        return (*self.info.banners, *unfinished_banners(self.left_out), *self.leak.banners)


def run_baseline(
    cache: LocationLike,
    baseline: Baseline,
    config: TrainConfig,
    *,
    fold: str,
    seed: int,
    encoder_weights: str | None = None,
    usable_sha256: str | None = None,
    allow_leak: bool = False,
    cancel: CancelToken | None = None,
) -> BaselineResult:
    """Measure a baseline on the test split of a fold, on the CPU.

    Args:
        cache: Location of the cache.
        baseline: The method with its settings.
        config: Settings of the data, as of a trained run, with the scene if the method reads it.
        fold: Name of the fold.
        seed: Seed of the holdout, on which nothing else depends.
        encoder_weights: See `train`.
        usable_sha256: See `train`.
        allow_leak: See `measure`.
        cancel: Checked between the fits of a linear probe.

    Raises:
        ConfigError: A split is empty, the training clips are of one class, or a text is too long.
        CheckpointError: The method has seen footage of the test clips (unless `allow_leak`).
        WeightsError: The text encoder is not available, or not that of the cache.
        CacheError: The cache is damaged, has features that are NaN or infinite, or other usable clips than
            expected.
        OusError: A fit has not converged.
        TaskCancelledError: `cancel` was set.
    """
    with open_cache(cache) as features:
        if usable_sha256 is not None:
            require_usable(features, usable_sha256)
        rows = fold_rows(features, fold, config.data, seed)
        label_N = features.read("label").astype(np.int64)
        footage, dataset = cached_footage(features), features.meta.dataset
        test = rows.of("test")
        leak = Leak.none("test", len(test))
        if baseline.sees_training_clips:
            leak = fold_leak(footage, rows, "test", dataset)
        if not allow_leak:
            leak.require_none(f"a run on fold {fold}", str(features.place))
        info = replace(
            RunInfo.of_cache(features, rows, config, seed, torch.device("cpu")),
            precision=_PRECISIONS[baseline.method],
        )
        if baseline.selects:
            seen = fold_leak(footage, rows, "validation", dataset)
            info = replace(info, validation_leak=len(seen.clip_ids))
        else:
            info = replace(info, selection="")
        if not baseline.sees_training_clips:
            info = replace(info, num_train=0)
        probability_NC, facts = _predict(features, rows, baseline, config, label_N, encoder_weights, cancel)
        predictions = ClipPredictions.of_rows(features, test, info.class_names, label_N[test], probability_NC)
        without_face = ClipsWithoutFace.of(
            read_without_face(features, test), label_N[test], predictions.predicted_N, info.class_names,
            predictions.group_N,
        )  # fmt: skip
    return BaselineResult(
        predictions=predictions,
        info=info,
        facts=facts,
        without_face=without_face,
        left_out=dict(rows.left_out),
        leak=leak,
    )


def _predict(
    cache: FeatureCache,
    rows: FoldRows,
    baseline: Baseline,
    config: TrainConfig,
    label_N: Ints,
    encoder_weights: str | None,
    cancel: CancelToken | None,
) -> tuple[Doubles, tuple[str, ...]]:
    """Return the probabilities of the test clips [N, C], and the facts to show."""
    names, own = cache.meta.class_names, baseline.config
    train, test = rows.of("train"), rows.of("test")
    if baseline.method == "majority":
        label = most_frequent(label_N[train], len(names))
        return np.tile(np.eye(len(names))[label], (len(test), 1)), (f"always {names[label]}",)
    if baseline.method == "zero_shot":
        texts = tuple(own.text(name) for name in names)
        text_CF = text_features(cache.meta, texts, encoder_weights)
        feature_NF = mean_features(cache, test, config, own.stream, unit_frames=True)
        logits_NC = _LOGIT_SCALE * cosines(feature_NF, text_CF).double()
        return torch.softmax(logits_NC, dim=1).numpy(), (f"texts '{own.template}'",)
    from trainer.baselines.linear_probe import fit_probe  # importing scikit-learn takes a second

    validation = rows.of("validation")
    splits = [
        mean_features(cache, split, config, own.stream).numpy().astype(np.float64)
        for split in (train, validation, test)
    ]
    probe = fit_probe(
        (splits[0], label_N[train]), (splits[1], label_N[validation]), len(names), own.c, cancel
    )
    chosen = f"C = {probe.c:g}" + (" at the end of baseline.c" if probe.is_at_end else "")
    return np.exp(probe.log_probabilities(splits[2])), (chosen,)

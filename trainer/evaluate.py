"""A trained run and a split -> WAR, UAR, per-class recall, confusion matrix."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from pipeline.errors import CheckpointError
from pipeline.portable import portable_values
from pipeline.store.meta import CacheMeta
from pipeline.store.place import Place, Where
from pipeline.types import Ints
from trainer.batches import ClipData, load_clips
from trainer.caches import chosen_cache, is_same_place, open_cache
from trainer.checkpoint import Checkpoint, RunInfo, load_checkpoint
from trainer.folds import fold_rows, require_labels
from trainer.leaks import Leak
from trainer.metrics import Interval, Metrics, confusion_matrix
from trainer.model import OusModel, pick_device
from trainer.training_clips import stored_leak


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A model's answers on N clips. loss: ungated class-contrastive, mean over clips."""

    label_N: Ints
    predicted_N: Ints
    loss: float

    def metrics(self, class_names: tuple[str, ...]) -> Metrics:
        """The metrics of all these clips together."""
        confusion = confusion_matrix(self.label_N, self.predicted_N, len(class_names))
        return Metrics(class_names=class_names, confusion=confusion)


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """The metrics of one split, with what must be said beside them.

    place: of the cache. same_cache: whether it is the one, by features and clips, that the run was trained
    on. left_out: why clips of the fold are not used, and how many. leak: clips that the run has seen,
    measured all the same. files: what was written.
    """

    place: Place
    dataset: str
    split: str
    metrics: Metrics
    loss: float
    info: RunInfo
    same_cache: bool
    left_out: dict[str, int]
    leak: Leak
    files: tuple[Path, ...]

    @property
    def banners(self) -> tuple[str, ...]:
        """What must stand, loudly, beside these numbers."""
        return (*self.info.banners, *self.leak.banners)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "split": self.split,
            "fold": self.info.fold,
            "seed": self.info.seed,
            "dataset": self.dataset,
            "selection": self.info.selection,
            "best_epoch": self.info.best_epoch,
            "random_weights": self.info.random_weights,
            "banners": list(self.banners),
            "same_cache": self.same_cache,
            "cache_fingerprint": self.info.cache_fingerprint,
            "loss": self.loss,
            "left_out": self.left_out,
            "leak": self.leak.to_dict(),
            **self.metrics.to_dict(),
        }

    def lines(self) -> list[str]:
        """For people: WAR and UAR with their intervals, the recalls, what was left out and written."""
        metrics = self.metrics
        support = metrics.confusion.sum(axis=1)
        recalls = zip(metrics.class_names, metrics.recalls, metrics.intervals.recalls, support, strict=True)
        rates = (("WAR", metrics.war, metrics.intervals.war), ("UAR", metrics.uar, metrics.intervals.uar))
        return [
            *(f"!! {banner}" for banner in self.banners),
            f"{self.dataset}, fold {self.info.fold}, {self.split} split: {metrics.num_clips} clips",
            *(f"  {name:<16} {value:8.2%}  {_shown(interval)}" for name, value, interval in rates),
            *(
                f"  {name:<16} {'no clips':>8}"
                if recall is None or interval is None
                else f"  {name:<16} {recall:8.2%}  {_shown(interval)}, {count} clips"
                for name, recall, interval, count in recalls
            ),
            *(f"  left out: {count} {why}" for why, count in self.left_out.items() if count),
            *(f"  note: {note}" for note in self.leak.notes),
            *([] if self.same_cache else ["  measured on another cache than it was trained on"]),
            *(f"wrote {path}" for path in self.files),
        ]


def _shown(interval: Interval) -> str:
    return f"95% {interval[0]:.2%} to {interval[1]:.2%}"


@torch.inference_mode()
def score(
    model: OusModel, text_CF: torch.Tensor, data: ClipData, places: torch.Tensor, batch_size: int
) -> Scores:
    """The model's answers on the clips at `places`, first view, model in evaluation mode."""
    model.eval()
    logits, labels = [], []
    for batch in data.evaluation_batches(places, batch_size):
        logits.append(model(batch, text_CF).logits_BC)
        labels.append(batch.label_B)
    logits_NC, label_N = torch.cat(logits).cpu(), torch.cat(labels).cpu()
    return Scores(
        label_N=label_N.numpy(),
        predicted_N=logits_NC.argmax(dim=1).numpy(),
        loss=float(functional.cross_entropy(logits_NC, label_N)),
    )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run's answers, clip by clip, on a split of its fold.

    place: the cache it was measured on, meta its attributes. row_N: the clips' rows there. data: their
    features. same_cache, left_out, leak: see `EvalResult`.
    """

    checkpoint: Checkpoint
    place: Place
    meta: CacheMeta
    split: str
    row_N: Ints
    data: ClipData
    scores: Scores
    same_cache: bool
    left_out: dict[str, int]
    leak: Leak

    @property
    def banners(self) -> tuple[str, ...]:
        """What must stand, loudly, beside every number of these clips."""
        return (*self.checkpoint.info.banners, *self.leak.banners)

    def metrics(self) -> Metrics:
        """The metrics of all these clips together."""
        return self.scores.metrics(self.checkpoint.info.class_names)


def measure(
    run_dir: Path,
    split: str = "test",
    cache: Where | None = None,
    device: str = "auto",
    *,
    allow_leak: bool = False,
) -> Measured:
    """A run's best model asked about every clip of a split of its fold; nothing is written.

    cache: another cache than the one it was trained on. allow_leak: measure clips whose footage the run has
    seen, and mark the result. Raises CacheError for a cache on object storage that only the run's files name;
    CheckpointError when the run and the cache do not fit, or without
    allow_leak for such clips; ConfigError for an empty split, or a cache without labels.
    """
    checkpoint = load_checkpoint(run_dir, pick_device(device))
    info, config = checkpoint.info, checkpoint.config
    place = chosen_cache(run_dir, info.training_cache(run_dir), cache)
    with open_cache(place, None if cache else run_dir) as features:
        require_labels(features)
        info.require_fits(features.meta, place)
        same_cache = (features.meta.fingerprint, features.clips_sha256()) == (
            info.cache_fingerprint,
            info.clips_sha256,
        )
        rows = fold_rows(features, info.fold, config.data, info.seed)
        if split != "test" and not (same_cache and rows.training_sha256() == info.training_sha256):
            msg = (
                f"--split {split}: the clips of '{place}' are not those that '{run_dir}' was trained with "
                "(other clips, or more of them done), so that training clips could stand among them; "
                "measure --split test."
            )
            raise CheckpointError(msg)
        row_N = rows.of(split)
        leak = Leak.none(split, len(row_N))
        if split == "test" or (split == "validation" and rows.rule != "train"):
            leak = stored_leak(run_dir, info.dataset, features, split, row_N)
        if not allow_leak:
            leak.require_none(str(run_dir), str(place))
        data = load_clips(features, row_N, config, pick_device(device))
    places = torch.arange(len(data.label_N))
    return Measured(
        checkpoint=checkpoint,
        place=place,
        meta=features.meta,
        split=split,
        row_N=row_N,
        data=data,
        scores=score(checkpoint.model, checkpoint.text_CF, data, places, config.optim.batch_size),
        same_cache=same_cache,
        left_out=dict(rows.left_out),
        leak=leak,
    )


def evaluate(
    run_dir: Path,
    split: str = "test",
    cache: Where | None = None,
    device: str = "auto",
    *,
    allow_leak: bool = False,
) -> EvalResult:
    """Measure a run's best model on a split of its fold; write confusion.json and confusion.png.

    cache: another cache than the one it was trained on; its files are then named after it. allow_leak: see
    `measure`, which raises what this raises.
    """
    measured = measure(run_dir, split, cache, device, allow_leak=allow_leak)
    info, dataset = measured.checkpoint.info, measured.meta.dataset
    is_other = cache is not None and not is_same_place(measured.place, info.training_cache(run_dir))
    stem = "_".join(
        ["confusion", *([split] if split != "test" else []), *([measured.place.stem] if is_other else [])]
    )
    files = (run_dir / f"{stem}.json", run_dir / f"{stem}.png")
    result = EvalResult(
        place=measured.place,
        dataset=dataset,
        split=split,
        metrics=measured.metrics(),
        loss=measured.scores.loss,
        info=info,
        same_cache=measured.same_cache,
        left_out=measured.left_out,
        leak=measured.leak,
        files=files,
    )
    document = portable_values(result.to_dict())
    files[0].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    title = f"{dataset}, fold {info.fold}, {split} split"
    from trainer import plots  # as in trainer.train

    plots.plot_confusion(result.metrics, files[1], title=title, banners=result.banners)
    return result

"""Settings for a long tail of classes, and votes as targets, on the clips of the demo: gains and losses.

    ./cli.py demo
    python -m benchmarks.longtail demo-out --part tail --work DIR --out benchmarks/results/longtail.json
    python -m benchmarks.longtail demo-out --part votes --work DIR --out benchmarks/results/votes.json

Tail: the rows of trainer/ablate/specs/longtail.toml, on training clips that are thinned to a long tail. Each
seed keeps other clips of the rare classes, holds out other clips and starts from other weights; rows are
compared within seeds. The test clips are not thinned: each class has equally many, so that every recall is of
the same number of clips. UAR is their mean. WAR is their mean weighted by the shares of the classes in the
training clips, which is the expected WAR of test clips with these shares.

Votes: ten annotators vote on every clip, each at random by `posterior` of the drawn class. The label is the
class with most votes. Rows are measured against the posterior, which a real dataset does not have.

A run whose result is in DIR is not repeated. DIR then has a cache for each seed.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.findings import difference
from pipeline.bench.result import about_this_run
from pipeline.config import override
from pipeline.datasets import read_dataset
from pipeline.relabel import relabel
from pipeline.store.reader import FeatureCache
from pipeline.types import DatasetIndex, Split
from trainer.ablate.spec import parsed
from trainer.config import TrainConfig
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.training import train

CLIPS_OF = {
    "happiness": 40, "sadness": 40, "neutral": 40, "anger": 40, "surprise": 10, "fear": 10, "disgust": 3,
}  # fmt: skip
"""Training clips of each class in the long tail: 22% four times, 5.5% twice, 1.6%."""

ANNOTATORS = 10
CONFUSED = {"sadness": "neutral", "fear": "surprise", "disgust": "anger"}
"""Pairs of classes that annotators confuse, each way; happiness is clear to them."""

VOTE_ROWS = {
    "label": (),
    "label smoothing 0.3": ("losses.label_smoothing=0.3",),
    "votes": ("losses.targets=votes",),
}
SETTINGS = ("model.tfe=false", "schedule.stop_patience=5")
"""Changes of the preset in all rows: average pooling, which is as good on these clips (docs/findings.md), and
an earlier stop."""

_BINS = 15


def thinned(index: DatasetIndex, seed: int) -> DatasetIndex:
    """Return the dataset with as many training clips of each class as `CLIPS_OF` has, drawn with the seed."""
    generator, kept = np.random.default_rng(seed), set()
    for name, count in CLIPS_OF.items():
        label = index.class_names.index(name)
        ids = [clip.clip_id for clip in index.clips if clip.label == label and clip.splits[0] == Split.TRAIN]
        kept |= set(generator.permutation(ids)[:count].tolist())
    clips = [clip for clip in index.clips if clip.splits[0] != Split.TRAIN or clip.clip_id in kept]
    return replace(index, clips=tuple(clips))


def posterior(class_names: Sequence[str]) -> np.ndarray:
    """Return the probability of each vote for a clip of each drawn class, [drawn class, voted class].

    0.62 for the class and 0.3 for the one that it is confused with, or 0.9 for happiness; the rest is spread
    evenly over the others.
    """
    other = {**CONFUSED, **{second: first for first, second in CONFUSED.items()}}
    p_CC = np.zeros((len(class_names),) * 2)
    for row, name in enumerate(class_names):
        p_CC[row, row] = 0.62 if name in other else 0.9
        if name in other:
            p_CC[row, class_names.index(other[name])] = 0.3
        p_CC[row, p_CC[row] == 0] = (1 - p_CC[row].sum()) / (p_CC[row] == 0).sum()
    return p_CC


def voted(index: DatasetIndex, seed: int) -> DatasetIndex:
    """Return the dataset with votes drawn with the seed, and the class with most votes as label."""
    generator, p_CC = np.random.default_rng(seed), posterior(index.class_names)
    clips = []
    for clip in index.clips:
        votes = generator.multinomial(ANNOTATORS, p_CC[clip.label])
        label = int(generator.choice(np.flatnonzero(votes == votes.max())))
        clips.append(replace(clip, votes=tuple(votes.tolist()), label=label))
    return replace(index, clips=tuple(clips))


def of_tail(logits_NC: np.ndarray, drawn_N: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return recalls of the test clips, their mean, and their mean by the shares of the training clips."""
    right_N = logits_NC.argmax(axis=1) == drawn_N
    recall = {name: float(right_N[drawn_N == label].mean()) for label, name in enumerate(names)}
    total = sum(CLIPS_OF.values())
    return {
        "uar": float(np.mean(list(recall.values()))),
        "war": sum(CLIPS_OF[name] / total * value for name, value in recall.items()),
        "recall": recall,
    }


def of_votes(logits_NC: np.ndarray, drawn_N: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return distances of probabilities to the posterior, and the calibration error against it.

    The calibration error is that of `trainer.calibration`, with the posterior probability of the predicted
    class, which the share of right predictions estimates, in place of that share.
    """
    z_NC = logits_NC.astype(np.float64)
    log_NC = z_NC - np.logaddexp.reduce(z_NC, axis=1, keepdims=True)
    p_NC, true_NC = np.exp(log_NC), posterior(names)[drawn_N]
    predicted_N = p_NC.argmax(axis=1)
    confidence_N = p_NC.max(axis=1)
    bin_N = np.clip(np.ceil(confidence_N * _BINS).astype(int) - 1, 0, _BINS - 1)
    gap_M = np.bincount(
        bin_N, weights=true_NC[np.arange(len(p_NC)), predicted_N] - confidence_N, minlength=_BINS
    )
    return {
        "accuracy": float((predicted_N == drawn_N).mean()),
        "confidence": float(confidence_N.mean()),
        "ece": float(np.abs(gap_M).sum() / len(p_NC)),
        "kl": float((true_NC * (np.log(true_NC) - log_NC)).sum(axis=1).mean()),
        "total_variation": float(np.abs(p_NC - true_NC).sum(axis=1).mean() / 2),
    }


Measure = Callable[[np.ndarray, np.ndarray, Sequence[str]], dict[str, Any]]
_PARTS: Mapping[str, tuple[Callable[[DatasetIndex, int], DatasetIndex], Measure]] = {
    "tail": (thinned, of_tail),
    "votes": (voted, of_votes),
}

_BASES = {
    "tail": ("plain", ("uar", "war")),
    "votes": ("label", ("accuracy", "confidence", "ece", "kl", "total_variation")),
}
"""Row that the others of a part are compared with, and the compared numbers."""


def rows_of(part: str) -> dict[str, TrainConfig]:
    """Return the settings of each row of a part."""
    if part == "votes":
        return {name: override(smoke(), [*SETTINGS, *changes]) for name, changes in VOTE_ROWS.items()}
    text = (files("trainer.ablate") / "specs" / "longtail.toml").read_text(encoding="utf-8")
    return parsed(text, "longtail.toml").configs("smoke", SETTINGS)


def measured(
    part: str, demo: Path, work: Path, seeds: range, say: Callable[[str], object]
) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the numbers of every run of a part, by row and seed. Runs with a result are not repeated."""
    changed, numbers_of = _PARTS[part]
    index = read_dataset("manifest", demo / "clips")
    drawn = {clip.clip_id: clip.label for clip in index.clips}
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for seed in seeds:
        cache = work / f"{part}-seed{seed}.zarr"
        if not cache.exists():
            partial = cache.with_suffix(".part")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(demo / "feats.zarr", partial)
            relabel(partial, changed(index, seed))
            partial.rename(cache)
        for row, config in rows_of(part).items():
            kept = work / f"{part}-seed{seed}-{row.replace(' ', '-').replace(',', '')}.json"
            if not kept.exists():
                run = work / "run"
                shutil.rmtree(run, ignore_errors=True)
                trained = train(cache, run, config, seed=seed, device="cpu", is_resumable=False)
                scores = measure(run, device="cpu")
                with FeatureCache.open(cache) as features:
                    ids = features.read("clip_id")[scores.row_N].tolist()
                drawn_N = np.array([drawn[clip_id] for clip_id in ids])
                values = numbers_of(scores.scores.logits_NC, drawn_N, index.class_names)
                values |= {"best_epoch": trained.info.best_epoch, "epochs": trained.num_epochs}
                values |= {"train": trained.num_train, "validation": trained.num_validation}
                kept.write_text(json.dumps(values), encoding="utf-8")
            values = json.loads(kept.read_text(encoding="utf-8"))
            found.setdefault(row, {})[seed] = values
            say(f"{part}, seed {seed}, {row}: {json.dumps(values)}\n")
    return found


def compared(found: dict[str, dict[int, dict[str, Any]]], base: str, names: Sequence[str]) -> dict[str, Any]:
    """Return mean, deviation over seeds, and the difference from a row within seeds, of each number."""
    rows: dict[str, Any] = {}
    for row, by_seed in found.items():
        rows[row] = {}
        for name in names:
            value = {seed: run[name] for seed, run in by_seed.items()}
            own = list(value.values())
            rows[row][name] = {"mean": float(np.mean(own)), "std": float(np.std(own, ddof=1))}
            if row != base:
                against = {seed: run[name] for seed, run in found[base].items()}
                rows[row][name]["against"] = difference(value, against)
        if "recall" in next(iter(by_seed.values())):
            recalls = [run["recall"] for run in by_seed.values()]
            rows[row]["recall"] = {
                name: float(np.mean([one[name] for one in recalls])) for name in recalls[0]
            }
    return rows


def main() -> None:
    """Train and measure every row with every seed, and write the result."""
    parser = argparse.ArgumentParser(description="Long tail and votes on the clips of the demo.")
    parser.add_argument("demo", type=Path, help="directory of a finished demo")
    parser.add_argument("--part", choices=list(_PARTS), required=True)
    parser.add_argument("--work", type=Path, required=True, help="directory of caches and results of runs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    about = about_this_run(
        {}, {"seeds": args.seeds, "threads": args.threads, "preset": "smoke", "settings": SETTINGS}
    )
    base, names = _BASES[args.part]
    found = measured(args.part, args.demo, args.work, range(args.seeds), sys.stdout.write)
    one = next(iter(found[base].values()))
    result: dict[str, Any] = {
        **about,
        "banners": ["RANDOM ENCODER WEIGHTS"],
        "training_clips": CLIPS_OF if args.part == "tail" else {"all": one["train"] + one["validation"]},
        "train": one["train"],
        "validation": one["validation"],
        "base": base,
        "rows": compared(found, base, names),
        "runs": found,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

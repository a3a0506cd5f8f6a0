"""Time of a training epoch on features that stay on disk, compared with features in memory.

    python -m benchmarks.residence --out benchmarks/results/residence-cpu.json

A cache of random features has the sizes of DFEW with ViT-L/14: 11,695 clips, of which four fifths train, and
about 5.2 GB, in a directory of ``--work``. The pool of memory holds about half of the features as training
needs them. Each training runs in a process of its own, on a text encoder with random weights, which do not
change its time. For each preset, these take turns:

``memory``  ``data.residence=auto``, in the same order of clips
``warm``    ``data.residence=disk``, with the files in the page cache, as far as memory allows
``cold``    the same; before each epoch, the pages of the files are dropped (``posix_fadvise``)

An epoch is its steps, the measurement of the validation clips, and saving. The losses of all must be equal.
``reading`` is an epoch of batches without a model. Peak memory is the largest resident set of the process.
``mixing`` shows how near to a full shuffle a window is, for clips in the order of their classes.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.bench.load import synthetic_cache
from pipeline.bench.result import about_this_run
from pipeline.bench.separate_process import run_module
from pipeline.clip_model import EncoderConfig, load_clip_model
from pipeline.config import override
from pipeline.datasets.synthetic import CLASSES
from pipeline.executor.machine import keep_memory
from pipeline.store.reader import FeatureCache
from pipeline.types import Split
from trainer import train
from trainer.block_reading import ClipSource
from trainer.block_shuffle import block_shuffled
from trainer.presets import preset
from trainer.streamed_clips import open_clips

FORMS = ("memory", "warm", "cold")
_DFEW_CLIPS = 11_695


def drop_pages(cache: Path) -> None:
    """Ask the system to drop the pages of all files of a cache, which must be on disk already."""
    for file in cache.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def peak_mb() -> float:
    """Return the largest resident set of this process since its start; `getrusage` includes its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def require_streamed(form: str, residence: str) -> None:
    """Raise ValueError if the features of a form on disk were all in memory."""
    if form != "memory" and "on disk" not in residence:
        msg = f"--pool-gb holds all features ({residence}), so that nothing is compared; give a smaller one."
        raise ValueError(msg)


def settings_of(form: str, args: argparse.Namespace) -> list[str]:
    """Return the settings of a form of training."""
    place = "auto" if form == "memory" else "disk"
    return [
        f"data.residence={place}",
        f"data.pool_gb={args.pool_gb}",
        f"data.shuffle_blocks={args.shuffle_blocks}",
        *args.settings,
    ]


def trained(args: argparse.Namespace) -> dict[str, Any]:
    """Train in this process. Returns seconds of the epochs and of the whole, losses and peak memory."""
    config = override(
        preset(args.preset), [*settings_of(args.form, args), f"schedule.max_epochs={args.epochs}"]
    )
    seconds, losses = [], []

    def after_epoch(report: Any) -> None:
        seconds.append(report.seconds)
        losses.append([report.train.loss, report.validation.loss])
        if args.form == "cold":
            drop_pages(args.cache)

    if args.form == "cold":
        drop_pages(args.cache)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ous-residence-run-") as folder:
        result = train(
            args.cache, Path(folder) / "run", config, device="cpu", on_epoch=after_epoch,
            is_resumable=False, has_figures=False,
        )  # fmt: skip
    return {
        "epochs_seconds": seconds,
        "whole_seconds": time.perf_counter() - began,
        "losses": losses,
        "residence": result.residence,
        "steps": result.num_steps,
        "peak_mb": peak_mb(),
    }


def read(args: argparse.Namespace) -> dict[str, Any]:
    """Make the batches of epochs in this process, without a model."""
    config = override(preset(args.preset), settings_of(args.form, args))
    seconds = []
    with FeatureCache.open(args.cache) as cache:
        rows = np.flatnonzero(cache.read("membership")[:, 0] == Split.TRAIN)
        data = open_clips([ClipSource.of(cache, rows, config)], config, torch.device("cpu"))
        require_streamed(args.form, data.residence)
        generator = torch.Generator().manual_seed(0)
        for _ in range(args.epochs):
            if args.form == "cold":
                drop_pages(args.cache)
            began = time.perf_counter()
            for _batch in data.training_batches(
                torch.arange(len(rows)), config.optim.batch_size, True, generator,
                shuffle_blocks=args.shuffle_blocks,
            ):  # fmt: skip
                pass
            seconds.append(time.perf_counter() - began)
        data.close()
    return {"epochs_seconds": seconds, "clips": len(rows), "peak_mb": peak_mb()}


def compared(cache: Path, name: str, args: argparse.Namespace, child: str) -> dict[str, Any]:
    """Run every form in turns. Returns what each form found, and the ratios to memory within turns."""
    found: dict[str, list[dict[str, Any]]] = {form: [] for form in FORMS}
    sets = [part for setting in args.settings for part in ("--set", setting)]
    for turn in range(args.turns):
        for form in FORMS:
            one = run_module(
                "benchmarks.residence", "--child", child, "--cache", cache, "--preset", name, "--form", form,
                "--epochs", args.epochs, "--pool-gb", args.pool_gb, "--shuffle-blocks", args.shuffle_blocks,
                *sets,
            )  # fmt: skip
            found[form].append(one)
            epochs = [round(value, 2) for value in one["epochs_seconds"]]
            sys.stderr.write(f"{name}, {child}, turn {turn + 1}, {form}: {epochs} s\n")
    result: dict[str, Any] = {}
    for form, runs in found.items():
        epochs = [value for one in runs for value in one["epochs_seconds"]]
        result[form] = {
            "epoch_seconds": _spread(epochs),
            "peak_mb": round(max(one["peak_mb"] for one in runs)),
        }
        if child == "train":
            result[form]["whole_seconds"] = _spread([one["whole_seconds"] for one in runs])
            result[form]["residence"] = runs[0]["residence"]
            result[form]["times_memory"] = _spread(
                [
                    value / base
                    for one, other in zip(runs, found["memory"], strict=True)
                    for value, base in zip(one["epochs_seconds"], other["epochs_seconds"], strict=True)
                ]
            )
    if child == "train":
        result["steps"] = found["memory"][0]["steps"]
        result["equal_losses"] = all(
            one["losses"] == found["memory"][0]["losses"] for runs in found.values() for one in runs
        )
    return result


def mixing(num_clips: int, block_clips: int, batch_size: int, blocks: list[int]) -> list[dict[str, float]]:
    """Measure the batches of a window on clips that are sorted by class, as a cache of folders is.

    Returns:
        For each window, the mean number of blocks that a batch has clips of, and the mean distance (total
        variation) between the classes of a batch and those of all clips. A window of 0 is the full shuffle.
    """
    block_N = torch.arange(num_clips) // block_clips
    label_N = np.arange(num_clips) * len(CLASSES) // num_clips
    found = []
    for window in blocks:
        generator = torch.Generator().manual_seed(0)
        order = block_shuffled(block_N, window or num_clips, generator).numpy()
        whole = len(order) // batch_size * batch_size
        batches = order[:whole].reshape(-1, batch_size)
        shares = [np.bincount(label_N[one], minlength=len(CLASSES)) / batch_size for one in batches]
        distances = [np.abs(share - 1 / len(CLASSES)).sum() / 2 for share in shares]
        found.append(
            {
                "window": window,
                "blocks_of_a_batch": float(np.mean([len(np.unique(block_N[one])) for one in batches])),
                "distance": float(np.mean(distances)),
            }
        )
    return found


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "lowest": round(min(values), 3),
        "highest": round(max(values), 3),
    }


def main() -> None:
    """Write the cache, train in all forms, and write the result."""
    parser = argparse.ArgumentParser(description="An epoch on features on disk, compared with memory.")
    parser.add_argument("--clips", type=int, default=_DFEW_CLIPS)
    parser.add_argument("--encoder", default="ViT-L-14-quickgelu")
    parser.add_argument("--presets", nargs="+", default=["smoke", "paper"])
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--epochs", type=int, default=1, help="of each training")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--pool-gb", type=float, default=0.5)
    parser.add_argument("--shuffle-blocks", type=int, default=32)
    parser.add_argument("--work", type=Path, help="directory for the cache, on the disk that is measured")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", choices=["train", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--preset", help=argparse.SUPPRESS)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        found = trained(args) if args.child == "train" else read(args)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    if args.out is None:
        parser.error("--out is needed")
    keep_memory()
    options = {name: str(value) for name, value in vars(args).items() if name not in ("work", "out")}
    about = about_this_run({}, options)
    if args.work is not None:
        args.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="ous-residence-", dir=args.work))
    try:
        clip = load_clip_model(EncoderConfig(name=args.encoder, weights="random"))
        synthetic_cache(work / "feats.zarr", args.clips, clip)
        del clip
        os.sync()
        num_bytes = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
        result: dict[str, Any] = {
            **about,
            "threads": torch.get_num_threads(),
            "clips": args.clips,
            "cache_gb": num_bytes / 1e9,
            "pool_gb": args.pool_gb,
            "shuffle_blocks": args.shuffle_blocks,
            "epochs": args.epochs * args.turns,
            "mixing": mixing(args.clips * 4 // 5, 51, 16, [1, 4, 16, 32, 64, 128, 0]),
            "reading": compared(work / "feats.zarr", args.presets[0], args, "read"),
            "training": {name: compared(work / "feats.zarr", name, args, "train") for name in args.presets},
        }
    finally:
        shutil.rmtree(work)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

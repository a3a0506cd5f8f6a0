"""Transfer between drawn domains: other people, and other scenes; and training on two of them.

    ./cli.py demo
    python -m benchmarks.transfer demo-out --work DIR --out benchmarks/results/transfer.json

Three domains of 420 clips, with the encoder and frames of the demo:

``demo``    the demo's clips
``people``  the same construction with another seed: other people, places and movements
``scenes``  the version ``combined``: other people, and other cues in the scene (docs/combined-cues.md)

A face-only and a full model are trained on each domain and seed, and full models on demo and people together.
(The faces of ``scenes`` come from given boxes, and caches with other steps are not mixed.) All are measured
on the test clips of all domains. A finished extraction or run in DIR is not repeated.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.harder.design import EXTRACTION
from pipeline.bench.result import about_this_run
from pipeline.config import from_dict, override
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import SyntheticConfig, face_only_bound, plan_clips, write_synthetic
from pipeline.process import ExtractConfig, load_models
from pipeline.runner import RunOptions, executor_of, extract
from trainer.config import TrainConfig
from trainer.demo import CACHE
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.run_directory import WEIGHTS_FILE
from trainer.training import train

DOMAINS = {
    "demo": SyntheticConfig(),
    "people": SyntheticConfig(seed=1),
    "scenes": SyntheticConfig(version="combined", seed=2),
}
MIXED = ("demo", "people")
SETTINGS = ("model.tfe=false", "schedule.stop_patience=5")
"""Changes of the preset in all rows, as in `benchmarks.longtail`: average pooling and an earlier stop."""

ROWS = {
    "face only": ("model.scene=false", "model.polarity=false"),
    "full": (),
}


def caches_of(demo: Path, work: Path) -> dict[str, Path]:
    """Return the cache of each domain, after drawing and extracting those that are not there."""
    found = {"demo": demo / CACHE}
    for name in list(DOMAINS)[1:]:
        found[name] = work / f"{name}.zarr"
        clips = work / f"{name}-clips"
        write_synthetic(clips, DOMAINS[name])
        values = EXTRACTION | ({"faces": {}, "detector": {"name": "haar"}} if name == "people" else {})
        models = load_models(from_dict(ExtractConfig, values), torch.device("cpu"))
        index = read_dataset("synthetic", clips)
        extract(index, models.config, executor_of(models), found[name], RunOptions())
    return found


def config_of(row: str) -> TrainConfig:
    """Return the settings of a row."""
    return override(smoke(), [*SETTINGS, *ROWS[row]])


def accuracies(
    row: str, on: tuple[str, ...], seed: int, caches: dict[str, Path], work: Path
) -> dict[str, float]:
    """Return the accuracy of a run on the test clips of each domain, 0 to 1.

    Args:
        row: Name in `ROWS`.
        on: Domains that it is trained on; validation clips are of the first.
        seed: Seed of the run.
        caches: Cache of each domain.
        work: Directory of results.
    """
    stem = f"{'+'.join(on)}-{row.replace(' ', '-')}-seed{seed}"
    kept = work / f"{stem}.json"
    if not kept.exists():
        run = work / "run"
        shutil.rmtree(run, ignore_errors=True)
        train(
            [caches[name] for name in on], run, config_of(row), seed=seed, device="cpu",
            is_resumable=False, has_figures=False,
        )  # fmt: skip
        assert (run / WEIGHTS_FILE).is_file()
        found = {}
        for name, cache in caches.items():
            is_own = name == on[0]
            found[name] = measure(run, "test", None if is_own else cache, "cpu").metrics().war
        kept.write_text(json.dumps(found), encoding="utf-8")
    values: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
    sys.stdout.write(f"{stem}: {values}\n")
    return values


def main() -> None:
    """Train and measure every row, and write the result."""
    parser = argparse.ArgumentParser(description="Transfer between drawn domains.")
    parser.add_argument("demo", type=Path, help="directory of a finished demo")
    parser.add_argument("--work", type=Path, required=True, help="directory of clips, caches and results")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    about = about_this_run(
        {}, {"seeds": args.seeds, "threads": args.threads, "preset": "smoke", "settings": SETTINGS}
    )
    caches = caches_of(args.demo, args.work)
    trained = [(row, (name,)) for row in ROWS for name in DOMAINS] + [("full", MIXED)]
    rows: list[dict[str, Any]] = [
        {
            "row": row,
            "trained_on": list(on),
            "war": [accuracies(row, on, seed, caches, args.work) for seed in range(args.seeds)],
        }
        for row, on in trained
    ]
    result = {
        **about,
        "banners": ["RANDOM ENCODER WEIGHTS"],
        "face_only_bound": {name: face_only_bound(plan_clips(config)) for name, config in DOMAINS.items()},
        "rows": rows,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

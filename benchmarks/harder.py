"""Runs on the version ``combined`` of the drawn set, beside the best accuracy of every reading of its cues.

    python -m benchmarks.harder draw WORK
    ./cli.py ablate --cache WORK/feats.zarr --spec benchmarks/grids/harder.toml --seeds 5 --out WORK/grid
    python -m benchmarks.harder report WORK --out benchmarks/results/harder.json

`draw` writes the clips and a cache of features, with the encoder of the demo and the subject's boxes of the
manifest. `report` measures every finished run of the grid by kind of cue, and probes the features without the
model: it states for each fact of the plan how well a classifier reads it from one stream. Probes are fitted
on the training clips and measured on the test clips.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.bench.result import about_this_run
from pipeline.boxes import iou_of
from pipeline.config import from_dict, to_dict
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import (
    PlannedClip,
    SyntheticConfig,
    all_bounds,
    plan_clips,
    write_synthetic,
)
from pipeline.datasets.synthetic.cues import FLOWER, HALVES, KINDS, LARGER, RIGHT, SMALLER, WARM
from pipeline.process import ExtractConfig, load_models, prepare_clip
from pipeline.runner import RunOptions, executor_of
from pipeline.runner import extract as extract_index
from pipeline.store.reader import FeatureCache
from trainer.ablate.load_results import read_sweep
from trainer.measurement import measure

CONFIG = SyntheticConfig(version="combined", num_clips=840, ambiguous_share=0.8, test_share=2 / 7)
"""600 training and 240 test clips: 5 and 2 whole rounds of all cues and pairs, and clear faces."""

EXTRACTION = {
    "frames": {"num_frames": 8},
    "faces": {"source": "boxes"},
    "encoder": {"name": "ViT-S-32", "weights": "random"},
    "features": {"precision": "fp32"},
}
DETECTED = {"faces": {"source": "detector"}, "detector": {"name": "haar"}}
NUM_SUBJECTS, MIN_OVERLAP = 40, 0.3
CLIPS, CACHE, GRID = "clips", "feats.zarr", "grid"
BASE = "full"
_CONFIDENCE = 0.95


def draw(work: Path) -> None:
    """Draw the clips and extract their features; a finished part is kept."""
    write_synthetic(work / CLIPS, CONFIG)
    config = from_dict(ExtractConfig, EXTRACTION)
    models = load_models(config, torch.device("cpu"))
    index = read_dataset("synthetic", work / CLIPS)
    extract_index(index, config, executor_of(models), work / CACHE, RunOptions())


def difference(first: dict[int, float], second: dict[int, float]) -> dict[str, Any]:
    """Return first minus second over the seeds of both: values, mean, and Student's 95% interval."""
    values = np.array([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    mean = float(values.mean())
    return {"mean": mean, "interval": [mean - float(half), mean + float(half)], "seeds": len(values)}


def measured_runs(work: Path, planned: dict[str, PlannedClip]) -> dict[str, dict[str, dict[int, float]]]:
    """Return row -> kind of cue (or ``all``, ``clear``) -> seed -> accuracy on the test clips."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    with FeatureCache.open(work / CACHE) as cache:
        ids = [str(name) for name in cache.read("clip_id")]
    for run_dir, outcome in read_sweep(work / GRID).outcomes.items():
        if outcome.state != "finished":
            continue
        measured = measure(run_dir, cache=work / CACHE, device="cpu")
        right_N = measured.scores.predicted_N == measured.scores.label_N
        kinds = np.array([kind_of(planned[ids[row]]) for row in measured.row_N.tolist()])
        row = found.setdefault(outcome.row, {})
        row.setdefault("all", {})[outcome.seed] = float(right_N.mean())
        for kind in ("clear", *KINDS):
            row.setdefault(kind, {})[outcome.seed] = float(right_N[kinds == kind].mean())
    return found


def kind_of(clip: PlannedClip) -> str:
    """Return the kind of cue that determines the class; ``clear`` for a clear face."""
    return clip.cues.kind if clip.ambiguous and clip.cues is not None else "clear"


def facts(clip: PlannedClip) -> dict[str, tuple[str, bool]]:
    """Return the two-valued facts of a clip that a probe may read: name -> stream and value."""
    cues = clip.cues
    if cues is None:
        return {}
    found: dict[str, tuple[str, bool]] = {}
    names = {seen.name for seen in cues.objects}
    flower = FLOWER in names
    if cues.kind in ("object", "moment"):
        found[f"flower or thorn, cue {cues.kind}"] = ("scene", flower)
    if cues.kind == "light":
        found["warm or cold, cue light"] = ("scene", cues.light == WARM)
    if cues.kind == "both":
        found["flower or thorn, cue both"] = ("scene", flower)
        found["warm or cold, cue both"] = ("scene", cues.light == WARM)
        found["both agree (exclusive or)"] = ("scene", flower == (cues.light == WARM))
    if cues.kind == "order":
        last = next(seen.name for seen in cues.objects if seen.during == HALVES[1])
        found["object of the second half, cue order"] = ("scene", last == FLOWER)
    if cues.kind == "gaze":
        found["flower or thorn, cue gaze"] = ("scene", flower)
        found["side of the gaze, cue gaze"] = ("face", cues.gaze == RIGHT)
        found["looks at flower or away from thorn"] = ("face and scene", flower == (cues.gaze == RIGHT))
    return found


def probes(work: Path, planned: dict[str, PlannedClip]) -> dict[str, Any]:
    """Return for each fact the accuracy of a linear and of a small non-linear probe on the test clips.

    Features are means over the frames, and all frames one after the other (`by frame`).
    """
    with FeatureCache.open(work / CACHE) as cache:
        clips = [planned[str(name)] for name in cache.read("clip_id")]
        face_NTF = cache.read("face/embedding")[:, 0].astype(float)
        scene_NTF = cache.read("scene/embedding")[:, 0].astype(float)
    streams = {
        "face": face_NTF,
        "scene": scene_NTF,
        "face and scene": np.concatenate([face_NTF, scene_NTF], -1),
    }
    is_train = np.array([clip.split == "train" for clip in clips])
    facts_N = [facts(clip) for clip in clips]
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in facts_N for name in row):
        rows = np.array([name in row for row in facts_N])
        stream = next(row[name][0] for row in facts_N if name in row)
        value_N = np.array([row[name][1] if name in row else False for row in facts_N])
        train, test = rows & is_train, rows & ~is_train
        inputs = {"": streams[stream].mean(axis=1), " by frame": streams[stream].reshape(len(clips), -1)}
        found[name] = {"stream": stream, "train": int(train.sum()), "test": int(test.sum())}
        for suffix, x in inputs.items():
            for kind, probe in (
                ("linear", LogisticRegression(C=0.1, max_iter=2000)),
                ("mlp", MLPClassifier((128,), alpha=1.0, max_iter=400, random_state=0)),
            ):
                fitted = make_pipeline(StandardScaler(), probe).fit(x[train], value_N[train])
                found[name][kind + suffix] = float((fitted.predict(x[test]) == value_N[test]).mean())
    return found


def choice_of_subjects(work: Path, planned: dict[str, PlannedClip]) -> dict[str, dict[str, int]]:
    """Return how often the pipeline chooses the subject if nobody names it, by the size of a second person.

    Faces are detected by the Haar cascade and followed with the default settings.
    """
    models = load_models(from_dict(ExtractConfig, {**EXTRACTION, **DETECTED}), torch.device("cpu"))
    index = read_dataset("synthetic", work / CLIPS)
    counts = {size: {"clips": 0, "no face": 0, "subject": 0} for size in ("none", SMALLER, LARGER)}
    for clip in index.clips:
        bystander = planned[clip.clip_id].cues.bystander
        count = counts[bystander.size if bystander else "none"]
        if count["clips"] == NUM_SUBJECTS or clip.provided_boxes is None:
            continue
        track = prepare_clip(index.root, clip, models)[0].track
        count["clips"] += 1
        if not track.has_face:
            count["no face"] += 1
            continue
        overlap = iou_of(clip.provided_boxes.box_xyxy[:1], track.box_xyxy_px[track.found])
        count["subject"] += bool(np.median(overlap) >= MIN_OVERLAP)
    return counts


def report(work: Path, *, with_grid: bool = True) -> dict[str, Any]:
    """Return the whole record."""
    clips = plan_clips(CONFIG)
    planned = {clip.clip_id: clip for clip in clips}
    tests = [clip for clip in clips if clip.split == "test"]
    about = about_this_run(
        {"synthetic": CONFIG.to_stored(), **to_dict(from_dict(ExtractConfig, EXTRACTION))}, {}
    )
    result = {
        **{name: about[name] for name in ("date", "commit", "machine", "versions", "config")},
        "command": __doc__.split("\n\n")[1].split("\n") if __doc__ else [],
        "clips": {"train": len(clips) - len(tests), "test": len(tests)},
        "test_clips_by_kind": {
            kind: sum(kind_of(clip) == kind for clip in tests) for kind in ("clear", *KINDS)
        },
        "bounds": all_bounds(clips),
        "subjects_chosen_without_boxes": choice_of_subjects(work, planned),
        "probes": probes(work, planned),
    }
    if with_grid:
        runs = measured_runs(work, planned)
        result["banners"] = list(read_sweep(work / GRID).result.banners)
        result["rows"] = {
            row: {
                kind: {
                    "mean": float(np.mean(list(by_seed.values()))),
                    "std": float(np.std(list(by_seed.values()), ddof=1)) if len(by_seed) > 1 else None,
                    "seeds": by_seed,
                }
                for kind, by_seed in kinds.items()
            }
            for row, kinds in runs.items()
        }
        result["against_full"] = {
            row: {kind: difference(by_seed, runs[BASE][kind]) for kind, by_seed in kinds.items()}
            for row, kinds in runs.items()
            if row != BASE and BASE in runs
        }
    return result


def main() -> None:
    """Draw the set, or measure the grid and write the result."""
    parser = argparse.ArgumentParser(description="Runs on the version combined of the drawn set.")
    parser.add_argument("part", choices=("draw", "probe", "report"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.part == "draw":
        draw(args.work)
        return
    result = report(args.work, with_grid=args.part == "report")
    text = json.dumps(result, indent=1) + "\n"
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")
    for name, row in result["probes"].items():
        sys.stdout.write(f"{name:<40} {row}\n")
    for row, kinds in result.get("rows", {}).items():
        shown = "  ".join(f"{kind} {value['mean']:.3f}" for kind, value in kinds.items())
        sys.stdout.write(f"{row:<28} {shown}\n")


if __name__ == "__main__":
    main()

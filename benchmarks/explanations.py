"""Deletion test of occlusion: is the cell that ranks first more important than another cell?

    python -m benchmarks.explanations RUN --root CLIPS --rows ROWS.jsonl --out FILE

RUN is trained on the drawn clips of a demo, which CLIPS holds. The scene decides a clip if the answer with
other scenes is another one. For each such test clip, the cells of the scene are ranked by filling them with
the mean colour, as `predict --explain` does. Then the first cell and a cell that is drawn from the others are
removed in another way, which the ranking has not seen: they show the same part of another clip's scene. The
test counts the clips where the first cell changes the probability of the answer more. ROWS.jsonl has a line
for each clip, and a later call with equal options continues after them.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.bench.result import about_this_run
from pipeline.datasets import read_dataset
from pipeline.process import Models, prepare_clip
from pipeline.process.windows import GRID, WindowAgain, grid_cells
from pipeline.store.reader import FeatureCache
from pipeline.streams import scene_area
from pipeline.types import Features, Streams
from trainer.folds import fold_rows
from trainer.prediction.answers import HeadInput, OtherScenes, predict_inputs
from trainer.prediction.effects import cell_effects, probabilities_behind
from trainer.prediction.extraction import load_run_models
from trainer.runs import Run, load_run
from trainer.scene_sample import find_scenes

GATE = 0.8


@dataclass(frozen=True)
class Decided:
    """A test clip whose scene decides."""

    clip_id: str
    one: HeadInput
    answer: int


def decided_clips(run: Run, cache: FeatureCache) -> tuple[list[Decided], int]:
    """Return the test clips whose scene decides, and the number of test clips."""
    scenes, note = find_scenes(run)
    if scenes is None:
        raise SystemExit(note or "the run does not see the scene")
    rows = fold_rows(cache, run.info.fold, run.config.data, run.info.seed).test
    names = {"face_embedding": "face/embedding", "scene_embedding": "scene/embedding"}
    stored = {name: cache.read(array) for name, array in {**names, "scene_early": "scene/early"}.items()}
    valid, ids = cache.read("frame_valid"), cache.read("clip_id")
    found, others = [], OtherScenes(run, scenes)
    for row in rows.tolist():
        features = Features(**{name: value[row, :1] for name, value in stored.items()})
        one = HeadInput(features=features, valid_T=valid[row, 0], in_view_T=valid[row, 0])
        answer = int(predict_inputs(run, [one])[0].class_C.argmax())
        if int(others.probabilities(one).argmax()) != answer:
            found.append(Decided(str(ids[row]), one, answer))
    return found, len(rows)


def images_of(root: Path, clip_ids: list[str], models: Models) -> Iterator[WindowAgain]:
    """Yield the stream images of clips."""
    index = read_dataset("synthetic", root)
    clips = {clip.clip_id: clip for clip in index.clips}
    for clip_id in clip_ids:
        prepared, _ = prepare_clip(index.root, clips[clip_id], models)
        frames, position_T = prepared.frames, prepared.frames.position_VT[0].tolist()
        streams = prepared.streams
        yield WindowAgain(
            streams=Streams(
                face_U3SS=streams.face_U3SS[position_T], scene_U3SS=streams.scene_U3SS[position_T]
            ),
            frame_T=frames.index_U[position_T],
            valid_T=frames.valid_VT[0],
            in_view_T=frames.valid_VT[0],
            area=scene_area(models.config.streams, models.images.side_px, frames.height_px, frames.width_px),
        )


def with_cell_of(scene_T3SS: torch.Tensor, other_T3SS: torch.Tensor, cell: tuple[int, ...]) -> torch.Tensor:
    """Return scenes that show another clip's scene in one cell."""
    left, top, right, bottom = cell
    changed = scene_T3SS.clone()
    changed[:, :, top:bottom, left:right] = other_T3SS[:, :, top:bottom, left:right]
    return changed


def measured(
    run: Run, models: Models, clip: Decided, own: WindowAgain, other: WindowAgain, drawn: int
) -> dict[str, Any]:
    """Return the numbers of a clip; `drawn` is the place of a cell among those that are not first."""
    ranked = cell_effects(run, models, clip.one, own, clip.answer).flatten()
    first = int(ranked.argmin())
    drawn += drawn >= first
    cells = grid_cells(own.area)
    scenes = [
        with_cell_of(own.streams.scene_U3SS, other.streams.scene_U3SS, cells[cell]) for cell in (first, drawn)
    ]
    before = predict_inputs(run, [clip.one])[0].class_C[clip.answer]
    after = [found[clip.answer] for found in probabilities_behind(run, models, clip.one, scenes)]
    return {
        "clip": clip.clip_id,
        "answer": run.class_names[clip.answer],
        "probability": float(before),
        "ranked": [round(float(change), 6) for change in ranked],
        "first": first,
        "drawn": drawn,
        "change_first": round(float(after[0] - before), 6),
        "change_drawn": round(float(after[1] - before), 6),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description="Deletion test of occlusion on drawn clips.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path, required=True, help="directory of the drawn clips")
    parser.add_argument("--clips", type=int, default=24, help="most clips to measure")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, required=True, help="lines of measured clips, to continue after")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    run = load_run(args.run, device="cpu")
    models = load_run_models(run, torch.device("cpu")).models
    about = about_this_run({}, {"run": args.run.name, "clips": args.clips, "seed": args.seed})
    with FeatureCache.open(run.info.training_cache(run.path)) as cache:
        decided, num_test = decided_clips(run, cache)
    generator = np.random.default_rng(args.seed)
    chosen = [decided[n] for n in generator.permutation(len(decided))[: args.clips].tolist()]
    drawn_N = generator.integers(GRID**2 - 1, size=len(chosen)).tolist()
    rows = [json.loads(line) for line in args.rows.read_text().splitlines()] if args.rows.exists() else []
    left = chosen[len(rows) :]
    images = images_of(args.root, [one.clip_id for one in (*left, chosen[0])], models)
    with args.rows.open("a", encoding="utf-8") as file:
        for (clip, drawn), (own, other) in zip(
            zip(left, drawn_N[len(rows) :], strict=True), pairwise(images), strict=True
        ):
            rows.append(measured(run, models, clip, own, other, drawn))
            file.write(f"{json.dumps(rows[-1])}\n")
            file.flush()
    larger = [abs(row["change_first"]) > abs(row["change_drawn"]) for row in rows]
    filled = [np.mean(np.abs(row["ranked"]) < abs(row["ranked"][row["first"]])) * 16 / 15 for row in rows]
    result = {
        **about,
        "settings": {"seed": args.seed, "encoder": run.info.encoder_name, "frames": run.info.num_frames},
        "test_clips": num_test,
        "decided_clips": len(decided),
        "measured_clips": len(rows),
        "share_larger": float(np.mean(larger)),
        "gate": GATE,
        "passes": bool(np.mean(larger) >= GATE),
        "share_larger_by_filling": float(np.mean(filled)),
        "clips": rows,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{result['share_larger']:.0%} of {len(rows)} clips; gate {GATE:.0%}\n")


if __name__ == "__main__":
    main()

"""Cost of shots and people: `extract` beside encoder and detector alone, before and after them.

    python -m benchmarks.tracking.cost CLIPS --weights retinaface_mobilenet0.25.pth --out FILE

Before: `track.method=nearest` and `shots.search=none`, the only way of earlier versions. After: the defaults.
Both extract the same clips, in turns, in one process.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.bench.clips import prepared_clips
from pipeline.bench.end_to_end import prepared_images, run_seconds
from pipeline.bench.models import start_executor
from pipeline.bench.result import about_this_run
from pipeline.process import ExtractConfig
from pipeline.scratch import ScratchDirectory
from pipeline.tracks import EARLIER_METHOD

Times = npt.NDArray[np.float64]
"""Elapsed and processor seconds, [2]."""
_ALONE = ("detector alone", "encoder alone")


def compare(folder: Path, config: ExtractConfig, num_clips: int, turns: int) -> dict[str, Any]:
    """Return the times of each turn, and those of encoder and detector alone as a fraction of extract.

    Args:
        folder: Directory of videos.
        config: Settings of all steps after the change.
        num_clips: Clips that are extracted; fewer videos are repeated.
        turns: Turns, each with the parts and both runs; the order of the runs alternates.
    """
    earlier = replace(
        config,
        track=replace(config.track, method=EARLIER_METHOD),
        shots=replace(config.shots, search="none"),
    )
    after, before = start_executor(config, "cpu"), start_executor(earlier, "cpu")
    runs = {"before": before, "after": after}
    times: dict[str, list[Times]] = {name: [] for name in (*_ALONE, *runs)}
    try:
        with ScratchDirectory("cost") as scratch:
            index = prepared_clips(folder, num_clips, scratch)
            models = after.worker.models
            frames, faces, scenes = prepared_images(index, models)
            for executor in runs.values():
                run_seconds(replace(index, clips=index.clips[:2]), executor)
            for turn in range(turns):
                began = _now()
                for clip in frames:
                    models.detector.detect(clip)
                detected = _now()
                models.encoder.encode(faces, early=False)
                models.encoder.encode(scenes, early=True)
                encoded = _now()
                times["detector alone"].append(detected - began)
                times["encoder alone"].append(encoded - detected)
                for name in sorted(runs, reverse=turn % 2 == 0):
                    pids = runs[name].worker.decoder.pids
                    began = _now(pids)
                    run_seconds(index, runs[name])
                    times[name].append(_now(pids) - began)
    finally:
        before.close()
        after.close()
    median = {name: np.median(np.stack(found), axis=0) for name, found in times.items()}
    ratio = {name: sum(median[one] for one in _ALONE) / median[name] for name in runs}
    return {
        "clips": num_clips,
        "elapsed_seconds_of_turns": {name: [float(t[0]) for t in found] for name, found in times.items()},
        "processor_seconds_of_turns": {name: [float(t[1]) for t in found] for name, found in times.items()},
        "of_encoder_and_detector_alone_elapsed": {name: float(found[0]) for name, found in ratio.items()},
        "of_encoder_and_detector_alone_processor": {name: float(found[1]) for name, found in ratio.items()},
        "after_minus_before_processor": float(ratio["after"][1] - ratio["before"][1]),
    }


def _now(pids: Sequence[int] = ()) -> Times:
    """Return the elapsed time, and the processor time of this process and of some children, in seconds."""
    children = 0.0
    for pid in pids:
        values = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        children += (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return np.array([time.perf_counter(), time.process_time() + children])


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description="Cost of shots and people within extract.")
    parser.add_argument("clips", type=Path, help="directory of videos")
    parser.add_argument("--weights", required=True, help="file of the MobileNet detector's weights")
    parser.add_argument(
        "--encoder", default="ViT-B-32-quickgelu", help="with random weights; default: ViT-B-32-quickgelu"
    )
    parser.add_argument("--num-clips", type=int, default=24, help="default: 24")
    parser.add_argument("--turns", type=int, default=5, help="default: 5")
    parser.add_argument("--out", type=Path, required=True, help="file for the numbers")
    args = parser.parse_args()
    config = ExtractConfig()
    config = replace(
        config,
        encoder=replace(config.encoder, name=args.encoder, weights="random"),
        detector=replace(config.detector, name="retinaface-mobilenet0.25", weights=args.weights),
    )
    found = compare(args.clips, config, args.num_clips, args.turns)
    about = about_this_run(config.to_stored(), {"clips": args.num_clips, "turns": args.turns})
    document = {**about, **found}
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

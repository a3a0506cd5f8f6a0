"""Compare trackers on trial clips with a truth.

    python -m benchmarks.tracking DIRECTORY ... --weights retinaface_mobilenet0.25.pth --cache OUT

Every directory has videos and a truth.csv (`benchmarks.tracking.truth`). Faces are detected once on all
frames and stored in OUT. The tracker then runs on the 16 sampled frames of each clip and on all frames, and
with `--rates` also on frames at other rates.

The columns for each: `changes`, clips in which the subject's track is on more than one person; `nobody`,
frames that are marked found with the box on no face; `follows`, fraction of the frames with the subject in
view on which it is found; `covers`, fraction of the frames with anyone in view on which the track is found
and on a face; `largest`, clips whose subject has about the largest sum of sides over all people;
`IDF1` and `best`, the IDF1 that the right links between the same detections would have; `switches`.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.tracking.detections import (
    LOWEST_SCORE,
    Detections,
    detect_directory,
    load_detections,
    save_detections,
)
from benchmarks.tracking.look_distances import compare_looks
from benchmarks.tracking.measures import (
    Counts,
    SubjectCheck,
    best_pairs,
    check_subject,
    count_tracks,
    pairings,
)
from benchmarks.tracking.trackers import NO_TRACK, TRACKERS, TrackerEntry
from benchmarks.tracking.truth import Truth, read_truth
from pipeline.bench.clips import videos_of
from pipeline.bench.result import about_this_run
from pipeline.config import to_dict
from pipeline.faces import DetectorConfig, load_detector
from pipeline.frames import FrameConfig
from pipeline.frames.sampling import sample_indices
from pipeline.people import PeopleConfig
from pipeline.tracks import TrackConfig

SAMPLED, ALL = "16 sampled frames", "all frames"
_COLUMNS = ("changes", "nobody", "follows", "covers", "largest", "IDF1", "best", "switches", "frags")
_CAST_IN_NAME = re.compile(r"(_d\d+)+$|-.*$")


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """Measures of one clip, on one choice of its frames."""

    clip: str
    frames: str
    """SAMPLED, ALL or a rate."""
    counts: Counts
    best: Counts
    """Counts of the right links between the same detections."""
    subject: SubjectCheck


def chosen_frames(detections: Detections, rates: Sequence[float]) -> dict[str, list[int]]:
    """Return the numbers of the sampled frames, of the frames at each rate per second, and of all frames."""
    num_frames = len(detections.faces)
    index_VT, valid_VT = sample_indices(num_frames, FrameConfig())
    chosen = {SAMPLED: index_VT[0][valid_VT[0]].tolist()}
    for rate in rates:
        step = max(1.0, detections.fps / rate)
        chosen[f"{rate:g} frames/s"] = [int(n * step) for n in range(math.ceil(num_frames / step))]
    return {**chosen, ALL: list(range(num_frames))}


def measure_clip(
    clip: str, detections: Detections, truth: Truth, entry: TrackerEntry, rates: Sequence[float] = ()
) -> list[ClipResult]:
    """Run a tracker on each choice of the frames of a clip: sampled, at each rate, and all."""
    results = []
    for name, chosen in chosen_frames(detections, rates).items():
        part, true = detections.above(entry.lowest_score).at(chosen), truth.at(chosen)
        tracks = entry.track(part.faces, part.seconds_U, part.crops, true.shot_U)
        results.append(
            ClipResult(
                clip=clip,
                frames=name,
                counts=count_tracks(pairings(true, part.faces, tracks.ids)),
                best=count_tracks(pairings(true, part.faces, _right_ids(true, part))),
                subject=check_subject(true, tracks.subject),
            )
        )
    return results


def _right_ids(truth: Truth, detections: Detections) -> list[list[int]]:
    ids = []
    for frame, faces in enumerate(detections.faces):
        person, box = best_pairs(truth.similarity(frame, faces.box_xyxy_px))
        of_frame = [NO_TRACK] * len(faces.score)
        for p, k in zip(person, box, strict=True):
            of_frame[int(k)] = int(p)
        ids.append(of_frame)
    return ids


def scene_of(clip: str) -> str:
    """Return the scene that a clip's file name begins with, without people and frame rate."""
    return _CAST_IN_NAME.sub("", Path(clip).stem)


def summarise(scene: str, results: Sequence[ClipResult]) -> dict[str, Any]:
    """Return one row of the table."""
    row: dict[str, Any] = {"scene": scene, "on": {}}
    for frames in dict.fromkeys(result.frames for result in results):
        of_frames = [result for result in results if result.frames == frames]
        counts = sum((result.counts for result in of_frames), Counts())
        best = sum((result.best for result in of_frames), Counts())
        subjects = [result.subject for result in of_frames]
        visible = sum(subject.num_visible for subject in subjects)
        with_anyone = sum(subject.num_with_anyone for subject in subjects)
        row["clips"] = len(of_frames)
        row["on"][frames] = {
            "clips_that_change_person": sum(subject.num_people > 1 for subject in subjects),
            "frames_on_nobody": sum(len(subject.frames_on_nobody) for subject in subjects),
            "followed": sum(subject.num_followed for subject in subjects) / max(1, visible),
            "covered": sum(subject.num_covered for subject in subjects) / max(1, with_anyone),
            "clips_with_largest": sum(subject.is_largest for subject in subjects),
            "idf1": counts.idf1,
            "best_idf1": best.idf1,
            "switches": counts.switches,
            "fragmentations": counts.fragmentations,
        }
    return row


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as aligned text, with a group of columns for each choice of frames."""
    choices = list(rows[0]["on"])
    names = "".join(f"{name:>8} " for name in _COLUMNS)
    lines = [
        f"{'':42}" + "  ".join(f"{choice:^{len(names)}}" for choice in choices).rstrip(),
        f"{'scene':34} {'clips':>5}  " + "  ".join([names] * len(choices)).rstrip(),
    ]
    for row in rows:
        groups = [
            "".join(f"{_number(value):>8} " for value in row["on"][choice].values()) for choice in choices
        ]
        lines.append(f"{row['scene']:34} {row['clips']:5}  " + "  ".join(groups).rstrip())
    return "\n".join(lines) + "\n"


def _number(value: int | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _detections_of(directory: Path, cache: Path, config: DetectorConfig) -> dict[str, Detections]:
    """Return the stored detections of a directory, detected first if a video is newer or missing."""
    file = cache / f"{directory.resolve().name}-{config.name}.npz"
    videos = videos_of(directory)
    if file.exists() and file.stat().st_mtime > max(video.stat().st_mtime for video in videos):
        stored = load_detections(file)
        if set(stored) == {video.name for video in videos}:
            return stored
    cache.mkdir(parents=True, exist_ok=True)
    found = detect_directory(directory, load_detector(config, torch.device("cpu")))
    save_detections(file, found)
    return found


def main() -> None:
    """Detect or load, track, measure and print the table."""
    parser = argparse.ArgumentParser(description="Compare trackers on trial clips with a truth.")
    parser.add_argument("directories", type=Path, nargs="+", help="directories with videos and truth.csv")
    parser.add_argument("--cache", type=Path, required=True, help="directory for stored detections")
    parser.add_argument(
        "--tracker", choices=tuple(TRACKERS), nargs="+", default=["motion"], help="default: motion"
    )
    parser.add_argument(
        "--detector", default="retinaface-mobilenet0.25", help="default: retinaface-mobilenet0.25"
    )
    parser.add_argument("--weights", help="file of the detector's weights")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=(), help="also track at these numbers of frames per second"
    )
    parser.add_argument("--json", type=Path, help="file for the numbers by scene")
    parser.add_argument("--clips", type=Path, help="file for the numbers by clip")
    args = parser.parse_args()
    config = DetectorConfig(name=args.detector, weights=args.weights, score=LOWEST_SCORE, precision="fp32")
    trackers = {name: _compare(name, args, config) for name in args.tracker}
    for name, (rows, _) in trackers.items():
        sys.stdout.write(f"{name}\n{table(rows)}")
    looks = compare_looks(
        (clip, truth[name])
        for found, truth in (_clips_of(directory, args.cache, config) for directory in args.directories)
        for name, clip in found.items()
    )
    if looks["auc"] is not None:
        sys.stdout.write(f"looks: AUC {looks['auc']:.4f}\n")
    detector_settings = {key: value for key, value in to_dict(config).items() if key != "weights"}
    of_motion = {"people": to_dict(PeopleConfig()), "track": to_dict(TrackConfig())}
    about = about_this_run({"detector": detector_settings, **of_motion}, {"rates": list(args.rates)})
    del about["machine"]["load_average"]
    for file, part in ((args.json, 0), (args.clips, 1)):
        if file is not None:
            numbers = {name: results[part] for name, results in trackers.items()}
            file.write_text(json.dumps({**about, "looks": looks, "trackers": numbers}, indent=1) + "\n")


def _clips_of(
    directory: Path, cache: Path, config: DetectorConfig
) -> tuple[dict[str, Detections], dict[str, Truth]]:
    """Return the detections and the truth of a directory's clips, by file name."""
    found = _detections_of(directory, cache, config)
    return found, read_truth(directory / "truth.csv", {clip: len(d.faces) for clip, d in found.items()})


def _compare(
    tracker: str, args: argparse.Namespace, config: DetectorConfig
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of a tracker: one per scene and directory, one per clip."""
    rows, clips, everything = [], [], []
    for directory in args.directories:
        found, truth = _clips_of(directory, args.cache, config)
        results = [
            result
            for clip, detections in found.items()
            for result in measure_clip(clip, detections, truth[clip], TRACKERS[tracker], args.rates)
        ]
        name = directory.resolve().name
        scenes = sorted({scene_of(result.clip) for result in results})
        rows += [
            {"directory": name} | summarise(scene, [r for r in results if scene_of(r.clip) == scene])
            for scene in scenes
        ]
        rows.append({"directory": name} | summarise(f"{name}: all", results))
        clips += [{"directory": name} | _clip_row(result, truth[result.clip]) for result in results]
        everything += results
    if len(args.directories) > 1:
        rows.append({"directory": "all"} | summarise("all", everything))
    return rows, clips


def _clip_row(result: ClipResult, truth: Truth) -> dict[str, Any]:
    """Return the numbers of a clip, with the person of every frame; "" for not found, "-" for nobody."""
    names = [*truth.people, "", "-"]  # NOT_FOUND is -2 and ON_NOBODY is -1
    return {
        "clip": result.clip,
        "frames": result.frames,
        **asdict(result.counts),
        "idf1": result.counts.idf1,
        "best_idf1": result.best.idf1,
        "subject": [names[person] for person in result.subject.person_U],
    }


if __name__ == "__main__":
    main()

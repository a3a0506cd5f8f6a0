"""Search for cuts: cuts found in drawn clips, cuts in real clips, and its cost beside decoding.

    python -m benchmarks.cuts DATA --out FILE

DATA contains ``videos/people`` and ``videos/labelled``, recordings of one person each. If the package
scenedetect can be imported (scenedetect-headless provides it), its detectors search the same clips. They
have their defaults except for a shortest shot of one frame.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.cut_scenes import Scene, read_take, scenes_with_cuts, scenes_without_cuts, write_scene
from pipeline.bench.clips import videos_of
from pipeline.bench.result import about_this_run
from pipeline.config import to_dict
from pipeline.errors import ClipError
from pipeline.frames import FrameConfig, ShotConfig, decode_clip

PAIRS = (
    ("people/d0.mp4", "people/d3.mp4"),
    ("people/s18.mp4", "labelled/happy.mp4"),
    ("labelled/fear.mp4", "people/d11.mp4"),
    ("people/s20.mp4", "people/d14.mp4"),
    ("people/s13.mp4", "people/d9.mp4"),
)
"""Recordings of two people, from which each scene is drawn."""
TIMED = ("people/d3.mp4", "people/d14.mp4", "people/s18.mp4", "labelled/happy.mp4")
SIZES = {"360p": (640, 360), "1080p": (1920, 1080)}
LIMITS = {"360p": 1.3, "1080p": 1.1}
"""Goals: largest time with the search divided by the time without it."""
DETECTORS = ("AdaptiveDetector", "ContentDetector")

Finder = Callable[[Path], Sequence[int]]


def own_finder(path: Path) -> Sequence[int]:
    """Return the cuts that this program finds."""
    return decode_clip(path, FrameConfig(), cuts=ShotConfig()).meta.cuts or ()


def other_finders() -> dict[str, Finder]:
    """Return PySceneDetect's detectors by name; none if the package is not there."""
    try:
        import scenedetect
    except ImportError:
        return {}

    def finder(name: str) -> Finder:
        def find(path: Path) -> Sequence[int]:
            detector = getattr(scenedetect, name)(min_scene_len=1)
            shots = scenedetect.detect(str(path), detector)
            return [start.frame_num for start, _ in shots[1:]]

        return find

    return {f"scenedetect {name}": finder(name) for name in DETECTORS}


def compared(found: Sequence[int], scene: Scene) -> tuple[int, int]:
    """Return the number of cuts that were found at an allowed frame, and of other ones that were found."""
    hits = sum(any(first <= cut <= last for cut in found) for first, last in scene.cuts)
    return hits, len(found) - hits


def scene_rows(
    videos: Path, folder: Path, finders: Mapping[str, Finder], num_pairs: int
) -> list[dict[str, Any]]:
    """Return a row per scene: expected cuts over the pairs, and [found, false] ones of each finder."""
    rows: dict[str, dict[str, Any]] = {}
    for number, pair in enumerate(PAIRS[:num_pairs]):
        one, other = (read_take(videos / name) for name in pair)
        random = np.random.default_rng(number)
        for scenes in (scenes_with_cuts, scenes_without_cuts):
            for name, scene in scenes(one, other, random):
                write_scene(folder / "scene.mp4", scene)
                empty = {"scene": name, "clips": 0, "cuts": 0, "found": {key: [0, 0] for key in finders}}
                row = rows.setdefault(name, empty)
                row["clips"] += 1
                row["cuts"] += len(scene.cuts)
                for key, finder in finders.items():
                    counts = compared(finder(folder / "scene.mp4"), scene)
                    row["found"][key] = [sum(pair) for pair in zip(row["found"][key], counts, strict=True)]
    return list(rows.values())


def real_rows(videos: Path) -> dict[str, list[int]]:
    """Return the cuts of each real clip by name."""
    found = {}
    for video in (video for folder in ("people", "labelled") for video in videos_of(videos / folder)):
        try:
            found[f"{video.parent.name}/{video.name}"] = list(own_finder(video))
        except ClipError as error:
            sys.stderr.write(f"{video.name}: {error}\n")
    return found


def scaled(source: Path, target: Path, size: tuple[int, int], num_frames: int = 150) -> Path:
    """Encode a video in another size as H.264."""
    with av.open(str(source)) as file, av.open(str(target), "w") as copy:
        stream = copy.add_stream("libx264", rate=25, options={"crf": "20"})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for number, frame in enumerate(file.decode(video=0)):
            if number == num_frames:
                break
            resized = frame.reformat(*size, format="yuv420p")
            resized.pts = None
            copy.mux(stream.encode(resized))
        copy.mux(stream.encode(None))
    return target


def costs(videos: Path, folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Return for each size the milliseconds of a frame with and without the search, and their ratio.

    It is time of the processor, because a decoder has one thread. Both are measured in turns. The least time
    of each clip counts, because other work on the machine only lengthens it; the ratios of the single repeats
    show how much.
    """
    result = {}
    for name, size in SIZES.items():
        clips = [scaled(videos / each, folder / f"{n}.mp4", size) for n, each in enumerate(TIMED)]
        least = {is_searched: [math.inf] * len(clips) for is_searched in (False, True)}
        ratios, num_frames = [], 0
        for repeat in range(repeats):
            took = {False: 0.0, True: 0.0}
            for number, clip in enumerate(clips):
                for is_searched in (False, True):
                    began = time.process_time()
                    frames = decode_clip(clip, FrameConfig(), cuts=ShotConfig() if is_searched else None)
                    seconds = time.process_time() - began
                    took[is_searched] += seconds
                    least[is_searched][number] = min(least[is_searched][number], seconds)
                num_frames += frames.meta.num_decoded * (repeat == 0)
            ratios.append(took[True] / took[False])
        result[name] = {
            "ms_per_frame": 1000 * sum(least[False]) / num_frames,
            "ms_per_frame_with_search": 1000 * sum(least[True]) / num_frames,
            "ratio": sum(least[True]) / sum(least[False]),
            "ratio_of_repeats_min": min(ratios),
            "ratio_of_repeats_max": max(ratios),
            "goal": LIMITS[name],
        }
    return result


def main() -> None:
    """Draw clips, search and measure, and print and write the result."""
    parser = argparse.ArgumentParser(description="Cuts found, and the cost of the search.")
    parser.add_argument("data", type=Path, help="directory with videos/people and videos/labelled")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of the cost")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="pairs of people to draw scenes from")
    args = parser.parse_args()
    videos = args.data / "videos"
    finders = {"ours": own_finder, **other_finders()}
    about = about_this_run({"shots": to_dict(ShotConfig())}, {"pairs": PAIRS[: args.pairs], "timed": TIMED})
    del about["machine"]["load_average"]
    with tempfile.TemporaryDirectory() as folder:
        cost = costs(videos, Path(folder), args.repeats)
        rows = scene_rows(videos, Path(folder), finders, args.pairs)
    real = real_rows(videos)
    for name, numbers in cost.items():
        sys.stdout.write(f"{name}: {numbers['ratio']:.3f} times the decoding without a search\n")
    sys.stdout.write(f"{'scene':<40}cuts  " + "  ".join(finders) + "  (found, false)\n")
    for row in rows:
        counts = "  ".join(f"{hits:>3} {false:>3}" for hits, false in row["found"].values())
        sys.stdout.write(f"{row['scene']:<40}{row['cuts']:>3}  {counts}\n")
    sys.stdout.write("".join(f"{name}: {cuts}\n" for name, cuts in real.items() if cuts))
    if args.out is not None:
        result = {**about, "cost": cost, "scenes": rows, "real": real}
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

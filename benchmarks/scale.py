"""A million clips: time and memory of the steps that handle all clips at once.

    python -m benchmarks.scale --clips 100000 1000000 --work DIR --out benchmarks/results/scale.json

For each number of clips, it writes a manifest and runs the steps of every command in a process of its own. No
file of a clip exists, and no directory of them, except with --files. No clip is decoded: features have width
1, one frame and one view, and the chunks of the first block are copied to all others, except for the hashes
of sources. DIR needs about 2 GB for a million clips, and is removed.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from pipeline.bench.result import about_this_run
from pipeline.config import from_dict, override
from pipeline.datasets import lone_classes, read_dataset
from pipeline.datasets.missing_training import missing_training_of_index
from pipeline.display.shown import lines
from pipeline.footage import cached_footage, leaks_of_index
from pipeline.groups import groups_of_cache
from pipeline.process import ExtractConfig
from pipeline.relabel import relabel
from pipeline.runner.cache_setup import open_cache, require_followed_subjects, require_provided_faces
from pipeline.runner.model_metadata import ModelInfo
from pipeline.runner.run_report import report
from pipeline.runner.tasks import RunOptions, Workload, blocks_to_do, tasks_of
from pipeline.runner.worker import BlockWorkerSetup
from pipeline.store.claim import Claim
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.store.summary import summarise
from pipeline.store.writer import CacheWriter
from pipeline.types import DatasetIndex, Status
from pipeline.verify import verify
from trainer.config import DataConfig
from trainer.folds import fold_rows, usable_sha256

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
BLOCK_CLIPS, NEW_CLIPS, GROUP_CLIPS = 64, 1000, 10
ROOT = Path(__file__).parents[1]


def write_manifest(path: Path, num_clips: int, *, moved: int = 0) -> None:
    """Write a list of clips in groups of ten, one fold.

    Args:
        path: The file.
        num_clips: Number of rows.
        moved: Every `moved`-th clip has another label; 0 for none.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write("path,label,split,fold,group\n")
        for number in range(num_clips):
            group = number // GROUP_CLIPS
            label = CLASSES[(number + (moved > 0 and number % moved == 0)) % len(CLASSES)]
            split = "test" if group % 5 == 0 else "train"
            file.write(f"{_clip_path(number)},{label},{split},1,person {group:06d}\n")


def write_files(folder: Path, num_clips: int) -> None:
    """Write an empty file for each clip."""
    for number in range(num_clips):
        path = folder / _clip_path(number)
        if number % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _clip_path(number: int) -> str:
    return f"part{number // 1000:04d}/clip{number:07d}.mp4"


def settings() -> tuple[ExtractConfig, ModelInfo]:
    """Return settings and a description of models with features of width 1."""
    config = from_dict(ExtractConfig, {"encoder": {"name": "ViT-B-32", "weights": "random"}})
    config = override(config, ["detector.name=haar", "frames.num_frames=1", "features.precision=fp32"])
    info = BlockWorkerSetup(config=config, device="cpu").model_info()
    identity = {**info.identity, "detector": {**info.identity["detector"], "sha256": ""}}
    sizes = {"embed_width": 1, "encoder_width": 1, "block_clips": BLOCK_CLIPS}
    return config, replace(info, identity=identity, has_weights=True, **sizes)


class Clock:
    """Stages of one process: seconds of CPU and of the clock, and the peak of its memory so far.

    The first is the start with all imports, of which only the CPU time is measured.
    """

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._record("imports", time.process_time(), time.process_time())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage."""
        cpu, wall = time.process_time(), time.monotonic()
        yield
        self._record(name, time.process_time() - cpu, time.monotonic() - wall)

    def _record(self, name: str, cpu: float, wall: float) -> None:
        peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        self.stages[name] = {"cpu_seconds": round(cpu, 2), "wall_seconds": round(wall, 2), "peak_mb": peak_mb}


def _index(clock: Clock, manifest: Path) -> DatasetIndex:
    with clock.stage("list"):
        return read_dataset("manifest", manifest)


def begin(clock: Clock, work: Path, manifest: str = "manifest.csv") -> None:
    """Do what `extract` does up to the first block: the cache is created, resumed, or extended."""
    index = _index(clock, work / manifest)
    config, info = settings()
    with clock.stage("checks"):
        require_provided_faces(index, config)
        require_followed_subjects(index, config)
        lone_classes.lone_classes(index.class_names, index.clips)
        missing_training_of_index(index)
    with clock.stage("leaks"):
        leaks_of_index(index)
    place = Location(str(work / "feats.zarr"))
    with clock.stage("cache"):
        opening = open_cache(index, config, info, place)
    with clock.stage("plan"):
        blocks = blocks_to_do(opening, RunOptions())
        workload = Workload.of(index.root, opening.clips, blocks)
    with clock.stage("tasks"):
        claim = Claim(place=str(place), name="whole", token="")
        for _ in tasks_of(index.root, opening.clips, claim, opening.meta, workload):
            pass


def grow(clock: Clock, work: Path) -> None:
    """Begin an extraction with more clips than the cache has."""
    begin(clock, work, "grown.csv")


def end(clock: Clock, work: Path) -> None:
    """Report the state of the cache, as `extract` does at its end."""
    with clock.stage("report"):
        lines(report(Location(str(work / "feats.zarr")), 0))


def info(clock: Clock, work: Path) -> None:
    """Run `cache info`."""
    with clock.stage("info"), FeatureCache.open(work / "feats.zarr") as cache:
        lines(summarise(cache))


def check(clock: Clock, work: Path) -> None:
    """Run `cache verify` without clips that are computed again."""
    with clock.stage("verify"), FeatureCache.open(work / "feats.zarr") as cache:
        found = verify(cache, 0).findings
    if found:
        raise RuntimeError("; ".join(map(str, found[:3])))


def change_labels(clock: Clock, work: Path) -> None:
    """Run `cache relabel` with another label of every hundredth clip."""
    index = _index(clock, work / "relabelled.csv")
    with clock.stage("relabel"):
        relabel(work / "feats.zarr", index)


def read(clock: Clock, work: Path) -> None:
    """Open the cache and choose rows, as `train` does."""
    with clock.stage("open"):
        cache = FeatureCache.open(work / "feats.zarr")
    with cache:
        stages: Mapping[str, Callable[[], Any]] = {
            "clips_sha256": cache.clips_sha256,
            "cached_footage": lambda: cached_footage(cache),
            "groups": lambda: groups_of_cache(cache),
            "usable_sha256": lambda: usable_sha256(cache),
            "fold_rows": lambda: fold_rows(cache, "1", DataConfig(), 0),
        }
        for name, call in stages.items():
            with clock.stage(name):
                call()


STEPS: Mapping[str, Callable[[Clock, Path], None]] = {
    "create": begin,
    "resume": begin,
    "report": end,
    "info": info,
    "verify": check,
    "reader": read,
    "relabel": change_labels,
    "grow": grow,
}


def mark_done(cache: Path, num_clips: int, *, num_bytes: int) -> None:
    """Mark every second block as done, with the size of the clips' files."""
    for start in range(0, num_clips, 2 * BLOCK_CLIPS):
        _put(cache, "source_bytes", start, np.full(BLOCK_CLIPS, num_bytes, "<i8").tobytes())
        _put(cache, "status", start, np.full(BLOCK_CLIPS, Status.DONE, "u1").tobytes())


def fill(cache: Path, num_clips: int) -> None:
    """Fill all blocks with clips that are done. The first one is copied, but hashes of sources differ."""
    writer = CacheWriter.resume(cache)
    rows = writer.empty_rows(0)
    for name, value in rows.items():
        if value.dtype != object and name not in ("face_absence", "shot", "track_margin", "frame_index"):
            rows[name] = np.ones_like(value)
    rows["frame_index"][:] = 0
    rows["face_box"][:] = (0, 0, 1, 1)
    rows["status"][:] = Status.DONE
    rows["source_sha256"][:] = "-"
    writer.write_block(0, rows)
    for name in rows:
        first = next((path for path in (cache / name / "c").rglob("*") if path.is_file()), None)
        if first is None:  # fill values, which are not stored
            continue
        tail = first.relative_to(cache / name / "c").parts[1:]
        content = first.read_bytes()
        for block in range(-(-num_clips // BLOCK_CLIPS)):
            if name == "source_sha256":
                start = block * BLOCK_CLIPS
                texts = [sha256(b"%d" % n).hexdigest().encode() for n in range(start, start + BLOCK_CLIPS)]
                sized = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
                _put(cache, name, start, BLOCK_CLIPS.to_bytes(4, "little") + sized)
                continue
            path = cache.joinpath(name, "c", str(block), *tail)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _put(cache: Path, name: str, start: int, data: bytes) -> None:
    """Write the chunk of an array [N] that begins at a row."""
    folder = cache / name / "c"
    folder.mkdir(parents=True, exist_ok=True)
    checksum = google_crc32c.value(data).to_bytes(4, "little")
    (folder / str(start // BLOCK_CLIPS)).write_bytes(data + checksum)


def dry_run(work: Path) -> dict[str, Any]:
    """Run `extract --dry-run` on the list as a command, with random weights."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable, "cli.py", "extract", "--dry-run", "--dataset", "manifest", "--root",
        str(work / "manifest.csv"), "--cache", str(work / "other.zarr"), "--encoder", "ViT-B-32",
        "--encoder-weights", "random", "--detector", "haar", "--frames", "1", "--decoders", "1",
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"dry-run": {"cpu_seconds": round(cpu, 3), "wall_seconds": round(time.monotonic() - began, 3)}}


def measure(work: Path, num_clips: int, *, has_files: bool, only: list[str]) -> dict[str, Any]:
    """Return the stages of every step for one number of clips."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_manifest(work / "manifest.csv", num_clips)
    write_manifest(work / "relabelled.csv", num_clips, moved=100)
    write_manifest(work / "grown.csv", num_clips + NEW_CLIPS, moved=100)
    if has_files:
        write_files(work, num_clips)
    found: dict[str, Any] = {}
    is_full = False
    for name in STEPS:
        if name in only and not (has_files and name not in ("create", "resume")):
            if name == "resume":
                mark_done(work / "feats.zarr", num_clips, num_bytes=0)
            elif name != "create" and not is_full:
                fill(work / "feats.zarr", num_clips)
                is_full = True
            command = [sys.executable, "-m", "benchmarks.scale", "--step", name, "--work", str(work)]
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            found[name] = json.loads(done.stdout)
            sys.stderr.write(f"{num_clips} clips, {name}: {json.dumps(found[name])}\n")
    if "dry-run" in only and not has_files:
        found["dry-run"] = dry_run(work)
        sys.stderr.write(f"{num_clips} clips, {json.dumps(found['dry-run'])}\n")
    shutil.rmtree(work)
    return found


def main() -> None:
    """Measure all steps, or one in this process."""
    parser = argparse.ArgumentParser(
        description="Time and memory of the steps that handle all clips at once."
    )
    parser.add_argument("--clips", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--files", type=int, default=100_000, help="number of clips with empty files, 0 for none"
    )
    parser.add_argument("--work", type=Path, required=True, help="directory to make and remove")
    parser.add_argument("--only", nargs="+", default=[*STEPS, "dry-run"], help="steps to measure")
    parser.add_argument("--step", choices=list(STEPS), help="run this step in this process")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.step:
        clock = Clock()
        STEPS[args.step](clock, args.work)
        sys.stdout.write(json.dumps(clock.stages))
        return
    about = about_this_run({}, {"clips": args.clips, "files": args.files, "block_clips": BLOCK_CLIPS})
    found = {str(n): measure(args.work, n, has_files=False, only=args.only) for n in args.clips}
    if args.files:
        name = f"{args.files} with files"
        found[name] = measure(args.work, args.files, has_files=True, only=args.only)
    result = {**about, "threads": int(os.environ.get("OMP_NUM_THREADS", "0")), "steps": found}
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Speed beside other programs on a CPU: clip-video-encode, video_features, and facenet-pytorch's MTCNN.

    python -m benchmarks.peers --work DIR --out benchmarks/results/peers-cpu.json

It makes an environment for each peer in ``--work`` (pip, needs the network), with the peer's packages beside
this environment's torch, numpy, OpenCV and open_clip. All programs get the same random weights of the same
model and the same clips: those of ``--clips``, or drawn ones. video_features is on no package index, and is
measured with ``--video-features CHECKOUT`` only.

A round runs every program once, as a process from start to end. Ratios are within rounds; median and range
over rounds are recorded. The programs do different work: this one encodes a face and a scene image of each
sampled frame and detects faces, the others encode the centre of whole frames. So images/s and clips/s are
both recorded. A program's start ends when it has loaded its model.

Programs use every core of this process, and their own numbers of threads. Drawn clips have as many frames as
``--frames`` times ``--every``.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peer_programs import clips as clip_files
from benchmarks.peer_programs import detectors as face
from benchmarks.peer_programs.environment import (
    CLIP_VIDEO_ENCODE,
    FACENET,
    VIDEO_FEATURES,
    make_environment,
    versions_in,
)
from benchmarks.peer_programs.programs import (
    ClipVideoEncode,
    Done,
    Ours,
    Program,
    VideoFeatures,
    copy_checkout,
)
from pipeline.bench.result import about_this_run
from pipeline.types import ClipRef, DatasetIndex, Split

OURS = ("this program, fp32", "this program, bf16")
_LARGE, _USUAL = (1280, 720), (640, 360)
_FEW = 4


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def rates(done: Done) -> dict[str, float]:
    """Return images and clips per second of a process, in all and without its start.

    ``images_of_processor`` is per second of processor time, which other work on the machine changes less.
    """
    found = {"images": done.images / done.wall_seconds, "clips": done.clips / done.wall_seconds}
    if done.work_seconds is not None:
        found |= {
            "images_without_start": done.images / done.work_seconds,
            "clips_without_start": done.clips / done.work_seconds,
        }
    found["images_of_processor"] = done.images / done.cpu_seconds
    return found


def in_rounds(
    names: Sequence[str], measure: Callable[[str], dict[str, float]], rounds: int
) -> list[dict[str, dict[str, float]]]:
    """Measure everything once per round, and print each result."""
    found = []
    for number in range(rounds):
        this = {}
        for name in names:
            this[name] = measure(name)
            shown = ", ".join(f"{kind} {rate:.2f}" for kind, rate in this[name].items())
            sys.stderr.write(f"round {number + 1}, {name}, per second: {shown}\n")
        found.append(this)
    return found


def compared(rounds: list[dict[str, dict[str, float]]], ours: Sequence[str]) -> dict[str, Any]:
    """Return the rates of everything over rounds, and the ratios of ours to each other one within rounds.

    Args:
        rounds: Rates by kind of rate, of everything, in each round.
        ours: Names of what is compared with all others.
    """
    names = list(rounds[0])
    kinds = {
        name: [kind for kind in rounds[0][name] if all(kind in one[name] for one in rounds)] for name in names
    }
    return {
        "per_second": {
            name: {kind: spread([one[name][kind] for one in rounds]) for kind in kinds[name]}
            for name in names
        },
        "times_faster": {
            mine: {
                other: {
                    kind: spread([one[mine][kind] / one[other][kind] for one in rounds])
                    for kind in kinds[mine]
                    if kind in kinds[other]
                }
                for other in names
                if other not in ours
            }
            for mine in ours
        },
    }


def programs(args: argparse.Namespace, weights: clip_files.Weights, scratch: Path) -> dict[str, Program]:
    """Make the environments of the encoding programs, and return all programs by name."""
    detector = ["--detector", "haar"]
    if args.detector == "mobilenet":
        detector = [
            "--detector",
            "retinaface-mobilenet0.25",
            "--detector-weights",
            str(args.detector_weights),
        ]
    found: dict[str, Program] = {
        name: Ours(args.encoder, weights, args.frames, name.rpartition(" ")[2], detector) for name in OURS
    }
    python = make_environment(args.work / "clip-video-encode", CLIP_VIDEO_ENCODE)
    found["clip-video-encode"] = ClipVideoEncode(python, args.encoder, weights, args.every)
    if args.video_features:
        python = make_environment(args.work / "video_features", VIDEO_FEATURES)
        checkout = copy_checkout(args.video_features, scratch / "video_features", weights)
        total = args.frames if args.every > 1 and shutil.which("ffmpeg") else None
        found["video_features"] = VideoFeatures(python, checkout, total, args.frames)
    return found


def encoding(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run the encoding programs in rounds, after one run of each on few clips, and return their rates."""
    if args.clips:
        videos = clip_files.given_clips(args.clips, args.num_clips)
    else:
        drawn = args.work / f"drawn-{args.num_clips}-{args.frames * args.every}"
        videos = clip_files.draw_clips(drawn, args.num_clips, args.frames * args.every, _USUAL)
    weights = clip_files.write_weights(scratch, args.encoder)
    few = clip_files.list_clips(videos[:_FEW], scratch / "few")
    clips = clip_files.list_clips(videos, scratch / "clips")
    every = programs(args, weights, scratch)
    done: list[dict[str, Any]] = []

    def measure(name: str) -> dict[str, float]:
        found = every[name].run(clips, scratch / "out")
        done.append({"program": name, **asdict(found)})
        return rates(found)

    for name, program in every.items():
        sys.stderr.write(f"{name}: warm-up\n")
        program.run(few, scratch / "out")
    rounds = in_rounds(list(every), measure, args.rounds)
    return {
        "clips": {
            "number": len(clips.videos),
            "are": "given" if args.clips else "drawn",
            "frames": spread(clips.num_frames),
            "sizes": clips.sizes,
        },
        "programs": {name: program.does for name, program in every.items()},
        "processes": done,
        **compared(rounds, OURS),
    }


def detection(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run the detectors in rounds on the same frames, and return frames per second."""
    if args.clips:
        videos = clip_files.given_clips(args.clips, args.detector_clips)
    else:
        drawn = args.work / f"drawn-large-{args.detector_clips}-{args.frames}"
        videos = clip_files.draw_clips(drawn, args.detector_clips, args.frames, _LARGE)
    listed = clip_files.list_clips(videos, scratch / "large")
    index = DatasetIndex(
        name="peers", root=listed.manifest.parent, class_names=("any",), fold_names=("1",),
        clips=tuple(
            ClipRef(clip_id=one.name, path=one.name, label=0, splits=(Split.TRAIN,)) for one in listed.videos
        ),
    )  # fmt: skip
    frames = face.save_frames(index, args.frames, scratch / "frames")
    python = make_environment(args.work / "facenet-pytorch", FACENET)
    every = {face.MTCNN: None, **face.detectors(args.detector_weights)}
    with_face: dict[str, float] = {}

    def measure(name: str) -> dict[str, float]:
        found = face.run_detector(name, every[name], python, frames)
        with_face[name] = found["with_face"] / found["frames"]
        return {
            "frames": found["frames"] / found["seconds"],
            "frames_of_processor": found["frames"] / found["cpu_seconds"],
        }

    rounds = in_rounds(list(every), measure, args.rounds)
    return {
        "sizes": listed.sizes,
        "num_frames": args.frames * len(listed.videos),
        "weights": "random" if args.detector_weights is None else "trained",
        "frames_with_a_face": with_face,
        **compared(rounds, [name for name in every if name != face.MTCNN]),
    }


def main() -> None:
    """Run both comparisons, and write the result."""
    parser = argparse.ArgumentParser(description="Speed beside other programs on a CPU.")
    parser.add_argument("--work", type=Path, required=True, help="directory of environments and drawn clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--clips", type=Path, metavar="FOLDER", help="videos of people; without it, drawn clips"
    )
    parser.add_argument("--num-clips", type=int, default=30)
    parser.add_argument("--detector-clips", type=int, default=4, help="clips whose frames the detectors get")
    parser.add_argument("--frames", type=int, default=16, help="sampled frames of a clip")
    parser.add_argument("--every", type=int, default=1, help="n of clip-video-encode's every n-th frame")
    parser.add_argument("--encoder", default="ViT-B-32-quickgelu")
    parser.add_argument("--detector", default="haar", choices=("haar", "mobilenet"), help="that of `extract`")
    parser.add_argument("--detector-weights", type=Path, help="file of RetinaFace MobileNet-0.25")
    parser.add_argument("--video-features", type=Path, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("all", "encoding", "detection"), default="all")
    args = parser.parse_args()
    if args.detector == "mobilenet" and args.detector_weights is None:
        parser.error("--detector mobilenet needs --detector-weights FILE")
    if args.video_features and args.encoder != "ViT-B-32-quickgelu":
        parser.error(f"--encoder is {args.encoder}; video_features has ViT-B-32-quickgelu")
    args.work = args.work.absolute()
    args.work.mkdir(parents=True, exist_ok=True)
    for name in ("clips", "detector_weights", "video_features"):
        if getattr(args, name) is not None:
            setattr(args, name, getattr(args, name).absolute())
    about = about_this_run({}, {name: value for name, value in vars(args).items() if name != "out"})
    result: dict[str, Any] = {**about, "rounds": args.rounds}
    result["video_features"] = _commit(args.video_features) if args.video_features else "not given"
    parts = {"encoding": encoding, "detection": detection}
    with tempfile.TemporaryDirectory(prefix="run-", dir=args.work) as folder:
        for name in parts if args.part == "all" else (args.part,):
            result[name] = parts[name](args, Path(folder))
            environments = ("clip-video-encode", "video_features", "facenet-pytorch")
            result["peer_versions"] = {
                peer: versions_in(args.work / peer) for peer in environments if (args.work / peer).is_dir()
            }
            args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _commit(checkout: Path) -> str:
    """Return the commit of a checkout, if it is one of git's."""
    command = ["git", "-C", str(checkout), "rev-parse", "--show-toplevel", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    top, _, commit = done.stdout.strip().partition("\n")
    return commit if done.returncode == 0 and Path(top) == checkout.resolve() else "unknown commit"


if __name__ == "__main__":
    main()

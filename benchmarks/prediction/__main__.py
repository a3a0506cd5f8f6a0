"""Measure `predict` and write benchmarks/results/predict.json.

    python -m benchmarks.prediction DATA --demo DEMO --cases CASES --parts parity sharing --out FILE

DATA contains ``videos/people``, recordings of one person each, and perhaps
``weights/retinaface_mobilenet0.25.pth``. DEMO is the directory of a finished `demo`. CASES has directories of
clips with a truth.csv. Other videos are drawn or made of those of DATA in a temporary directory. A part
replaces its earlier result in FILE, and the others stay.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.prediction.drawn import measure_clips, measure_film
from benchmarks.prediction.files import check_files
from benchmarks.prediction.kills import finish, measure_kills, start_predict
from benchmarks.prediction.memory import measure_memory
from benchmarks.prediction.parity import measure_parity
from benchmarks.prediction.scenes import cases_of, measure_scenes, stand_ins
from benchmarks.prediction.settings import HAAR, RETINAFACE, small_config, small_models
from benchmarks.prediction.speed import measure_sharing, measure_speed
from benchmarks.prediction.videos import draw_film
from pipeline.bench.clips import videos_of
from pipeline.bench.result import about_this_run
from pipeline.config import to_dict

_SPEED_ROUNDS, _LARGE_ROUNDS = 3, 1
_ABREAST = ("d0.mp4", "d3.mp4", "d9.mp4")
_LONG, _SHORT = "d6.mp4", "d12.mp4"


class _Parts:
    """The measurements, by name of the part."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self._args, self._folder = args, folder
        self._people = args.data / "videos" / "people"
        weights = args.data / "weights" / "retinaface_mobilenet0.25.pth"
        self._weights = weights if weights.is_file() else None
        self._run = args.demo / "runs" / "full"

    def parity(self) -> dict[str, Any]:
        videos = [
            path for path in videos_of(self._people) if not self._args.only or path.name in self._args.only
        ]
        return measure_parity(videos, self._weights, self._args.most_seconds, _show)

    def sharing(self) -> dict[str, Any]:
        return measure_sharing(self._people / _LONG)

    def speed(self) -> dict[str, Any]:
        return measure_speed(self._people / _LONG, self._run, _SPEED_ROUNDS)

    def speed_large(self) -> dict[str, Any]:
        if self._args.large_run is None:
            sys.exit("speed-large needs --large-run")
        return measure_speed(self._people / _SHORT, self._args.large_run, _LARGE_ROUNDS)

    def kills(self) -> dict[str, Any]:
        video = self._folder / "film.mp4"
        draw_film(video, num_sections=self._args.sections)
        return measure_kills(video, self._run, self._folder, on_row=_show)

    def memory(self) -> dict[str, Any]:
        return measure_memory(
            [self._people / name for name in _ABREAST],
            self._run,
            self._folder,
            minutes=self._args.minutes,
            stride_seconds=self._args.stride,
        )

    def film(self) -> dict[str, Any]:
        return measure_film(self._args.demo, self._folder)

    def clips(self) -> dict[str, Any]:
        return measure_clips(self._args.demo)

    def scenes(self) -> dict[str, Any]:
        models = small_models(RETINAFACE if self._weights else HAAR, self._weights)
        rows = {"made": measure_scenes(stand_ins(self._people, self._folder), models, _show)}
        for directory in sorted(self._args.cases.iterdir()) if self._args.cases else ():
            if (directory / "truth.csv").is_file():
                rows[directory.name] = measure_scenes(cases_of(directory, lambda _: True), models, _show)
        return rows

    def files(self) -> dict[str, Any]:
        video, out = self._folder / "film.mp4", self._folder / "out"
        draw_film(video, num_sections=self._args.sections)
        finish(start_predict(video, self._run, out, "all"))
        return check_files(video, out)


_PARTS: dict[str, Callable[[_Parts], dict[str, Any]]] = {
    "parity": _Parts.parity,
    "sharing": _Parts.sharing,
    "kills": _Parts.kills,
    "speed": _Parts.speed,
    "speed-large": _Parts.speed_large,
    "memory": _Parts.memory,
    "film": _Parts.film,
    "clips": _Parts.clips,
    "scenes": _Parts.scenes,
    "files": _Parts.files,
}


_DEFAULT = tuple(name for name in _PARTS if name != "speed-large")


def _show(row: dict[str, Any]) -> None:
    sys.stderr.write(f"{json.dumps(row)}\n")


def main() -> None:
    """Measure the parts, and write each to the JSON file as soon as it is done."""
    parser = argparse.ArgumentParser(description="Acceptance of predict.")
    parser.add_argument("data", type=Path, help="directory with videos/people")
    parser.add_argument("--demo", type=Path, required=True, help="directory of a finished demo")
    parser.add_argument("--large-run", type=Path, help="run on features of ViT-L/14, for speed-large")
    parser.add_argument("--cases", type=Path, help="directory of directories with clips and a truth.csv")
    parser.add_argument("--parts", nargs="*", default=[*_DEFAULT], choices=[*_PARTS], help="parts to measure")
    parser.add_argument("--only", nargs="*", default=[], help="names of the videos for parity")
    parser.add_argument("--most-seconds", type=float, help="length that parity uses of each video")
    parser.add_argument("--sections", type=int, default=6, help="parts of 10 s of the film for kills, files")
    parser.add_argument("--minutes", type=float, default=60, help="length of the video for memory")
    parser.add_argument("--stride", type=float, default=2, help="stride of the windows for memory")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the result")
    args = parser.parse_args()
    result = json.loads(args.out.read_text()) if args.out.is_file() else {}
    for name in args.parts:
        about = about_this_run({"extract": to_dict(small_config())}, {"part": name})
        with tempfile.TemporaryDirectory() as folder:
            result[name] = {**about, "result": _PARTS[name](_Parts(args, Path(folder)))}
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

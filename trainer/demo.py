"""The demo: from drawn clips to figures, with a face-only and a full model.

Pipeline and trainer run in one process. The encoder has seeded random weights, so that nothing is downloaded.
The demo compares results with the known bound of the drawn set. It does not show the accuracy on real clips.
"""

import dataclasses
import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import (
    DESCRIPTION,
    PlannedClip,
    SyntheticConfig,
    chance_accuracy,
    face_only_bound,
    plan_clips,
    write_synthetic,
)
from pipeline.device import choose_device
from pipeline.display.json_values import to_json_values
from pipeline.errors import OusError
from pipeline.own_dir import OwnDir, is_partial
from pipeline.portable import portable_values
from pipeline.process import ExtractConfig, Models, load_models, prepare_clip
from pipeline.runner import executor_of, extract
from pipeline.scratch import is_scratch
from pipeline.sheet import shrunk, stream_row, tile, write_png
from pipeline.strict_json import to_json
from pipeline.terminal import show_speed
from pipeline.types import DatasetIndex
from trainer import plots
from trainer.config import TrainConfig
from trainer.evaluation import EvalResult, evaluate
from trainer.presets import smoke
from trainer.training import require_seed, train
from trainer.training_result import EpochReport

CLIPS, CACHE, RUNS = "clips", "feats.zarr", "runs"
FIGURE, SHEET, RESULT = "demo.png", "clips.png", "demo.json"
_OWN = frozenset([CLIPS, CACHE, RUNS, FIGURE, SHEET, RESULT])
_HALF_MADE, _LOCKS = re.compile(rf"\.{re.escape(CACHE)}\..*\.creating"), f".{CACHE}.locks"
"""Names of `store.create` and of locks, beside the cache."""

_SHEET_PAIRS, _SHEET_SCALE = 4, 0.55
_EXTRACTION = {
    "frames": {"num_frames": 8},
    "detector": {"name": "haar"},
    "encoder": {"name": "ViT-S-32", "weights": "random"},
    "features": {"precision": "fp32"},
}
"""The small encoder separates the drawn expressions even untrained. Every machine uses float32."""


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """Results of the two models on held-out clips, and their bounds.

    Attributes:
        out: Directory of the demo.
        bound: Best possible accuracy of a model that sees faces only, 0 to 1.
        chance: Accuracy of always predicting the most frequent class, 0 to 1.
        face_found_share: Fraction of frames on which the face was found.
        face_only, full: Results of the models.
        seconds: Time by stage; nearly 0 for stages that reuse a result.
        machine: System, processor and threads.
    """

    out: Path
    bound: float
    chance: float
    face_found_share: float
    face_only: EvalResult
    full: EvalResult
    seconds: dict[str, float]
    machine: dict[str, Any]

    @property
    def scene_helps(self) -> bool:
        """Whether the full model's 95% interval is above the face-only bound."""
        interval = self.full.metrics.intervals.war
        return interval is not None and interval[0] > self.bound


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    say: Callable[[str], None],
    bar: Callable[[str, float], Callable[[float], None]],
    on_epoch: Callable[[EpochReport], None],
    clips: SyntheticConfig | None = None,
) -> DemoReport:
    """Draw clips, extract features, train and evaluate two models, and plot the results.

    Args:
        out: Directory of the demo. Clips and cache of an earlier demo are reused.
        seed: Seed of the clips and of the training.
        say: Shows a line of progress.
        bar: Given a name and a total, returns a function that advances a progress bar.
        on_epoch: Called after every epoch.
        clips: Settings of the drawn clips. None: the defaults with `seed`.

    Raises:
        OusError: `out` has files that no demo has made or a link, or cannot be written.
    """
    require_seed(seed)
    folder = OwnDir.of(out)
    _require_own_files(folder)
    seconds, began = {}, time.monotonic()

    def took(name: str) -> None:
        nonlocal began
        seconds[name], began = time.monotonic() - began, time.monotonic()

    synthetic = clips or SyntheticConfig(seed=seed)
    index = _draw(out / CLIPS, synthetic, bar)
    say(f"drew {len(index.clips)} clips in {out / CLIPS}")
    took("drawing")
    models = load_models(from_dict(ExtractConfig, _EXTRACTION), choose_device("cpu"))
    found = _extract(index, models, out / CACHE, bar)
    _draw_twins(index, synthetic, models, out / SHEET)
    took("extracting")
    results = {}
    for name, config in (("face-only", face_only(smoke())), ("full", smoke())):
        say(f"training the {name} model")
        run_dir = folder / RUNS / name
        if run_dir.exists():
            run_dir.remove_tree()
        train(out / CACHE, run_dir, config, seed=seed, device="cpu", on_epoch=on_epoch)
        results[name] = evaluate(run_dir, device="cpu")
        took(f"training {name}")
    planned = plan_clips(synthetic)
    report = DemoReport(
        out=out,
        bound=face_only_bound(planned),
        chance=chance_accuracy(planned),
        face_found_share=found,
        face_only=results["face-only"],
        full=results["full"],
        seconds=seconds,
        machine=_machine(),
    )
    image = BytesIO()
    plots.plot_bounds(
        {"face-only model": report.face_only.metrics, "full model": report.full.metrics},
        {"chance": report.chance, "best possible from faces alone": report.bound},
        image,
        title=f"Drawn clips, {report.full.metrics.num_clips} held out",
        banners=report.full.info.banners,
    )
    document = portable_values(to_json_values(report))
    folder.write_together({FIGURE: image.getvalue(), RESULT: to_json(document) + "\n"})
    return report


def face_only(config: TrainConfig) -> TrainConfig:
    """Return the config without the scene, and without the polarity, which is read from it."""
    return dataclasses.replace(config, model=dataclasses.replace(config.model, scene=False, polarity=False))


def _require_own_files(folder: OwnDir) -> None:
    """Raise OusError for files that no demo has made and for links. Remove leftovers of a killed demo."""
    if folder.exists() and not folder.is_dir():
        msg = f"--out '{folder}' is a file; give a directory."
        raise OusError(msg)
    if not folder.exists():
        return
    there = folder.entries()
    for name, kind in list(there.items()):
        if kind == "file" and is_partial(name):
            folder.remove_file(name)
            del there[name]
        elif kind == "directory" and (is_partial(name) or _HALF_MADE.fullmatch(name)):
            (folder / name).remove_tree()
            del there[name]
        elif kind == "directory" and (is_scratch(name) or name == _LOCKS):
            del there[name]  # drawing and extraction remove these where no process uses them
    foreign = [name for name, kind in there.items() if name not in _OWN or kind in ("link", "other")]
    if not foreign and (folder / CLIPS).kind(DESCRIPTION) != "file":
        foreign = list(there)
    if foreign:
        msg = f"--out '{folder}' holds '{foreign[0]}', which no demo has made; give a new directory."
        raise OusError(msg)


def _draw(
    root: Path, config: SyntheticConfig, bar: Callable[[str, float], Callable[[float], None]]
) -> DatasetIndex:
    advance = bar("drawing clips", config.num_clips)
    write_synthetic(root, config, lambda done, total: advance(1))
    return read_dataset("synthetic", root)


def _extract(
    index: DatasetIndex,
    models: Models,
    cache_path: Path,
    bar: Callable[[str, float], Callable[[float], None]],
) -> float:
    """Fill the cache, and return the fraction of frames on which the face was found."""
    advance = bar("extracting", len(index.clips))
    show = show_speed(lambda _: None, lambda clips, _: advance(clips))
    report = extract(index, models.config, executor_of(models), cache_path, on_progress=show)
    if report.num_failed:
        first = ": ".join(report.failures[0])
        msg = f"{report.num_failed} drawn clips failed, first {first}; remove '{cache_path}' and run again."
        raise OusError(msg)
    return report.face_found_share


def _draw_twins(index: DatasetIndex, config: SyntheticConfig, models: Models, path: Path) -> None:
    """Write an image of ambiguous faces, each in two clips that differ by the scene, and so by the label."""
    clips = {clip.clip_id: clip for clip in index.clips}
    twins: dict[int, list[PlannedClip]] = {}
    for planned in plan_clips(config):
        if planned.ambiguous:
            twins.setdefault(planned.performance, []).append(planned)
    by_labels = {tuple(sorted(clip.label for clip in pair)): pair for pair in twins.values()}
    rows = []
    for pair in list(by_labels.values())[:_SHEET_PAIRS]:
        for planned in pair:
            prepared, rgb_UHWC = prepare_clip(index.root, clips[planned.clip_id], models)
            caption = f"{planned.label}: frame, face stream, scene stream"
            middle = len(rgb_UHWC) // 2
            rows.append(stream_row(prepared, rgb_UHWC[middle], middle, caption))
    if rows:
        write_png(shrunk(tile(rows, columns=2), _SHEET_SCALE), path)


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """Return the name of the processor, from Linux if possible, else from Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

#!/usr/bin/env python3
"""The command line: parses, calls, prints.

What people read goes to stderr, or to stdout when it is the answer; `--json` makes the answer one
JSON document on stdout. Exit codes: 0 done, 1 a known error in one line, 2 misuse, 3 a
verification failed, or clips failed under `--strict`. Nothing heavy is imported before a command
needs it.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

try:
    import typer
    from rich.console import Console
    from rich.markup import escape
except ModuleNotFoundError as error:
    sys.exit(
        f"error: Python package '{error.name}' is missing; run `make install`, then `.venv/bin/python cli.py ...`."
    )

from pipeline.errors import ConfigError, OusError

if TYPE_CHECKING:
    from pipeline.process import Tools
    from pipeline.store.reader import FeatureCache
    from pipeline.types import DatasetIndex
    from trainer.config import TrainConfig
    from trainer.evaluate import EvalResult
    from trainer.train import EpochReport, TrainResult

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False,
    help="Scene-guided dynamic facial expression recognition: clips -> feature cache -> trained OUS model.",
)  # fmt: skip
weights_app = typer.Typer(no_args_is_help=True, help="Published model weights: list them, fetch them.")
cache_app = typer.Typer(
    no_args_is_help=True, help="A feature cache: what it holds, whether it is right, as HDF5."
)
app.add_typer(weights_app, name="weights")
app.add_typer(cache_app, name="cache")
_people = Console(stderr=True, highlight=False, soft_wrap=True)

_EXIT_FAILED_CHECK = 3
_LISTED = 10


class Scene(StrEnum):
    """`--scene`."""

    masked = "masked"
    full = "full"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
CacheOption = Annotated[Path, typer.Option("--cache", help="The feature cache.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any other setting; may be repeated."),
]
DetectorOption = Annotated[
    str,
    typer.Option(help="retinaface-resnet50, retinaface-mobilenet0.25, haar, or boxes (the data set's own)."),
]
DetectorWeights = Annotated[str | None, typer.Option(help="File with the detector's weights.")]
EncoderWeights = Annotated[
    str | None, typer.Option(help="A tag of open_clip, a file, or 'random' (untrained, to try things out).")
]


def say(text: str) -> None:
    """Print a line for people, on stderr."""
    _people.print(escape(text))


def warn(lines: Sequence[str]) -> None:
    """Print what must not be missed."""
    for line in lines:
        _people.print(f"[bold red]!! {escape(line)}[/]")


def answer(document: dict[str, Any], as_json: bool, lines: Sequence[str]) -> None:
    """Print a command's answer on stdout: the document, or its lines for people."""
    print(json.dumps(document, indent=2) if as_json else "\n".join(lines))


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[tuple[Callable[[float], None], Callable[[float], None]]]:
    """A bar on stderr with rate and time left; yields `start(total)` and `advance(amount)`.

    Where stderr is not a terminal, a line every half minute instead.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), rate, TimeRemainingColumn(),
        console=_people, disable=not _people.is_terminal,
    )  # fmt: skip
    task = bar.add_task(what, total=None, rate="")
    state = {"done": 0.0, "total": 0.0, "began": time.monotonic(), "said": time.monotonic()}

    def start(total: float) -> None:
        state.update(total=total, began=time.monotonic())
        bar.update(task, total=total)

    def advance(amount: float) -> None:
        state["done"] += amount
        now = time.monotonic()
        per_second = state["done"] / max(now - state["began"], 1e-9)
        bar.update(task, completed=state["done"], rate=f"{per_second:.2f} {unit}/s")
        if not _people.is_terminal and now - state["said"] > 30:  # noqa: PLR2004 - seconds between lines
            left = (state["total"] - state["done"]) / per_second
            say(
                f"{what}: {state['done']:.0f} of {state['total']:.0f} {unit}, {per_second:.2f}/s, {left:.0f} s left"
            )
            state["said"] = now

    with bar:
        yield start, advance


@app.command(epilog="Example: cli.py extract --dataset manifest --root clips/manifest.csv --cache feats.zarr")
def extract(
    dataset: Annotated[str, typer.Option(help="manifest, folder, synthetic.")],
    root: Annotated[
        Path | None, typer.Option(help="Where the data set lies [$OUS_DATA/DATASET, else data/DATASET].")
    ] = None,
    cache: CacheOption = Path("feats.zarr"),
    gpus: Annotated[int | None, typer.Option(help="GPUs to use, 0 for the CPU [1 if there is one].")] = None,
    frames: Annotated[int, typer.Option(help="Frames per clip.")] = 16,
    scene: Annotated[
        Scene, typer.Option(help="Fill the subject's face in the scene frame, or leave it whole.")
    ] = Scene.masked,
    tokens: Annotated[str, typer.Option(help="Tokens kept beside the embedding: cls, grid4, all.")] = "cls",
    views: Annotated[int, typer.Option(help="Views per clip: 1 plain, 2 also mirrored, more in time.")] = 1,
    encoder: Annotated[str, typer.Option(help="CLIP model by its open_clip name.")] = "ViT-L-14-quickgelu",
    encoder_weights: EncoderWeights = "openai",
    detector: DetectorOption = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    precision: Annotated[str, typer.Option(help="auto, fp16, bf16, fp32.")] = "auto",
    scheduler: Annotated[str, typer.Option(help="Where blocks run: sync is this process.")] = "sync",
    limit: Annotated[int | None, typer.Option(help="Stop after this many clips.")] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Show the plan, the bytes and the time; write nothing.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option(help="Take failed clips up again.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 3 when a clip has failed.")] = False,
    set_: SetOption = None,
    json_: Json = False,
) -> None:
    """Turn video clips into a cache of frozen CLIP features; run again, it goes on where it was."""
    if scheduler != "sync":
        msg = f"--scheduler is '{scheduler}'; allowed so far: sync (blocks run in this process)."
        raise ConfigError(msg)
    index = _dataset(dataset, root)
    from pipeline import runner
    from pipeline.config import from_dict, override
    from pipeline.process import ExtractConfig, load_tools

    config = from_dict(ExtractConfig, {
        "frames": {"num_frames": frames, "num_views": views},
        "detector": {"name": detector, "weights": detector_weights},
        "streams": {"scene": scene.value},
        "encoder": {"name": encoder, "weights": encoder_weights},
        "features": {"precision": precision, "tokens": tokens},
    })  # fmt: skip
    config = override(config, set_ or [])
    options = runner.RunOptions(limit=limit, retry_failed=retry_failed)
    device = runner.choose_device(gpus)
    say(
        f"{len(index.clips)} clips, {len(index.class_names)} classes, {len(index.fold_names)} folds; loading models"
    )
    tools = load_tools(config, device)
    say(
        f"encoder {encoder} ({encoder_weights}) in {tools.encoder.precision} on {device}, detector {detector}"
    )
    warn(runner.describe(index, tools).warnings)
    if dry_run:
        _show_plan(index, tools, cache, options, json_)
        return
    report = _run_extract(index, tools, cache, options)
    lines = [
        f"{cache}: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.counts.items())
    ]
    lines += [f"  failed  {clip}  {stage}: {reason}" for clip, stage, reason in report.failures[:_LISTED]]
    if report.num_failed > _LISTED:
        lines.append(
            f"  and {report.num_failed - _LISTED} more; all with `cli.py cache info {cache} --all-clips`"
        )
    document = {
        "cache": str(cache), "processed": report.processed, "counts": report.counts,
        "failures": [dict(zip(("clip_id", "stage", "reason"), row, strict=True)) for row in report.failures],
        "warnings": list(runner.describe(index, tools).warnings),
    }  # fmt: skip
    answer(document, json_, lines)
    if strict and report.num_failed:
        raise typer.Exit(_EXIT_FAILED_CHECK)


def _dataset(name: str, root: Path | None) -> "DatasetIndex":
    from pipeline.datasets import read_dataset

    data = os.environ.get("OUS_DATA")
    where = root or (Path(data) if data else Path("data")) / name
    if name == "synthetic" and not where.exists():
        _write_synthetic(where)
    index = read_dataset(name, where)
    if name == "manifest":
        from pipeline.datasets.manifest import unread_columns

        extra = unread_columns(where)
        if extra:
            say(f"note: columns of the manifest that mean nothing here: {', '.join(extra)}")
    return index


def _write_synthetic(root: Path) -> None:
    from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic

    with progress_bar("drawing clips", "clips") as (start, advance):
        start(SyntheticConfig().num_clips)
        write_synthetic(root, SyntheticConfig(), lambda done, total: advance(1))


def _run_extract(index: "DatasetIndex", tools: "Tools", cache: Path, options: Any) -> Any:
    from pipeline import runner

    try:
        with progress_bar("extracting", "clips") as (start, advance):
            return runner.extract(
                index, tools, cache, options, on_start=lambda clips, blocks: start(clips), on_progress=advance
            )
    except KeyboardInterrupt:
        say(f"\nstopped; finished blocks are in {cache}. The same command goes on from there.")
        raise typer.Exit(130) from None


def _show_plan(index: "DatasetIndex", tools: "Tools", cache: Path, options: Any, as_json: bool) -> None:
    from pipeline import runner
    from pipeline.process import process_block

    plan = runner.plan(index, tools, cache, options)
    timed = index.clips[: min(2, plan.num_pending)]
    began = time.monotonic()
    process_block(index.root, timed, tools)
    seconds = (time.monotonic() - began) / len(timed) * plan.num_pending if timed else 0.0
    document = {
        "cache": str(cache), "clips": plan.num_clips, "to_do": plan.num_pending, "blocks": plan.num_blocks,
        "clips_per_block": plan.block_clips, "bytes": plan.num_bytes, "bytes_by_array": plan.bytes_by_array,
        "seconds": seconds, "timed_clips": len(timed),
    }  # fmt: skip
    lines = [
        f"{plan.num_pending} of {plan.num_clips} clips to do, in blocks of {plan.block_clips} "
        f"({plan.num_blocks} blocks in all)",
        *(f"  {size / 1e6:10.2f} MB  {name}" for name, size in plan.bytes_by_array.items()),
        f"  {plan.num_bytes / 1e6:10.2f} MB  in all",
        f"about {seconds:.0f} s, from {len(timed)} clips timed here; nothing was written",
    ]
    answer(document, as_json, lines)


@app.command(epilog="Example: cli.py faces clip.mp4 --detector haar --draw out/")
def faces(
    paths: Annotated[list[Path], typer.Argument(help="Videos or pictures.")],
    detector: DetectorOption = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    score: Annotated[float, typer.Option(help="Lowest score of a face.")] = 0.5,
    long_side: Annotated[
        int, typer.Option(help="Scale larger pictures down to this long side; 0 for none.")
    ] = 640,
    frames: Annotated[int, typer.Option(help="Frames looked at in a video.")] = 16,
    draw: Annotated[
        Path | None, typer.Option(help="Folder for pictures with boxes, and a video's two streams.")
    ] = None,
    json_: Json = False,
) -> None:
    """Find faces: boxes, scores and landmarks per picture, or per sampled frame of a video."""
    from pipeline.look import load, look, look_lines
    from pipeline.runner import choose_device

    settings = [f"detector.name={detector}", f"detector.score={score}", f"detector.long_side={long_side}"]
    settings += [
        f"frames.num_frames={frames}",
        *([f"detector.weights={detector_weights}"] if detector_weights else []),
    ]
    tools = load(settings, choose_device(None))
    documents = [look(path, tools, draw) for path in paths]
    lines = [line for document in documents for line in look_lines(document)]
    answer({"files": documents}, json_, lines)
    if any(document["error"] for document in documents):
        raise typer.Exit(1)


@weights_app.command("list", epilog="Example: cli.py weights list")
def weights_list(json_: Json = False) -> None:
    """List the weight files that this program knows, and whether they are on this machine."""
    from pipeline.weights import PUBLISHED, weights_dir

    rows = []
    for entry in PUBLISHED.values():
        path = weights_dir() / entry.file_name
        rows.append({
            "name": entry.name, "about": entry.about, "path": str(path), "present": path.is_file(),
            "addresses": list(entry.addresses), "sha256": entry.expected,
        })  # fmt: skip
    lines = [
        f"{row['name']:<26} {'here' if row['present'] else 'missing':<8} {row['about']}\n"
        f"{'':<35} {row['path']}"
        for row in rows
    ]
    answer({"weights": rows}, json_, lines)


@weights_app.command("fetch", epilog="Example: cli.py weights fetch retinaface-resnet50")
def weights_fetch(
    name: Annotated[str, typer.Argument(help="A name from `weights list`.")],
    to: Annotated[Path | None, typer.Option(help="Folder [$OUS_WEIGHTS, else ~/.cache/ous/weights].")] = None,
    json_: Json = False,
) -> None:
    """Fetch a weight file and check its sha256; for nodes without internet, fetch on a login node."""
    from pipeline.weights import fetch, weights_dir

    with progress_bar(f"fetching {name}", "MB") as (start, advance):
        before = 0

        def show(done: int, total: int | None) -> None:
            nonlocal before
            if not before and total:
                start(total / 1e6)
            advance((done - before) / 1e6)
            before = done

        path = fetch(name, to or weights_dir(), show)
    answer({"name": name, "path": str(path)}, json_, [str(path)])


@app.command(epilog="Example: cli.py train --cache feats.zarr --fold 1 --seed 0 --set model.tfe_blocks=8")
def train(
    cache: CacheOption = Path("feats.zarr"),
    run: Annotated[
        Path | None, typer.Option(help="New directory of the run [runs/CACHE-foldF-seedS].")
    ] = None,
    preset: Annotated[str, typer.Option(help="default, paper, release, smoke.")] = "default",
    fold: Annotated[str, typer.Option(help="Fold, by number from 1 or by name.")] = "1",
    seed: int = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    encoder_weights: EncoderWeights = None,
    set_: SetOption = None,
    json_: Json = False,
) -> None:
    """Train the OUS model on one fold of a cache; keeps the epoch of lowest validation loss."""
    from pipeline.config import override
    from trainer.config import preset as preset_named

    config = override(preset_named(preset), set_ or [])
    result = _train(cache, run or _free_run(cache, fold, seed), config, fold, seed, device, encoder_weights)
    best = result.best
    warn(result.info.banners)
    lines = [
        f"{result.run_dir}: best epoch {best.epoch} of {result.num_epochs}, validation ({result.info.selection}) "
        f"loss {best.validation.loss:.4f}, WAR {best.validation.war:.2%}, UAR {best.validation.uar:.2%}",
        f"next: cli.py evaluate {result.run_dir}",
    ]
    answer(result.to_dict(), json_, lines)


def _train(
    cache: Path,
    run: Path,
    config: "TrainConfig",
    fold: str,
    seed: int,
    device: str,
    encoder_weights: str | None,
) -> "TrainResult":
    from trainer.train import train as train_run

    result = train_run(
        cache, run, config,
        fold=fold, seed=seed, device=device, encoder_weights=encoder_weights, on_epoch=_show_epoch,
    )  # fmt: skip
    left_out = ", ".join(f"{count} {why}" for why, count in result.left_out.items() if count)
    say(
        f"trained on {result.num_train} clips, validated on {result.num_validation}"
        f"{'; left out: ' + left_out if left_out else ''}; features in {result.residence}"
    )
    return result


def _show_epoch(report: "EpochReport") -> None:
    say(
        f"epoch {report.epoch:3d}  loss {report.train.loss:8.4f}  train {report.train.accuracy:6.1%}  "
        f"validation loss {report.validation.loss:8.4f}  WAR {report.validation.war:6.1%}  "
        f"UAR {report.validation.uar:6.1%}  {report.seconds:5.1f} s{'  *' if report.is_best else ''}"
    )


def _free_run(cache: Path, fold: str, seed: int) -> Path:
    stem = Path("runs") / f"{cache.stem}-fold{fold}-seed{seed}"
    candidates = (stem.with_name(stem.name + (f"-{n}" if n > 1 else "")) for n in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


@app.command(epilog="Example: cli.py evaluate runs/feats-fold1-seed0 --split test")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    split: Annotated[str, typer.Option(help="test, validation, train.")] = "test",
    cache: Annotated[Path | None, typer.Option(help="Another cache than the one it was trained on.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    json_: Json = False,
) -> None:
    """Measure a trained model: WAR, UAR, per-class recall, confusion matrix."""
    from trainer.evaluate import evaluate as evaluate_run

    result = evaluate_run(run, split, cache, device)
    warn(result.info.banners)
    answer(result.to_dict(), json_, _evaluation_lines(result))


def _evaluation_lines(result: "EvalResult") -> list[str]:
    metrics = result.metrics
    (war_low, war_high), (uar_low, uar_high) = metrics.war_interval(), metrics.uar_interval()
    support = metrics.confusion.sum(axis=1)
    recalls = [
        f"  {name:<16} {'-' if recall is None else f'{recall:7.2%}':>8}  of {count} clips"
        for name, recall, count in zip(metrics.class_names, metrics.recalls, support, strict=True)
    ]
    return [
        *(f"!! {banner}" for banner in result.info.banners),
        f"{result.info.dataset}, fold {result.info.fold}, {result.split}: {metrics.num_clips} clips",
        f"  WAR {metrics.war:7.2%}  (95% {war_low:.2%} to {war_high:.2%})",
        f"  UAR {metrics.uar:7.2%}  (95% {uar_low:.2%} to {uar_high:.2%})",
        *recalls,
        *(f"  left out: {count} {why}" for why, count in result.left_out.items() if count),
        *([] if result.same_cache else ["  another cache than the one it was trained on"]),
        *(f"wrote {path}" for path in result.files),
    ]


def _open(cache: Path) -> "FeatureCache":
    from pipeline.store.reader import FeatureCache

    return FeatureCache.open(cache)


@cache_app.command("info", epilog="Example: cli.py cache info feats.zarr")
def cache_info(
    cache: Annotated[Path, typer.Argument(help="A cache, or its HDF5 export.")],
    all_clips: Annotated[bool, typer.Option(help="List every failed or odd clip, not only some.")] = False,
    json_: Json = False,
) -> None:
    """Show what a cache holds: clips by outcome, classes, splits, encoder, shapes."""
    from pipeline.store.summary import summarise, summary_lines

    with _open(cache) as opened:
        document = summarise(opened)
    answer(document, json_, summary_lines(document, all_clips=all_clips))


@cache_app.command("verify", epilog="Example: cli.py cache verify feats.zarr --sample 4 --root clips/")
def cache_verify(
    cache: Annotated[Path, typer.Argument(help="A cache, or its HDF5 export.")],
    sample: Annotated[
        int | None, typer.Option(help="Clips to compute again, 0 for none [2, if their files are here].")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Where the data set lies now [where it lay at extraction].")
    ] = None,
    encoder_weights: EncoderWeights = None,
    detector_weights: DetectorWeights = None,
    json_: Json = False,
) -> None:
    """Check counts, shapes, NaN, ranges and membership of a cache, and compute a sample again."""
    from pipeline import verify

    with _open(cache) as opened:
        with progress_bar("checking", "blocks") as (start, advance):
            start(-(-opened.meta.num_clips // opened.meta.block_clips))
            found = verify.verify_stored(opened, lambda: advance(1))
        again = verify.recompute_sample(
            opened, sample, root=root, encoder_weights=encoder_weights, detector_weights=detector_weights
        )
        counts = opened.status_counts()
    found += again.findings
    document = {
        "cache": str(cache), "counts": counts, "findings": [str(finding) for finding in found],
        "recomputed": list(again.clip_ids), "largest_difference": again.largest_difference, "note": again.note,
        "warnings": list(opened.meta.warnings),
    }  # fmt: skip
    recomputed = (
        f"{len(again.clip_ids)} clips computed again, largest difference {again.largest_difference:.2g}"
    )
    lines = [
        *(f"!! {warning}" for warning in opened.meta.warnings),
        *(f"WRONG  {finding}" for finding in found[:_LISTED]),
        *([f"and {len(found) - _LISTED} more findings (--json lists all)"] if len(found) > _LISTED else []),
        again.note or recomputed,
        f"{cache}: " + (f"{len(found)} findings" if found else "nothing wrong"),
    ]
    answer(document, json_, lines)
    if found:
        raise typer.Exit(_EXIT_FAILED_CHECK)


@cache_app.command("export", epilog="Example: cli.py cache export feats.zarr --to feats.h5")
def cache_export(
    cache: Annotated[Path, typer.Argument(help="A cache.")],
    to: Annotated[Path | None, typer.Option(help="The HDF5 file [beside the cache].")] = None,
    json_: Json = False,
) -> None:
    """Write a cache as one HDF5 file; `train` reads either."""
    from pipeline.store.export import export_hdf5

    target = to or cache.with_suffix(".h5")
    with _open(cache) as opened:
        counts = opened.status_counts()
        warn(opened.meta.warnings)
        size = export_hdf5(opened, target, lambda name: say(f"  {name}"))
    if counts["pending"]:
        say(f"note: {counts['pending']} clips of this cache are still pending; they are exported as such.")
    answer({"path": str(target), "bytes": size, "counts": counts}, json_, [f"{target}: {size / 1e6:.1f} MB"])


@app.command(epilog="Example: cli.py demo --out demo-out")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for clips, cache, runs and figures.")] = Path("demo-out"),
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Draw clips, extract, train face-only and full models, and compare both with what is possible."""
    from contextlib import ExitStack

    from trainer.demo import run_demo

    with ExitStack() as bars:

        def bar(what: str, total: float) -> Callable[[float], None]:
            bars.close()
            start, advance = bars.enter_context(progress_bar(what, "clips"))
            start(total)
            return advance

        def show(report: Any) -> None:
            bars.close()
            _show_epoch(report)

        report = run_demo(out, seed=seed, say=say, bar=bar, on_epoch=show)
    answer(report.to_dict(), json_, report.lines())


def main() -> None:
    """Run a command; show a known error as one line."""
    try:
        app(standalone_mode=True)
    except OusError as error:
        _people.print(f"[bold red]error:[/] {escape(' '.join(str(error).split()))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _people.print("stopped")
        sys.exit(130)


if __name__ == "__main__":
    main()

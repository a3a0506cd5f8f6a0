#!/usr/bin/env python3
"""The command line: parses, calls, prints.

Progress and remarks go to stderr; the answer goes to stdout, with `--json` as one JSON document.
Exit codes: 0 done, 1 a known error in one line, 2 misuse, 3 a verification failed, or clips failed
under `--strict`. Nothing heavy is imported before a command needs it.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

try:
    import typer

    from pipeline.terminal import answer, leave_at_once, progress_bar, say, show_error, show_speed
except ModuleNotFoundError as error:
    sys.exit(f"error: package '{error.name}' is missing; run `make install`, then .venv/bin/python cli.py")

from pipeline.errors import CacheError, OusError, VerificationError

if TYPE_CHECKING:
    from pipeline.runner import Speed
    from pipeline.store.reader import FeatureCache
    from pipeline.types import DatasetIndex, ReadOptions
    from trainer.train import EpochReport

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Scene-guided dynamic facial expression recognition: clips -> feature cache -> trained OUS model.",
)
weights_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Published model weights: list them, fetch them."
)
data_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="A data set before extraction: checked, and shown."
)
cache_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="A feature cache: what it holds, whether it is right."
)

_EXIT_FAILED_CHECK, _EXIT_INTERRUPTED = 3, 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Cache = Annotated[str, typer.Option("--cache", help="The feature cache: a folder, or s3://BUCKET/PREFIX.")]
CacheArgument = Annotated[str, typer.Argument(help="A cache, or its HDF5 export.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any other setting; may be repeated."),
]
Dataset = Annotated[str, typer.Option(help="dfew, ferv39k, mafw, manifest, folder, synthetic.")]
Root = Annotated[
    Path | None, typer.Option(help="Where the data set lies [$OUS_DATA/DATASET, else data/DATASET].")
]
AllClips = Annotated[bool, typer.Option(help="Also clips that no list names.")]
Lists = Annotated[
    list[Path] | None,
    typer.Option(
        help="Lists of clips, or a folder of them, to read instead of the owner's; may be repeated."
    ),
]
LabelOrder = Annotated[str | None, typer.Option(help="How integers in lists count the classes [as found].")]
Source = Annotated[
    str, typer.Option(help="Form of the clips: auto, video, frames, or crops (faces only, no scene).")
]
Scene = Annotated[str, typer.Option(help="Scene frame: masked (face filled), or full.")]
Detector = Annotated[
    str,
    typer.Option(
        help="retinaface-resnet50, retinaface-mobilenet0.25, haar, or the data set's own boxes or crops."
    ),
]
DetectorWeights = Annotated[str | None, typer.Option(help="File with the detector's weights.")]
EncoderWeights = Annotated[
    str | None, typer.Option(help="A tag of open_clip, a file, or 'random' (untrained, to try things out).")
]


@app.command(epilog="Example: cli.py demo --out demo-out")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for clips, cache, runs, figures.")] = Path("demo-out"),
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Draw clips, extract, train a face-only and a full model, compare both with what is possible."""
    from trainer.demo import run_demo

    with ExitStack() as bars:

        def bar(what: str, total: float) -> Callable[[float], None]:
            bars.close()
            start, advance = bars.enter_context(progress_bar(what, "clips"))
            start(total)
            return advance

        def tell(text: str) -> None:
            bars.close()
            say(text)

        result = run_demo(out, seed=seed, say=tell, bar=bar, on_epoch=_show_epoch)
    answer(result, json_)


@app.command(epilog="Example: cli.py extract --dataset manifest --root clips/manifest.csv --cache feats.zarr")
def extract(
    dataset: Dataset,
    root: Root = None,
    cache: Cache = "feats.zarr",
    gpus: Annotated[
        int | None, typer.Option(help="Worker processes, one per GPU; 0 for the CPU [this process].")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes on the CPU's cores.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="sync for this process, or a Dask cluster's address or file.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames per clip.")] = 16,
    scene: Scene = "masked",
    tokens: Annotated[str, typer.Option(help="Tokens kept beside the embedding: cls, grid4, all.")] = "cls",
    views: Annotated[int, typer.Option(help="Views per clip: 1 plain, 2 also mirrored, more in time.")] = 1,
    encoder: Annotated[str, typer.Option(help="CLIP model by its open_clip name.")] = "ViT-L-14-quickgelu",
    encoder_weights: EncoderWeights = "openai",
    detector: Detector = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    precision: Annotated[str, typer.Option(help="auto, fp16, bf16, fp32.")] = "auto",
    limit: Annotated[int | None, typer.Option(help="Stop after this many clips.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Show plan, bytes and time; write nothing.")] = False,
    blocks: Annotated[str | None, typer.Option(help="Share i/n of the blocks, for job arrays: 1/8.")] = None,
    retry_failed: Annotated[bool, typer.Option(help="Take failed clips up again.")] = False,
    take_over: Annotated[bool, typer.Option(help="Even if another run seems to hold the cache.")] = False,
    decoders: Annotated[int | None, typer.Option(help="Decoding processes per worker [by cores].")] = None,
    clip_seconds: Annotated[float | None, typer.Option(help="Limit for decoding a clip [300].")] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 3 when a clip has failed.")] = False,
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: AllClips = False,
    source: Source = "auto",
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Turn video clips into a cache of frozen CLIP features; run again, it goes on where it was."""
    from pipeline import runner
    from pipeline.config import from_dict, override
    from pipeline.process import ExtractConfig
    from pipeline.store.lock import Share

    values = {
        "frames": {"num_frames": frames, "num_views": views},
        "detector": {"name": detector, "weights": detector_weights},
        "streams": {"scene": scene},
        "encoder": {"name": encoder, "weights": encoder_weights},
        "features": {"precision": precision, "tokens": tokens},
    }
    config = override(from_dict(ExtractConfig, values), set_ or [])
    options = runner.RunOptions(
        limit=limit, retry_failed=retry_failed, take_over=take_over,
        share=None if blocks is None else Share.parse(blocks),
    )  # fmt: skip
    who = runner.CrewOptions(
        gpus=gpus, workers=workers, scheduler=scheduler, decoders=decoders, clip_seconds=clip_seconds
    )
    reading = _reading(lists, label_order, source, all_clips=all_clips)
    index = _dataset(dataset, root, reading, may_draw=not dry_run)
    say(f"{len(index.clips)} clips of {len(index.class_names)} classes: {', '.join(index.class_names)}")
    unknown = sorted({index.class_names[c.label] for c in index.clips if c.label >= 0 and c.polarity < 0})
    if unknown:
        say(f"note: the polarity of {', '.join(unknown)} is not known; training will ask for it")
    say(f"{encoder} ({encoder_weights}), faces by {detector}; starting")
    try:
        with closing(runner.gather(config, who)) as crew:
            say(f"{crew.where}; loading the models")
            if crew.dashboard:
                say(f"dashboard: {crew.dashboard}")
            if dry_run:
                answer(runner.plan(index, config, crew, cache, options), json_)
                return
            with progress_bar("extracting", "clips") as (start, advance):
                shown = show_speed(start, advance)
                report = runner.extract(index, config, crew, cache, options, on_progress=shown, say=say)
    except KeyboardInterrupt:
        say(f"stopped; finished blocks are safe in {cache}. The same command goes on from there.")
        leave_at_once(_EXIT_INTERRUPTED)
    answer(report, json_)
    if strict and report.num_failed:
        raise typer.Exit(_EXIT_FAILED_CHECK)


def _reading(
    lists: list[Path] | None, label_order: str | None, source: str, *, all_clips: bool = False
) -> "ReadOptions":
    from pipeline.types import ReadOptions

    texts = tuple(str(path) for path in lists or ())
    return ReadOptions(lists=texts, label_order=label_order, source=source, all_clips=all_clips)


def _root_of(name: str) -> Path:
    data = os.environ.get("OUS_DATA")
    return (Path(data) if data else Path("data")) / name


def _dataset(name: str, root: Path | None, reading: "ReadOptions", *, may_draw: bool) -> "DatasetIndex":
    from pipeline.datasets import read_dataset

    where = root or _root_of(name)
    if name == "synthetic" and may_draw and not where.exists():
        from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic

        with progress_bar("drawing clips", "clips") as (start, advance):
            start(SyntheticConfig().num_clips)
            write_synthetic(where, SyntheticConfig(), lambda done, total: advance(1))
    index = read_dataset(name, where, reading)
    for warning in index.warnings:
        say(f"!! {warning}")
    for note in index.notes:
        say(f"note: {note}")
    return index


@data_app.command("check", epilog="Example: cli.py data check --dataset dfew --root /data/DFEW --deep")
def data_check(
    dataset: Dataset,
    root: Root = None,
    deep: Annotated[bool, typer.Option("--deep", help="Open and decode every clip.")] = False,
    frames: Annotated[int, typer.Option(help="Frames per clip that extraction will ask for.")] = 16,
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: AllClips = False,
    source: Source = "auto",
    json_: Json = False,
) -> None:
    """Look for what is wrong with a data set, and say what to do; it changes nothing. Exit 3: found some."""
    from pipeline.doctor import CheckOptions, check

    options = CheckOptions(
        reading=_reading(lists, label_order, source, all_clips=all_clips), is_deep=deep, num_frames=frames
    )
    with ExitStack() as bars:

        def bar(what: str, total: int) -> Callable[[], None]:
            bars.close()
            start, advance = bars.enter_context(progress_bar(what, "clips"))
            start(total)
            return lambda: advance(1)

        report = check(dataset, root or _root_of(dataset), options, bar)
    answer(report, json_)
    if report.is_wrong:
        raise typer.Exit(_EXIT_FAILED_CHECK)


@data_app.command(
    "sample", epilog="Example: cli.py data sample --dataset dfew --root /data/DFEW --out sheet.png"
)
def data_sample(
    dataset: Dataset,
    root: Root = None,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("sheet.png"),
    per_class: Annotated[int, typer.Option(help="Clips of each class, at most.")] = 3,
    seed: Annotated[int, typer.Option(help="Another number draws other clips.")] = 0,
    detector: Detector = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    scene: Scene = "masked",
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: AllClips = False,
    source: Source = "auto",
    json_: Json = False,
) -> None:
    """Draw a contact sheet: some clips per class, with faces found, face stream and scene stream."""
    from pipeline.look import load
    from pipeline.runner import choose_device
    from pipeline.samples import choose, sample

    reading = _reading(lists, label_order, source, all_clips=all_clips)
    index = _dataset(dataset, root, reading, may_draw=False)
    num_clips = sum(map(len, choose(index, per_class, seed)))
    settings = {"detector": {"name": detector, "weights": detector_weights}, "streams": {"scene": scene}}
    tools = load(settings, choose_device())
    with progress_bar("looking at clips", "clips") as (start, advance):
        start(num_clips)
        report = sample(
            index, tools, out, per_class=per_class, seed=seed, on_clip=lambda: advance(1)
        )  # fmt: skip
    answer(report, json_)


@app.command(epilog="Example: cli.py faces clip.mp4 --detector haar --draw out/")
def faces(
    paths: Annotated[list[Path], typer.Argument(help="Videos or pictures.")],
    detector: Detector = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    score: Annotated[float, typer.Option(help="Lowest score of a face.")] = 0.5,
    long_side: Annotated[
        int, typer.Option(help="Scale larger pictures down to this long side; 0 for native size.")
    ] = 640,
    frames: Annotated[int, typer.Option(help="Frames looked at in a video.")] = 16,
    draw: Annotated[
        Path | None, typer.Option(help="Folder for pictures with boxes, and a video's two streams.")
    ] = None,
    json_: Json = False,
) -> None:
    """Find faces: boxes, scores and landmarks per picture, or per sampled frame of a video."""
    from pipeline.look import load, look_all
    from pipeline.runner import choose_device

    settings = {
        "frames": {"num_frames": frames},
        "detector": {
            "name": detector, "weights": detector_weights, "score": score, "long_side": long_side,
        },
    }  # fmt: skip
    tools = load(settings, choose_device())
    result = look_all(paths, tools, draw)
    answer(result, json_)
    if result.has_errors:
        raise typer.Exit(1)


@weights_app.command("list", epilog="Example: cli.py weights list")
def weights_list(json_: Json = False) -> None:
    """List the weight files that this program knows, and whether they are on this machine."""
    from pipeline.weights import Listing, weights_dir

    answer(Listing(folder=weights_dir()), json_)


@weights_app.command("fetch", epilog="Example: cli.py weights fetch retinaface-resnet50")
def weights_fetch(
    name: Annotated[str, typer.Argument(help="A name from `weights list`.")],
    to: Annotated[Path | None, typer.Option(help="Folder [$OUS_WEIGHTS, else ~/.cache/ous/weights].")] = None,
    json_: Json = False,
) -> None:
    """Fetch a weight file and check its sha256; for nodes without internet, fetch on a login node."""
    from pipeline.weights import Fetched, fetch, weights_dir

    with progress_bar(f"fetching {name}", "MB") as (start, advance):
        before = 0

        def show(done: int, total: int | None) -> None:
            nonlocal before
            if not before and total:
                start(total / 1e6)
            advance((done - before) / 1e6)
            before = done

        path = fetch(name, to or weights_dir(), show)
    answer(Fetched(name=name, path=path), json_)


@app.command(epilog="Example: cli.py train --cache feats.zarr --fold 1 --seed 0 --set model.tfe_blocks=8")
def train(
    cache: Cache = "feats.zarr",
    run: Annotated[Path | None, typer.Option(help="New directory [runs/CACHE-foldF-seedS].")] = None,
    preset: Annotated[str, typer.Option(help="default, paper, release, smoke.")] = "default",
    fold: Annotated[str, typer.Option(help="Fold, by number from 1 or by name.")] = "1",
    seed: int = 0,
    device: Device = "auto",
    encoder_weights: EncoderWeights = None,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Train the OUS model on one fold of a cache; keeps the epoch of lowest validation loss."""
    from pipeline.config import override
    from trainer.config import preset as preset_named
    from trainer.train import train as train_run

    config = override(preset_named(preset), set_ or [])
    where = run or _free_run(cache, fold, seed)
    try:
        result = train_run(
            cache, where, config, fold=fold, seed=seed, device=device, encoder_weights=encoder_weights,
            on_epoch=_show_epoch,
        )  # fmt: skip
    except KeyboardInterrupt:
        say(f"stopped; {where} keeps the best epoch so far, and `cli.py evaluate {where}` measures it.")
        raise typer.Exit(_EXIT_INTERRUPTED) from None
    answer(result, json_)


def _show_epoch(report: "EpochReport") -> None:
    say(
        f"epoch {report.epoch:3d}  loss {report.train.loss:8.4f}  train {report.train.accuracy:6.1%}  "
        f"validation loss {report.validation.loss:8.4f}  WAR {report.validation.war:6.1%}  "
        f"UAR {report.validation.uar:6.1%}  {report.seconds:5.1f} s{'  best' if report.is_best else ''}"
    )


def _free_run(cache: str, fold: str, seed: int) -> Path:
    from pipeline.store.place import Place

    stem = f"{Place.of(cache).stem}-fold{fold}-seed{seed}"
    names = (stem + (f"-{n}" if n > 1 else "") for n in range(1, sys.maxsize))
    return next(path for path in (Path("runs") / name for name in names) if not path.exists())


@app.command(epilog="Example: cli.py evaluate runs/feats-fold1-seed0 --split test")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    split: Annotated[str, typer.Option(help="test, validation, train.")] = "test",
    cache: Annotated[str | None, typer.Option(help="Another cache than the one it was trained on.")] = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Measure a trained model: WAR, UAR, per-class recall, confusion matrix."""
    from trainer.evaluate import evaluate as evaluate_run

    answer(evaluate_run(run, split, cache, device), json_)


def _open(cache: str) -> "FeatureCache":
    from pipeline.store.reader import FeatureCache

    return FeatureCache.open(cache)


@cache_app.command("info", epilog="Example: cli.py cache info feats.zarr")
def cache_info(
    cache: CacheArgument,
    all_clips: Annotated[bool, typer.Option(help="List every failed or odd clip, not only some.")] = False,
    json_: Json = False,
) -> None:
    """Show what a cache holds: clips by outcome, classes, splits, encoder, shapes."""
    from pipeline.store.summary import summarise

    with _open(cache) as opened:
        answer(summarise(opened, all_clips=all_clips), json_)


@cache_app.command("verify", epilog="Example: cli.py cache verify feats.zarr --sample 4 --root clips/")
def cache_verify(
    cache: CacheArgument,
    sample: Annotated[
        int | None, typer.Option(help="Clips to compute again, 0 for none [2, if their files are here].")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The data set [where it lay at extraction].")] = None,
    encoder_weights: EncoderWeights = None,
    detector_weights: DetectorWeights = None,
    json_: Json = False,
) -> None:
    """Check counts, shapes, NaN, ranges and membership of a cache, and compute a sample again."""
    from pipeline.store.place import Place
    from pipeline.verify import verify

    try:
        opened_cache = _open(cache)
    except CacheError as error:
        if not Place.of(cache).exists():
            raise
        raise VerificationError(str(error)) from error
    with opened_cache as opened, progress_bar("checking", "blocks") as (start, advance):
        start(-(-opened.meta.num_clips // opened.meta.block_clips))
        report = verify(
            opened, sample, root=root, encoder_weights=encoder_weights, detector_weights=detector_weights,
            on_block=lambda: advance(1),
        )  # fmt: skip
    answer(report, json_)
    if report.findings:
        raise typer.Exit(_EXIT_FAILED_CHECK)


@cache_app.command("repair", epilog="Example: cli.py cache repair feats.zarr --root clips/")
def cache_repair(
    cache: CacheArgument,
    root: Annotated[Path | None, typer.Option(help="The data set [where it lay at extraction].")] = None,
    encoder_weights: EncoderWeights = None,
    detector_weights: DetectorWeights = None,
    json_: Json = False,
) -> None:
    """Find blocks with damaged or missing chunks, and compute just those again."""
    from pipeline.repair import repair

    with _open(cache) as opened:
        num_blocks = -(-opened.meta.num_clips // opened.meta.block_clips)
    shown: list[Callable[[Speed], None]] = []
    try:
        with ExitStack() as bars:
            start, advance = bars.enter_context(progress_bar("checking", "blocks"))
            start(num_blocks)

            def show(speed: "Speed") -> None:
                if not shown:
                    bars.close()
                    shown.append(show_speed(*bars.enter_context(progress_bar("repairing", "clips"))))
                shown[0](speed)

            report = repair(
                cache, root=root, encoder_weights=encoder_weights, detector_weights=detector_weights,
                on_block=lambda: advance(1), on_progress=show, say=say,
            )  # fmt: skip
    except KeyboardInterrupt:
        say(f"stopped; what is not computed again yet is pending in {cache}: `extract` goes on with it.")
        leave_at_once(_EXIT_INTERRUPTED)
    answer(report, json_)
    if not report.is_whole:
        raise typer.Exit(_EXIT_FAILED_CHECK)


@cache_app.command("relabel", epilog="Example: cli.py cache relabel feats.zarr --polarities map.csv")
def cache_relabel(
    cache: CacheArgument,
    dataset: Annotated[str | None, typer.Option(help="The data set [that of the cache].")] = None,
    root: Annotated[Path | None, typer.Option(help="Where it lies [where it lay at extraction].")] = None,
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: Annotated[bool, typer.Option(help="Also clips that no list names.")] = False,
    polarities: Annotated[
        Path | None,
        typer.Option(help="CSV of class,polarity or clip_id,polarity; alone it changes only that."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Show what would change; write nothing.")] = False,
    take_over: Annotated[bool, typer.Option(help="Even if another run seems to hold the cache.")] = False,
    json_: Json = False,
) -> None:
    """Bring other labels, folds, votes or polarities into a cache; no feature is computed again."""
    from pipeline.datasets.polarities import read_polarities
    from pipeline.relabel import relabel
    from pipeline.runner import dataset_of

    reading = None
    if lists or label_order or all_clips:
        reading = _reading(lists, label_order, "auto", all_clips=all_clips)
    index = None
    if dataset or root or reading or polarities is None:
        with _open(cache) as opened:
            index = dataset_of(opened, root, name=dataset, options=reading)
        for note in index.notes:
            say(f"note: {note}")
    table = None if polarities is None else read_polarities(polarities)
    answer(relabel(cache, index, table, dry_run=dry_run, take_over=take_over), json_)


@cache_app.command("export", epilog="Example: cli.py cache export feats.zarr --to feats.h5")
def cache_export(
    cache: CacheArgument,
    to: Annotated[Path | None, typer.Option(help="The HDF5 file [beside the cache].")] = None,
    json_: Json = False,
) -> None:
    """Write a cache as one HDF5 file; `train` reads either."""
    from pipeline.store.export import beside, export_hdf5

    with _open(cache) as opened:
        answer(export_hdf5(opened, to or beside(opened.place), lambda name: say(f"  {name}")), json_)


@app.command(epilog="Example: cli.py bench --clips clips/ --detector-weights mobilenet.pth --out bench.json")
def bench(
    clips: Annotated[Path | None, typer.Option(help="Folder of videos; larger ones become 360p.")] = None,
    only: Annotated[
        str | None, typer.Option(help="Parts, with commas: encode,decode,seek,detect,write,... [all].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the JSON document.")] = None,
    seek_folder: Annotated[
        Path | None, typer.Option(help="Videos to check frame by frame [--clips].")
    ] = None,
    num_clips: Annotated[int, typer.Option(help="Clips for most parts; the folder's are repeated.")] = 16,
    baseline_clips: Annotated[int, typer.Option(help="Clips for the script to compare with.")] = 2,
    repeats: Annotated[
        int, typer.Option(help="The best counts; decode, detect: always 3; pipeline: at most 2.")
    ] = 3,
    encode_pictures: Annotated[int, typer.Option(help="Pictures for the bare encoder.")] = 64,
    cache_clips: Annotated[int, typer.Option(help="Clips of the cache that is loaded.")] = 16_372,
    dask_blocks: Annotated[int, typer.Option(help="Empty blocks handed out by Dask.")] = 15_625,
    detector: Detector = "retinaface-mobilenet0.25",
    detector_weights: DetectorWeights = None,
    encoder: Annotated[str, typer.Option(help="A model of open_clip.")] = "ViT-L-14-quickgelu",
    encoder_weights: EncoderWeights = "random",
    device: Device = "auto",
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Measure every step and the whole against the machine's limits and against the usual script."""
    from pipeline.bench import PARTS, BenchOptions, run_bench
    from pipeline.config import from_dict, override
    from pipeline.process import ExtractConfig

    values = {
        "detector": {"name": detector, "weights": detector_weights},
        "encoder": {"name": encoder, "weights": encoder_weights},
    }
    options = BenchOptions(
        config=override(from_dict(ExtractConfig, values), set_ or []),
        only=PARTS if only is None else tuple(only.split(",")),
        clips=clips, seek_folder=seek_folder, device=device, num_clips=num_clips,
        baseline_clips=baseline_clips, repeats=repeats, encode_pictures=encode_pictures,
        cache_clips=cache_clips, dask_blocks=dask_blocks,
    )  # fmt: skip
    result = run_bench(options, lambda part: say(f"measuring {part}"))
    if out is not None:
        out.write_text(json.dumps(result.to_dict(), indent=2) + "\n")
    answer(result, json_)
    if result.failed:
        raise typer.Exit(1)


app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")
app.add_typer(cache_app, name="cache")


def main() -> None:
    """Run a command; show a known error as one line. A request to end is taken like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except OusError as error:
        show_error(" ".join(str(error).split()))
        sys.exit(error.exit_code)
    except OSError as error:
        where = f"'{error.filename}': " if error.filename else ""
        show_error(f"{where}{error.strerror or error}")
        sys.exit(OusError.exit_code)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(_EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()

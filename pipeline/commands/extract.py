"""`extract`: write a cache of features of clips."""

from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.choices import FeaturePrecision, Tokens
from pipeline.commands.help_sections import DATA, MACHINE, MODEL, OUTPUT, Command
from pipeline.commands.options import (
    EXIT_FAILED_CHECK,
    AllClips,
    DatasetName,
    DetectorOrSource,
    DetectorWeights,
    Encoder,
    EncoderWeights,
    Faces,
    Form,
    Frames,
    Gpus,
    Json,
    LabelOrder,
    Lists,
    Root,
    Scene,
    Scheduler,
    Settings,
    TakeOver,
    Workers,
    face_settings,
    read_index,
    read_options,
)
from pipeline.commands.shutdown import ends_at_once
from pipeline.errors import counted
from pipeline.terminal import answer, first_part, progress_bar, say, show_speed

if TYPE_CHECKING:
    from pipeline.types import DatasetIndex

app = typer.Typer()


@app.command(
    cls=Command,
    epilog="Example: cli.py extract --dataset manifest --root clips/manifest.csv --cache feats.zarr",
)
def extract(
    dataset: DatasetName,
    root: Root = None,
    cache: Annotated[
        str,
        typer.Option(
            help="Write features to this cache: a directory, or s3://BUCKET/PREFIX.", rich_help_panel=OUTPUT
        ),
    ] = "feats.zarr",
    gpus: Gpus = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dashboard: Annotated[
        bool,
        typer.Option(
            help="Serve Dask's dashboard of --workers or --gpus to this machine (plain HTTP).",
            rich_help_panel=MACHINE,
        ),
    ] = True,
    frames: Frames = 16,
    scene: Scene = "masked",
    tokens: Annotated[
        Tokens,
        typer.Option(
            help="Keep tokens besides the embedding: cls none, grid4 CLS and 4x4 pooled patches, all.",
            rich_help_panel=MODEL,
        ),
    ] = "cls",
    views: Annotated[
        int,
        typer.Option(
            help="Sample this many views per clip: 1 plain, 2 also mirrored, 3 to 16 also at other times.",
            rich_help_panel=MODEL,
        ),
    ] = 1,
    encoder: Encoder = "ViT-L-14-quickgelu",
    encoder_weights: EncoderWeights = "openai",
    faces: Faces = None,
    detector: DetectorOrSource = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    detect_every: Annotated[
        int | None,
        typer.Option(
            help="Detect faces on every n-th sampled frame; tracks interpolate [1].", rich_help_panel=MODEL
        ),
    ] = None,
    precision: Annotated[
        FeaturePrecision,
        typer.Option(
            help="Compute features in this precision; auto: fp16 on a GPU, else bf16 or fp32.",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    limit: Annotated[
        int | None, typer.Option(help="Stop after this many clips [no limit].", rich_help_panel=DATA)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Show plan, bytes and time; write nothing.", rich_help_panel=OUTPUT)
    ] = False,
    blocks: Annotated[
        str | None,
        typer.Option(
            help="Compute shard i/n of the cache's blocks, as in a job array: 1/8 [all blocks].",
            rich_help_panel=DATA,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option(help="Process failed clips again.", rich_help_panel=DATA)
    ] = False,
    take_over: TakeOver = False,
    reuse: Annotated[
        str | None,
        typer.Option(
            help="Take features from this earlier cache for clips whose images are the same, for instance "
            "after a change of tracks [none].",
            rich_help_panel=DATA,
        ),
    ] = None,
    decoders: Annotated[
        int | None,
        typer.Option(
            help="Start this many decoding processes per worker [by cores].", rich_help_panel=MACHINE
        ),
    ] = None,
    clip_seconds: Annotated[
        float | None,
        typer.Option(
            help="Limit the decoding of a clip to this many seconds [300].", rich_help_panel=MACHINE
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Exit with code 3 if a clip failed.", rich_help_panel=OUTPUT)
    ] = False,
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: AllClips = False,
    source: Form = "auto",
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Write a cache of frozen CLIP features of video clips. The same command resumes a stopped run."""
    from pipeline import runner
    from pipeline.config import from_dict, override
    from pipeline.datasets import lone_classes
    from pipeline.datasets.missing_training import missing_training_of_index
    from pipeline.footage import leak_warnings, leaks_of_index
    from pipeline.process import ExtractConfig
    from pipeline.store.location import Location
    from pipeline.store.lock import Shard, hold

    values = {
        "frames": {"num_frames": frames, "num_views": views},
        "faces": face_settings(faces, detector),
        "detector": {
            "name": detector,
            "weights": detector_weights,
            **({} if detect_every is None else {"every": detect_every}),
        },
        "streams": {"scene": scene},
        "encoder": {"name": encoder, "weights": encoder_weights},
        "features": {"precision": precision, "tokens": tokens},
    }
    config = override(from_dict(ExtractConfig, values), set_ or [])
    options = runner.RunOptions(
        limit=limit, retry_failed=retry_failed, take_over=take_over,
        shard=None if blocks is None else Shard.parse(blocks),
        reuse=None if reuse is None else Location.of(reuse),
    )  # fmt: skip
    executor_options = runner.ExecutorOptions(
        gpus=gpus, workers=workers, scheduler=scheduler, decoders=decoders, clip_seconds=clip_seconds,
        dashboard=dashboard,
    )  # fmt: skip
    reading = read_options(lists, label_order, source, all_clips=all_clips)
    index = read_index(dataset, root, reading, may_draw=not dry_run)
    say(_summary(index))
    runner.require_provided_faces(index, config)
    runner.require_followed_subjects(index, config)
    unknown = sorted({index.class_names[c.label] for c in index.clips if c.label >= 0 and c.polarity < 0})
    if unknown:
        say(f"note: the polarity of {', '.join(unknown)} is unknown; `train` will require it")
    if lone := lone_classes.lone_classes(index.class_names, index.clips):
        say(f"!! {lone}; {lone_classes.REMEDY}")
    leaks = leaks_of_index(index)
    for warning in (*missing_training_of_index(index).warnings(), *leak_warnings(leaks)):
        say(f"!! {warning}")
    from_dataset = f"from the dataset's {config.faces.source}"
    origin = f"by {config.detector.name}" if config.faces.is_detected else from_dataset
    say(f"{encoder} ({encoder_weights}), faces {origin}; starting")
    stopped = f"stopped; stored clips are safe in {cache}. The same command resumes from there."
    if dry_run:
        stopped = "stopped; nothing was written"
    with (
        ends_at_once(stopped),
        nullcontext() if dry_run else hold(cache, options.shard, take_over=take_over, say=say) as lock,
        closing(runner.make_executor(config, executor_options, for_timing=dry_run)) as executor,
    ):
        for warning in executor.warnings:
            say(f"!! {warning}")
        if executor.dashboard:
            say(f"dashboard: {executor.dashboard}")
        if lock is None:
            plan = runner.plan(index, config, executor, cache, options, on_outline=first_part(json_), say=say)
            answer(plan if json_ else plan.estimate, json_)
            return
        say(f"{executor.where}; loading the models")
        with progress_bar("extracting", "clips") as (start, advance):
            shown = show_speed(start, advance)
            report = runner.extract(
                index, config, executor, cache, options,
                on_progress=shown, say=say, known_leaks=leaks, lock=lock,
            )  # fmt: skip
    answer(report, json_)
    if strict and report.num_failed:
        raise typer.Exit(EXIT_FAILED_CHECK)


def _summary(index: "DatasetIndex") -> str:
    """Return one line: clips and classes of a dataset, and how many clips have no label."""
    names, unlabelled = index.class_names, sum(clip.label < 0 for clip in index.clips)
    classes = f"{counted(len(names), 'class', 'classes')}: {', '.join(names)}" if names else "no class"
    without = f"; training leaves out {unlabelled} without a label" if unlabelled else ""
    return f"{counted(len(index.clips), 'clip')} of {classes}{without}"

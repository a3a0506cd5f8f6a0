"""`data`: check and show a dataset before extraction."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.help_sections import DATA, OUTPUT, Command
from pipeline.commands.options import (
    EXIT_FAILED_CHECK,
    EXIT_INTERRUPTED,
    AllClips,
    DatasetName,
    DetectorOrSource,
    DetectorWeights,
    Faces,
    Form,
    Frames,
    Json,
    LabelOrder,
    Lists,
    Root,
    Scene,
    face_settings,
    read_index,
    read_options,
    root_of,
)
from pipeline.terminal import answer, progress_bar, say

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Check or show a dataset before extraction."
)


@app.command(
    "check", cls=Command, epilog="Example: cli.py data check --dataset dfew --root /data/DFEW --deep"
)
def data_check(
    dataset: DatasetName,
    root: Root = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Open and decode every clip.", rich_help_panel=DATA)
    ] = False,
    frames: Frames = 16,
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: AllClips = False,
    source: Form = "auto",
    json_: Json = False,
) -> None:
    """Find errors in a dataset and show how to fix them; nothing is changed.

    Exit code 3: errors or warnings found.
    """
    from pipeline.doctor import CheckOptions, check

    options = CheckOptions(
        reading=read_options(lists, label_order, source, all_clips=all_clips), is_deep=deep, num_frames=frames
    )
    with ExitStack() as bars:

        def bar(step: str, total: int) -> Callable[[], None]:
            bars.close()
            start, advance = bars.enter_context(progress_bar(step, "clips"))
            start(total)
            return lambda: advance(1)

        try:
            report = check(dataset, root or root_of(dataset), options, bar)
        except KeyboardInterrupt:
            bars.close()
            say("stopped; the dataset is unchanged")
            raise typer.Exit(EXIT_INTERRUPTED) from None
    answer(report, json_)
    if report.is_wrong:
        raise typer.Exit(EXIT_FAILED_CHECK)


@app.command(
    "sample",
    cls=Command,
    epilog="Example: cli.py data sample --dataset dfew --root /data/DFEW --out sheet.png",
)
def data_sample(
    dataset: DatasetName,
    root: Root = None,
    out: Annotated[Path, typer.Option(help="Write this PNG file.", rich_help_panel=OUTPUT)] = Path(
        "sheet.png"
    ),
    per_class: Annotated[
        int, typer.Option(help="Draw at most this many clips per class.", rich_help_panel=DATA)
    ] = 3,
    seed: Annotated[int, typer.Option(help="Choose clips by this seed.", rich_help_panel=DATA)] = 0,
    faces: Faces = None,
    detector: DetectorOrSource = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    scene: Scene = "masked",
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: AllClips = False,
    source: Form = "auto",
    json_: Json = False,
) -> None:
    """Draw a contact sheet: some clips per class, with detected faces, face stream and scene stream."""
    from pipeline.device import choose_device
    from pipeline.preview_faces import load
    from pipeline.samples import choose, sample

    reading = read_options(lists, label_order, source, all_clips=all_clips)
    index = read_index(dataset, root, reading, may_draw=False)
    num_clips = sum(map(len, choose(index, per_class, seed)))
    settings = {
        "faces": face_settings(faces, detector),
        "detector": {"name": detector, "weights": detector_weights},
        "streams": {"scene": scene},
    }
    models = load(settings, choose_device())
    with progress_bar("drawing clips", "clips") as (start, advance):
        start(num_clips)
        report = sample(
            index, models, out, per_class=per_class, seed=seed, on_clip=lambda: advance(1)
        )  # fmt: skip
    answer(report, json_)

"""`faces`: detect faces in single files."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.choices import Precision
from pipeline.commands.help_sections import MACHINE, MODEL, OUTPUT, Command
from pipeline.commands.options import Detector, DetectorWeights, Frames, Json
from pipeline.terminal import answer

app = typer.Typer()


@app.command(cls=Command, epilog="Example: cli.py faces clip.mp4 --detector haar --draw out/")
def faces(
    paths: Annotated[list[Path], typer.Argument(help="Videos or images to read.")],
    detector: Detector = "retinaface-resnet50",
    detector_weights: DetectorWeights = None,
    score: Annotated[
        float, typer.Option(help="Keep faces above this score, 0 to 1.", rich_help_panel=MODEL)
    ] = 0.5,
    long_side: Annotated[
        int,
        typer.Option(
            help="Shrink larger frames to this long side in pixels; 0 for native size.", rich_help_panel=MODEL
        ),
    ] = 640,
    frames: Frames = 16,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Run the detector in this precision; auto: bf16 if the device is fast in it, else fp32.",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    draw: Annotated[
        Path | None,
        typer.Option(
            help="Write images with boxes, and both streams of a video, to this directory [none].",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Detect faces: bounding boxes, scores and landmarks per image, or per sampled frame of a video."""
    from pipeline.device import choose_device
    from pipeline.preview_faces import load, look_all

    settings = {
        "frames": {"num_frames": frames},
        "detector": {
            "name": detector, "weights": detector_weights, "score": score, "long_side": long_side,
            "precision": precision,
        },
    }  # fmt: skip
    models = load(settings, choose_device())
    result = look_all(paths, models, draw)
    answer(result, json_)
    if result.has_errors:
        raise typer.Exit(1)

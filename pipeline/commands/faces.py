"""`faces`: what the detector sees in single files."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Detector, DetectorWeights, Json
from pipeline.terminal import answer

app = typer.Typer()


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
    precision: Annotated[
        str,
        typer.Option(
            help="Precision of the network: auto (bf16 where the device has fast products in it), fp32, bf16."
        ),
    ] = "auto",
    draw: Annotated[
        Path | None, typer.Option(help="Folder for pictures with boxes, and a video's two streams.")
    ] = None,
    json_: Json = False,
) -> None:
    """Find faces: boxes, scores and landmarks per picture, or per sampled frame of a video."""
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

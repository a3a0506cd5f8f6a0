"""`bench`: measure the speed of this machine, step by step."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.help_sections import DATA, MODEL, OUTPUT, Command
from pipeline.commands.options import Detector, Device, Encoder, EncoderWeights, Json, Settings
from pipeline.own_dir import OwnDir
from pipeline.terminal import answer, say

app = typer.Typer()


@app.command(
    cls=Command,
    epilog="Example: cli.py bench --clips clips/ --detector-weights mobilenet.pth --out bench.json",
)
def bench(
    clips: Annotated[
        Path | None,
        typer.Option(
            help="Measure on the videos in this directory; larger ones become 360p [none].",
            rich_help_panel=DATA,
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            help="Measure these parts, with commas: encode, decode, seek, detect, write, pipeline, predict, "
            "baseline, load, dask, workers [all].",
            rich_help_panel=DATA,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the JSON document to this file [none].", rich_help_panel=OUTPUT)
    ] = None,
    seek_folder: Annotated[
        Path | None,
        typer.Option(
            help="Check the videos in this directory frame by frame [--clips].", rich_help_panel=DATA
        ),
    ] = None,
    num_clips: Annotated[
        int,
        typer.Option(help="Measure most parts on this many clips; fewer are repeated.", rich_help_panel=DATA),
    ] = 16,
    baseline_clips: Annotated[
        int, typer.Option(help="Measure the plain implementation on this many clips.", rich_help_panel=DATA)
    ] = 2,
    repeats: Annotated[
        int,
        typer.Option(
            help="Measure in this many rounds, and show the median and the range of ratios; decode, detect: "
            "always 3.",
            rich_help_panel=DATA,
        ),
    ] = 3,
    encode_pictures: Annotated[
        int, typer.Option(help="Encode this many images with the encoder alone.", rich_help_panel=DATA)
    ] = 64,
    cache_clips: Annotated[
        int, typer.Option(help="Load a cache of this many clips.", rich_help_panel=DATA)
    ] = 16_372,
    dask_blocks: Annotated[
        int, typer.Option(help="Assign this many empty blocks through Dask.", rich_help_panel=DATA)
    ] = 15_625,
    detector: Detector = "retinaface-mobilenet0.25",
    detector_weights: Annotated[
        str | None,
        typer.Option(
            help="Load the detector from this file; 'random' to measure speed alone [the fetched file].",
            rich_help_panel=MODEL,
        ),
    ] = None,
    encoder: Encoder = "ViT-L-14-quickgelu",
    encoder_weights: EncoderWeights = "random",
    device: Device = "auto",
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Measure the speed of every step, beside the machine's limits and a plain implementation."""
    from pipeline.bench import PARTS, BenchOptions, run_bench
    from pipeline.config import from_dict, override
    from pipeline.display.json_values import to_json_values
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
        OwnDir.of(out.parent).write_json(out.name, to_json_values(result))
    answer(result, json_)
    if result.failed:
        raise typer.Exit(1)

"""`bench`: how fast this machine is, step by step."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Detector, Device, EncoderWeights, Json, Settings
from pipeline.own_dir import OwnDir
from pipeline.terminal import answer, say

app = typer.Typer()


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
    detector_weights: Annotated[
        str | None, typer.Option(help="File with the detector's weights, or 'random' for speed alone.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="A model of open_clip.")] = "ViT-L-14-quickgelu",
    encoder_weights: EncoderWeights = "random",
    device: Device = "auto",
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Measure every step and the whole against the machine's limits and against a plain implementation."""
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

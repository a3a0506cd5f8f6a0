"""`transfer`: runs of several datasets, each measured on all of them."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.help_sections import DATA, OUTPUT, Command
from pipeline.commands.options import Device, Json
from pipeline.terminal import answer, say
from trainer.commands import AllowLeak, ClassesOfCache, SharedClasses

app = typer.Typer()


@app.command(
    cls=Command,
    epilog="Example: cli.py transfer runs/dfew-* runs/mafw-* --cache dfew.zarr --cache mafw.zarr",
)
def transfer(
    runs: Annotated[list[Path], typer.Argument(help="Directories of training runs, of folds and seeds.")],
    cache: Annotated[
        list[str],
        typer.Option(
            "--cache", help="Measure on this cache; give one for each dataset.", rich_help_panel=DATA
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Write the tables to this directory.", rich_help_panel=OUTPUT)
    ] = Path("transfer"),
    classes: ClassesOfCache = None,
    shared_classes: SharedClasses = False,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    json_: Json = False,
) -> None:
    """Measure runs of several datasets on the test clips of all of them: a table of transfer."""
    from trainer.class_map import read_class_map
    from trainer.transfer_table import transfer as measure_transfer

    result = measure_transfer(
        runs, cache, out, device=device, allow_leak=allow_leak, shared_classes=shared_classes,
        classes=None if classes is None else read_class_map(classes), on_run=say,
    )  # fmt: skip
    answer(result, json_)

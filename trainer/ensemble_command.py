"""`ensemble`: runs of folds and seeds, measured as one model."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.help_sections import DATA, OUTPUT, Command
from pipeline.commands.options import Device, Json
from pipeline.terminal import answer, say
from trainer.commands import AllowLeak, FoldToMeasure, OtherCache, SplitToMeasure

app = typer.Typer()


@app.command(cls=Command, epilog="Example: cli.py ensemble runs/dfew-fold1-seed* --out ensemble")
def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Directories of training runs.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Write the result, and confusion matrix and predictions of each fold, to this directory.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("ensemble"),
    split: SplitToMeasure = "test",
    cache: OtherCache = None,
    fold: FoldToMeasure = None,
    measure_again: Annotated[
        bool,
        typer.Option(
            "--measure-again",
            help="Measure all runs now, also those whose predictions `evaluate` has stored.",
            rich_help_panel=DATA,
        ),
    ] = False,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    json_: Json = False,
) -> None:
    """Average the probabilities of the runs of each fold, and measure the mean like one run."""
    from trainer.run_ensemble import ensemble as average_runs

    result = average_runs(
        runs, out, split=split, cache=cache, fold=fold, device=device, allow_leak=allow_leak,
        measure_again=measure_again, on_run=say,
    )  # fmt: skip
    answer(result, json_)

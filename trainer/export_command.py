"""`export`: a directory with a trained model, for other people and programs."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.help_sections import DATA, OUTPUT, Command
from pipeline.commands.options import Json
from pipeline.terminal import answer

app = typer.Typer()


@app.command(cls=Command, epilog="Example: cli.py export runs/dfew-fold1-seed0 --out model")
def export(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    out: Annotated[
        Path, typer.Option(help="Write the model to this new directory.", rich_help_panel=OUTPUT)
    ] = Path("model"),
    cache: Annotated[
        str | None,
        typer.Option(
            help="Read from this training cache how the features were made, for runs of earlier versions "
            "[the run's cache].",
            rich_help_panel=DATA,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Write a trained model for others: weights, settings, preprocessing, model card, example."""
    from trainer.export import export_model

    answer(export_model(run, out, cache), json_)

"""`export`: a directory with a trained model, for other people and programs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.help_sections import DATA, OUTPUT, Command
from pipeline.commands.options import Json
from pipeline.errors import ConfigError
from pipeline.terminal import answer, say

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
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Write head.onnx too, for other programs.", rich_help_panel=OUTPUT),
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(
            help="Upload the model to this repository, owner/name, of a model hub (HF_ENDPOINT), private "
            "if it is new [none].",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository public.", rich_help_panel=OUTPUT)
    ] = False,
    i_hold_the_rights: Annotated[
        bool,
        typer.Option(
            "--i-hold-the-rights",
            help="State that the authors of a licensed dataset allow you to share the weights.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Write a trained model for others: weights, settings, preprocessing, model card, example."""
    from trainer.export import export_model

    options = {"--public": public, "--i-hold-the-rights": i_hold_the_rights}
    alone = [name for name, is_set in options.items() if is_set]
    if push is None and alone:
        msg = f"{alone[0]} is for --push, which is not given; add --push owner/name, or leave it out."
        raise ConfigError(msg)
    if push is not None:
        from trainer.export.push import require_name, require_rights
        from trainer.run_directory import load_info

        require_name(push)
        require_rights(load_info(run), has_rights=i_hold_the_rights)
    found = export_model(run, out, cache, onnx=onnx)
    if push is not None:
        from trainer.export.push import push_model

        say(f"uploading {found.num_bytes / 1e6:.1f} MB to {push}")
        found = replace(
            found,
            pushed=push_model(
                found.path, push, load_info(run), has_rights=i_hold_the_rights, is_private=not public
            ),
        )
    answer(found, json_)

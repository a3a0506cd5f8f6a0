"""`weights`: list and fetch published model weights."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.help_sections import OUTPUT, Command
from pipeline.commands.options import Json
from pipeline.terminal import answer, progress_bar

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List or fetch published model weights.")


@app.command("list", cls=Command, epilog="Example: cli.py weights list")
def weights_list(json_: Json = False) -> None:
    """List the weight files that this program can fetch: present or not, licence, size, sha256, source."""
    from pipeline.clip_model.listing import Listing

    answer(Listing.of_all(), json_)


@app.command("fetch", cls=Command, epilog="Example: cli.py weights fetch retinaface-resnet50")
def weights_fetch(
    name: Annotated[str, typer.Argument(help="Name of the weights, from `weights list`.")],
    to: Annotated[
        Path | None,
        typer.Option(
            help="Write to this directory [$OUS_WEIGHTS, else ~/.cache/ous/weights].", rich_help_panel=OUTPUT
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Fetch a weight file and check its sha256. For nodes without internet, run it on a login node."""
    from pipeline.weights import Fetched, fetch, weights_dir

    with progress_bar(f"fetching {name}", "MB") as (start, advance):
        before = 0

        def show(done: int, total: int | None) -> None:
            nonlocal before
            if not before and total:
                start(total / 1e6)
            advance((done - before) / 1e6)
            before = done

        path = fetch(name, to or weights_dir(), show)
    answer(Fetched(name=name, path=path), json_)

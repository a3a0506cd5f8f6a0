"""`weights`: published model weights."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Json
from pipeline.terminal import answer, progress_bar

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Published model weights: list them, fetch them."
)


@app.command("list", epilog="Example: cli.py weights list")
def weights_list(json_: Json = False) -> None:
    """List the weight files that this program knows: here or missing, licence, size, sha256 and source."""
    from pipeline.clip_model.listing import Listing

    answer(Listing.of_all(), json_)


@app.command("fetch", epilog="Example: cli.py weights fetch retinaface-resnet50")
def weights_fetch(
    name: Annotated[str, typer.Argument(help="A name from `weights list`.")],
    to: Annotated[Path | None, typer.Option(help="Folder [$OUS_WEIGHTS, else ~/.cache/ous/weights].")] = None,
    json_: Json = False,
) -> None:
    """Fetch a weight file and check its sha256; for nodes without internet, fetch on a login node."""
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

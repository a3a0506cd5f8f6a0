"""`cache`: inspect, verify, repair, relabel and export a cache."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.choices import Dataset
from pipeline.commands.help_sections import DATA, OUTPUT, Command
from pipeline.commands.options import (
    EXIT_FAILED_CHECK,
    CacheArgument,
    DetectorWeights,
    EncoderWeightsOfCache,
    Form,
    Json,
    LabelOrder,
    Lists,
    TakeOver,
    read_options,
)
from pipeline.commands.shutdown import ends_at_once
from pipeline.errors import CacheError, VerificationError
from pipeline.terminal import answer, progress_bar, say, show_speed

if TYPE_CHECKING:
    from pipeline.runner import Speed
    from pipeline.store.reader import FeatureCache

RootOfCache = Annotated[
    Path | None,
    typer.Option(
        "--root", help="Read the dataset at this path [its path at extraction].", rich_help_panel=DATA
    ),
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Inspect, verify, repair, relabel or export a feature cache.",
)


def _open(cache: str) -> "FeatureCache":
    from pipeline.store.reader import FeatureCache

    return FeatureCache.open(cache)


@app.command("info", cls=Command, epilog="Example: cli.py cache info feats.zarr")
def cache_info(
    cache: CacheArgument,
    all_clips: Annotated[
        bool,
        typer.Option(help="List all failed clips and all with notes, not only some.", rich_help_panel=OUTPUT),
    ] = False,
    json_: Json = False,
) -> None:
    """Show the contents of a cache: clips by outcome, classes, splits, encoder, shapes."""
    from pipeline.store.summary import summarise
    from pipeline.versions import version_note

    with _open(cache) as opened:
        note = version_note(opened.meta.identity)
        answer(summarise(opened, all_clips=all_clips, version_note=note), json_)


@app.command("verify", cls=Command, epilog="Example: cli.py cache verify feats.zarr --sample 4 --root clips/")
def cache_verify(
    cache: CacheArgument,
    sample: Annotated[
        int | None,
        typer.Option(
            help="Recompute this many clips, 0 for none [2, if their files are here].", rich_help_panel=DATA
        ),
    ] = None,
    root: RootOfCache = None,
    encoder_weights: EncoderWeightsOfCache = None,
    detector_weights: DetectorWeights = None,
    json_: Json = False,
) -> None:
    """Check counts, shapes, NaN, ranges and membership of a cache, and recompute a sample of clips."""
    from pipeline.store.location import Location
    from pipeline.verify import verify

    try:
        opened_cache = _open(cache)
    except CacheError as error:
        if not Location.of(cache).exists():
            raise
        raise VerificationError(str(error)) from error
    with opened_cache as opened, progress_bar("checking", "blocks") as (start, advance):
        start(-(-opened.meta.num_clips // opened.meta.block_clips))
        report = verify(
            opened, sample, root=root, encoder_weights=encoder_weights, detector_weights=detector_weights,
            on_block=lambda: advance(1),
        )  # fmt: skip
    answer(report, json_)
    if report.findings:
        raise typer.Exit(EXIT_FAILED_CHECK)


@app.command("repair", cls=Command, epilog="Example: cli.py cache repair feats.zarr --root clips/")
def cache_repair(
    cache: CacheArgument,
    root: RootOfCache = None,
    encoder_weights: EncoderWeightsOfCache = None,
    detector_weights: DetectorWeights = None,
    json_: Json = False,
) -> None:
    """Find blocks with damaged or missing chunks, NaN or infinity, and recompute only those."""
    from pipeline.repair import repair

    with _open(cache) as opened:
        num_blocks = -(-opened.meta.num_clips // opened.meta.block_clips)
    shown: list[Callable[[Speed], None]] = []
    stopped = (
        f"stopped; run `cache repair` again for the other damaged blocks of {cache}, and `extract` for "
        "those that were being recomputed."
    )
    with ends_at_once(stopped), ExitStack() as bars:
        start, advance = bars.enter_context(progress_bar("checking", "blocks"))
        start(num_blocks)

        def show(speed: "Speed") -> None:
            if not shown:
                bars.close()
                shown.append(show_speed(*bars.enter_context(progress_bar("repairing", "clips"))))
            shown[0](speed)

        report = repair(
            cache, root=root, encoder_weights=encoder_weights, detector_weights=detector_weights,
            on_block=lambda: advance(1), on_progress=show, say=say,
        )  # fmt: skip
    answer(report, json_)
    if not report.is_whole:
        raise typer.Exit(EXIT_FAILED_CHECK)


@app.command("relabel", cls=Command, epilog="Example: cli.py cache relabel feats.zarr --polarities map.csv")
def cache_relabel(
    cache: CacheArgument,
    dataset: Annotated[
        Dataset | None,
        typer.Option(help="Read the dataset of this name or layout [the cache's].", rich_help_panel=DATA),
    ] = None,
    root: RootOfCache = None,
    lists: Lists = None,
    label_order: LabelOrder = None,
    all_clips: Annotated[
        bool, typer.Option(help="Add clips that are in no list [as at extraction].", rich_help_panel=DATA)
    ] = False,
    source: Form = "auto",
    polarities: Annotated[
        Path | None,
        typer.Option(
            help="Read polarities from this CSV: class,polarity or clip_id,polarity. Without other options, "
            "only polarities change [none].",
            rich_help_panel=DATA,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Show the changes; write nothing.", rich_help_panel=OUTPUT)
    ] = False,
    take_over: TakeOver = False,
    json_: Json = False,
) -> None:
    """Change labels, folds, groups, votes or polarities in a cache; features stay.

    The dataset is read as at extraction, except for the options given here.
    """
    from pipeline.datasets.polarities import read_polarities
    from pipeline.relabel import relabel
    from pipeline.runner import dataset_of, read_as
    from pipeline.types import ReadOptions

    reading = read_options(lists, label_order, source, all_clips=all_clips)
    index = None
    if dataset or root or polarities is None or reading != ReadOptions():
        with _open(cache) as opened:
            is_other = dataset not in (None, opened.meta.dataset)
            options = reading if is_other else read_as(opened, reading)
            index = dataset_of(opened, root, name=dataset, options=options)
        for note in index.notes:
            say(f"note: {note}")
    table = None if polarities is None else read_polarities(polarities)
    answer(relabel(cache, index, table, dry_run=dry_run, take_over=take_over), json_)


@app.command("export", cls=Command, epilog="Example: cli.py cache export feats.zarr --to feats.h5")
def cache_export(
    cache: CacheArgument,
    to: Annotated[
        Path | None, typer.Option(help="Write this HDF5 file [beside the cache].", rich_help_panel=OUTPUT)
    ] = None,
    json_: Json = False,
) -> None:
    """Write a cache as one HDF5 file, which `train` reads too."""
    from pipeline.store.export import beside, export_hdf5

    with _open(cache) as opened:
        answer(export_hdf5(opened, to or beside(opened.place), lambda name: say(f"  {name}")), json_)

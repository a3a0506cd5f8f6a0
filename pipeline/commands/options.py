"""What several commands take, and a data set read by it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.terminal import progress_bar, say

if TYPE_CHECKING:
    from pipeline.store.location import Where
    from pipeline.types import DatasetIndex, ReadOptions

EXIT_FAILED_CHECK, EXIT_INTERRUPTED = 3, 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Cache = Annotated[str, typer.Option("--cache", help="The feature cache: a folder, or s3://BUCKET/PREFIX.")]
CacheArgument = Annotated[str, typer.Argument(help="A cache, or its HDF5 export.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Any other setting; may be repeated. A wrong one lists those there are.",
    ),
]
Dataset = Annotated[str, typer.Option(help="dfew, ferv39k, mafw, manifest, folder, synthetic.")]
Root = Annotated[
    Path | None, typer.Option(help="Where the data set lies [$OUS_DATA/DATASET, else data/DATASET].")
]
AllClips = Annotated[bool, typer.Option(help="Also clips that no list names.")]
Lists = Annotated[
    list[Path] | None,
    typer.Option(
        help="Lists of clips, or a folder of them, to read instead of the owner's; may be repeated."
    ),
]
LabelOrder = Annotated[
    str | None,
    typer.Option(
        help="How integers in lists count the classes: alphabetical, dfew, mafw, ... [as determined]."
    ),
]
Source = Annotated[
    str, typer.Option(help="Form of the clips: auto, video, frames, or crops (faces only, no scene).")
]
Scene = Annotated[str, typer.Option(help="Scene frame: masked (face filled), or full.")]
Detector = Annotated[
    str,
    typer.Option(
        help="retinaface-resnet50, retinaface-mobilenet0.25, haar, or the data set's own boxes or crops."
    ),
]
DetectorWeights = Annotated[str | None, typer.Option(help="File with the detector's weights.")]
EncoderWeights = Annotated[
    str | None,
    typer.Option(
        help="A tag of open_clip, a file or directory (docs/weights.md), or 'random' (untrained, for trials)."
    ),
]


def read_options(
    lists: list[Path] | None, label_order: str | None, source: str, *, all_clips: bool = False
) -> "ReadOptions":
    """The options of reading a data set, from those of a command."""
    from pipeline.types import ReadOptions

    texts = tuple(str(path) for path in lists or ())
    return ReadOptions(lists=texts, label_order=label_order, source=source, all_clips=all_clips)


def note_versions(cache: "Where") -> None:
    """Show a note where the features of a cache were made by other algorithm versions than this program's.

    They can be used as they are. Raises CacheError where the cache cannot be opened.
    """
    from pipeline.store.reader import FeatureCache
    from pipeline.versions import version_note

    with FeatureCache.open(cache) as opened:
        if note := version_note(opened.meta.identity):
            say(f"note: '{opened.place}' was made with {note}")


def root_of(name: str) -> Path:
    """Where a data set is looked for when no root is given."""
    data = os.environ.get("OUS_DATA")
    return (Path(data) if data else Path("data")) / name


def read_index(name: str, root: Path | None, reading: "ReadOptions", *, may_draw: bool) -> "DatasetIndex":
    """Read a data set and show its warnings and notes; may_draw: a synthetic set that is not there."""
    from pipeline.datasets import read_dataset

    where = root or root_of(name)
    if name == "synthetic" and may_draw and not where.exists():
        from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic

        with progress_bar("drawing clips", "clips") as (start, advance):
            start(SyntheticConfig().num_clips)
            write_synthetic(where, SyntheticConfig(), lambda done, total: advance(1))
    index = read_dataset(name, where, reading)
    for warning in index.warnings:
        say(f"!! {warning}")
    for note in index.notes:
        say(f"note: {note}")
    return index

"""Options that several commands share, and how a command reads a dataset by them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pipeline.choices import (
    ClipForm,
    Dataset,
    DetectorName,
    DetectorOption,
    FaceSource,
    ProvidedFaces,
    SceneFrame,
)
from pipeline.commands.help_sections import DATA, MACHINE, MODEL, OUTPUT
from pipeline.errors import ConfigError
from pipeline.terminal import progress_bar, say

if TYPE_CHECKING:
    from pipeline.store.location import LocationLike
    from pipeline.types import DatasetIndex, ReadOptions

EXIT_FAILED_CHECK, EXIT_INTERRUPTED = 3, 130

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout.", rich_help_panel=OUTPUT)
]
Cache = Annotated[
    str,
    typer.Option(
        "--cache", help="Read this cache: a directory, or s3://BUCKET/PREFIX.", rich_help_panel=DATA
    ),
]
CacheArgument = Annotated[
    str, typer.Argument(help="Location of the cache: a directory, s3://BUCKET/PREFIX, or an HDF5 export.")
]
Device = Annotated[
    str,
    typer.Option(
        help="Compute on this device: auto (a GPU if there is one), cpu, cuda, cuda:N.",
        rich_help_panel=MACHINE,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change any other setting; may be repeated. An unknown key lists all keys [no change].",
        rich_help_panel=MODEL,
    ),
]
DatasetName = Annotated[
    Dataset,
    typer.Option(help="Read the dataset of this name or layout.", rich_help_panel=DATA),
]
Root = Annotated[
    Path | None,
    typer.Option(
        help="Read the dataset at this path [$OUS_DATA/DATASET, else data/DATASET].", rich_help_panel=DATA
    ),
]
AllClips = Annotated[bool, typer.Option(help="Add clips that are in no list.", rich_help_panel=DATA)]
Lists = Annotated[
    list[Path] | None,
    typer.Option(
        help="Read clips from this list, or directory of lists; may be repeated [the authors' lists].",
        rich_help_panel=DATA,
    ),
]
LabelOrder = Annotated[
    str | None,
    typer.Option(
        help="Read integer labels of lists in this order of classes: alphabetical, dfew, mafw, ... "
        "[determined from the data].",
        rich_help_panel=DATA,
    ),
]
Form = Annotated[
    ClipForm,
    typer.Option(
        help="Read clips in this form: videos, directories of frames, or face crops (no scene).",
        rich_help_panel=DATA,
    ),
]
Scene = Annotated[
    SceneFrame,
    typer.Option(help="Make scene frames with the face masked, or full frames.", rich_help_panel=MODEL),
]
Faces = Annotated[
    FaceSource | None,
    typer.Option(
        "--faces",
        help="Take faces from --detector, or from the dataset's bounding boxes or face crops [detector].",
        rich_help_panel=MODEL,
    ),
]
Detector = Annotated[DetectorName, typer.Option(help="Find faces by this detector.", rich_help_panel=MODEL)]
DetectorOrSource = Annotated[
    DetectorOption,
    typer.Option(
        "--detector",
        help="Find faces by this detector (boxes, crops: older spelling of --faces).",
        rich_help_panel=MODEL,
    ),
]
DetectorWeights = Annotated[
    str | None,
    typer.Option(help="Load the detector from this file [the fetched file].", rich_help_panel=MODEL),
]
_ENCODER_WEIGHTS = (
    "Load CLIP from an open_clip tag, a file or a directory (docs/weights.md); 'random': untrained"
)
EncoderWeights = Annotated[str, typer.Option(help=f"{_ENCODER_WEIGHTS}.", rich_help_panel=MODEL)]
EncoderWeightsOfCache = Annotated[
    str | None,
    typer.Option("--encoder-weights", help=f"{_ENCODER_WEIGHTS} [as at extraction].", rich_help_panel=MODEL),
]
Encoder = Annotated[
    str, typer.Option(help="Encode with this CLIP model, by its name in open_clip.", rich_help_panel=MODEL)
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Connect to the Dask cluster at this address or scheduler file; sync for this process [none].",
        rich_help_panel=MACHINE,
    ),
]
Gpus = Annotated[
    int | None,
    typer.Option(
        help="Start this many worker processes, one per GPU; 0 for the CPU [compute in this process].",
        rich_help_panel=MACHINE,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Start this many worker processes on the CPU's cores [none].", rich_help_panel=MACHINE),
]
TakeOver = Annotated[
    bool, typer.Option(help="Take the cache's lock from another run.", rich_help_panel=OUTPUT)
]
Frames = Annotated[int, typer.Option(help="Sample this many frames per clip.", rich_help_panel=MODEL)]


def face_settings(faces: FaceSource | None, detector: DetectorOption) -> dict[str, str]:
    """Return the section `faces` of the settings.

    Args:
        faces: Value of ``--faces``; None if it is not given.
        detector: Value of ``--detector``.

    Raises:
        ConfigError: ``--faces detector`` is given, and ``--detector`` names no detector.
    """
    if faces == "detector" and detector in get_args(ProvidedFaces):
        msg = f"--faces detector needs a detector, but --detector {detector} is given; remove one of the two."
        raise ConfigError(msg)
    return {} if faces is None else {"source": faces}


def read_options(
    lists: list[Path] | None, label_order: str | None, source: str, *, all_clips: bool = False
) -> "ReadOptions":
    """Return the options of reading a dataset, from the options of a command.

    Args:
        lists: Lists of clips, or directories of lists; None for the authors' lists.
        label_order: Name of the order of classes for integer labels; None to determine it from the data.
        source: One of `pipeline.choices.ClipForm`.
        all_clips: Whether clips that are in no list are added.

    Raises:
        ConfigError: A value is not allowed.
    """
    from pipeline.types import ReadOptions

    texts = tuple(str(path) for path in lists or ())
    return ReadOptions(lists=texts, label_order=label_order, source=source, all_clips=all_clips)


def note_versions(cache: "LocationLike") -> None:
    """Print a note if the features of a cache were made by other algorithm versions than this program's.

    Such features can be used.

    Args:
        cache: Location of the cache.

    Raises:
        CacheError: The cache cannot be opened.
    """
    from pipeline.store.reader import FeatureCache
    from pipeline.versions import version_note

    with FeatureCache.open(cache) as opened:
        if note := version_note(opened.meta.identity):
            say(f"note: '{opened.place}' was made with {note}")


def root_of(name: str) -> Path:
    """Return the path of a dataset for which no root is given."""
    data = os.environ.get("OUS_DATA")
    return (Path(data) if data else Path("data")) / name


def read_index(name: str, root: Path | None, reading: "ReadOptions", *, may_draw: bool) -> "DatasetIndex":
    """Read a dataset, and print its warnings and notes.

    Args:
        name: One of `pipeline.choices.Dataset`.
        root: Path of the dataset, None for `root_of(name)`.
        reading: Options of reading.
        may_draw: Whether the synthetic dataset is drawn if it is missing.

    Returns:
        Clips with labels, folds and splits.

    Raises:
        ConfigError: An option does not apply to this dataset.
        DatasetError: The dataset cannot be read.
    """
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

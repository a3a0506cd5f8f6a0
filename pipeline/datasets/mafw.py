"""MAFW as its owner hands it out: 10,045 clips, eleven classes, five folds over the single-labelled ones.

``data/clips/00025.mp4`` whole frames, ``data/frames/00025/`` the same as pictures, ``data/faces/00025/``
face crops, ``Train & Test Set/single/no_caption/set_1/{train,test}.txt`` lists.
"""

import re
from pathlib import Path

from pipeline.datasets.indexed import read_official
from pipeline.datasets.official import ALL_OPTIONS, Inventory, OfficialSet
from pipeline.datasets.published import Published
from pipeline.datasets.tree import Tree
from pipeline.types import DatasetIndex, ReadOptions, Split

_NUM_CLIPS = 10_045
_CLASSES = (
    "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt", "anxiety",
    "helplessness", "disappointment",
)  # fmt: skip
_DFER_CLIP = (
    "happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear", "contempt", "anxiety",
    "helplessness", "disappointment",
)  # fmt: skip
_NAME = re.compile(r"(?:.*[/\\])?(\d{5}|[1-9]\d{0,4})(?:\.[A-Za-z0-9]{1,4})?", re.DOTALL)
_LISTS = "Train & Test Set/single/no_caption"

OPTIONS = ALL_OPTIONS


def read(root: Path, options: ReadOptions) -> DatasetIndex:
    """Read MAFW from the folder that holds data and Train & Test Set."""
    return read_official(SET, root, options)


def clip_id_of(text: str) -> str | None:
    """``00025``, ``25``, ``00025.mp4`` and ``/anywhere/00025`` are the clip 00025."""
    found = _NAME.fullmatch(text)
    return f"{int(found[1]):05d}" if found and 1 <= int(found[1]) <= _NUM_CLIPS else None


def path_of(form: str, clip_id: str) -> str:
    """Where the owner puts a clip."""
    return {
        "video": f"data/clips/{clip_id}.mp4",
        "frames": f"data/frames/{clip_id}",
        "crops": f"data/faces/{clip_id}",
    }[form]


def find_lists(root: Path) -> list[tuple[Path, str, Split]]:
    """The lists of the folds that are there."""
    return [
        (path, fold, split)
        for fold in SET.published.fold_names
        for split in (Split.TRAIN, Split.TEST)
        if (path := root / _LISTS / f"set_{fold}" / f"{split.name.lower()}.txt").is_file()
    ]


def find_clips(root: Path) -> Inventory:
    """Videos, folders of whole frames, and of face crops."""
    tree = Tree(root, clip_id_of)
    videos, _ = tree.clips("data/clips")
    _, frames = tree.clips("data/frames")
    _, crops = tree.clips("data/faces")
    return Inventory(
        videos=videos,
        frames=frames,
        crops=crops,
        beside=crops,
        strangers=tuple(tree.strangers),
        twice=tree.twice,
    )


SET = OfficialSet(
    name="mafw",
    published=Published(
        title="MAFW",
        class_names=_CLASSES,
        fold_names=("1", "2", "3", "4", "5"),
        num_clips=_NUM_CLIPS,
        splits={},
        orders={"mafw": _CLASSES, "dfer-clip": _DFER_CLIP},
        source="the owner's README and lists",
        access="on request, for research: mafw-database.github.io/MAFW",
    ),
    places={
        "lists": f"{_LISTS}/set_<fold>/<train or test>.txt",
        "video": "data/clips/<number>.mp4",
        "frames": "data/frames/<number>/",
        "crops": "data/faces/<number>/",
    },
    clip_id_of=clip_id_of,
    path_of=path_of,
    find_lists=find_lists,
    find_clips=find_clips,
)

"""MAFW as its authors publish it: 10,045 clips, eleven classes, five folds over the single-labelled ones.

``data/clips/00025.mp4`` whole frames, ``data/frames/00025/`` the same as image files, ``data/faces/00025/``
face crops, ``Train & Test Set/single/no_caption/set_1/{train,test}.txt`` lists.
"""

from pathlib import Path

from pipeline.datasets.build_index import read_official
from pipeline.datasets.file_scan import Tree, numbered_clip_id
from pipeline.datasets.official_counts import Published, class_counts_of_folds
from pipeline.datasets.official_reader import ALL_OPTIONS, Inventory, OfficialSet
from pipeline.types import DatasetIndex, ReadOptions, Split

_CLASSES = (
    "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt", "anxiety",
    "helplessness", "disappointment",
)  # fmt: skip
_DFER_CLIP = (
    "happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear", "contempt", "anxiety",
    "helplessness", "disappointment",
)  # fmt: skip
_TOTALS = (1390, 639, 625, 1242, 1138, 1470, 1072, 236, 916, 262, 182)
_TEST = {
    "1": (278, 128, 125, 249, 228, 294, 215, 48, 184, 53, 37),
    "2": (278, 128, 125, 249, 228, 294, 215, 47, 183, 53, 37),
    "3": (278, 128, 125, 248, 228, 294, 214, 47, 183, 52, 36),
    "4": (278, 128, 125, 248, 227, 294, 214, 47, 183, 52, 36),
    "5": (278, 127, 125, 248, 227, 294, 214, 47, 183, 52, 36),
}
"""Clips per class in the authors' lists: of a whole fold above, and of each fold's test list here."""
_LISTS = "Train & Test Set/single/no_caption"

OPTIONS = ALL_OPTIONS


def read(root: Path, options: ReadOptions) -> DatasetIndex:
    """Read MAFW from the directory that holds data and Train & Test Set."""
    return read_official(SET, root, options)


def clip_id_of(text: str) -> str | None:
    """Return the clip id of a name or path: 00025 for ``00025``, ``25`` and ``/anywhere/00025.mp4``.

    Numbers exceed the number of clips: they go up to 20098 in the authors' lists.
    """
    return numbered_clip_id(text)


def path_of(form: str, clip_id: str) -> str:
    """Return the authors' path of a clip, relative to the root."""
    return {
        "video": f"data/clips/{clip_id}.mp4",
        "frames": f"data/frames/{clip_id}",
        "crops": f"data/faces/{clip_id}",
    }[form]


def find_lists(root: Path) -> list[tuple[Path, str, Split]]:
    """Return the lists that are there, with fold and split."""
    return [
        (path, fold, split)
        for fold in SET.published.fold_names
        for split in (Split.TRAIN, Split.TEST)
        if (path := root / _LISTS / f"set_{fold}" / f"{split.name.lower()}.txt").is_file()
    ]


def find_clips(root: Path) -> Inventory:
    """Find videos, directories of whole frames, and directories of face crops."""
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
        num_clips=10_045,
        splits={
            "1": (7333, 1839), "2": (7335, 1837), "3": (7339, 1833), "4": (7340, 1832), "5": (7341, 1831),
        },
        orders={"mafw": _CLASSES, "dfer-clip": _DFER_CLIP},
        source="the authors' README and lists",
        access="on request, for research: mafw-database.github.io/MAFW",
        classes=class_counts_of_folds(_TOTALS, _TEST),
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
)  # fmt: skip

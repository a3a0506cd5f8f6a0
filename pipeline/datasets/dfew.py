"""DFEW as its authors publish it: 16,372 clips of films, five folds over the single-labelled ones.

``Clip/original/1.mp4`` whole frames, ``EmoLabel_DataSplit/{train,test}(single-labeled)/set_1.csv``,
``Clip/clip_224x224/00001/`` aligned faces, ``Annotation/annotation.xlsx`` ten votes per clip.
"""

from pathlib import Path

from pipeline.datasets.build_index import read_official
from pipeline.datasets.file_scan import Tree, numbered_clip_id
from pipeline.datasets.official_counts import SEVEN_EMOTIONS, Published, class_counts_of_folds
from pipeline.datasets.official_reader import ALL_OPTIONS, Inventory, OfficialSet
from pipeline.datasets.votes import sheet_classes, sheet_votes
from pipeline.types import DatasetIndex, ReadOptions, Split

_SHEET = "Annotation/annotation.xlsx"
_ALIGNED, _ALIGNED_VIDEOS, _ALIGNED_16 = "Clip/clip_224x224", "Clip/clip_224x224_avi", "Clip/clip_224x224_16f"
_TOTALS = (2445, 1894, 2669, 2173, 1469, 145, 902)
_TEST = {
    "1": (489, 379, 534, 435, 294, 29, 181),
    "2": (489, 379, 534, 435, 294, 29, 181),
    "3": (489, 379, 534, 435, 294, 29, 180),
    "4": (489, 379, 534, 434, 294, 29, 180),
    "5": (489, 378, 533, 434, 293, 29, 180),
}
"""Clips per class in the authors' lists: of a whole fold above, and of each fold's test list here."""

OPTIONS = ALL_OPTIONS


def read(root: Path, options: ReadOptions) -> DatasetIndex:
    """Read DFEW from the directory that holds Clip and EmoLabel_DataSplit."""
    return read_official(SET, root, options)


def clip_id_of(text: str) -> str | None:
    """Return the clip id of a name or path: 00001 for ``1``, ``00001``, ``/anywhere/00001`` and ``1.mp4``."""
    return numbered_clip_id(text)


def path_of(form: str, clip_id: str) -> str:
    """Return the authors' path of a clip, relative to the root."""
    return {
        "video": f"Clip/original/{int(clip_id)}.mp4",
        "frames": f"Clip/original/{clip_id}",
        "crops": f"{_ALIGNED}/{clip_id}",
    }[form]


def find_lists(root: Path) -> list[tuple[Path, str, Split]]:
    """Return the lists that are there, with fold and split."""
    return [
        (path, fold, split)
        for fold in SET.published.fold_names
        for split, folder in ((Split.TRAIN, "train(single-labeled)"), (Split.TEST, "test(single-labeled)"))
        if (path := root / "EmoLabel_DataSplit" / folder / f"set_{fold}.csv").is_file()
    ]


def find_clips(root: Path) -> Inventory:
    """Find whole frames and aligned faces. Faces of 16 frames, or in videos, do not match a clip's frames."""
    tree = Tree(root, clip_id_of)
    videos, frames = tree.clips("Clip/original")
    _, aligned = tree.clips(_ALIGNED)
    aligned_videos, _ = tree.clips(_ALIGNED_VIDEOS)
    _, aligned_16 = tree.clips(_ALIGNED_16)
    return Inventory(
        videos=videos,
        frames=frames,
        crops=aligned_16 | aligned_videos | aligned,
        beside=aligned,
        strangers=tuple(tree.strangers),
        twice=tree.twice,
    )


SET = OfficialSet(
    name="dfew",
    published=Published(
        title="DFEW",
        class_names=SEVEN_EMOTIONS,
        fold_names=("1", "2", "3", "4", "5"),
        num_clips=16_372,
        splits={
            "1": (9356, 2341), "2": (9356, 2341), "3": (9357, 2340), "4": (9358, 2339), "5": (9361, 2336),
        },
        orders={"dfew": SEVEN_EMOTIONS},
        source="the authors' README and lists",
        access="on request, for research: dfew-dataset.github.io",
        classes=class_counts_of_folds(_TOTALS, _TEST),
    ),
    places={
        "lists": "EmoLabel_DataSplit/<train or test>(single-labeled)/set_<fold>.csv",
        "video": "Clip/original/<number>.mp4",
        "frames": "Clip/original/<number>/",
        "crops": f"{_ALIGNED}/<number>/",
    },
    clip_id_of=clip_id_of,
    path_of=path_of,
    find_lists=find_lists,
    find_clips=find_clips,
    find_votes=lambda root: sheet_votes(root / _SHEET, SEVEN_EMOTIONS, clip_id_of),
    find_labels=lambda root: sheet_classes(root / _SHEET, SEVEN_EMOTIONS, clip_id_of),
    votes_at=_SHEET,
    owner_header=("video_name", "label"),
)  # fmt: skip

"""FERV39k as its authors publish it: 38,935 clips of 22 scenes, one split.

``0_7_LabelClips/Action/Happy/0227.mp4`` whole frames, ``3_ClipsforScenImages/Action/Happy/0227/`` the
same as image files, ``2_ClipsforFaceCrop/Action/Happy/0227/`` face crops, ``4_setups/All_scenes/`` lists.
"""

import re
from pathlib import Path

from pipeline.datasets.build_index import read_official
from pipeline.datasets.emotions import class_of
from pipeline.datasets.file_scan import Tree
from pipeline.datasets.official_counts import SEVEN_EMOTIONS, Published
from pipeline.datasets.official_reader import ALL_OPTIONS, Inventory, OfficialSet
from pipeline.types import DatasetIndex, ReadOptions, Split

_SCENES = (
    "Action", "Argue", "Business", "Conflict", "Contest", "Crime", "Crisis", "DailyLife", "ElegantArt",
    "Experiment", "History", "Interview", "Liveshow", "Medicine", "OfficialEvent", "ScholarReport", "School",
    "Social", "Speech", "Talkshow", "Terror", "War",
)  # fmt: skip
_SCENE = {scene.lower(): scene for scene in _SCENES}
_FOLDERS = {
    "happiness": "Happy", "sadness": "Sad", "neutral": "Neutral", "anger": "Angry", "surprise": "Surprise",
    "disgust": "Disgust", "fear": "Fear",
}  # fmt: skip
_NAME = re.compile(
    r"(?:.*[/\\])?([A-Za-z]+)[/\\]([A-Za-z]+)[/\\](\d{1,9})(?:\.[A-Za-z0-9]{1,4})?[/\\]*", re.DOTALL
)
_PLACES = {"video": "0_7_LabelClips", "frames": "3_ClipsforScenImages", "crops": "2_ClipsforFaceCrop"}
_LISTS = "4_setups/All_scenes"

OPTIONS = ALL_OPTIONS


def read(root: Path, options: ReadOptions) -> DatasetIndex:
    """Read FERV39k from the directory that holds 0_7_LabelClips and 4_setups."""
    return read_official(SET, root, options)


def clip_id_of(text: str) -> str | None:
    """Return Scene/Emotion/0227 for a path that ends so. Numbers repeat over scenes and emotions."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    scene, folder = _SCENE.get(found[1].lower()), _FOLDERS.get(class_of(found[2]) or "")
    return f"{scene}/{folder}/{int(found[3]):04d}" if scene and folder else None


def path_of(form: str, clip_id: str) -> str:
    """Return the authors' path of a clip, relative to the root."""
    return f"{_PLACES[form]}/{clip_id}" + (".mp4" if form == "video" else "")


def find_lists(root: Path) -> list[tuple[Path, str, Split]]:
    """Return the authors' lists that are there, with fold and split."""
    both = ((Split.TRAIN, "train_All.csv"), (Split.TEST, "test_All.csv"))
    return [(path, "1", split) for split, name in both if (path := root / _LISTS / name).is_file()]


def find_clips(root: Path) -> Inventory:
    """Find videos, directories of whole frames, and directories of face crops."""
    tree = Tree(root, clip_id_of)
    videos, _ = tree.clips(_PLACES["video"], depth=3)
    _, frames = tree.clips(_PLACES["frames"], depth=3)
    _, crops = tree.clips(_PLACES["crops"], depth=3)
    return Inventory(
        videos=videos,
        frames=frames,
        crops=crops,
        beside=crops,
        strangers=tuple(tree.strangers),
        twice=tree.twice,
    )


SET = OfficialSet(
    name="ferv39k",
    published=Published(
        title="FERV39k",
        class_names=SEVEN_EMOTIONS,
        fold_names=("1",),
        num_clips=38_935,
        splits={"1": (31_088, 7_847)},
        orders={"dfew": SEVEN_EMOTIONS},
        source="the authors' README and lists",
        access="on request, for research: github.com/wangyanckxx/FERV39k",
        classes={
            ("1", "train"): (5854, 5523, 7790, 5906, 2502, 1833, 1680),
            ("1", "test"): (1473, 1393, 1958, 1487, 638, 467, 431),
        },
    ),
    places={
        "lists": f"{_LISTS}/<train or test>_All.csv",
        "video": "0_7_LabelClips/<Scene>/<Emotion>/<number>.mp4",
        "frames": "3_ClipsforScenImages/<Scene>/<Emotion>/<number>/",
        "crops": "2_ClipsforFaceCrop/<Scene>/<Emotion>/<number>/",
    },
    clip_id_of=clip_id_of,
    path_of=path_of,
    find_lists=find_lists,
    find_clips=find_clips,
)

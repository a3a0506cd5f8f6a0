"""Layouts of `--dataset folder`, as docs/folders.md lists them."""

from pathlib import Path

READ = {
    "class/clip": ({"happy/1.mp4": ("happy", "train"), "sad/1.mp4": ("sad", "train")}, ()),
    "class/clip, names that are no emotions": (
        {"bored/1.mp4": ("bored", "train"), "awake/1.mp4": ("awake", "train")},
        (),
    ),
    "one class": ({"happy/1.mp4": ("happy", "train"), "happy/2.mp4": ("happy", "train")}, ()),
    "numbers before emotions": (
        {"01_happy/1.mp4": ("happy", "train"), "02_sad/1.mp4": ("sad", "train")},
        (),
    ),
    "split/class/clip": (
        {
            "train/happy/1.mp4": ("happy", "train"),
            "train/sad/1.mp4": ("sad", "train"),
            "valid/sad/1.mp4": ("sad", "validation"),
            "test/happy/1.mp4": ("happy", "test"),
        },
        (),
    ),
    "names of splits": (
        {
            "Train_Set/happy/1.mp4": ("happy", "train"),
            "Training/happy/2.mp4": ("happy", "train"),
            "VAL/happy/1.mp4": ("happy", "validation"),
            "Validation set/happy/1.mp4": ("happy", "validation"),
            "dev/happy/1.mp4": ("happy", "validation"),
            "test-data/happy/1.mp4": ("happy", "test"),
        },
        (),
    ),
    "one split": ({"test/happy/1.mp4": ("happy", "test")}, ()),
    "class/split/clip": (
        {"sad/train/1.mp4": ("sad", "train"), "happy/test/1.mp4": ("happy", "test")},
        (),
    ),
    "group/class/clip": (
        {"anna/happy/1.mp4": ("happy", "train"), "bert/sad/1.mp4": ("sad", "train")},
        (),
    ),
    "class/group/clip": (
        {"happy/anna/1.mp4": ("happy", "train"), "sad/anna/1.mp4": ("sad", "train")},
        (),
    ),
    "class/group/clip, classes that are no emotions": (
        {"bored/S01/1.mp4": ("bored", "train"), "awake/S02/1.mp4": ("awake", "train")},
        (),
    ),
    "split/group/class/clip": (
        {
            "train/bert/sad/1.mp4": ("sad", "train"),
            "test/anna/happy/1.mp4": ("happy", "test"),
        },
        (),
    ),
    "class/group/clip, a directory for each clip": (
        {"happy/clip1/video.mp4": ("happy", "train"), "sad/clip2/video.mp4": ("sad", "train")},
        (),
    ),
    "class/clip, images": (
        {"happy/clip_07/0001.jpg": ("happy", "train"), "sad/a/1.jpg": ("sad", "train")},
        ("happy/clip_07/0002.jpg", "happy/clip_07/Thumbs.db"),
    ),
    "split/class/clip, images": (
        {"train/happy/a/1.jpg": ("happy", "train"), "test/happy/clip_09/0001.jpg": ("happy", "test")},
        ("train/happy/a/2.jpg",),
    ),
    "CLASS.mp4": ({"happy.mp4": ("happy", "train"), "Fear.mov": ("Fear", "train")}, ()),
    "flat": ({"interview.mp4": ("", ""), "b.mp4": ("", "")}, ()),
    "flat, some without labels": ({"happy.mp4": ("happy", "train"), "b.mp4": ("", "")}, ()),
    "flat pictures, without labels": ({"a/1.jpg": ("", ""), "b/1.jpg": ("", "")}, ("a/2.jpg",)),
    "unlabelled/clip, beside classes": (
        {"happy/1.mp4": ("happy", "train"), "unlabelled/1.mp4": ("", "")},
        (),
    ),
}
"""Layout -> (clips, with class and split; other files). A clip of pictures is given by its first one."""

REFUSED = {
    "splits without classes": (
        ("train/a.mp4", "test/b.mp4"),
        "'test', 'train' are splits, and no directory between them and the clips names a class. Found, from",
    ),
    "splits with files named after classes": (
        ("train/happy.mp4", "test/happy.mp4"),
        "are splits, and no directory between them",
    ),
    "numbers as classes": (
        ("0/a.mp4", "1/a.mp4"),
        "no level of directories names classes: '0', '1' differ by a number alone, which means other",
    ),
    "padded numbers below splits": (
        ("train/01/a.mp4", "test/02/a.mp4"),
        "'01', '02' differ by a number",
    ),
    "a number among names": (
        ("bored/a.mp4", "awake/a.mp4", "3/a.mp4"),
        "a directory among the classes is named '3', which is a number",
    ),
    "actors without classes": (
        ("Actor_01/03-01.mp4", "Actor_02/03-02.mp4"),
        "'Actor_01', 'Actor_02' differ by a number alone",
    ),
    "two levels of names": (
        ("anna/bored/1.mp4", "bert/awake/1.mp4"),
        "two levels of directories could be the classes, 'anna', 'bert' and 'awake', 'bored'. Found,",
    ),
    "two levels of emotions": (("happy/sad/1.mp4", "fear/sad/1.mp4"), "two levels .* could be the classes"),
    "two levels of splits": (
        ("train/test/1.mp4", "train/train/2.mp4"),
        "two levels of directories name splits",
    ),
    "a split beside another name": (
        ("train/happy/1.mp4", "backup/happy/1.mp4"),
        "'train' names a split, but 'backup' beside it names none",
    ),
    "several depths": (
        ("happy.mp4", "sad/1.mp4", "sad/2.mp4"),
        r"Clips are at several depths: 1 video directly in the root \('happy.mp4'\), 2 videos below",
    ),
    "pictures beside a directory of masks": (
        ("happy/a/1.jpg", "happy/a/masks/1.png", "happy/b/1.jpg"),
        "Clips are at several depths: 2 image folders below 1 directory",
    ),
    "still images": (
        ("happy/1.jpg", "sad/1.jpg"),
        "the directory 'happy' names a class and holds images directly, .* still pictures are not read",
    ),
    "still pictures by split and class": (
        ("train/happy/1.jpg", "test/sad/1.jpg"),
        "are splits, and no direc",
    ),
}
"""Layout -> (files, part of the message)."""


def touch(root: Path, *names: str) -> Path:
    """Make empty files below a directory."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root

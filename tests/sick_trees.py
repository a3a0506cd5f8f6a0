"""Small official trees that are in order, and what the doctor finds after something was planted in them."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from pipeline.datasets import dfew, ferv39k
from pipeline.datasets.official_counts import SEVEN_EMOTIONS
from pipeline.datasets.official_reader import OfficialSet
from pipeline.doctor import CheckOptions, DoctorReport, check
from pipeline.types import ReadOptions
from tests.official_trees import FOLDERS, dfew_tree, ferv39k_tree, thirds, votes_rows, write_sheet

FOLDS = ("1", "2", "3")
FIRST = "EmoLabel_DataSplit/{}(single-labeled)/set_{}.csv"


def uneven(write: Callable[[int, str], str]) -> dict[str, str]:
    """Another number of clips of each class, mixed; three folds of them come out even."""
    per_class = dict(zip(SEVEN_EMOTIONS, (2, 3, 4, 5, 6, 7, 9), strict=True))
    names = [name for place in range(9) for name, many in per_class.items() if place < many]
    return {write(number, name): name for number, name in enumerate(names, start=1)}


DFEW_LABELS = uneven(lambda number, name: f"{number:05d}")
FERV_LABELS = uneven(lambda number, name: f"Action/{FOLDERS[name]}/{number:04d}")


def own_stub(path: Path) -> None:
    """A file whose content is like no other's."""
    own = str(path.absolute()).encode()
    path.write_bytes(hashlib.sha256(own).digest() + own[: int(path.stem) % len(own)])


def own_pictures(folder: Path, many: int = 20) -> None:
    """Files of pictures' names, no two clips' of one content."""
    folder.mkdir(parents=True)
    for number in range(1, many + 1):
        name = f"{number}.jpg"
        (folder / name).write_bytes(f"{folder.name} {name}".encode() + b"." * int(folder.name))


def healthy_dfew(root: Path, **clips: object) -> Path:
    """DFEW's tree of three folds, with votes and stub videos."""
    given = {"video": own_stub, "pictures": own_pictures, **clips}
    dfew_tree(root, DFEW_LABELS, FOLDS, **given)  # type: ignore[arg-type]
    places = {clip_id: SEVEN_EMOTIONS.index(name) + 1 for clip_id, name in DFEW_LABELS.items()}
    header = ("1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear", "order", "label")
    write_sheet(root / "Annotation/annotation.xlsx", [header, *votes_rows(places)])
    return root


def healthy_ferv39k(root: Path, **clips: object) -> Path:
    """FERV39k's tree, with stub videos."""
    given = {"video": own_stub, "pictures": own_pictures, **clips}
    return ferv39k_tree(root, FERV_LABELS, **given)  # type: ignore[arg-type]


@contextmanager
def published_small() -> Iterator[None]:
    """As if the owners had published these few clips."""
    with (
        patch.object(dfew, "SET", _small(dfew.SET, DFEW_LABELS, FOLDS)),
        patch.object(ferv39k, "SET", _small(ferv39k.SET, FERV_LABELS, ("1",))),
    ):
        yield


def kinds(
    name: str, root: Path, *, is_deep: bool = False, num_frames: int = 16, **reading: object
) -> set[str]:
    """What the doctor finds."""
    return {
        finding.kind
        for finding in examined(name, root, is_deep=is_deep, num_frames=num_frames, **reading).findings
    }


def examined(
    name: str, root: Path, *, is_deep: bool = False, num_frames: int = 16, **reading: object
) -> DoctorReport:
    """The doctor's report."""
    options = CheckOptions(
        reading=ReadOptions(**reading),  # type: ignore[arg-type]
        is_deep=is_deep,
        num_frames=num_frames,
    )
    with published_small():
        return check(name, root, options, lambda what, total: lambda: None)


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a list."""
    lines = change(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))


def _small(official: OfficialSet, labels: dict[str, str], folds: tuple[str, ...]) -> OfficialSet:
    both = thirds(labels, folds)
    counts = {
        (fold, split): [sum(labels[clip_id] == name for clip_id in ids) for name in SEVEN_EMOTIONS]
        for fold, pair in both.items()
        for split, ids in zip(("train", "test"), pair, strict=True)
    }
    published = dataclasses.replace(
        official.published,
        fold_names=folds,
        num_clips=len(labels),
        splits={fold: (len(train), len(test)) for fold, (train, test) in both.items()},
        classes=counts,
    )
    return dataclasses.replace(official, published=published)

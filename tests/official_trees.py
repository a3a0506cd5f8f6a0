"""Directory trees of DFEW, FERV39k and MAFW, laid out with small files under the real names."""

import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from pipeline.datasets.dfew import SET as DFEW
from pipeline.datasets.ferv39k import SET as FERV39K
from pipeline.datasets.mafw import SET as MAFW
from pipeline.datasets.official_reader import OfficialSet

FOLDERS = {"happiness": "Happy", "sadness": "Sad", "neutral": "Neutral", "anger": "Angry",
           "surprise": "Surprise", "disgust": "Disgust", "fear": "Fear"}  # fmt: skip
SHEET_HEADER = ("1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear", "order", "label")
STUB = b"stub"

Labels = Mapping[str, str]
"""Class name by clip id."""

Splits = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Clip ids of train and test, by fold."""


def stub(path: Path) -> None:
    """A file that is there and no more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(STUB)


def stub_pictures(folder: Path) -> None:
    """A folder of two files that are there and no more."""
    for name in ("1.jpg", "2.jpg"):
        stub(folder / name)


def invented(official: OfficialSet, per_class: int = 3) -> dict[str, str]:
    """A few clips of each class, with ids as the authors give them."""
    labels: dict[str, str] = {}
    for number in range(per_class * len(official.published.class_names)):
        name = official.published.class_names[number % len(official.published.class_names)]
        written = f"Action/{FOLDERS[name]}/{number + 1:04d}" if official is FERV39K else f"{number + 1:05d}"
        labels[written] = name
    return labels


def thirds(labels: Labels, folds: Iterable[str]) -> dict[str, tuple[list[str], list[str]]]:
    """In each fold another third of the clips is test."""
    ids = sorted(labels)
    num = len(ids) // 3
    return {
        fold: (ids[: (k % 3) * num] + ids[(k % 3 + 1) * num :], ids[(k % 3) * num : (k % 3 + 1) * num])
        for k, fold in enumerate(folds)
    }


def lay_clips(
    root: Path,
    official: OfficialSet,
    clip_ids: Iterable[str],
    forms: Sequence[str] = ("video",),
    video: Callable[[Path], object] = stub,
    pictures: Callable[[Path], object] = stub_pictures,
) -> None:
    """Every clip in each of the forms: ``video``, ``frames``, ``crops``."""
    for clip_id in clip_ids:
        for form in forms:
            path = root / official.path_of(form, clip_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            (video if form == "video" else pictures)(path)


def dfew_tree(
    root: Path,
    labels: Labels | None = None,
    folds: Sequence[str] = ("1", "2", "3"),
    *,
    splits: Splits | None = None,
    padded: bool = False,
    **clips: object,
) -> Path:
    """DFEW's tree, with the authors' lists of these folds."""
    labels = labels or invented(DFEW)
    for fold, both in (splits or thirds(labels, folds)).items():
        for name, ids in zip(("train", "test"), both, strict=True):
            path = root / f"EmoLabel_DataSplit/{name}(single-labeled)/set_{fold}.csv"
            numbers = [DFEW.published.class_names.index(labels[clip_id]) + 1 for clip_id in ids]
            names = [clip_id if padded else int(clip_id) for clip_id in ids]
            rows = [f"{clip},{number}" for clip, number in zip(names, numbers, strict=True)]
            write_lines(path, ["video_name,label", *rows])
    lay_clips(root, DFEW, labels, **clips)  # type: ignore[arg-type]
    return root


def ferv39k_tree(
    root: Path, labels: Labels | None = None, *, splits: Splits | None = None, **clips: object
) -> Path:
    """FERV39k's tree, with the authors' two lists."""
    labels = labels or invented(FERV39K)
    for name, ids in zip(("train", "test"), (splits or thirds(labels, "1"))["1"], strict=True):
        rows = [f"{clip_id} {FOLDERS[labels[clip_id]]}" for clip_id in ids]
        write_lines(root / f"4_setups/All_scenes/{name}_All.csv", rows)
    lay_clips(root, FERV39K, labels, **clips)  # type: ignore[arg-type]
    return root


def mafw_tree(
    root: Path,
    labels: Labels | None = None,
    folds: Sequence[str] = ("1", "2"),
    *,
    splits: Splits | None = None,
    **clips: object,
) -> Path:
    """MAFW's tree, with the authors' lists of these folds, whose lines end in CRLF."""
    labels = labels or invented(MAFW)
    for fold, both in (splits or thirds(labels, folds)).items():
        for name, ids in zip(("train", "test"), both, strict=True):
            path = root / f"Train & Test Set/single/no_caption/set_{fold}/{name}.txt"
            write_lines(path, [f"{clip_id}.mp4 {labels[clip_id]}" for clip_id in ids], end="\r\n")
    lay_clips(root, MAFW, labels, **clips)  # type: ignore[arg-type]
    return root


def real_dfew_tree(root: Path, test_data: Path, num_clips: int = 16_372) -> Path:
    """The authors' real lists of folds 1 and 2, and a stub for every clip."""
    shutil.copytree(test_data / "annotations/dfew/EmoLabel_DataSplit", root / "EmoLabel_DataSplit")
    lay_clips(root, DFEW, [f"{number:05d}" for number in range(1, num_clips + 1)])
    return root


def real_ferv39k_tree(root: Path, test_data: Path) -> Path:
    """The authors' real lists, and a stub for every clip in them."""
    shutil.copytree(test_data / "annotations/ferv39k/4_setups", root / "4_setups")
    lines = [
        line
        for name in ("train_All.csv", "test_All.csv")
        for line in (root / "4_setups/All_scenes" / name).read_text().splitlines()
    ]
    lay_clips(root, FERV39K, [line.split()[0] for line in lines])
    return root


def real_mafw_tree(root: Path, test_data: Path, **clips: object) -> Path:
    """The authors' real lists of fold 1, and a stub for every clip in them."""
    shutil.copytree(test_data / "annotations/mafw", root, dirs_exist_ok=True)
    lay_clips(root, MAFW, mafw_labels(root), **clips)  # type: ignore[arg-type]
    return root


def mafw_labels(root: Path, splits: Sequence[str] = ("train", "test")) -> dict[str, str]:
    """Class name by clip id, as fold 1 of a tree of MAFW has them."""
    folder = root / "Train & Test Set/single/no_caption/set_1"
    lines = [line for split in splits for line in (folder / f"{split}.txt").read_text().splitlines()]
    return {name.removesuffix(".mp4"): label for name, label in map(str.split, filter(str.strip, lines))}


def write_lines(path: Path, lines: Iterable[str], end: str = "\n") -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode())
    return path


def votes_rows(labels: Mapping[str, int]) -> list[list[object]]:
    """Rows of DFEW's workbook: eight votes for the class (1 to 7; 0 for none), two for another."""
    rows: list[list[object]] = []
    for clip_id, label in labels.items():
        votes = [0] * 7
        votes[label - 1] = 8 if label else 5
        votes[0 if label != 1 else 1] += 2 if label else 5
        rows.append([*votes, int(clip_id), label])
    return rows


def write_sheet(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """A workbook (.xlsx) of one sheet, with these rows of texts and numbers."""

    def cell(row: int, column: int, value: object) -> str:
        place = f"{'A' * (column // 26)}{chr(ord('A') + column % 26)}{row}"
        if isinstance(value, str):
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f'<c r="{place}"><v>{value}</v></c>'

    body = "".join(
        f'<row r="{r}">{"".join(cell(r, c, value) for c, value in enumerate(row))}</row>'
        for r, row in enumerate(rows, start=1)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{kinds}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kinds}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{kinds}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return path

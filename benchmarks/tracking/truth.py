"""Truth of trial clips: the place of every person on every frame, and the cuts.

Three forms of ``truth.csv`` are read, which their columns distinguish:

- `clip, frame, person, x0, y0, x1, y1, visible, cut`, written by `benchmarks.tracking.clips`: boxes of faces.
- `clip, frame, person, centre_x, centre_y, side, front`: heads as ellipses in squares. The face is taken as
  the part of the square in FACE_IN_HEAD. A face of which more than half is covered by a head in front of it,
  or is outside the frame, is not visible. These clips have no cuts.
- `clip, frame, person, x0, y0, side`: squares with a video of a person. The face is somewhere inside, and
  the squares do not overlap; a box belongs to a person if its centre is in the square. There is a cut where
  a frame shows no square of the frame before.

Letters: U frames of a clip; P people of a clip; K boxes.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.boxes import iou_of
from pipeline.types import Bools, Floats, Ints

FACE_IN_HEAD = (-0.275, -0.37, 0.275, 0.40)
"""Face relative to the centre of a head's square, in sides.

It is the mean of the boxes that RetinaFace MobileNet-0.25 finds on the clips of side by side heads, whose
IoU with it is at least 0.80 on every frame.
"""
HEAD_HALF_AXES = (0.40, 0.49)
FRAME_PX = (640, 360)
_VISIBLE_PART = 0.5
_GRID = 40


@dataclass(frozen=True, kw_only=True)
class Truth:
    """People and cuts of one clip."""

    people: tuple[str, ...]
    """Names of the P people."""
    box_UP4: Floats
    """[U, P, 4] x0, y0, x1, y1 in pixels; NaN where a person is not in the frame."""
    visible_UP: Bools
    """[U, P], true where at least half of the face is in view."""
    is_cut_U: Bools
    """[U], true on the first frame of every shot but the first."""
    boxes_are_faces: bool
    """Whether boxes are faces, or squares that have the face somewhere inside."""

    @property
    def shot_U(self) -> Ints:
        """Return the number of every frame's shot, int64 [U]."""
        return np.cumsum(self.is_cut_U).astype(np.int64)

    def at(self, frames: Sequence[int]) -> "Truth":
        """Return the truth of the given frames, with a cut where the shot differs from the frame before."""
        chosen = list(frames)
        shot_U = self.shot_U[chosen]
        return Truth(
            people=self.people,
            box_UP4=self.box_UP4[chosen],
            visible_UP=self.visible_UP[chosen],
            is_cut_U=np.diff(shot_U, prepend=shot_U[:1]) != 0,
            boxes_are_faces=self.boxes_are_faces,
        )

    def similarity(self, frame: int, box_K4: Floats) -> Floats:
        """Return how well each box fits each person on a frame.

        It is the intersection over union, or for squares 1 if the centre of the box is inside and 0 if not.

        Args:
            frame: Number of the frame.
            box_K4: Boxes [K, 4] in pixels.

        Returns:
            Similarities [P, K] from 0 to 1, 0 for people who are not in the frame.
        """
        box_P4 = self.box_UP4[frame]
        if self.boxes_are_faces:
            return intersection_over_union(box_P4, box_K4)
        centre_K2 = (box_K4[:, :2] + box_K4[:, 2:]) / 2
        inside = (centre_K2 >= box_P4[:, None, :2]) & (centre_K2 <= box_P4[:, None, 2:])
        return np.asarray(inside.all(axis=2), dtype=np.float32)


def intersection_over_union(one_P4: Floats, other_K4: Floats) -> Floats:
    """Return the IoU of every pair [P, K]; 0 for boxes that are NaN."""
    return np.asarray(np.nan_to_num(iou_of(one_P4, other_K4)), dtype=np.float32)


def read_truth(file: Path, num_frames: Mapping[str, int]) -> dict[str, Truth]:
    """Return the truth of every clip by its file name.

    Args:
        file: A truth.csv in one of the three forms.
        num_frames: Number of frames by clip; frames without a row have nobody.

    Raises:
        ValueError: The columns are of none of the three forms, or a clip of `num_frames` has no row.
    """
    with file.open(newline="") as lines:
        table = csv.DictReader(lines)
        columns = set(table.fieldnames or ())
        rows: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in table:
            rows[row["clip"]].append(row)
    missing = sorted(set(num_frames) - set(rows))
    if missing:
        msg = f"'{file}' has no rows of {', '.join(missing)}."
        raise ValueError(msg)
    if {"x1", "y1", "visible", "cut"} <= columns:
        read = _of_faces
    elif {"centre_x", "centre_y", "side", "front"} <= columns:
        read = _of_heads
    elif {"x0", "y0", "side"} <= columns:
        read = _of_squares
    else:
        msg = f"'{file}' has the columns {', '.join(sorted(columns))}, of none of the three known forms."
        raise ValueError(msg)
    return {clip: read(rows[clip], count) for clip, count in num_frames.items()}


def _of_faces(rows: Sequence[Mapping[str, str]], num_frames: int) -> Truth:
    people = _people(rows)
    box_UP4, visible_UP = _nobody(num_frames, len(people))
    is_cut_U = np.zeros(num_frames, np.bool_)
    for row in rows:
        frame = int(row["frame"])
        is_cut_U[frame] = row["cut"] == "1"
        if row["person"]:
            person = people.index(row["person"])
            box_UP4[frame, person] = [float(row[edge]) for edge in ("x0", "y0", "x1", "y1")]
            visible_UP[frame, person] = row["visible"] == "1"
    return Truth(
        people=people, box_UP4=box_UP4, visible_UP=visible_UP, is_cut_U=is_cut_U, boxes_are_faces=True
    )


def _of_heads(rows: Sequence[Mapping[str, str]], num_frames: int) -> Truth:
    people = _people(rows)
    box_UP4, visible_UP = _nobody(num_frames, len(people))
    by_frame: dict[int, list[tuple[int, tuple[float, float, float], int]]] = defaultdict(list)
    for row in rows:
        place = (float(row["centre_x"]), float(row["centre_y"]), float(row["side"]))
        by_frame[int(row["frame"])].append((people.index(row["person"]), place, int(row["front"])))
    limit = np.array(FRAME_PX * 2, dtype=np.float64)
    for frame, heads in by_frame.items():
        for person, (x, y, side), front in heads:
            box = np.array([x, y, x, y]) + side * np.array(FACE_IN_HEAD)
            before = [place for _, place, other_front in heads if other_front > front]
            inside = np.clip(box, 0, limit)
            if (inside[2:] - inside[:2]).min() > 1:
                box_UP4[frame, person] = inside
                visible_UP[frame, person] = _part_in_view(box, before) >= _VISIBLE_PART
    is_cut_U = np.zeros(num_frames, np.bool_)
    return Truth(
        people=people, box_UP4=box_UP4, visible_UP=visible_UP, is_cut_U=is_cut_U, boxes_are_faces=True
    )


def _part_in_view(box: np.ndarray, before: Sequence[tuple[float, float, float]]) -> float:
    """Return the part of a box that is inside the frame and not covered by the ellipses of heads."""
    step = (np.arange(_GRID) + 0.5) / _GRID
    x, y = np.meshgrid(box[0] + step * (box[2] - box[0]), box[1] + step * (box[3] - box[1]))
    in_view = (x >= 0) & (x < FRAME_PX[0]) & (y >= 0) & (y < FRAME_PX[1])
    for centre_x, centre_y, side in before:
        across = (x - centre_x) / (HEAD_HALF_AXES[0] * side)
        down = (y - centre_y) / (HEAD_HALF_AXES[1] * side)
        in_view &= across**2 + down**2 > 1
    return float(in_view.mean())


def _of_squares(rows: Sequence[Mapping[str, str]], num_frames: int) -> Truth:
    people = _people(rows)
    box_UP4, visible_UP = _nobody(num_frames, len(people))
    for row in rows:
        frame, person = int(row["frame"]), people.index(row["person"])
        x0, y0, side = (float(row[column]) for column in ("x0", "y0", "side"))
        box_UP4[frame, person] = [x0, y0, x0 + side, y0 + side]
        visible_UP[frame, person] = True
    is_cut_U = np.zeros(num_frames, np.bool_)
    stays_UP = np.abs(box_UP4[1:] - box_UP4[:-1]).max(axis=2, initial=0) == 0  # NaN where nobody is: false
    anybody_U = visible_UP.sum(axis=1) > 0
    is_cut_U[1:] = ~np.any(stays_UP, axis=1) & (anybody_U[1:] | anybody_U[:-1])
    return Truth(
        people=people, box_UP4=box_UP4, visible_UP=visible_UP, is_cut_U=is_cut_U, boxes_are_faces=False
    )


def _people(rows: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(sorted({row["person"] for row in rows if row["person"]}))


def _nobody(num_frames: int, num_people: int) -> tuple[Floats, Bools]:
    return (
        np.full((num_frames, num_people, 4), np.nan, dtype=np.float32),
        np.zeros((num_frames, num_people), np.bool_),
    )

"""A clip of a dataset, before its file is opened.

Letters: K boxes of a clip.
"""

import hashlib
import math
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pipeline.types.arrays import Floats, Ints
from pipeline.types.checks import require


class Split(IntEnum):
    """Part of a fold that a clip belongs to, as caches store it."""

    ABSENT = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


class Polarity(IntEnum):
    """Emotional polarity (III-A of the paper), as caches store it."""

    UNKNOWN = -1
    """Neither the class nor the clip states one."""
    NEGATIVE = 0
    NEUTRAL = 1
    POSITIVE = 2


@dataclass(frozen=True, kw_only=True)
class ProvidedBoxes:
    """Face boxes that a dataset provides for a clip."""

    box_xyxy: Floats
    """[K, 4], in pixels of the upright frame, or in fractions of its width and height (`is_relative`)."""
    frame_index: Ints | None = None
    """[K] numbers of the decoded frames that the boxes belong to; None where one box holds for all."""
    is_relative: bool = False
    """Whether boxes are fractions of the frame's width and height."""

    def sha256(self) -> str:
        """Return a hash of the boxes, their units and their frame numbers."""
        digest = hashlib.sha256(self.box_xyxy.astype("<f4").tobytes())
        if self.frame_index is not None:
            digest.update(self.frame_index.astype("<i8").tobytes())
        if self.is_relative:  # a hash of pixels is of the numbers alone, as caches hold it
            digest.update(b"relative")
        return digest.hexdigest()

    def box_xyxy_px(self, height: int, width: int) -> Floats:
        """Return the boxes, [K, 4], in pixels of a frame of this size."""
        if not self.is_relative:
            return self.box_xyxy
        return self.box_xyxy * np.array([width, height, width, height], dtype=np.float32)

    def __post_init__(self) -> None:
        shape = self.box_xyxy.shape
        require(len(shape) == 2 and shape[1] == 4, f"boxes are [K, 4], not {list(shape)}")
        finite_K = np.isfinite(self.box_xyxy).all(axis=1)
        require(finite_K.all(), f"box coordinates must be finite: {self._first_without(finite_K)}")
        right_K = (self.box_xyxy[:, 2:] > self.box_xyxy[:, :2]).all(axis=1)
        require(right_K.all(), f"a box needs x1 > x0 and y1 > y0: {self._first_without(right_K)}")
        if self.frame_index is None:
            require(len(self.box_xyxy) == 1, f"boxes without frame numbers: exactly one, not {shape[0]}")
        else:
            numbers = len(self.frame_index)
            require(numbers == shape[0], f"one frame number per box: {numbers} for {shape[0]}")

    def _first_without(self, right_K: npt.ArrayLike) -> list[float]:
        """Return the first box for which this is false; none where it is true for all."""
        wrong: list[list[float]] = self.box_xyxy[np.flatnonzero(np.logical_not(right_K))].tolist()
        return wrong[0] if wrong else []


@dataclass(frozen=True, kw_only=True)
class NamedSubject:
    """The person of a clip that a dataset names as its subject: by number, or by the face's box at a time."""

    person: int | None = None
    """Number of the person, from 1, as drawings of the clip show it (P1, P2, ...); None with a box."""
    box_xyxy: tuple[float, float, float, float] | None = None
    """Box of the face, in pixels of the upright frame, or in fractions of its width and height."""
    seconds: float | None = None
    """Time of the box, in seconds from the start of the file, as a player shows it; None without a box."""
    is_relative: bool = False
    """Whether the box is in fractions of the frame's width and height."""

    @property
    def boxes(self) -> ProvidedBoxes | None:
        """The box with its units; None if the subject is named by number."""
        if self.box_xyxy is None:
            return None
        return ProvidedBoxes(
            box_xyxy=np.array([self.box_xyxy], dtype=np.float32), is_relative=self.is_relative
        )

    def sha256(self) -> str:
        """Return a hash of the number, or of the box, its units and its time."""
        name = f"person {self.person}"
        if self.boxes is not None and self.seconds is not None:
            name = f"{self.boxes.sha256()} {float(self.seconds)!r}"
        return hashlib.sha256(name.encode()).hexdigest()

    def __post_init__(self) -> None:
        require(
            (self.person is None) != (self.box_xyxy is None),
            f"a subject has a number or a box, not {self.person} and {self.box_xyxy}",
        )
        require(self.person is None or self.person >= 1, f"people are numbered from 1, not {self.person}")
        require(
            (self.box_xyxy is None) == (self.seconds is None),
            f"a box has a time, and a number has none: {self.box_xyxy} at {self.seconds} s",
        )
        require(self.seconds is None or math.isfinite(self.seconds), f"times are finite, not {self.seconds}")
        if self.boxes is None:
            require(not self.is_relative, "only a box is in fractions of the frame")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRef:
    """One clip of a dataset: its files, its label, its place in every fold.

    A `DatasetIndex` checks its clips, because label, splits and votes depend on its names.
    """

    clip_id: str
    """Unique in its dataset."""
    path: str
    """A video, or a directory of images, relative to the dataset's root, with '/'."""
    label: int
    """Index into the dataset's class names; -1 for a clip without a label."""
    splits: tuple[Split, ...]
    """One per fold."""
    polarity: Polarity = Polarity.UNKNOWN
    """Polarity of this clip, where the dataset states one per clip."""
    start_seconds: float | None = None
    """Start of the clip in its file, in seconds as a player shows them; None for the file's start."""
    end_seconds: float | None = None
    """End of the clip in its file, in the same seconds; None for the file's end."""
    provided_boxes: ProvidedBoxes | None = field(default=None, compare=False)
    """Face boxes that the dataset provides."""
    subject: NamedSubject | None = None
    """The person that the dataset names as the clip's subject; None for the choice by weight."""
    face_path: str | None = None
    """Directory of face crops that the dataset provides; `path` where the clip itself is of aligned faces."""
    votes: tuple[int, ...] | None = None
    """Votes of the annotators, one count per class."""
    group: str = ""
    """Clips of one name share a source video, subject or film, so they are not independent.

    Empty where the dataset names none; `pipeline.groups` then uses the file.
    """

    @property
    def given_sha256(self) -> str:
        """Hash of the face boxes that the dataset provides, and of the subject that it names.

        Without a named subject it is the hash of the boxes; empty without boxes too.
        """
        boxes = self.provided_boxes.sha256() if self.provided_boxes else ""
        if self.subject is None:
            return boxes
        return hashlib.sha256(f"{boxes} {self.subject.sha256()}".encode()).hexdigest()

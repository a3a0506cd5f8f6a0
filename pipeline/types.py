"""One frozen type per stage of a clip's way, each checked when it is made.

Letters: U sampled frames of a clip, each once; V views; T frames per view; H, W the source
picture; S side of a stream picture (224); K faces on a frame; F width of the projected
embedding (768); D width of the encoder (1024); J kept tokens per frame.
"""

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.config import require_one_of
from pipeline.errors import DatasetError

if TYPE_CHECKING:
    import torch  # decoding children need these types, and do without torch

Bytes: TypeAlias = npt.NDArray[np.uint8]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float32]
Halves: TypeAlias = npt.NDArray[np.float16]
Bools: TypeAlias = npt.NDArray[np.bool_]

SOURCES = ("auto", "video", "frames", "crops")
"""In which form a data set's clips are read."""

STAGES = ("", "open", "decode", "detect", "track", "crop", "encode")
"""The steps at which a clip can fail; the empty one stands for a clip that did not."""

WINDOW_BEYOND_END = "times are seconds from the file's start: are these milliseconds or frame numbers?"
"""Ends the note or the reason of every clip whose window ends, or starts, after its file."""
EMPTY_WINDOW = "widen start_seconds to end_seconds"
"""Ends the reason of every clip whose window lies between two frames."""

NUM_EARLY_BLOCKS = 4
EARLY_STATISTICS = ("cls", "patch_mean", "patch_std")


class Split(IntEnum):
    """What a clip is to a fold."""

    ABSENT = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


class Polarity(IntEnum):
    """Emotional polarity (III-A of the paper); UNKNOWN where neither class nor clip tells."""

    UNKNOWN = -1
    NEGATIVE = 0
    NEUTRAL = 1
    POSITIVE = 2


class Status(IntEnum):
    """What has become of a clip."""

    PENDING = 0
    DONE = 1
    DONE_WITHOUT_FACE = 2
    FAILED = 3


class NoteKind(StrEnum):
    """What a note on a clip is about.

    DAMAGE: data that do not decode, or less than the file announces. SIZE: frames of several sizes.
    TIMES: time stamps that are missing or go back. HDR: a transfer function of HDR, read without tone
    mapping. INTERLACED: frames of two fields. STREAMS: further video streams in the file. WINDOW: a window
    that ends after the file. OTHER: the rest.
    """

    DAMAGE = "damage"
    SIZE = "size"
    TIMES = "times"
    HDR = "hdr"
    INTERLACED = "interlaced"
    STREAMS = "streams"
    WINDOW = "window"
    OTHER = "other"


@dataclass(frozen=True)
class Note:
    """What a user should know of a clip that was read. text: one printable phrase, no full stop."""

    kind: NoteKind
    text: str

    def __str__(self) -> str:
        return self.text


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class GivenBoxes:
    """Face boxes that a data set brings along.

    box_xyxy: [K, 4] in pixels of the upright frame; with is_relative, in fractions of its width and height.
    frame_index: [K] the decoded frames they belong to, or None when one box holds for all.
    """

    box_xyxy: Floats
    frame_index: Ints | None = None
    is_relative: bool = False

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
        _check(self.box_xyxy.ndim == 2 and self.box_xyxy.shape[1] == 4, "boxes are [K, 4]")
        x0, y0, x1, y1 = self.box_xyxy.T
        _check(bool(np.isfinite(self.box_xyxy).all()), "box coordinates must be finite")
        _check(bool((x1 > x0).all() and (y1 > y0).all()), "a box needs x1 > x0 and y1 > y0")
        if self.frame_index is None:
            _check(len(self.box_xyxy) == 1, "boxes without frame numbers: exactly one")
        else:
            _check(len(self.frame_index) == len(self.box_xyxy), "one frame number per box")


@dataclass(frozen=True, kw_only=True)
class ClipRef:
    """One clip of a data set: where it lies, what it shows, what it is to every fold.

    clip_id: unique in its data set. path: relative to the data set's root, with '/': a video, or a
    folder of pictures. label: index into the data set's class names, -1 for a clip without a label.
    splits: one per fold. start_seconds, end_seconds: the part of the file that is the clip, in seconds from
    the start of the file, as a player shows them.
    face_path: a folder of face crops that the data set brings for it; equal to path where the clip
    itself is of aligned faces. votes: of the annotators, one count per class.
    group: clips of one name are not independent of each other, because they are of one source video, subject
    or film; empty where the data set names none (`pipeline.groups` then asks the file).
    """

    clip_id: str
    path: str
    label: int
    splits: tuple[Split, ...]
    polarity: Polarity = Polarity.UNKNOWN
    start_seconds: float | None = None
    end_seconds: float | None = None
    given_boxes: GivenBoxes | None = field(default=None, compare=False)
    face_path: str | None = None
    votes: tuple[int, ...] | None = None
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a data set is read; whoever reads it again needs the same.

    lists: files, or folders of files, that stand for the owner's lists. label_order: by which name
    bare integers in lists count the classes. all_clips: also clips that are in no list. source: in
    which form clips are read: ``video``, ``frames``, ``crops`` (faces only, no scene); ``auto`` for
    videos, or for frames where more of the listed clips are there as frames.
    """

    lists: tuple[str, ...] = ()
    label_order: str | None = None
    all_clips: bool = False
    source: str = "auto"

    def __post_init__(self) -> None:
        require_one_of("source", self.source, SOURCES)


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """A data set as the pipeline sees it: clips in order of their id, names in fixed order.

    notes: what a user should know of what was read, such as files that were left alone. warnings: what
    has to stand beside every result, such as that there are no scenes. source: what the user named,
    where that is not `root`: a manifest file. options: how it was read.
    """

    name: str
    root: Path
    class_names: tuple[str, ...]
    fold_names: tuple[str, ...]
    clips: tuple[ClipRef, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    source: Path | None = None
    options: ReadOptions = ReadOptions()

    def __post_init__(self) -> None:
        ids = [clip.clip_id for clip in self.clips]
        if not ids:
            msg = f"Data set {self.name} at {self.root} has no clips."
            raise DatasetError(msg)
        if len(set(ids)) != len(ids):
            twice = next(one for one, other in pairwise(sorted(ids)) if one == other)
            msg = f"Clip id '{twice}' appears twice in {self.name}; every clip needs its own."
            raise DatasetError(msg)
        _check(ids == sorted(ids), "clips must be in order of their id")
        for clip in self.clips:
            _check(len(clip.splits) == len(self.fold_names), f"{clip.clip_id}: one split per fold")
            _check(-1 <= clip.label < len(self.class_names), f"{clip.clip_id}: label out of range")
            many = None if clip.votes is None else len(clip.votes)
            _check(many in (None, len(self.class_names)), f"{clip.clip_id}: one vote count per class")


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The sampled frames of a clip, upright, each once, and how the views are made of them.

    rgb_UHWC: uint8 [U, H, W, 3]. index_U: numbers of these frames among the clip's decoded
    frames, rising. seconds_U: their presentation times in seconds from the start of the file, as a player
    shows them; NaN for pictures of a folder, whose rate nobody knows.
    position_VT: [V, T] places in U. valid_VT: [V, T], false where a short clip's last frame is
    repeated. flip_V: views that are mirrored left to right. num_decoded: frames of the clip.
    notes: what a user should know, such as packets that did not decode.
    """

    rgb_UHWC: Bytes
    index_U: Ints
    seconds_U: Floats
    position_VT: Ints
    valid_VT: Bools
    flip_V: tuple[bool, ...]
    num_decoded: int
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        u = len(self.rgb_UHWC)
        _check(self.rgb_UHWC.ndim == 4 and self.rgb_UHWC.shape[3] == 3, "frames are [U, H, W, 3]")
        _check(self.rgb_UHWC.dtype == np.uint8, "frames are uint8")
        _check(u > 0 and self.index_U.shape == self.seconds_U.shape == (u,), "one index per frame")
        _check(bool((np.diff(self.index_U) > 0).all()), "frame indices must rise")
        _check(self.index_U[0] >= 0 and self.index_U[-1] < self.num_decoded, "index out of range")
        _check(self.position_VT.shape == self.valid_VT.shape, "one validity per position")
        _check(len(self.flip_V) == len(self.position_VT), "one flip per view")
        _check(self.position_VT.min() >= 0 and self.position_VT.max() < u, "position out of range")
        _check(bool(self.valid_VT[:, 0].all()), "the first frame of a view is always valid")


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Face crops that a data set brings for a clip's sampled frames.

    pictures: each uint8 [h, w, 3], of its own size; none where the clip has no crop.
    place_U: [U] the picture of each frame, -1 in a clip without any. found_U: [U], true where it was
    made of that very frame, false where it is that of a neighbour.
    notes: what a user should know, such as crops that belong to no frame.
    """

    pictures: tuple[Bytes, ...]
    place_U: Ints
    found_U: Bools
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        for picture in self.pictures:
            _check(picture.ndim == 3 and picture.shape[2] == 3 and picture.size > 0, "crops are [h, w, 3]")
            _check(picture.dtype == np.uint8, "crops are uint8")
        _check(self.place_U.shape == self.found_U.shape, "one place per frame")
        lowest = 0 if self.pictures else -1
        _check(bool((self.place_U >= lowest).all()), "a crop for every frame, or for none")
        _check(bool((self.place_U < len(self.pictures)).all()), "crop out of range")
        _check(bool(self.pictures) or not self.found_U.any(), "no face is found without a crop")

    @classmethod
    def none(cls, num_frames: int, note: str) -> "Crops":
        """No crop for any of so many frames, and why."""
        return cls(
            pictures=(),
            place_U=np.full(num_frames, -1),
            found_U=np.zeros(num_frames, np.bool_),
            notes=(Note(NoteKind.OTHER, note),),
        )

    @classmethod
    def of(cls, frames: "Frames") -> "Crops":
        """Of a clip whose frames are aligned faces: each is its own crop."""
        num_frames = len(frames.index_U)
        return cls(
            pictures=tuple(frames.rgb_UHWC),
            place_U=np.arange(num_frames),
            found_U=np.ones(num_frames, np.bool_),
        )


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Faces found on one frame, best score first.

    box_xyxy_px: [K, 4] inside the picture. score: [K], 0 to 1.
    landmark_xy_px: [K, 5, 2] eyes, nose, mouth corners; NaN from detectors that give none.
    """

    box_xyxy_px: Floats
    score: Floats
    landmark_xy_px: Floats

    def __post_init__(self) -> None:
        k = len(self.box_xyxy_px)
        _check(self.box_xyxy_px.shape == (k, 4), "boxes are [K, 4]")
        _check(self.score.shape == (k,), "one score per box")
        _check(self.landmark_xy_px.shape == (k, 5, 2), "landmarks are [K, 5, 2]")


@dataclass(frozen=True, kw_only=True)
class FaceTrack:
    """One subject's box on every sampled frame.

    box_xyxy_px: [U, 4]; NaN on every frame when the clip has no face, or when its face is known by
    ready crops alone. score: [U], 0 where the box was interpolated. found: [U], true where a face was
    detected.
    """

    box_xyxy_px: Floats
    score: Floats
    found: Bools

    def __post_init__(self) -> None:
        u = len(self.box_xyxy_px)
        _check(self.box_xyxy_px.shape == (u, 4), "boxes are [U, 4]")
        _check(self.score.shape == self.found.shape == (u,), "one score per frame")
        _check(
            bool(np.isnan(self.box_xyxy_px).all()) or (self.has_face and self.has_boxes),
            "boxes on all frames or on none, and on none without a face in the clip",
        )

    @property
    def has_face(self) -> bool:
        """Whether a face was found on any frame."""
        return bool(self.found.any())

    @property
    def has_boxes(self) -> bool:
        """Whether it is known where in the picture the face is."""
        return bool(np.isfinite(self.box_xyxy_px).all())


@dataclass(frozen=True, kw_only=True)
class Streams:
    """The two pictures per sampled frame: uint8 [U, 3, S, S], on the device that made them."""

    face_U3SS: "torch.Tensor"
    scene_U3SS: "torch.Tensor"

    def __post_init__(self) -> None:
        for name, stream in (("face", self.face_U3SS), ("scene", self.scene_U3SS)):
            u, channels, height, width = stream.shape
            _check(channels == 3 and height == width and u > 0, f"{name} stream is [U, 3, S, S]")
            _check(str(stream.dtype) == "torch.uint8", f"{name} stream is uint8")
        _check(self.face_U3SS.shape == self.scene_U3SS.shape, "streams must have one shape")


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the frozen encoder says of a clip; float16, laid out by view and frame.

    face_embedding, scene_embedding: [V, T, F], projected, not normalised.
    scene_early: [V, T, 4, 3, D]; block; CLS, patch mean, patch standard deviation.
    face_tokens, scene_tokens: [V, T, J, D] after ln_post, or None.
    """

    face_embedding: Halves
    scene_embedding: Halves
    scene_early: Halves
    face_tokens: Halves | None = None
    scene_tokens: Halves | None = None

    def __post_init__(self) -> None:
        v, t, _ = self.face_embedding.shape
        _check(self.scene_embedding.shape == self.face_embedding.shape, "embeddings: one shape")
        early = (v, t, NUM_EARLY_BLOCKS, len(EARLY_STATISTICS))
        _check(self.scene_early.shape[:4] == early, "scene_early is [V, T, 4, 3, D]")
        _check((self.face_tokens is None) == (self.scene_tokens is None), "tokens: both or none")


@dataclass(frozen=True, kw_only=True)
class FrameMeta:
    """`Frames` without its pixels."""

    index_U: Ints
    seconds_U: Floats
    position_VT: Ints
    valid_VT: Bools
    flip_V: tuple[bool, ...]
    num_decoded: int
    height_px: int
    width_px: int

    @classmethod
    def of(cls, frames: Frames) -> "FrameMeta":
        """All of `frames` but the pixels."""
        _, height, width, _ = frames.rgb_UHWC.shape
        return cls(
            index_U=frames.index_U,
            seconds_U=frames.seconds_U,
            position_VT=frames.position_VT,
            valid_VT=frames.valid_VT,
            flip_V=frames.flip_V,
            num_decoded=frames.num_decoded,
            height_px=height,
            width_px=width,
        )


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """What a clip was read from: a file, or all pictures of a folder. sha256: hex, of the content."""

    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ClipDone:
    """A clip that went all the way. With no face found, its face stream is the centre square.

    notes: what a user should know of its frames and its crops.
    """

    source: SourceFile
    frames: FrameMeta
    track: FaceTrack
    features: Features
    notes: tuple[Note, ...] = ()

    def has_note(self, kind: NoteKind) -> bool:
        """Return whether one of the notes is of this kind."""
        return any(note.kind is kind for note in self.notes)


@dataclass(frozen=True, kw_only=True)
class ClipFailed:
    """A clip that could not be processed: the step that gave up (one of STAGES), and why."""

    stage: str
    reason: str
    source_sha256: str = ""

    def __post_init__(self) -> None:
        _check(self.stage in STAGES[1:], f"unknown stage {self.stage!r}")
        _check(bool(self.reason), "a failure needs a reason")


ClipOutcome: TypeAlias = ClipDone | ClipFailed

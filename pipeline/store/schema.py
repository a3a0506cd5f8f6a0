"""The contract of the feature cache: every array, its dimensions, type, fill value and meaning.

The attributes are in `pipeline.store.meta`. docs/schema.md is generated from both (`make schema`). These are
the only places of the rules of the format.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kept = Literal["done", "face", "box", "failed", "no"]


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """One array of the cache.

    Attributes:
        name: Path in the Zarr group.
        dims: Names of the dimensions. The first is always ``clip``.
        dtype: Its numpy name, or ``str``.
        per_block: Whether it is written with its block of clips, one chunk per block. Other arrays are known
            beforehand and written as one chunk, into the clip table.
        fill: Value of a clip without a result.
        doc: Meaning and unit.
        low: Smallest value of a done clip, in the unit of `doc`, checked by `cache verify`; None without one.
        high: Largest value of a done clip.
        tokens_only: Present only in a cache made with `--tokens grid4` or `all`.
        groups_only: Present only in a cache whose dataset names groups of clips. In other caches every clip
            has the fill value.
        people_only: Present only in a cache made with `track.method=motion`. In other caches every clip has
            the fill value.
        never_empty: Clips that always have other values than `fill`: those that are done, done with a face,
            done with a face's box, or failed; "no" for none. A missing chunk is found by it. None for arrays
            of the clip table.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    per_block: bool
    fill: float | int | str
    doc: str
    low: float | None = None
    high: float | None = None
    tokens_only: bool = False
    groups_only: bool = False
    people_only: bool = False
    never_empty: Kept | None = None

    def __post_init__(self) -> None:
        if self.per_block == (self.never_empty is None):
            msg = f"array '{self.name}': 'never_empty' is needed for per-block arrays, and for no others"
            raise ValueError(msg)

    @property
    def is_feature(self) -> bool:
        """Whether the array holds encoder output (float16, NaN for clips without features)."""
        return self.dtype == "float16"

    @property
    def never_nan(self) -> bool:
        """Whether the array holds floats that are known for every clip, so that NaN is an error."""
        return isinstance(self.fill, float) and math.isfinite(self.fill)


_FEATURE = {"dtype": "float16", "per_block": True, "fill": float("nan"), "never_empty": "done"}
_VIEW_FRAME = ("clip", "view", "frame")


def _array(name: str, dims: tuple[str, ...], doc: str, **rest: Any) -> ArraySpec:
    return ArraySpec(name=name, dims=dims, doc=doc, **rest)


ARRAYS: tuple[ArraySpec, ...] = (
    _array(
        "face/embedding",
        (*_VIEW_FRAME, "embed"),
        "Face stream, projected CLS output of the encoder, not normalised.",
        **_FEATURE,
    ),
    _array(
        "scene/embedding",
        (*_VIEW_FRAME, "embed"),
        "Scene stream, projected CLS output of the encoder, not normalised.",
        **_FEATURE,
    ),
    _array(
        "scene/early",
        (*_VIEW_FRAME, "early_block", "statistic", "width"),
        "Scene stream, raw outputs of the encoder's first four blocks: CLS, mean and standard "
        "deviation over the patch tokens.",
        **_FEATURE,
    ),
    _array(
        "face/tokens",
        (*_VIEW_FRAME, "token", "width"),
        "Face stream, tokens of the last block after ln_post, before projection.",
        tokens_only=True,
        **_FEATURE,
    ),
    _array(
        "scene/tokens",
        (*_VIEW_FRAME, "token", "width"),
        "Scene stream, tokens of the last block after ln_post, before projection.",
        tokens_only=True,
        **_FEATURE,
    ),
    _array(
        "frame_index",
        _VIEW_FRAME,
        "Number of the frame among the clip's decoded frames.",
        dtype="int32",
        per_block=True,
        never_empty="done",
        fill=-1,
        low=0,
    ),
    _array(
        "frame_seconds",
        _VIEW_FRAME,
        "Time of the frame in seconds from the start of its file, as a player shows it; NaN on every frame "
        "of a clip that is a directory of images, whose frame rate is unknown.",
        dtype="float32",
        per_block=True,
        never_empty="no",
        fill=float("nan"),
    ),
    _array(
        "frame_valid",
        _VIEW_FRAME,
        "False where a short clip repeats its last frame; every mean and attention skips it.",
        dtype="bool",
        per_block=True,
        never_empty="done",
        fill=False,
    ),
    _array(
        "face_box",
        (*_VIEW_FRAME, "xyxy"),
        "Box of the subject's face in pixels of the upright source frame (mirrored views: of "
        "the mirrored frame); NaN on every frame of a clip without a face, and of every clip if the "
        "detector is `crops`.",
        dtype="float32",
        per_block=True,
        never_empty="box",
        fill=float("nan"),
    ),
    _array(
        "face_score",
        _VIEW_FRAME,
        "Detector's score, 1 for given boxes and crops; 0 if the box was interpolated, or the crop is "
        "a neighbouring frame's.",
        dtype="float32",
        per_block=True,
        never_empty="no",
        fill=0.0,
        low=0.0,
        high=1.0,
    ),
    _array(
        "face_found",
        _VIEW_FRAME,
        "Whether the detector found the subject on this frame, or it has a face crop of its own.",
        dtype="bool",
        per_block=True,
        never_empty="face",
        fill=False,
    ),
    _array(
        "face_absence",
        _VIEW_FRAME,
        "Why the subject is not found on the frame: 0 it is found, 1 not detected although in view by its "
        "track (and on every frame of a clip without a face), "
        "2 out of view, 3 in another shot.",
        dtype="uint8",
        per_block=True,
        people_only=True,
        never_empty="no",
        fill=0,
        low=0,
        high=3,
    ),
    _array(
        "shot",
        _VIEW_FRAME,
        "Number of the shot that the frame is in, from 0; 0 where cuts were not searched.",
        dtype="int32",
        per_block=True,
        people_only=True,
        never_empty="no",
        fill=0,
        low=0,
    ),
    _array(
        "cuts",
        ("clip",),
        "Numbers of the first frame of every new shot among the clip's decoded frames, separated by commas; "
        "`none` without a cut; empty where cuts were not searched.",
        dtype="str",
        per_block=True,
        people_only=True,
        never_empty="no",
        fill="",
    ),
    _array(
        "track_margin",
        ("clip",),
        "Certainty that the subject's track is of one person: the cost, in nats, by which the next best "
        "choice of detections is worse, at the least certain detection. Below 2 the track is doubtful. "
        "Infinite where no other person could be meant, and for clips without a track.",
        dtype="float32",
        per_block=True,
        people_only=True,
        never_empty="no",
        fill=float("inf"),
        low=0.0,
    ),
    _array(
        "num_people",
        ("clip",),
        "People who were detected on at least two frames, those of `detector.rate` included; one person "
        "counts twice where looks did not show that it is the same.",
        dtype="int32",
        per_block=True,
        people_only=True,
        never_empty="no",
        fill=0,
        low=0,
    ),
    _array(
        "num_decoded",
        ("clip",),
        "Frames of the clip that decode.",
        dtype="int32",
        per_block=True,
        never_empty="done",
        fill=0,
        low=1,
    ),
    _array(
        "source_size",
        ("clip", "yx"),
        "Height and width of the upright source frame, pixels.",
        dtype="int32",
        per_block=True,
        never_empty="done",
        fill=0,
        low=1,
    ),
    _array(
        "source_bytes",
        ("clip",),
        "Size in bytes of the source file, or of all images of a directory, when it was decoded, with ready "
        "face crops if they were used; -1 for clips that are not done.",
        dtype="int64",
        per_block=True,
        never_empty="done",
        fill=-1,
        low=1,
    ),
    _array(
        "source_sha256",
        ("clip",),
        "sha256 of the source file, hex; of a directory, over its images' names and hashes; empty while "
        "pending.",
        dtype="str",
        per_block=True,
        never_empty="done",
        fill="",
    ),
    _array(
        "stage",
        ("clip",),
        "For a failed clip, the step that failed; else empty.",
        dtype="str",
        per_block=True,
        never_empty="failed",
        fill="",
    ),
    _array(
        "reason",
        ("clip",),
        "For a failed clip, the reason; for a done clip, notes (for instance on packets that did not "
        "decode); else empty.",
        dtype="str",
        per_block=True,
        never_empty="failed",
        fill="",
    ),
    _array(
        "status",
        ("clip",),
        "0 pending, 1 done, 2 done without a face, 3 failed. Written after all other arrays of "
        "its block, so that every clip whose status is not 0 is complete.",
        dtype="uint8",
        per_block=True,
        never_empty="no",
        fill=0,
        low=0,
        high=3,
    ),
    _array(
        "clip_id",
        ("clip",),
        "The clip's name in its dataset; unique. In sorted order; clips that were appended later "
        "follow, sorted too.",
        dtype="str",
        per_block=False,
        fill="",
    ),
    _array(
        "path",
        ("clip",),
        "The source file, or directory of images, relative to the dataset's root.",
        dtype="str",
        per_block=False,
        fill="",
    ),
    _array(
        "face_path",
        ("clip",),
        "The face crops that the dataset provides for the clip, relative to its root; empty without any.",
        dtype="str",
        per_block=False,
        fill="",
    ),
    _array(
        "start_seconds",
        ("clip",),
        "Where the clip begins, in seconds from the start of its file, as a player shows them; "
        "0 for files that are one clip.",
        dtype="float64",
        per_block=False,
        fill=0.0,
        low=0.0,
    ),
    _array(
        "end_seconds",
        ("clip",),
        "Where the clip ends, in seconds from the start of its file; -1 for the file's end.",
        dtype="float64",
        per_block=False,
        fill=-1.0,
        low=-1.0,
    ),
    _array(
        "given_boxes_sha256",
        ("clip",),
        "Hash of the face boxes that the dataset provides for the clip, and of the subject that it names; "
        "empty without any.",
        dtype="str",
        per_block=False,
        fill="",
    ),
    _array(
        "label",
        ("clip",),
        "Index into the attribute class_names; -1 without a label.",
        dtype="int16",
        per_block=False,
        fill=-1,
        low=-1,
    ),
    _array(
        "polarity",
        ("clip",),
        "Emotional polarity: -1 unknown, 0 negative, 1 neutral, 2 positive.",
        dtype="int8",
        per_block=False,
        fill=-1,
        low=-1,
        high=2,
    ),
    _array(
        "membership",
        ("clip", "fold"),
        "Split of the clip in each fold: 0 absent, 1 train, 2 validation given by the dataset, 3 test.",
        dtype="uint8",
        per_block=False,
        fill=0,
        low=0,
        high=3,
    ),
    _array(
        "votes",
        ("clip", "class"),
        "Fraction of the annotators' votes for each class, 1 in all; NaN if the dataset has no votes.",
        dtype="float32",
        per_block=False,
        fill=float("nan"),
        low=0.0,
        high=1.0,
    ),
    _array(
        "group",
        ("clip",),
        "Name of the clip's group, as the dataset gives it. Clips of one group, such as those of one source "
        "video, subject or film, are not independent. Empty for a clip without a group.",
        dtype="str",
        per_block=False,
        groups_only=True,
        fill="",
    ),
)

BY_NAME: Mapping[str, ArraySpec] = {spec.name: spec for spec in ARRAYS}

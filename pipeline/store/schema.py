"""THE contract of the feature cache: every array, its dimensions, type, fill and meaning.

`docs/schema.md` is generated from this module (`make schema`). A reader finds any rule of the
format here and nowhere else.
"""

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pipeline.errors import CacheError
from pipeline.types import EARLY_STATISTICS, NUM_EARLY_BLOCKS

FORMAT = "ous-features"
VERSION = 1
RANDOM_WEIGHTS = "random"
MAX_CHUNK_BYTES = 4 << 30
_MAX_ROWS = 1 << 30
_MAX_DEPTH = 20
_SHOWN = 100
_BOUNDS = {
    "num_clips": (1, 10_000_000),
    "block_clips": (1, 65_536),
    "num_views": (1, 16),
    "num_frames": (1, 512),
    "embed_width": (1, 65_536),
    "encoder_width": (1, 65_536),
    "num_tokens": (0, 4_096),
    "class_names": (0, 1_000),
    "fold_names": (1, 1_000),
}
"""Sizes, and numbers of names, that a cache may claim."""

Kept = Literal["done", "face", "failed", "no"]


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """One array of the cache.

    name: path in the Zarr group. dims: dimension names, the first is always ``clip``.
    dtype: numpy name, or ``str``. per_block: written with its block of clips (one chunk per
    block); otherwise known beforehand and written at creation, as one chunk.
    low, high: range of every value of a done clip, checked by `cache verify`.
    tokens_only: present only in a cache made with `--tokens grid4` or `all`.
    never_empty: of which clips something other than fill values is stored: every one that is done,
    done with a face, or failed; "no" where fill values may be all there is. Each array written with
    its block says one of them, and by it a chunk that vanished is known.
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
    never_empty: Kept | None = None

    def __post_init__(self) -> None:
        if self.per_block == (self.never_empty is None):
            msg = f"array '{self.name}': an array written with its block, and no other, says 'never_empty'"
            raise ValueError(msg)

    @property
    def is_feature(self) -> bool:
        """Whether the array holds encoder output (float16, NaN where nothing was computed)."""
        return self.dtype == "float16"


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
        "Presentation time of the frame in its file, seconds.",
        dtype="float32",
        per_block=True,
        never_empty="done",
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
        "Box of the subject's face in pixels of the upright source picture (mirrored views: of "
        "the mirrored picture); NaN on every frame of a clip without a face.",
        dtype="float32",
        per_block=True,
        never_empty="face",
        fill=float("nan"),
    ),
    _array(
        "face_score",
        _VIEW_FRAME,
        "Detector's score; 0 where the box was interpolated.",
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
        "Whether the detector found the subject on this frame.",
        dtype="bool",
        per_block=True,
        never_empty="face",
        fill=False,
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
        "Height and width of the upright source picture, pixels.",
        dtype="int32",
        per_block=True,
        never_empty="done",
        fill=0,
        low=1,
    ),
    _array(
        "source_bytes",
        ("clip",),
        "Size of the source file when it was decoded; -1 for clips that are not done.",
        dtype="int64",
        per_block=True,
        never_empty="done",
        fill=-1,
        low=1,
    ),
    _array(
        "source_sha256",
        ("clip",),
        "sha256 of the source file, hex; empty while pending.",
        dtype="str",
        per_block=True,
        never_empty="done",
        fill="",
    ),
    _array(
        "stage",
        ("clip",),
        "For a failed clip, the step that gave up; else empty.",
        dtype="str",
        per_block=True,
        never_empty="failed",
        fill="",
    ),
    _array(
        "reason",
        ("clip",),
        "For a failed clip, why; for a done clip, what was odd about it (for instance packets "
        "that did not decode); else empty.",
        dtype="str",
        per_block=True,
        never_empty="failed",
        fill="",
    ),
    _array(
        "status",
        ("clip",),
        "0 pending, 1 done, 2 done without a face, 3 failed. Written after all other arrays of "
        "its block: what is not 0 is complete.",
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
        "The clip's name in its data set; unique, in sorted order.",
        dtype="str",
        per_block=False,
        fill="",
    ),
    _array(
        "path",
        ("clip",),
        "The source file, relative to the data set's root.",
        dtype="str",
        per_block=False,
        fill="",
    ),
    _array(
        "start_seconds",
        ("clip",),
        "Where the clip begins in its file, seconds; 0 for files that are one clip.",
        dtype="float64",
        per_block=False,
        fill=0.0,
        low=0.0,
    ),
    _array(
        "end_seconds",
        ("clip",),
        "Where the clip ends in its file, seconds; -1 for the file's end.",
        dtype="float64",
        per_block=False,
        fill=-1.0,
        low=-1.0,
    ),
    _array(
        "given_boxes_sha256",
        ("clip",),
        "Hash of the face boxes that the data set brings for the clip; empty without any.",
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
        "What the clip is to each fold: 0 absent, 1 train, 2 validation given by the data set, 3 test.",
        dtype="uint8",
        per_block=False,
        fill=0,
        low=0,
        high=3,
    ),
)

BY_NAME: Mapping[str, ArraySpec] = {spec.name: spec for spec in ARRAYS}


@dataclass(frozen=True, kw_only=True)
class CacheMeta:
    """The attributes of a cache: everything that is said once and not per clip.

    fingerprint: hash of `identity`, which holds whatever changes feature values (encoder and
    weights hash, detector and weights hash, frames, streams, precision, views, tokens).
    """

    dataset: str
    class_names: tuple[str, ...]
    fold_names: tuple[str, ...]
    num_clips: int
    block_clips: int
    num_views: int
    num_frames: int
    embed_width: int
    encoder_width: int
    num_tokens: int
    encoder_name: str
    encoder_weights: str
    encoder_sha256: str
    text_sha256: str
    identity: Mapping[str, Any]
    fingerprint: str
    config: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    command_line: tuple[str, ...] = ()

    @property
    def has_random_weights(self) -> bool:
        """Whether the encoder was never trained; results then say nothing about the method."""
        return self.encoder_weights == RANDOM_WEIGHTS

    def arrays(self) -> tuple[ArraySpec, ...]:
        """The arrays that this cache holds."""
        return tuple(spec for spec in ARRAYS if self.num_tokens > 0 or not spec.tokens_only)

    def shape(self, spec: ArraySpec) -> tuple[int, ...]:
        """The full shape of an array of this cache."""
        sizes = {
            "clip": self.num_clips,
            "view": self.num_views,
            "frame": self.num_frames,
            "embed": self.embed_width,
            "width": self.encoder_width,
            "token": self.num_tokens,
            "early_block": NUM_EARLY_BLOCKS,
            "statistic": len(EARLY_STATISTICS),
            "xyxy": 4,
            "yx": 2,
            "fold": len(self.fold_names),
        }
        return tuple(sizes[dim] for dim in spec.dims)

    def chunks(self, spec: ArraySpec) -> tuple[int, ...]:
        """The shape of the pieces in which an array is stored: blocks of clips, or one piece."""
        shape = self.shape(spec)
        first = min(self.block_clips, self.num_clips) if spec.per_block else self.num_clips
        return (first, *(max(1, size) for size in shape[1:]))

    def bytes_by_array(self) -> dict[str, int]:
        """Bytes of every array of numbers of the complete cache; texts are small and left out."""
        return {
            spec.name: math.prod(self.shape(spec)) * np.dtype(spec.dtype).itemsize
            for spec in self.arrays()
            if spec.dtype != "str"
        }

    def to_attributes(self) -> dict[str, Any]:
        """The attributes as stored: plain JSON values."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in own.items()}
        return {"format": FORMAT, "version": VERSION, **plain}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], where: str) -> "CacheMeta":
        """Read the attributes of a cache, refusing another format, version, type of value or absurd size."""
        kind, version = attributes.get("format"), attributes.get("version")
        if kind != FORMAT:
            msg = f"{where} is not a feature cache: its attribute 'format' is {_shown(kind)}, not {FORMAT!r}."
            raise CacheError(msg)
        if version != VERSION:
            stored = _shown(version)
            msg = f"{where} has cache version {stored}; this program reads {VERSION}. Extract it again."
            raise CacheError(msg)
        meta = cls(
            **{
                name: _checked(name, attributes.get(name), typing.get_origin(hint) or hint, where)
                for name, hint in typing.get_type_hints(cls).items()
            }
        )
        meta.require_bounds(where)
        return meta

    def require_bounds(self, where: str) -> None:
        """Raise CacheError for sizes that no reader could hold, whatever is stored."""
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= (len(value) if isinstance(value, tuple) else value) <= high:
                raise _absurd(where, name, value, f"{low} to {high}")
        for name, names in (("class_names", self.class_names), ("fold_names", self.fold_names)):
            if len(set(names)) < len(names):
                raise _absurd(where, name, names, "names that differ")
        frames = self.num_clips * self.num_views * self.num_frames
        rows = max(frames, self.num_clips * len(self.fold_names))
        if rows > _MAX_ROWS:
            raise _absurd(
                where, "num_clips", self.num_clips, f"{_MAX_ROWS} frames, and places in folds, in all"
            )
        for spec in self.arrays():
            num_bytes = math.prod(self.chunks(spec)) * (
                np.dtype(spec.dtype).itemsize if spec.dtype != "str" else 1
            )
            if num_bytes > MAX_CHUNK_BYTES:
                allowed = f"so few that a block of '{spec.name}' has {MAX_CHUNK_BYTES} bytes, not {num_bytes}"
                raise _absurd(where, "block_clips", self.block_clips, allowed)


def _absurd(where: str, name: str, value: object, allowed: str) -> CacheError:
    return CacheError(f"{where}: attribute '{name}' is {_shown(value)}; allowed: {allowed}.")


def _shown(value: object) -> str:
    """A value in a message: not all of it, where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _depth(value: Any) -> int:
    """How deep objects and lists lie in one another, as far as is allowed."""
    level, depth = [value], 0
    while level and depth <= _MAX_DEPTH:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
    return depth


def _checked(name: str, value: Any, kind: type, where: str) -> Any:
    """The attribute in the type that `CacheMeta` declares, or CacheError: attributes are not trusted."""
    allowed = (list, tuple) if kind is tuple else (dict,) if kind is Mapping else (kind,)
    texts = kind is not tuple or (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value))
    if not isinstance(value, allowed) or isinstance(value, bool) or not texts:
        wanted = {tuple: "a list of texts", str: "a text", int: "a whole number"}.get(kind, "an object")
        msg = f"{where}: attribute '{name}' is {_shown(value)}; {wanted} is needed. The cache is damaged."
        raise CacheError(msg)
    if _depth(value) > _MAX_DEPTH:
        raise _absurd(where, name, value, f"{_MAX_DEPTH} levels of objects and lists")
    return tuple(typing.cast(list[str], value)) if kind is tuple else value

"""Attributes of a feature cache: everything that is stored once and not per clip."""

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.errors import CacheError
from pipeline.fingerprint import sha256_json
from pipeline.portable import portable_values
from pipeline.store.schema import ARRAYS, BY_NAME, ArraySpec
from pipeline.strict_json import depth
from pipeline.types import EARLY_STATISTICS, NUM_EARLY_BLOCKS

FORMAT = "ous-features"
VERSION = 2
RANDOM_WEIGHTS = "random"
MAX_CHUNK_BYTES = 4 << 30
MAX_CLIPS = 10_000_000
MAX_NAME_LENGTH = 1_000
"""Limit for the characters of a class's, fold's, dataset's or encoder's name."""

_MAX_ROWS = 1 << 30
_MAX_DEPTH = 20
_SHOWN = 100
_BOUNDS = {
    "num_clips": (1, MAX_CLIPS),
    "clip_table": (1, 1_000_000_000),
    "block_clips": (1, 65_536),
    "num_views": (1, 16),
    "num_frames": (1, 512),
    "embed_width": (1, 65_536),
    "encoder_width": (1, 65_536),
    "num_tokens": (0, 4_096),
    "num_groups": (0, MAX_CLIPS),
    "class_names": (0, 1_000),
    "fold_names": (1, 1_000),
}
"""Smallest and largest allowed sizes, and numbers of names."""

_NOT_IN_OLDER_CACHES: Mapping[str, Any] = {"num_groups": 0}
"""Attributes that caches of earlier versions do not hold, and their values for these caches."""

_WITH_PATHS = ("encoder_weights", "config", "warnings", "command_line")
"""Attributes that may hold paths of this machine."""


def table_name(number: int) -> str:
    """Return the name of the group of a clip table."""
    return f"clips-{number}"


def array_at(stored_name: str) -> ArraySpec | None:
    """Return the array at a path in the Zarr group; None if there is none."""
    table, _, name = stored_name.partition("/")
    return BY_NAME.get(name if table.startswith("clips-") else stored_name)


@dataclass(frozen=True, kw_only=True)
class CacheMeta:
    """Attributes of a cache. docs/schema.md describes each.

    `fingerprint` is the hash of `identity`, which holds everything that changes feature values: for each
    step, the version of its algorithm and the settings that differ from that version's defaults, and hashes
    of the models. `clip_table` is the number of the clip table. A cache that grows, or whose labels change,
    gets a new table first and then, in one write, the attributes that refer to it.
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
    clip_table: int = 1
    num_groups: int = 0
    warnings: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    command_line: tuple[str, ...] = ()

    @property
    def has_random_weights(self) -> bool:
        """Whether the encoder was never trained, so that results do not measure the method."""
        return self.encoder_weights == RANDOM_WEIGHTS

    @property
    def is_identified(self) -> bool:
        """Whether `fingerprint` is the hash of `identity`; otherwise the attributes are damaged."""
        try:
            return sha256_json(self.identity) == self.fingerprint
        except ValueError:  # NaN or infinity, which JSON does not have
            return False

    @property
    def takes_crops(self) -> bool:
        """Whether the dataset's face crops are the face stream, so that no face has a box.

        An identity names the source of faces as if it were a detector (decision 0024).
        """
        detector = self.identity.get("detector")
        return isinstance(detector, Mapping) and detector.get("name") == "crops"

    @property
    def follows_everyone(self) -> bool:
        """Whether the subject was chosen among everyone's tracklets, over the shots of its clip."""
        track = self.identity.get("track")
        return isinstance(track, Mapping) and track.get("method") == "motion"

    def arrays(self) -> tuple[ArraySpec, ...]:
        """Return the arrays that this cache holds."""
        return tuple(
            spec
            for spec in ARRAYS
            if (self.num_tokens > 0 or not spec.tokens_only)
            and (self.num_groups > 0 or not spec.groups_only)
            and (self.follows_everyone or not spec.people_only)
        )

    def shape(self, spec: ArraySpec) -> tuple[int, ...]:
        """Return the full shape of an array of this cache."""
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
            "class": len(self.class_names),
        }
        return tuple(sizes[dim] for dim in spec.dims)

    def chunks(self, spec: ArraySpec) -> tuple[int, ...]:
        """Return the shape of the chunks of an array: blocks of clips, or one chunk."""
        shape = self.shape(spec)
        first = self.block_clips if spec.per_block else self.num_clips
        return (first, *(max(1, size) for size in shape[1:]))

    def stored_name(self, spec: ArraySpec) -> str:
        """Return the path of an array in the Zarr group."""
        return spec.name if spec.per_block else f"{table_name(self.clip_table)}/{spec.name}"

    def bytes_by_array(self) -> dict[str, int]:
        """Return the bytes of every array of numbers of the complete cache, without the small text arrays."""
        return {
            spec.name: math.prod(self.shape(spec)) * np.dtype(spec.dtype).itemsize
            for spec in self.arrays()
            if spec.dtype != "str"
        }

    def to_attributes(self) -> dict[str, Any]:
        """Return the attributes as JSON values, in which no path contains the user's name (`portable`)."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in own.items()}
        return {
            "format": FORMAT,
            "version": VERSION,
            **plain,
            **{name: portable_values(plain[name]) for name in _WITH_PATHS},
        }

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], where: str) -> "CacheMeta":
        """Read the attributes of a cache.

        Raises CacheError for another format or version, a wrong type of value, or a size out of bounds.
        """
        kind, version = attributes.get("format"), attributes.get("version")
        if kind != FORMAT:
            msg = f"{where} is not a feature cache: its attribute 'format' is {_shown(kind)}, not {FORMAT!r}."
            raise CacheError(msg)
        if version != VERSION:
            stored = _shown(version)
            msg = f"{where} has cache version {stored}; this program reads {VERSION}. Extract it again."
            raise CacheError(msg)
        values = {**_NOT_IN_OLDER_CACHES, **attributes}
        meta = cls(
            **{
                name: _checked(name, values.get(name), typing.get_origin(hint) or hint, where)
                for name, hint in typing.get_type_hints(cls).items()
            }
        )
        meta.require_bounds(where)
        return meta

    def require_bounds(self, where: str) -> None:
        """Raise CacheError for sizes out of bounds. `where` is the location of the cache, for the message."""
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= (len(value) if isinstance(value, tuple) else value) <= high:
                raise _absurd(where, name, value, f"{low} to {high}")
        for name, names in (("class_names", self.class_names), ("fold_names", self.fold_names)):
            if len(set(names)) < len(names):
                raise _absurd(where, name, names, "names that differ")
        for name in ("class_names", "fold_names", "dataset", "encoder_name"):
            value = getattr(self, name)
            if max(map(len, value if isinstance(value, tuple) else (value,)), default=0) > MAX_NAME_LENGTH:
                raise _absurd(where, name, value, f"names of {MAX_NAME_LENGTH} characters")
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
    """Return a value for a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _checked(name: str, value: Any, kind: type, where: str) -> Any:
    """Return an attribute in the type that `CacheMeta` declares. Raises CacheError for any other value."""
    allowed = (list, tuple) if kind is tuple else (dict,) if kind is Mapping else (kind,)
    texts = kind is not tuple or (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value))
    if not isinstance(value, allowed) or isinstance(value, bool) or not texts:
        wanted = {tuple: "a list of texts", str: "a text", int: "a whole number"}.get(kind, "an object")
        msg = f"{where}: attribute '{name}' is {_shown(value)}; {wanted} is needed. The cache is damaged."
        raise CacheError(msg)
    if depth(value, _MAX_DEPTH) > _MAX_DEPTH:
        raise _absurd(where, name, value, f"{_MAX_DEPTH} levels of objects and lists")
    return tuple(typing.cast(list[str], value)) if kind is tuple else value

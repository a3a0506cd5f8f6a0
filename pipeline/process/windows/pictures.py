"""Stream images of windows, each encoded once, although windows and people share them.

Letters: S side of an image; T frames per view; N images.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from pipeline.errors import ClipError
from pipeline.features import Encoded, Encoder
from pipeline.process.encode import require_halves
from pipeline.types import Features, Halves

Key: TypeAlias = Hashable
"""Frame and integer geometry of an image: images with one key have the same pixels."""


class Encodings(NamedTuple):
    """Features of an image, float16: [F], [4, 3, D] or None, [J, D] or None."""

    embedding_F: Halves
    early_43D: Halves | None
    tokens_JD: Halves | None


class PictureMemo:
    """The images of one stream that wait to be encoded, and the features of those that windows still need.

    Args:
        early: Whether the stream's statistics of the early blocks are kept.
    """

    def __init__(self, *, early: bool) -> None:
        self._early = early
        self._waiting: dict[Key, torch.Tensor] = {}
        self._known: dict[Key, Encodings | ClipError] = {}
        self.num_encoded = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def want(self, key: Key, make: Callable[[], torch.Tensor]) -> None:
        """Request the features of an image; `make` returns it, uint8 [1, 3, S, S], if it is a new one."""
        if key not in self._known and key not in self._waiting:
            self._waiting[key] = make()

    def encode(self, encoder: Encoder, on_batch: Callable[[int], None], *, encode_all: bool) -> None:
        """Encode the images that wait: all of them, or as many as fill batches."""
        count = len(self._waiting)
        if not encode_all:
            count -= count % encoder.batch_pictures
        if not count:
            return
        keys = list(islice(self._waiting, count))
        images = torch.cat([self._waiting.pop(key) for key in keys])
        encoded = encoder.encode(images, early=self._early, on_batch=on_batch)
        for place, key in enumerate(keys):
            self._known[key] = _one(encoded, place)
        self.num_encoded += count

    def knows(self, keys: Iterable[Key]) -> bool:
        """Return whether images are encoded."""
        return all(key in self._known for key in keys)

    def of(self, keys: Iterable[Key]) -> list[Encodings]:
        """Return the features of images. Raises ClipError for one beyond the range of float16."""
        found = []
        for key in keys:
            one = self._known[key]
            if isinstance(one, ClipError):
                raise one
            found.append(one)
        return found

    def forget(self, is_old: Callable[[Key], bool]) -> None:
        """Forget the features of old images."""
        for key in [key for key in self._known if is_old(key)]:
            del self._known[key]


def encodings_of(encoded: Encoded) -> list[Encodings]:
    """Return the features of images. Raises ClipError for one beyond the range of float16."""
    found = []
    for place in range(len(encoded.embedding_NF)):
        one = _one(encoded, place)
        if isinstance(one, ClipError):
            raise one
        found.append(one)
    return found


def _one(encoded: Encoded, place: int) -> Encodings | ClipError:
    try:
        require_halves(encoded.rows(place, place + 1), ("an embedding", "an early block", "a token"))
    except ClipError as error:
        return error

    def copied(values: torch.Tensor) -> Halves:  # a view would keep all images of the batch in memory
        halves: Halves = values[place].numpy().copy()
        return halves

    return Encodings(
        copied(encoded.embedding_NF),
        None if encoded.early_N43D is None else copied(encoded.early_N43D),
        None if encoded.tokens_NJD is None else copied(encoded.tokens_NJD),
    )


def _stacked(parts: list[Halves]) -> Halves:
    """Return the values of T frames as those of one view, [1, T, ...]."""
    return np.stack(parts)[None]


def features_of(faces: Sequence[Encodings], scenes: Sequence[Encodings]) -> Features:
    """Return the features of T frames as those of one view; of the face alone if there are no scenes."""
    face = _stacked([one.embedding_F for one in faces])
    early = [one.early_43D for one in scenes if one.early_43D is not None]
    face_tokens = [one.tokens_JD for one in faces if one.tokens_JD is not None]
    scene_tokens = [one.tokens_JD for one in scenes if one.tokens_JD is not None]
    return Features(
        face_embedding=face,
        scene_embedding=_stacked([one.embedding_F for one in scenes])
        if scenes
        else np.full_like(face, np.nan),
        scene_early=_stacked(early) if early else np.full((*face.shape[:2], 4, 3, 1), np.nan, np.float16),
        face_tokens=_stacked(face_tokens) if face_tokens and scene_tokens else None,
        scene_tokens=_stacked(scene_tokens) if face_tokens and scene_tokens else None,
    )

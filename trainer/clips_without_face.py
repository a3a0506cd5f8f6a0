"""Clips of a cache without a face on any sampled frame: their number, and the metrics of the others.

The face stream of such a clip is the centre square of each frame, and its scene is the whole frame
(`pipeline.streams`). This holds whether a detector found no face or the dataset provides no box or face crop
for the clip. Clips that are face crops themselves have a face.

Letters: N clips.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.store.reader import FeatureCache
from pipeline.types import Bools, Ints, Status
from trainer.metrics import Metrics

NOT_RECORDED = -1
"""Number of clips without a face where a run of an earlier version did not record it."""


@dataclass(frozen=True, kw_only=True)
class ClipsWithoutFace:
    """The clips of a split without a face, and the metrics of the others.

    Attributes:
        num_without_face: Clips without a face on any sampled frame, one or more.
        num_clips: Clips of the split.
        with_face: Metrics of the clips with a face; None if there are none.
    """

    num_without_face: int
    num_clips: int
    with_face: Metrics | None

    @classmethod
    def of(
        cls,
        without_face_N: Bools,
        label_N: Ints,
        predicted_N: Ints,
        class_names: tuple[str, ...],
        group_N: Ints | None,
    ) -> "ClipsWithoutFace | None":
        """Return the result of a split; None if every clip has a face.

        Args:
            without_face_N: Result of `read_without_face`.
            label_N: True classes.
            predicted_N: Predicted classes.
            class_names: Classes, in the order of the labels.
            group_N: Groups of the clips; None without groups.
        """
        if not without_face_N.any():
            return None
        return cls(
            num_without_face=int(without_face_N.sum()),
            num_clips=len(without_face_N),
            with_face=Metrics.of_some(~without_face_N, class_names, label_N, predicted_N, group_N),
        )


def read_without_face(cache: FeatureCache, row_N: Ints) -> Bools:
    """Return which clips have no face on any sampled frame [N]."""
    without_N: Bools = cache.read("status")[row_N] == Status.DONE_WITHOUT_FACE
    return without_N


def count_without_face(clips: Sequence[tuple[FeatureCache, Ints]]) -> int:
    """Return the number of clips without a face. `clips` are open caches with the rows of their clips."""
    return sum(int(read_without_face(cache, row_N).sum()) for cache, row_N in clips)


def stored_num_without_face(values: Mapping[str, Any]) -> int:
    """Return the number of clips without a face that `evaluate` has stored; 0 if it stored none.

    `values` are those of confusion.json. Raises ValueError, TypeError or KeyError for other values.
    """
    stored = values.get("without_face")
    number = 0 if stored is None else stored["num_without_face"]
    if type(number) is not int or not 0 <= number <= values["num_clips"]:
        msg = f"num_without_face is {number!r:.100}; a number of clips is needed"
        raise ValueError(msg)
    return number


def without_face_text(num_without_face: int, num_clips: int, kind: str) -> str:
    """Return the line that is shown beside numbers of clips; empty if every clip has a face.

    Args:
        num_without_face: Clips without a face.
        num_clips: All clips.
        kind: Their kind in words, such as "test clips".
    """
    if num_without_face <= 0:
        return ""
    counts = f"{num_without_face:,} of {num_clips:,} {kind}"
    return f"no face found in {counts}: their face stream shows the centre of each frame"

"""A measured split -> predictions.csv, a clip each; and back.

Letters: N clips; C classes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.errors import CheckpointError, first_line
from pipeline.groups import groups_of_cache, has_groups
from pipeline.own_dir import OwnDir
from pipeline.store.reader import FeatureCache
from pipeline.types import Doubles, Ints
from trainer.calibration import probabilities
from trainer.csv_text import Cell, csv_lines, csv_rows
from trainer.doubtful_tracks import read_doubtful
from trainer.measurement import Measured
from trainer.metrics import Metrics

_COLUMNS = ("clip_id", "group", "label", "predicted", "margin", "calibrated", "faces_found", "doubtful_track")
_DIGITS = 6
_TOLERANCE = 1e-6
_MOST_BYTES = 1 << 30
_JOINT = " | "


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipPredictions:
    """The predictions of a run, or of several, for N clips.

    Attributes:
        class_names: The C classes.
        clip_ids: Names of the clips.
        group_ids: For each clip, the name of the first clip of its group in the cache; None if no clips of
            the cache share a group.
        label_N: True classes.
        probability_NC: Probabilities, float64, with the run's temperature if it has one.
        is_calibrated: Whether a temperature was used.
        faces_found_N: Fraction of the valid frames of the first view with a face, 0 to 1.
        doubtful_N: 1 for clips whose face track is doubtful, 0 for others; None if the cache does not record
            it.
        votes_NC: Fractions of the annotators' votes, NaN for clips without votes; None without any,
            and for a cache with other classes.
    """

    class_names: tuple[str, ...]
    clip_ids: tuple[str, ...]
    group_ids: tuple[str, ...] | None
    label_N: Ints
    probability_NC: Doubles
    is_calibrated: bool
    faces_found_N: Doubles
    doubtful_N: Ints | None
    votes_NC: Doubles | None

    @classmethod
    def of(cls, measured: Measured) -> "ClipPredictions":
        """Return the predictions of a measured split. The cache is read again."""
        info, scores = measured.checkpoint.info, measured.scores
        with FeatureCache.open(measured.place) as cache:
            return cls.of_rows(
                cache, measured.row_N, info.class_names, scores.label_N,
                probabilities(scores.logits_NC, info.temperature or 1.0),
                is_calibrated=info.temperature > 0, has_own_classes=measured.class_map is None,
            )  # fmt: skip

    @classmethod
    def of_rows(
        cls,
        cache: FeatureCache,
        row_N: Ints,
        class_names: tuple[str, ...],
        label_N: Ints,
        probability_NC: Doubles,
        *,
        is_calibrated: bool = False,
        has_own_classes: bool = True,
    ) -> "ClipPredictions":
        """Return predictions with the facts that a cache has about its clips.

        Args:
            cache: An open cache.
            row_N: Rows of the clips.
            class_names: The C classes.
            label_N: True classes.
            probability_NC: Probabilities.
            is_calibrated: Whether a temperature was used.
            has_own_classes: Whether the classes are those of the cache, and of its votes.
        """
        ids = cache.read("clip_id")
        group_N = groups_of_cache(cache)
        votes_NC = cache.read("votes")[row_N]
        valid_NT = cache.read("frame_valid")[row_N, 0]
        found_NT = cache.read("face_found")[row_N, 0] & valid_NT
        doubtful_N = read_doubtful(cache, row_N)
        has_votes = has_own_classes and not np.isnan(votes_NC).any(axis=1).all()
        return cls(
            class_names=class_names,
            clip_ids=tuple(ids[row_N].tolist()),
            group_ids=tuple(ids[group_N[row_N]].tolist()) if has_groups(group_N) else None,
            label_N=label_N,
            probability_NC=probability_NC,
            is_calibrated=is_calibrated,
            faces_found_N=found_NT.sum(axis=1) / valid_NT.sum(axis=1).clip(min=1),
            doubtful_N=None if doubtful_N is None else doubtful_N.astype(np.int64),
            votes_NC=votes_NC.astype(np.float64) if has_votes else None,
        )

    @cached_property
    def predicted_N(self) -> Ints:
        """Classes of the largest probability; of equal ones, the first."""
        best_N: Ints = self.probability_NC.argmax(axis=1)
        return best_N

    @property
    def is_right_N(self) -> Ints:
        """1 for clips that are classified correctly, 0 for others."""
        right_N: Ints = (self.predicted_N == self.label_N).astype(np.int64)
        return right_N

    @property
    def margin_N(self) -> Doubles:
        """Largest probability less the second largest, 0 to 1."""
        ranked = np.sort(self.probability_NC, axis=1)
        return np.asarray(ranked[:, -1] - (ranked[:, -2] if len(self.class_names) > 1 else 0.0))

    @cached_property
    def group_N(self) -> Ints | None:
        """Number of each clip's group among these clips; None without groups."""
        if self.group_ids is None:
            return None
        numbers: Ints = np.unique(np.array(self.group_ids, dtype=object), return_inverse=True)[1]
        return numbers

    def metrics(self) -> Metrics:
        """Return the metrics of the clips."""
        return Metrics.of_clips(self.class_names, self.label_N, self.predicted_N, self.group_N)

    def lines(self, banners: Sequence[str]) -> Iterator[str]:
        """Yield the lines of predictions.csv, with `banners` in the last column of every row."""
        names = self.class_names
        header = [*_COLUMNS, *(f"p_{name}" for name in names)]
        if self.votes_NC is not None:
            header += [f"votes_{name}" for name in names]
        yield from csv_lines([*header, "banner"], ([*row, _JOINT.join(banners)] for row in self._cells()))

    def _cells(self) -> Iterator[list[Cell]]:
        names, margin_N = self.class_names, self.margin_N
        for n, clip_id in enumerate(self.clip_ids):
            yield [
                clip_id,
                "" if self.group_ids is None else self.group_ids[n],
                names[self.label_N[n]],
                names[self.predicted_N[n]],
                round(float(margin_N[n]), _DIGITS),
                self.is_calibrated,
                round(float(self.faces_found_N[n]), _DIGITS),
                None if self.doubtful_N is None else bool(self.doubtful_N[n]),
                *self.probability_NC[n].tolist(),
                *([] if self.votes_NC is None else map(_number_or_none, self.votes_NC[n].tolist())),
            ]


def read_predictions(folder: OwnDir, name: str) -> ClipPredictions:
    """Read a predictions.csv.

    Args:
        folder: Directory of the run.
        name: Name of the file.

    Raises:
        MissingFileError: The file does not exist.
        CheckpointError: The file is damaged, or of another program.
    """
    text = folder.read_text(name, _MOST_BYTES)
    try:
        return _parsed(list(csv_rows(text)))
    except (ValueError, KeyError, IndexError) as error:
        where = folder.path / name
        msg = f"'{where}' has no predictions of `evaluate` ({first_line(error)}); measure the run again."
        raise CheckpointError(msg) from error


def _parsed(rows: list[dict[str, str]]) -> ClipPredictions:
    names = tuple(column[2:] for column in rows[0] if column.startswith("p_"))
    index = {name: number for number, name in enumerate(names)}
    probability_NC = np.array([[_number(row[f"p_{name}"]) for name in names] for row in rows])
    label_N = np.array([index[row["label"]] for row in rows], dtype=np.int64)
    predicted_N = np.array([index[row["predicted"]] for row in rows], dtype=np.int64)
    if (
        (probability_NC < 0).any()
        or (abs(probability_NC.sum(axis=1) - 1) > _TOLERANCE).any()
        or (probability_NC.argmax(axis=1) != predicted_N).any()
        or len({row["clip_id"] for row in rows}) < len(rows)
    ):
        msg = "probabilities are not those of the predicted classes, or a clip occurs twice"
        raise ValueError(msg)
    doubtful = [row["doubtful_track"] for row in rows]
    has_votes = f"votes_{names[0]}" in rows[0]
    groups = tuple(row["group"] for row in rows)
    return ClipPredictions(
        class_names=names,
        clip_ids=tuple(row["clip_id"] for row in rows),
        group_ids=groups if all(groups) else None,
        label_N=label_N,
        probability_NC=probability_NC,
        is_calibrated=rows[0]["calibrated"] == "true",
        faces_found_N=np.array([_number(row["faces_found"]) for row in rows]),
        doubtful_N=np.array([text == "true" for text in doubtful], dtype=np.int64) if all(doubtful) else None,
        votes_NC=np.array([[_number(row[f"votes_{n}"], math.nan) for n in names] for row in rows])
        if has_votes
        else None,
    )


def _number(text: str, empty: float | None = None) -> float:
    if not text and empty is not None:
        return empty
    value = float(text)
    if not math.isfinite(value):
        msg = f"{text!r} is not a finite number"
        raise ValueError(msg)
    return value


def _number_or_none(share: float) -> float | None:
    return None if math.isnan(share) else share

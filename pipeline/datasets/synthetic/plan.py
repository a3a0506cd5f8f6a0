"""List of the clips of the synthetic set, and the best accuracy of a predictor that sees only faces."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from pipeline.config import require_one_of, require_range, to_dict
from pipeline.datasets.emotions import polarity_of_class
from pipeline.datasets.synthetic.cues import Cues, Take, plan_takes
from pipeline.errors import ConfigError

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
"""Class names, in DFEW's order."""

PAIRS: Mapping[tuple[str, str], int] = {
    ("happiness", "sadness"): 1,
    ("happiness", "disgust"): 1,
    ("neutral", "anger"): 2,
    ("surprise", "fear"): 2,
}
"""Pairs of classes of ambiguous faces, with their weight.

The two classes of a pair differ in polarity, so the scene distinguishes them. With these weights happiness,
which is in two pairs, has as many ambiguous clips as neutral, anger, surprise and fear.
"""

_WEIGHTED_PAIRS = (*PAIRS, *(pair for pair, weight in PAIRS.items() if weight > 1))
"""Every pair as often as its weight, for the version ``combined``."""

SPLITS = ("train", "test")
PERFORMANCES_PER_IDENTITY = 4

Version = Literal["simple", "combined"]
_LEAST_FRAMES, _LEAST_ASPECT = 4, 1.3
"""The version ``combined`` shows objects for a quarter of a clip, and beside the person."""


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """Settings that determine every byte of the set.

    Attributes:
        version: ``simple``: the kind of the scene determines the class of an ambiguous face. ``combined``:
            cues that must be combined, followed in time or matched to the gaze do (`cues`), and there are
            second people. It needs 4 frames or more, and a width of 1.3 heights or more.
        num_clips: Clips of both splits together.
        ambiguous_share: Fraction of the clips of each split whose face fits two classes; with ``combined``
            the largest fraction, because clips are drawn in blocks of two and four.
        seed: Seed of all random numbers.
        num_frames: Frames per clip.
        fps: Frames per second.
        height: Height of frames in pixels, an even number.
        width: Width of frames in pixels, an even number.
        test_share: Fraction of the clips in the test split.
    """

    version: Version = "simple"
    num_clips: int = 420
    ambiguous_share: float = 0.6
    seed: int = 0
    num_frames: int = 16
    fps: int = 8
    height: int = 288
    width: int = 384
    test_share: float = 1 / 3

    def __post_init__(self) -> None:
        require_one_of("version", self.version, get_args(Version))
        require_range("num_clips", self.num_clips, 4, 100_000)
        require_range("ambiguous_share", self.ambiguous_share, 0.0, 1.0)
        require_range("seed", self.seed, 0)
        require_range("num_frames", self.num_frames, 1, 1000)
        require_range("fps", self.fps, 1, 120)
        require_range("height", self.height, 240, 1080)
        require_range("width", self.width, self.height, 1920)
        require_range("test_share", self.test_share, 0.1, 0.9)
        for name in ("height", "width"):
            if getattr(self, name) % 2:
                msg = f"{name} is {getattr(self, name)}; an even number is needed (4:2:0 video)."
                raise ConfigError(msg)
        if self.version == "combined":
            require_range("num_frames with version=combined", self.num_frames, _LEAST_FRAMES, 1000)
            if self.width < _LEAST_ASPECT * self.height:
                msg = (
                    f"width is {self.width} at height {self.height}; with version=combined, at least "
                    f"{_LEAST_ASPECT:g} heights are needed, because objects stand beside the person."
                )
                raise ConfigError(msg)

    def to_stored(self) -> dict[str, Any]:
        """Return the settings as the set's description stores them; earlier descriptions have no version."""
        values = to_dict(self)
        if self.version == "simple":
            del values["version"]
        return values


@dataclass(frozen=True, kw_only=True)
class PlannedClip:
    """Description of one clip before it is drawn.

    The clips of an ambiguous performance, its twins, differ only in label and scene.

    Attributes:
        clip_id: Its name.
        label: Its class.
        split: ``train`` or ``test``.
        other_class: Class that the face fits equally well; empty for a clear face.
        identity: Number of the person.
        performance: Number of the drawn face (person, expression, movement, place).
        cues: Cues of the scene, of the version ``combined``; None in the version ``simple``.
    """

    clip_id: str
    label: str
    split: str
    other_class: str
    identity: int
    performance: int
    cues: Cues | None = None

    @property
    def ambiguous(self) -> bool:
        """Whether the face fits two classes, so that only the scene decides."""
        return bool(self.other_class)

    @property
    def scene(self) -> str:
        """Kind of scene: the label's polarity for an ambiguous face of the version simple, else neutral."""
        return self.polarity if self.ambiguous and self.cues is None else "neutral"

    @property
    def polarity(self) -> str:
        """Polarity of the label: positive, neutral or negative."""
        return polarity_of_class(self.label).name.lower()


def plan_clips(config: SyntheticConfig) -> tuple[PlannedClip, ...]:
    """Return every clip of the set, in the order of their ids. The result depends on the config alone.

    In each split, every ambiguous face is in as many clips with one label of its pair as with the other. The
    clear faces make the numbers of clips per class as equal as possible. No person is in both splits.
    """
    rng = np.random.default_rng([config.seed, 0])
    num_test = min(max(round(config.num_clips * config.test_share), 1), config.num_clips - 1)
    rows: list[tuple[Take, str, int, int]] = []
    first_identity = first_performance = 0
    for split, count in zip(SPLITS, (config.num_clips - num_test, num_test), strict=True):
        faces = _takes(config, count, split)
        num_identities = -(-len(faces) // PERFORMANCES_PER_IDENTITY)
        for place, face in enumerate(rng.permutation(len(faces))):
            identity = first_identity + place % num_identities
            performance = first_performance + place
            rows += [(take, split, identity, performance) for take in faces[face]]
        first_identity += num_identities
        first_performance += len(faces)
    digits = len(str(config.num_clips - 1))
    return tuple(
        PlannedClip(
            clip_id=f"clip_{number:0{digits}d}",
            label=rows[row][0].label,
            split=rows[row][1],
            other_class=rows[row][0].other_class,
            identity=rows[row][2],
            performance=rows[row][3],
            cues=rows[row][0].cues,
        )
        for number, row in enumerate(rng.permutation(len(rows)))
    )


def face_only_bound(clips: Sequence[PlannedClip]) -> float:
    """Return the best accuracy, 0 to 1, on the test clips of a predictor that sees only faces.

    Every clear face can be classified correctly. An ambiguous face has each label of its pair once, so the
    best rule predicts the more frequent label of the pair and is correct for exactly half of these clips.
    """
    held_out = _test_clips(clips)
    per_pair: Counter[tuple[str, ...]] = Counter()
    for (pair, _), count in _labels_by_pair(held_out).items():
        per_pair[pair] = max(per_pair[pair], count)
    right = sum(not clip.ambiguous for clip in held_out) + sum(per_pair.values())
    return right / len(held_out)


def chance_accuracy(clips: Sequence[PlannedClip]) -> float:
    """Return the accuracy, 0 to 1, on the test clips of always predicting their most frequent class."""
    held_out = _test_clips(clips)
    return max(Counter(clip.label for clip in held_out).values()) / len(held_out)


def _test_clips(clips: Sequence[PlannedClip]) -> list[PlannedClip]:
    return [clip for clip in clips if clip.split == "test"]


def _labels_by_pair(clips: Sequence[PlannedClip]) -> Counter[tuple[tuple[str, ...], str]]:
    return Counter(
        (tuple(sorted((clip.label, clip.other_class))), clip.label) for clip in clips if clip.ambiguous
    )


def _takes(config: SyntheticConfig, num_clips: int, split: str) -> list[list[Take]]:
    """Return the clips of a split, grouped by drawn face."""
    if config.version == "combined":
        rng = np.random.default_rng([config.seed, 4, SPLITS.index(split)])
        return plan_takes(num_clips, config.ambiguous_share, _WEIGHTED_PAIRS, CLASSES, rng)
    return [
        [Take(first, other, None), *([Take(other, first, None)] if other else [])]
        for first, other in _faces(num_clips, config.ambiguous_share)
    ]


def _faces(num_clips: int, ambiguous_share: float) -> list[tuple[str, str]]:
    """Return the faces of `num_clips` clips, as (class, other class) or (class, empty)."""
    num_twins = round(num_clips * ambiguous_share / 2)
    num_twins = min(num_twins, num_clips // 2)
    twins = [pair for pair, count in _apportioned(num_twins).items() for _ in range(count)]
    total = Counter(name for pair in twins for name in pair)
    clear: list[tuple[str, str]] = []
    for _ in range(num_clips - 2 * num_twins):
        rarest = min(CLASSES, key=lambda name: total[name])
        total[rarest] += 1
        clear.append((rarest, ""))
    return clear + twins


def _apportioned(total: int) -> dict[tuple[str, str], int]:
    """Divide `total` among the pairs by weight, with the largest remainder method."""
    weight = sum(PAIRS.values())
    counts = {pair: total * share // weight for pair, share in PAIRS.items()}
    by_remainder = sorted(PAIRS, key=lambda pair: -(total * PAIRS[pair] % weight))
    for pair in by_remainder[: total - sum(counts.values())]:
        counts[pair] += 1
    return counts

"""Which clips the synthetic set has, and what a predictor that sees only faces can reach on it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import require_range
from pipeline.datasets.emotions import polarity_of_class
from pipeline.errors import ConfigError

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
"""The class names, in the order of the method."""

PAIRS: Mapping[tuple[str, str], int] = {
    ("happiness", "sadness"): 1,
    ("happiness", "disgust"): 1,
    ("neutral", "anger"): 2,
    ("surprise", "fear"): 2,
}
"""Pairs of classes that an ambiguous face lies between, with their weight.

The two classes of a pair differ in polarity, so the scene tells them apart. The weights give
happiness, which is in two pairs, no more clips than neutral, anger, surprise and fear.
"""

SPLITS = ("train", "test")
PERFORMANCES_PER_IDENTITY = 4


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """What decides every byte of the set.

    num_clips: clips of both splits together. ambiguous_share: part of the clips of each split
    whose face lies between two classes. test_share: part of the clips that is held out.
    height, width: picture in pixels, even numbers; fps: frames per second.
    """

    num_clips: int = 420
    ambiguous_share: float = 0.6
    seed: int = 0
    num_frames: int = 16
    fps: int = 8
    height: int = 288
    width: int = 384
    test_share: float = 1 / 3

    def __post_init__(self) -> None:
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


@dataclass(frozen=True, kw_only=True)
class PlannedClip:
    """One clip: what is drawn, and what it is called.

    other_class: the class that the face could equally be; empty for a clear face.
    performance: number of the drawn face (person, expression, movement, place). The two clips
    of an ambiguous performance, its twins, differ in label and scene and in nothing else.
    """

    clip_id: str
    label: str
    split: str
    other_class: str
    identity: int
    performance: int

    @property
    def ambiguous(self) -> bool:
        """Whether the face lies between two classes, so that only the scene decides."""
        return bool(self.other_class)

    @property
    def scene(self) -> str:
        """The kind of scene: the label's polarity if it has to decide, else neutral."""
        return self.polarity if self.ambiguous else "neutral"

    @property
    def polarity(self) -> str:
        """The label's polarity: positive, neutral or negative."""
        return polarity_of_class(self.label).name.lower()


def plan_clips(config: SyntheticConfig) -> tuple[PlannedClip, ...]:
    """Every clip of the set, in the order of its id; a function of the config alone.

    In each split every ambiguous face appears twice, once per label of its pair, and classes
    are as even as the clear faces can make them. No identity is in both splits.
    """
    rng = np.random.default_rng([config.seed, 0])
    num_test = min(max(round(config.num_clips * config.test_share), 1), config.num_clips - 1)
    rows: list[tuple[str, str, str, int, int]] = []
    first_identity = first_performance = 0
    for split, count in zip(SPLITS, (config.num_clips - num_test, num_test), strict=True):
        faces = _faces(count, config.ambiguous_share)
        num_identities = -(-len(faces) // PERFORMANCES_PER_IDENTITY)
        for place, face in enumerate(rng.permutation(len(faces))):
            identity = first_identity + place % num_identities
            performance = first_performance + place
            first, other = faces[face]
            rows.append((first, split, other, identity, performance))
            if other:
                rows.append((other, split, first, identity, performance))
        first_identity += num_identities
        first_performance += len(faces)
    digits = len(str(config.num_clips - 1))
    return tuple(
        PlannedClip(
            clip_id=f"clip_{number:0{digits}d}",
            label=rows[row][0],
            split=rows[row][1],
            other_class=rows[row][2],
            identity=rows[row][3],
            performance=rows[row][4],
        )
        for number, row in enumerate(rng.permutation(len(rows)))
    )


def face_only_bound(clips: Sequence[PlannedClip]) -> float:
    """The best accuracy on the test clips that is open to a predictor which sees faces only.

    A clear face can be right always. An ambiguous face says nothing about which label of its
    pair holds, so no rule does better than naming the more frequent one; as every such face
    appears once with each label, that is right for exactly half of them.
    """
    held_out = _test_clips(clips)
    per_pair: Counter[tuple[str, ...]] = Counter()
    for (pair, _), count in _labels_by_pair(held_out).items():
        per_pair[pair] = max(per_pair[pair], count)
    right = sum(not clip.ambiguous for clip in held_out) + sum(per_pair.values())
    return right / len(held_out)


def chance_accuracy(clips: Sequence[PlannedClip]) -> float:
    """Return the accuracy, 0 to 1, on the test clips of always naming their most frequent class."""
    held_out = _test_clips(clips)
    return max(Counter(clip.label for clip in held_out).values()) / len(held_out)


def _test_clips(clips: Sequence[PlannedClip]) -> list[PlannedClip]:
    return [clip for clip in clips if clip.split == "test"]


def _labels_by_pair(clips: Sequence[PlannedClip]) -> Counter[tuple[tuple[str, ...], str]]:
    return Counter(
        (tuple(sorted((clip.label, clip.other_class))), clip.label) for clip in clips if clip.ambiguous
    )


def _faces(num_clips: int, ambiguous_share: float) -> list[tuple[str, str]]:
    """The faces that give `num_clips` clips: (class, other class) or (class, empty)."""
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
    """`total` shared out over the pairs by weight, largest remainder first."""
    weight = sum(PAIRS.values())
    counts = {pair: total * share // weight for pair, share in PAIRS.items()}
    by_remainder = sorted(PAIRS, key=lambda pair: -(total * PAIRS[pair] % weight))
    for pair in by_remainder[: total - sum(counts.values())]:
        counts[pair] += 1
    return counts

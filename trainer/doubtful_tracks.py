"""A measured split -> its metrics without the clips whose face track may be of another person.

Letters: N clips.
"""

from dataclasses import dataclass

from pipeline.store.reader import FeatureCache
from pipeline.types import DOUBTFUL_NATS, Bools, Ints
from trainer.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class DoubtfulTracks:
    """The clips of a split whose track is doubtful (`DOUBTFUL_NATS`), and the metrics of the others.

    Attributes:
        num_doubtful: Clips with a doubtful track, one or more.
        num_clips: Clips of the split.
        without: Metrics of the clips without a doubtful track; None if every track is doubtful.
    """

    num_doubtful: int
    num_clips: int
    without: Metrics | None

    @classmethod
    def of(
        cls,
        doubtful_N: Bools | None,
        label_N: Ints,
        predicted_N: Ints,
        class_names: tuple[str, ...],
        group_N: Ints | None,
    ) -> "DoubtfulTracks | None":
        """Return the result of a split; None if no track is doubtful, or this is not known.

        Args:
            doubtful_N: Result of `read_doubtful`.
            label_N: True classes.
            predicted_N: Predicted classes.
            class_names: Classes, in the order of the labels.
            group_N: Groups of the clips; None without groups.
        """
        if doubtful_N is None or not doubtful_N.any():
            return None
        without = Metrics.of_some(~doubtful_N, class_names, label_N, predicted_N, group_N)
        return cls(num_doubtful=int(doubtful_N.sum()), num_clips=len(doubtful_N), without=without)

    def __str__(self) -> str:
        """Return the numbers of clips."""
        return f"{self.num_doubtful:,} of {self.num_clips:,}"


def read_doubtful(cache: FeatureCache, row_N: Ints) -> Bools | None:
    """Return which clips have a doubtful track [N]; None if the cache does not record it."""
    if not cache.meta.follows_everyone:
        return None
    doubtful_N: Bools = cache.read("track_margin")[row_N] < DOUBTFUL_NATS
    return doubtful_N

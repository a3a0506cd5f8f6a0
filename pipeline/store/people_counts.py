"""Numbers of clips with cuts, with several people and with a doubtful track."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pipeline.store.reader import FeatureCache
from pipeline.types import DOUBTFUL_NATS


@dataclass(frozen=True, kw_only=True)
class PeopleCounts:
    """Numbers of clips whose subject was chosen among several people or shots."""

    with_cuts: int = 0
    """Clips with a cut."""
    not_searched: int = 0
    """Clips in which cuts were not searched, such as directories of images."""
    several_people: int = 0
    """Clips in which at least two people were followed."""
    doubtful: int = 0
    """Clips whose track may be of another person (`DOUBTFUL_NATS`)."""

    def __str__(self) -> str:
        """Return the numbers in words."""
        unsearched = f" ({self.not_searched} not searched)" if self.not_searched else ""
        return (
            f"cuts in {self.with_cuts}{unsearched}, several people in {self.several_people}, "
            f"doubtful tracks in {self.doubtful}"
        )


def count_people(cache: FeatureCache, status: npt.NDArray[Any] | None = None) -> PeopleCounts | None:
    """Count the clips of a cache that are done; None if the subject alone was followed.

    status: the array of this name, if it has been read already.
    """
    if not cache.meta.follows_everyone:
        return None
    rows = cache.done_rows(status)
    cuts, people, margin = (cache.read(name)[rows] for name in ("cuts", "num_people", "track_margin"))
    return PeopleCounts(
        with_cuts=int(((cuts != "") & (cuts != "none")).sum()),
        not_searched=int((cuts == "").sum()),
        several_people=int((people > 1).sum()),
        doubtful=int((margin < DOUBTFUL_NATS).sum()),
    )

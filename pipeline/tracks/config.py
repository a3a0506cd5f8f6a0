"""Settings for choosing and following the subject."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from pipeline.fingerprint import version_default
from pipeline.versions import VERSIONS

EARLIER_METHOD = "nearest"
METHODS = ("motion", EARLIER_METHOD)
ACROSS_SHOTS = ("look", "each", "best")
_LARGEST_NEIGHBOUR_WEIGHT = 1 / 3
ONLY_OF = {
    "motion": ("across_shots", "hold", "kept_look"),
    EARLIER_METHOD: ("max_gap", "max_jump", "max_growth"),
}
"""Method -> settings that it alone uses."""


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """Settings for choosing and following the subject, and for smoothing its boxes.

    The side of a box is the square root of its area.

    Attributes:
        method: ``motion`` follows everyone (`pipeline.people`); ``nearest`` is the method of earlier caches.
        across_shots: With ``motion``, the subject of a clip with several shots. ``look``: one person, joined
            over the shots by look where it is certain; ``each``: every shot's own subject, perhaps of several
            people; ``best``: the person with the largest weight in one shot, in that shot alone.
        hold: With ``motion``, longest time in seconds before the first and after the last detection in a shot
            for which the face may still be in view.
        kept_look: With ``motion``, largest distance of the look at the track's box from the subject's look,
            on a frame on which the face is not detected. Beyond it, the subject is out of view.
        max_gap: With ``nearest``, sampled frames that a face may be missing before its track ends.
        max_jump: With ``nearest``, largest movement of the box's centre between two detections, in sides.
        max_growth: With ``nearest``, largest factor by which the side changes between two detections.
        smooth: Weight of each of the two neighbours in a box's mean, 0 (off) to 1/3 (a plain mean).
        max_shift: Largest movement of a box's edge by smoothing, in sides. It allows for the detector's
            jitter, a few hundredths, but keeps the box on a moving face.
    """

    VERSION: ClassVar[int] = VERSIONS["tracks"]
    """Version of choosing, following and smoothing the subject's boxes (decision 0007)."""

    method: str = field(default="motion", metadata=version_default(EARLIER_METHOD))
    across_shots: str = "look"
    hold: float = 0.4
    kept_look: float = 0.45
    max_gap: int = 8
    max_jump: float = 1.0
    max_growth: float = 2.0
    smooth: float = 0.25
    max_shift: float = 0.05

    def __post_init__(self) -> None:
        require_one_of("track.method", self.method, METHODS)
        require_one_of("track.across_shots", self.across_shots, ACROSS_SHOTS)
        require_range("track.hold", self.hold, 0)
        require_range("track.kept_look", self.kept_look, 0)
        require_range("track.max_gap", self.max_gap, 0)
        require_range("track.max_jump", self.max_jump, 0)
        require_range("track.max_growth", self.max_growth, 1)
        require_range("track.smooth", self.smooth, 0, _LARGEST_NEIGHBOUR_WEIGHT)
        require_range("track.max_shift", self.max_shift, 0)
        for method, names in ONLY_OF.items():
            changed = [name for name in names if getattr(self, name) != getattr(TrackConfig, name)]
            if changed and self.method != method:
                msg = (
                    f"track.{changed[0]} is {getattr(self, changed[0])}, and track.method={method} alone "
                    f"uses it; add --set track.method={method}, or leave it out."
                )
                raise ConfigError(msg)

    @property
    def follows_everyone(self) -> bool:
        """Whether the subject is chosen among everyone's tracklets."""
        return self.method == "motion"

    def as_earlier(self) -> "TrackConfig":
        """Return these settings as far as the method of earlier versions uses them."""
        unused = {name: getattr(TrackConfig, name) for name in ONLY_OF["motion"]}
        return replace(self, method=EARLIER_METHOD, **unused)

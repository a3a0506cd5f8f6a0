"""The settings of all steps, which determine the features of a clip."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pipeline import faces as face_step
from pipeline import frames as frame_step
from pipeline import people as people_step
from pipeline import streams as stream_step
from pipeline import tracks as track_step
from pipeline.clip_model import EncoderConfig, shape_of
from pipeline.config import to_dict
from pipeline.errors import ConfigError
from pipeline.features import FeatureConfig, num_kept_tokens
from pipeline.versions import OF_MOTION

_OF_MOTION: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "track": ("method", *track_step.ONLY_OF["motion"]),
        "streams": ("absent_face", "absent_scene"),
    }
)
"""Section -> settings that have no effect unless everyone is followed."""


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Settings that determine the features of a clip, by step."""

    frames: frame_step.FrameConfig = field(default_factory=frame_step.FrameConfig)
    shots: frame_step.ShotConfig = field(default_factory=frame_step.ShotConfig)
    faces: face_step.FaceConfig = field(default_factory=face_step.FaceConfig)
    detector: face_step.DetectorConfig = field(default_factory=face_step.DetectorConfig)
    people: people_step.PeopleConfig = field(default_factory=people_step.PeopleConfig)
    track: track_step.TrackConfig = field(default_factory=track_step.TrackConfig)
    streams: stream_step.StreamConfig = field(default_factory=stream_step.StreamConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)

    def __post_init__(self) -> None:
        face_step.require_one_source(self.faces, self.detector)
        if self.detector.rate and not self.follows_everyone:
            msg = (
                f"detector.rate is {self.detector.rate:g}, which needs detected faces and "
                "track.method=motion; set detector.rate to 0, or remove the other setting."
            )
            raise ConfigError(msg)
        if self.faces.takes_crops and self.streams.scene != "full":
            msg = (
                f"--faces crops with --scene {self.streams.scene}: the position of a face crop in its frame "
                "is not known, so that the face cannot be masked. Add --scene full."
            )
            raise ConfigError(msg)

    @property
    def follows_everyone(self) -> bool:
        """Whether the subject is chosen among everyone's tracklets, over the shots of a clip.

        It is not where the dataset provides the subject's faces.
        """
        return self.track.follows_everyone and self.faces.is_detected

    @property
    def why_subject_is_fixed(self) -> str:
        """Why a subject that the dataset names cannot be followed, and the fix; empty if it can."""
        if not self.faces.is_detected:
            given = self.faces.source
            return f"--faces {given} follows the dataset's {given}; use --faces detector"
        if not self.track.follows_everyone:
            method = f"track.method={self.track.method}"
            return f"{method} does not find everyone; use --set track.method=motion"
        return ""

    def with_earlier_tracks(self) -> "ExtractConfig":
        """Return these settings with the track and the streams of earlier versions, where no subject leaves.

        If no subject leaves, settings for its absence change no feature.
        """
        return replace(
            self,
            track=self.track.as_earlier(),
            streams=replace(self.streams, absent_face="hold", absent_scene="masked"),
        )

    @property
    def detection(self) -> face_step.DetectorConfig:
        """The settings of the detector, with the lowest score of a detection that tracks use."""
        if not self.follows_everyone:
            return self.detector
        return replace(self.detector, score=min(self.detector.score, self.people.weak_score))

    @staticmethod
    def from_older_keys(values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return settings of any version of this program in the keys of today, for `from_dict`."""
        return face_step.from_older_keys(values)

    def to_stored(self) -> dict[str, Any]:
        """Return the settings as caches and reports store them.

        Earlier versions of this program read them too, unless everyone is followed.
        """
        values = face_step.to_older_keys(to_dict(self))
        for newer in ("every", "rate"):
            if getattr(self.detector, newer) == getattr(face_step.DetectorConfig, newer):
                del values["detector"][newer]
        if self.follows_everyone:
            return values
        return {
            section: {key: value for key, value in held.items() if key not in _OF_MOTION.get(section, ())}
            for section, held in values.items()
            if section not in OF_MOTION
        }


@dataclass(frozen=True, kw_only=True)
class FeatureShape:
    """Sizes of a frame's features."""

    embed_width: int
    """F: width of CLIP's projected embedding."""
    encoder_width: int
    """D: width of the encoder's layers."""
    num_tokens: int
    """J: tokens that are kept besides the embedding."""


def feature_shape(config: ExtractConfig) -> FeatureShape:
    """Return the sizes of features with these settings; no model is loaded.

    Raises:
        ConfigError: The encoder's patches cannot be pooled to the tokens of the settings.
    """
    encoder = shape_of(config.encoder.name)
    return FeatureShape(
        embed_width=encoder.embed_width,
        encoder_width=encoder.encoder_width,
        num_tokens=num_kept_tokens(config.features.tokens, encoder.num_patches),
    )

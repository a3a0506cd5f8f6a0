"""The settings of all steps: everything that decides what the features of a clip are."""

from dataclasses import dataclass, field

from pipeline import faces as face_step
from pipeline import frames as frame_step
from pipeline import streams as stream_step
from pipeline import tracks as track_step
from pipeline.clip_model import EncoderConfig, shape_of
from pipeline.errors import ConfigError
from pipeline.features import FeatureConfig, num_kept_tokens


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Everything that decides what the features of a clip are."""

    frames: frame_step.FrameConfig = field(default_factory=frame_step.FrameConfig)
    detector: face_step.DetectorConfig = field(default_factory=face_step.DetectorConfig)
    track: track_step.TrackConfig = field(default_factory=track_step.TrackConfig)
    streams: stream_step.StreamConfig = field(default_factory=stream_step.StreamConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)

    def __post_init__(self) -> None:
        if self.takes_crops and self.streams.scene != "full":
            msg = (
                f"--detector crops with --scene {self.streams.scene}: ready face crops do not tell where the "
                "face is in the picture, so it cannot be masked. Add --scene full."
            )
            raise ConfigError(msg)

    @property
    def takes_crops(self) -> bool:
        """Whether the face stream is the data set's own face crops."""
        return self.detector.name == "crops"


@dataclass(frozen=True, kw_only=True)
class FeatureShape:
    """Sizes of a frame's features: embed_width F, encoder_width D, num_tokens J kept beside the embedding."""

    embed_width: int
    encoder_width: int
    num_tokens: int


def feature_shape(config: ExtractConfig) -> FeatureShape:
    """Return the sizes of features with these settings; no model is loaded.

    Raises ConfigError for tokens that the encoder's patches cannot be pooled to.
    """
    encoder = shape_of(config.encoder.name)
    return FeatureShape(
        embed_width=encoder.embed_width,
        encoder_width=encoder.encoder_width,
        num_tokens=num_kept_tokens(config.features.tokens, encoder.num_patches),
    )

"""Settings and feature sizes -> a new model, by `model.architecture`."""

from trainer.config import TrainConfig
from trainer.model import FeatureShape, OusModel, VideoModel
from trainer.temporal import TemporalTransformer


def build_model(config: TrainConfig, shape: FeatureShape) -> VideoModel:
    """Return a model with new weights from torch's random numbers, on the default device of torch."""
    if config.model.architecture == "temporal":
        return TemporalTransformer(config, shape)
    return OusModel(config, shape)

"""What a worker's models are: all that the description of a cache needs of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch

from pipeline.fingerprint import sha256_json
from pipeline.process import ExtractConfig, Models, feature_shape, unloaded_identity, without_weights
from pipeline.store.config import choose_block_clips


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a worker's models are: all that the description of a cache needs of them.

    stand_ins: models with random weights in the place of theirs, for timing. has_weights: whether the
    identity covers the weights; it does not before they are loaded, nor with stand-ins.
    conventions: activation, mean and std of the encoder in words, and where they are stated; empty before
    it is loaded.
    """

    identity: dict[str, Any]
    embed_width: int
    encoder_width: int
    num_tokens: int
    visual_sha256: str
    text_sha256: str
    conventions: str
    precision: str
    device: str
    block_clips: int
    num_decoders: int
    stand_ins: tuple[str, ...] = ()
    has_weights: bool = True

    @cached_property
    def fingerprint(self) -> str:
        """The hash of whatever changes a feature."""
        return sha256_json(self.identity)

    @classmethod
    def of(cls, models: Models, num_decoders: int) -> Self:
        """Describe these models."""
        identity = models.identity()
        return cls(
            identity=without_weights(identity) if models.stand_ins else identity,
            embed_width=models.clip.embed_width,
            encoder_width=models.clip.encoder_width,
            num_tokens=models.encoder.num_tokens,
            visual_sha256=models.clip.visual_sha256,
            text_sha256=models.clip.text_sha256,
            conventions=str(models.clip.conventions),
            precision=models.encoder.precision,
            device=_name_of(models.device),
            block_clips=choose_block_clips(models.config.features.tokens, models.device.type),
            num_decoders=num_decoders,
            stand_ins=models.stand_ins,
            has_weights=not models.stand_ins,
        )

    @classmethod
    def before_loading(cls, config: ExtractConfig, device: torch.device, num_decoders: int) -> Self:
        """Return what is known before weights are read.

        Args:
            config: The settings of all steps.
            device: Where the models will compute.
            num_decoders: Decoding processes of a worker.

        Raises:
            ConfigError: The settings do not fit the device or each other.
        """
        shape, identity = feature_shape(config), unloaded_identity(config, device)
        return cls(
            identity=identity,
            embed_width=shape.embed_width,
            encoder_width=shape.encoder_width,
            num_tokens=shape.num_tokens,
            visual_sha256="",
            text_sha256="",
            conventions="",
            precision=identity["features"]["precision"],
            device=_name_of(device),
            block_clips=choose_block_clips(config.features.tokens, device.type),
            num_decoders=num_decoders,
            has_weights=False,
        )


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"

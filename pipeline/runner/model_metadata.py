"""Description of a worker's models, for the attributes of a cache."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch

from pipeline.fingerprint import sha256_json
from pipeline.process import ExtractConfig, Models, feature_shape, unloaded_identity, without_weights
from pipeline.store.block_size import choose_block_clips


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Description of a worker's models.

    Attributes:
        identity: Settings, versions and weights that determine features.
        embed_width: Width of the joint embedding.
        encoder_width: Width of the image encoder.
        num_tokens: Kept tokens per image, besides the embedding.
        visual_sha256: Hash of the image encoder's weights; empty before they are loaded.
        text_sha256: Hash of the text encoder's weights; empty before they are loaded.
        conventions: Activation, mean and std of the encoder in words, with their source; empty before it is
            loaded.
        precision: Precision of the encoder.
        device: Name of the device.
        block_clips: Clips of a block.
        num_decoders: Decoding processes of a worker.
        stand_ins: Models with random weights instead of their own, for timing.
        has_weights: Whether the identity includes the weights: not before they are loaded, nor with
            stand-ins.
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
        """Hash of the identity."""
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
        """Describe models as far as they are known before weights are read.

        Args:
            config: The settings of all steps.
            device: The device of the models.
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

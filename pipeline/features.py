"""Features of the frozen CLIP image encoder, from stream images.

Letters: N images; S their side; F width of the joint embedding; D width of the encoder;
P patch tokens; J kept tokens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, get_args

import torch
from torch.nn import functional

from pipeline.choices import FeaturePrecision, Tokens
from pipeline.clip_model import LoadedClip, fused_visual_tower
from pipeline.config import require_one_of, require_range
from pipeline.device import exact_float32, precision_on
from pipeline.errors import ConfigError
from pipeline.fingerprint import OUTSIDE_IDENTITY
from pipeline.fixed_batches import DeviceLock, FixedBatches
from pipeline.types import NUM_EARLY_BLOCKS
from pipeline.versions import VERSIONS

GRID_SIDE = 4
LARGEST_HALF = torch.finfo(torch.float16).max
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """Settings of the encoder.

    Attributes:
        precision: ``auto`` is fp16 on a GPU, bf16 on a CPU with bf16 instructions, else fp32.
        tokens: ``cls`` keeps none besides the embedding, ``grid4`` the class token and patch tokens
            pooled to 4x4, ``all`` every token.
        batch_pictures: Images per batch; 0 chooses by device.
    """

    VERSION: ClassVar[int] = VERSIONS["features"]
    """Version of normalising, encoding and the early statistics (decision 0007)."""

    precision: str = field(default="auto", metadata=OUTSIDE_IDENTITY)
    tokens: str = "cls"
    batch_pictures: int = field(default=0, metadata=OUTSIDE_IDENTITY)

    def __post_init__(self) -> None:
        require_one_of("features.precision", self.precision, get_args(FeaturePrecision))
        require_one_of("features.tokens", self.tokens, get_args(Tokens))
        require_range("features.batch_pictures", self.batch_pictures, 0, 4096)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Encoder output of N images, on the CPU, in float16 unless the encoder rounds to another type.

    Attributes:
        embedding_NF: Projected, not normalised.
        early_N43D: CLS, patch mean and patch standard deviation of the first four transformer blocks; None
            if they were not requested.
        tokens_NJD: Kept tokens of the last block, after ln_post; None with ``tokens=cls``.
        largest_N3: Largest absolute value of each of these arrays before rounding, float32; 0 for None. A
            value beyond `LARGEST_HALF` is infinite in float16.
    """

    embedding_NF: torch.Tensor
    early_N43D: torch.Tensor | None
    tokens_NJD: torch.Tensor | None
    largest_N3: torch.Tensor

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.embedding_NF)

    @classmethod
    def joined(cls, parts: "Sequence[Encoded]") -> "Encoded":
        """Return the output of the images of all parts."""

        def together(values: list[torch.Tensor | None]) -> torch.Tensor | None:
            given = [value for value in values if value is not None]
            return torch.cat(given) if given else None

        return cls(
            embedding_NF=torch.cat([part.embedding_NF for part in parts]),
            early_N43D=together([part.early_N43D for part in parts]),
            tokens_NJD=together([part.tokens_NJD for part in parts]),
            largest_N3=torch.cat([part.largest_N3 for part in parts]),
        )

    def rows(self, start: int, end: int) -> "Encoded":
        """Return the output of images `start` to `end`, the end excluded."""
        return Encoded(
            embedding_NF=self.embedding_NF[start:end],
            early_N43D=None if self.early_N43D is None else self.early_N43D[start:end],
            tokens_NJD=None if self.tokens_NJD is None else self.tokens_NJD[start:end],
            largest_N3=self.largest_N3[start:end],
        )


def resolve_precision(asked: str, device: torch.device) -> str:
    """Return the precision of the encoder on a device: fp16, bf16 or fp32.

    Raises:
        ConfigError: It is fp16 on a CPU, which has no fast products in fp16.
    """
    if asked == "fp16" and device.type == "cpu":
        msg = "features.precision is 'fp16' on a CPU; allowed there: auto, bf16, fp32."
        raise ConfigError(msg)
    return precision_on(device, asked, on_gpu="fp16")


def num_kept_tokens(tokens: str, num_patches: int) -> int:
    """Return J, the number of kept tokens per image; 0 for ``cls``.

    Args:
        tokens: ``cls``, ``grid4`` or ``all``.
        num_patches: Patches of an image.

    Raises:
        ConfigError: The grid of patches cannot be pooled to 4x4 evenly.
    """
    if tokens == "all":
        return num_patches + 1
    if tokens == "cls":
        return 0
    side = math.isqrt(num_patches)
    if side % GRID_SIDE:
        msg = f"features.tokens is 'grid4', but the encoder's patches are {side}x{side}; allowed: cls, all."
        raise ConfigError(msg)
    return GRID_SIDE * GRID_SIDE + 1


class Encoder:
    """Frozen CLIP image encoder on a device, in one precision, in batches of one size.

    A copy of the module is cast, and the loaded model stays unchanged, because autocast over frozen
    weights is about twenty times slower on CPUs. Every batch has the same number of images (the last
    one is padded), so that the features of an image do not depend on the other images of its batch.
    Threads may share an encoder.

    Args:
        clip: The loaded CLIP model.
        config: Precision, kept tokens and batch size.
        device: The device that computes.
        device_lock: Lock that is held while a batch is queued on the device, for threads that share
            the device; None for a lock of its own.
        rounded: Type of the features: float16 as in a cache, or float32 for comparisons. They are rounded on
            the device, so that half as many bytes are copied from it.

    Raises:
        ConfigError: The model has fewer blocks than the early ones, or the settings do not fit it.
    """

    def __init__(
        self,
        clip: LoadedClip,
        config: FeatureConfig,
        device: torch.device,
        device_lock: DeviceLock | None = None,
        rounded: torch.dtype = torch.float16,
    ) -> None:
        self._rounded = rounded
        self.precision = resolve_precision(config.precision, device)
        self.num_tokens = num_kept_tokens(config.tokens, clip.num_patches)
        self._tokens = config.tokens
        self._dtype = _TYPES[self.precision]
        self._visual = fused_visual_tower(clip.model.visual, device, self._dtype)
        self._num_blocks = len(self._visual.transformer.resblocks)
        self._mean = torch.tensor(clip.mean, device=device)[:, None, None]
        self._std = torch.tensor(clip.std, device=device)[:, None, None]
        self._batches = FixedBatches(
            "Images for the encoder", config.batch_pictures or _batch_pictures(device), device, device_lock
        )
        if self._num_blocks < NUM_EARLY_BLOCKS:
            msg = f"Encoder {clip.config.name} has {self._num_blocks} blocks; {NUM_EARLY_BLOCKS} are needed."
            raise ConfigError(msg)

    @property
    def batch_pictures(self) -> int:
        """Current images per batch. If the device runs out of memory, the number is halved."""
        return self._batches.size

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user, about a device that ran out of memory."""
        return self._batches.warnings

    @torch.inference_mode()
    def encode(
        self, pictures_N3SS: torch.Tensor, *, early: bool, on_batch: Callable[[int], None] | None = None
    ) -> Encoded:
        """Encode images.

        Args:
            pictures_N3SS: Images, uint8 RGB [N, 3, S, S].
            early: Whether the statistics of the first four transformer blocks are kept.
            on_batch: Called with the number of images after each batch is queued on the device.

        Raises:
            torch.OutOfMemoryError: A single image does not fit into the device's memory.
        """
        parts = []
        for part in self._batches.run(pictures_N3SS, lambda batch: self._rounded_batch(batch, early=early)):
            parts.append(part)
            if on_batch is not None:
                on_batch(len(part[0]))
        self._batches.wait()
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        largest_N3 = torch.zeros(len(columns[0]), 3)
        largest_N3[:, [True, early, self.num_tokens > 0]] = columns[-1]
        return Encoded(
            embedding_NF=columns[0],
            early_N43D=columns[1] if early else None,
            tokens_NJD=columns[-2] if self.num_tokens else None,
            largest_N3=largest_N3,
        )

    def _rounded_batch(self, batch_N3SS: torch.Tensor, *, early: bool) -> list[torch.Tensor]:
        """Return the results of `_encode_batch`, rounded, and their largest absolute values by image."""
        results = self._encode_batch(batch_N3SS, early=early)
        largest = torch.stack([value.flatten(1).abs().amax(dim=1) for value in results], dim=1)
        return [*(value.to(self._rounded) for value in results), largest]

    def _encode_batch(self, batch_N3SS: torch.Tensor, *, early: bool) -> list[torch.Tensor]:
        """Return the embedding, then early statistics and kept tokens if they are requested, in float32."""
        x = ((batch_N3SS.float() / 255 - self._mean) / self._std).to(self._dtype)
        last = self._num_blocks - 1
        indices = [*range(NUM_EARLY_BLOCKS if early else 0), *([last] if self.num_tokens else [])]
        with exact_float32():
            out = self._visual.forward_intermediates(
                x,
                indices=indices or [last],
                normalize_intermediates=False,
                output_fmt="NLC",
                output_extra_tokens=True,
            )
        classes, patches = out["image_intermediates_prefix"], out["image_intermediates"]
        results = [out["image_features"].float()]
        if early:
            pairs = zip(classes[:NUM_EARLY_BLOCKS], patches[:NUM_EARLY_BLOCKS], strict=True)
            results.append(torch.stack([_statistics(c, p) for c, p in pairs], dim=1))
        if self.num_tokens:
            both = torch.cat([classes[-1], patches[-1]], dim=1)
            results.append(self._kept(self._visual.ln_post(both).float()))
        return results

    def _kept(self, tokens_N1PD: torch.Tensor) -> torch.Tensor:
        if self._tokens == "all":
            return tokens_N1PD
        n, length, width = tokens_N1PD.shape
        side = math.isqrt(length - 1)
        grid = tokens_N1PD[:, 1:].transpose(1, 2).reshape(n, width, side, side)
        pooled = functional.avg_pool2d(grid, side // GRID_SIDE).flatten(2).transpose(1, 2)
        return torch.cat([tokens_N1PD[:, :1], pooled], dim=1)


def _statistics(class_N1D: torch.Tensor, patch_NPD: torch.Tensor) -> torch.Tensor:
    """Return CLS, mean and standard deviation over the patches: [N, 3, D] in float32."""
    patches = patch_NPD.float()
    std = patches.std(dim=1, correction=0)
    return torch.stack([class_N1D[:, 0].float(), patches.mean(dim=1), std], dim=1)


def _batch_pictures(device: torch.device) -> int:
    """Return 16 on CPUs: bf16 products are a fifth slower with the 8,224 rows of 32 images of ViT-L/14."""
    return 256 if device.type == "cuda" else 16

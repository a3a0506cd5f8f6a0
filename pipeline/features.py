"""Stream pictures become features of the frozen CLIP vision encoder.

Letters: N pictures; S their side; F width of the joint embedding; D width of the encoder;
P patch tokens; J kept tokens.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, get_args

import torch
from torch.nn import functional

from pipeline.choices import FeaturePrecision, Tokens
from pipeline.clip_model import LoadedClip, lean_visual
from pipeline.config import require_one_of, require_range
from pipeline.device import exact_float32, precision_on
from pipeline.errors import ConfigError
from pipeline.fingerprint import OUTSIDE_IDENTITY
from pipeline.fixed_batches import DeviceLock, FixedPasses
from pipeline.types import NUM_EARLY_BLOCKS
from pipeline.versions import VERSIONS

GRID_SIDE = 4
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """How pictures are encoded.

    precision: ``auto`` is fp16 on a GPU, bf16 on a CPU with bf16 instructions, else fp32.
    tokens: ``cls`` keeps none beyond the embedding, ``grid4`` the class token and patch tokens
    pooled to 4x4, ``all`` every token. batch_pictures: pictures per pass; 0 chooses by device.
    """

    VERSION: ClassVar[int] = VERSIONS["features"]
    """Of normalising, encoding and the early statistics (decision 0007)."""

    precision: str = field(default="auto", metadata=OUTSIDE_IDENTITY)
    tokens: str = "cls"
    batch_pictures: int = field(default=0, metadata=OUTSIDE_IDENTITY)

    def __post_init__(self) -> None:
        require_one_of("features.precision", self.precision, get_args(FeaturePrecision))
        require_one_of("features.tokens", self.tokens, get_args(Tokens))
        require_range("features.batch_pictures", self.batch_pictures, 0, 4096)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Encoder output of N pictures, float32 on the CPU.

    embedding_NF: projected, not normalised. early_N43D: first four blocks; CLS, patch mean,
    patch standard deviation. tokens_NJD: last block after ln_post; None unless asked for.
    """

    embedding_NF: torch.Tensor
    early_N43D: torch.Tensor | None
    tokens_NJD: torch.Tensor | None

    def rows(self, start: int, end: int) -> "Encoded":
        """The output of pictures `start` to `end`."""
        return Encoded(
            embedding_NF=self.embedding_NF[start:end],
            early_N43D=None if self.early_N43D is None else self.early_N43D[start:end],
            tokens_NJD=None if self.tokens_NJD is None else self.tokens_NJD[start:end],
        )


def resolve_precision(asked: str, device: torch.device) -> str:
    """Return the precision of the encoder on a device: fp16, bf16 or fp32.

    Raises:
        ConfigError: It is fp16 on a CPU, which has no fast products in it.
    """
    if asked == "fp16" and device.type == "cpu":
        msg = "features.precision is 'fp16' on a CPU; allowed there: auto, bf16, fp32."
        raise ConfigError(msg)
    return precision_on(device, asked, on_gpu="fp16")


def num_kept_tokens(tokens: str, num_patches: int) -> int:
    """J, the tokens kept per picture under a token option; 0 for ``cls``.

    Raises ConfigError when the patch grid cannot be pooled to 4x4 evenly.
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
    """A frozen CLIP vision tower on a device, in one precision, in passes of one size.

    A copy of the module is cast (the loaded model stays as it is): autocast over frozen weights
    takes a path on CPUs that is about twenty times slower. Every pass has the same number of
    pictures (the last one is padded), so that a picture's features depend neither on how many came
    with it nor on which. Threads may share an encoder.

    device_lock: held while a pass is handed to the device, for threads that share it; None for its own.
    """

    def __init__(
        self,
        clip: LoadedClip,
        config: FeatureConfig,
        device: torch.device,
        device_lock: DeviceLock | None = None,
    ) -> None:
        self.precision = resolve_precision(config.precision, device)
        self.num_tokens = num_kept_tokens(config.tokens, clip.num_patches)
        self._tokens = config.tokens
        self._dtype = _TYPES[self.precision]
        self._visual = lean_visual(clip.model.visual, device, self._dtype)
        self._num_blocks = len(self._visual.transformer.resblocks)
        self._mean = torch.tensor(clip.mean, device=device)[:, None, None]
        self._std = torch.tensor(clip.std, device=device)[:, None, None]
        self._passes = FixedPasses(
            "Pictures for the encoder", config.batch_pictures or _batch_pictures(device), device, device_lock
        )
        if self._num_blocks < NUM_EARLY_BLOCKS:
            msg = f"Encoder {clip.config.name} has {self._num_blocks} blocks; {NUM_EARLY_BLOCKS} are needed."
            raise ConfigError(msg)

    @property
    def batch_pictures(self) -> int:
        """Pictures per pass, now: a device out of memory halves it."""
        return self._passes.size

    @property
    def warnings(self) -> tuple[str, ...]:
        """What happened that a user should know: a device that ran out of memory."""
        return self._passes.warnings

    @torch.inference_mode()
    def encode(
        self, pictures_N3SS: torch.Tensor, *, early: bool, on_batch: Callable[[int], None] | None = None
    ) -> Encoded:
        """Encode uint8 pictures [N, 3, S, S]; `early` also keeps the first four blocks' statistics.

        on_batch: told the number of pictures after each pass was handed to the device.
        """
        parts = []
        for part in self._passes.run(pictures_N3SS, lambda batch: self._encode_batch(batch, early=early)):
            parts.append(part)
            if on_batch is not None:
                on_batch(len(part[0]))
        self._passes.wait()
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        return Encoded(
            embedding_NF=columns[0],
            early_N43D=columns[1] if early else None,
            tokens_NJD=columns[-1] if self.num_tokens else None,
        )

    def _encode_batch(self, batch_N3SS: torch.Tensor, *, early: bool) -> list[torch.Tensor]:
        """Embedding, then early statistics and kept tokens where they are wanted."""
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
    """CLS, mean and standard deviation over the patches: [N, 3, D] in float32."""
    patches = patch_NPD.float()
    spread = patches.std(dim=1, correction=0)
    return torch.stack([class_N1D[:, 0].float(), patches.mean(dim=1), spread], dim=1)


def _batch_pictures(device: torch.device) -> int:
    """On CPUs 16: at the 8,224 rows of 32 pictures of ViT-L/14, bf16 products lose a fifth of their speed."""
    return 256 if device.type == "cuda" else 16

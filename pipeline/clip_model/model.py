"""One of open_clip's CLIP-class models, loaded and frozen."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.clip_model import files
from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.store.meta import RANDOM_WEIGHTS


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which CLIP model: an open_clip name, and its weights.

    name: a model of CLIP's class (a vision transformer read at its class token, and a causal text
    tower read at the end-of-text token); another one is a ConfigError.
    weights: a tag that open_clip knows for this model, a path to a file, or ``random``, which
    initialises every layer from `seed` and says so wherever a result is shown.
    """

    name: str = "ViT-L-14-quickgelu"
    weights: str = "openai"
    seed: int = 0

    def __post_init__(self) -> None:
        require_range("encoder.seed", self.seed, 0, 2**63 - 1)
        import open_clip

        if self.name not in open_clip.list_models():
            msg = (
                f"encoder.name is {self.name!r}; allowed: CLIP-class models of open_clip, such as "
                "ViT-L-14-quickgelu, ViT-B-16-quickgelu, ViT-B-32."
            )
            raise ConfigError(msg)
        _refuse_other_class(self.name)


@dataclass(frozen=True, kw_only=True)
class LoadedClip:
    """A CLIP model in evaluation mode: float32, frozen, on the CPU.

    visual_sha256, text_sha256: hashes of the two towers' values, whatever file they came from.
    """

    config: EncoderConfig
    model: Any
    visual_sha256: str
    text_sha256: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def picture_side_px(self) -> int:
        """Side S of the square picture that the vision tower takes."""
        return int(self.model.visual.image_size[0])

    @property
    def embed_width(self) -> int:
        """F, the width of the embedding that both towers share."""
        return int(self.model.visual.output_dim)

    @property
    def encoder_width(self) -> int:
        """D, the width of the vision tower's blocks."""
        return int(self.model.visual.conv1.out_channels)

    @property
    def num_patches(self) -> int:
        """Patch tokens per picture, without the class token."""
        rows, columns = self.model.visual.grid_size
        return int(rows * columns)

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        """Token numbers [C, context length] of the texts, zero-padded after the end token."""
        import open_clip

        tokenizer: Callable[[list[str]], torch.Tensor] = open_clip.get_tokenizer(self.config.name)
        return tokenizer(texts)


def load_clip(config: EncoderConfig) -> LoadedClip:
    """Load the model. Raises WeightsError when the weights cannot be had or do not fit.

    Mean and deviation of the pictures are those of the weights' tag; weights given by a path, and
    random ones, take CLIP's own. Raises ConfigError for a tag that is not one of this model.
    """
    import open_clip

    tag = files.tag_of(config.name, config.weights)
    path = None if config.weights == RANDOM_WEIGHTS else files.find(config.name, config.weights)
    with _quiet_open_clip(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)  # the CPU's alone; torch.manual_seed seeds GPUs too
        model = open_clip.create_model(config.name, pretrained=None, precision="fp32", device="cpu")
    if path is not None:
        files.load_into(model, path, config.name)
    model.eval().requires_grad_(False)
    preprocess = tag or open_clip.get_model_preprocess_cfg(model)
    visual = {k: v for k, v in model.state_dict().items() if k.startswith("visual.")}
    text = {k: v for k, v in model.state_dict().items() if not k.startswith("visual.")}
    return LoadedClip(
        config=config,
        model=model,
        visual_sha256=sha256_tensors(visual),
        text_sha256=sha256_tensors(text),
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
    )


def sha256_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """A hash of names, shapes and float32 values, independent of the file they were stored in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _refuse_other_class(name: str) -> None:
    """Told from the model's description, before anything is built: some others need more libraries."""
    import open_clip

    described = open_clip.get_model_config(name)
    vision, text = described["vision_cfg"], described["text_cfg"]
    of_class = (
        not described.keys() & {"multimodal_cfg", "custom_text"}
        and not vision.keys() & {"timm_model_name", "attentional_pool", "final_ln_after_pool"}
        and isinstance(vision.get("layers"), int)
        and vision.get("pool_type", "tok") == "tok"
        and not text.keys() & {"hf_model_name", "embed_cls", "no_causal_mask"}
        and text.get("pool_type", "argmax") == "argmax"
    )
    if not of_class:
        msg = (
            f"encoder.name is {name!r}, which is not a CLIP-class model (vision transformer read at its "
            "class token, causal text tower read at its end token); use for instance ViT-L-14-quickgelu."
        )
        raise ConfigError(msg)


@contextmanager
def _quiet_open_clip() -> Iterator[None]:
    """open_clip warns on the root logger about random weights; we say it ourselves, everywhere."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

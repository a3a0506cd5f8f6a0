"""A frozen CLIP model by name and weights, with the hashes that tell one from another.

The only importer of open_clip. The pipeline takes the vision tower from here, the trainer's
prompts the text tower, so that both sides name and check the same weights.
"""

import hashlib
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from open_clip.transformer import VisionTransformer

from pipeline import weights as published
from pipeline.config import require_range
from pipeline.errors import ConfigError, WeightsError
from pipeline.fingerprint import sha256_file
from pipeline.store.schema import RANDOM_WEIGHTS

_SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which CLIP model: an open_clip name, and its weights.

    weights: a tag that open_clip knows for this model, a path to a file, or ``random``, which
    initialises every layer from `seed` and says so wherever a result is shown.
    """

    name: str = "ViT-L-14-quickgelu"
    weights: str = "openai"
    seed: int = 0

    def __post_init__(self) -> None:
        require_range("encoder.seed", self.seed, 0)
        if self.name not in open_clip.list_models():
            msg = (
                f"encoder.name is {self.name!r}; allowed: CLIP-class models of open_clip, such as "
                "ViT-L-14-quickgelu, ViT-B-16-quickgelu, ViT-B-32."
            )
            raise ConfigError(msg)


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
        tokenizer: Callable[[list[str]], torch.Tensor] = open_clip.get_tokenizer(self.config.name)
        return tokenizer(texts)


def load_clip(config: EncoderConfig) -> LoadedClip:
    """Load the model. Raises WeightsError when the weights cannot be had or do not fit.

    Raises ConfigError for a model that is not of CLIP's class (a vision transformer with a class
    token, and a causal text tower read at the end-of-text token).
    """
    with _quiet_open_clip(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = open_clip.create_model(config.name, pretrained=None, precision="fp32", device="cpu")
    _refuse_other_class(config.name, model)
    if config.weights != RANDOM_WEIGHTS:
        _load_weights(model, config)
    model.eval().requires_grad_(False)
    preprocess = open_clip.get_model_preprocess_cfg(model)
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


def _refuse_other_class(name: str, model: Any) -> None:
    visual = getattr(model, "visual", None)
    of_class = (
        isinstance(visual, VisionTransformer)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and not visual.final_ln_after_pool
        and getattr(model, "attn_mask", None) is not None
        and getattr(model, "text_pool_type", None) == "argmax"
    )
    if not of_class:
        msg = (
            f"encoder.name is {name!r}, which is not a CLIP-class model (vision transformer read at its "
            "class token, causal text tower read at its end token); use for instance ViT-L-14-quickgelu."
        )
        raise ConfigError(msg)


def _load_weights(model: Any, config: EncoderConfig) -> None:
    path = _weights_file(config)
    try:
        with _quiet_open_clip():
            if _is_torchscript(path):
                _refuse_unknown_archive(path, config)
                model.load_state_dict(_unscripted(path), strict=True)
            else:
                open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged file raises is one known error
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = f"'{path}' does not hold weights of {config.name}: {first}"
        raise WeightsError(msg) from error


def _weights_file(config: EncoderConfig) -> Path:
    if "/" in config.weights or Path(config.weights).suffix:
        path = Path(config.weights).expanduser()
        if not path.is_file():
            msg = f"No encoder weights at '{path}'; give a file, a tag of {config.name}, or 'random'."
            raise WeightsError(msg)
        return path
    cfg = _pretrained_cfg(config)
    address = cfg.get("url") or cfg.get("hf_hub", "")
    fetched = published.weights_dir() / Path(address).name
    if cfg.get("url") and fetched.is_file():
        return fetched
    try:
        file: str = open_clip.pretrained.download_pretrained(cfg)
    except Exception as error:  # noqa: BLE001 - every way a download fails has one remedy
        msg = (
            f"The weights '{config.weights}' of {config.name} are not on this machine and could not be "
            f"downloaded from {address} ({type(error).__name__}). Where there is internet, put that file at "
            f"{fetched if cfg.get('url') else 'any place'}; then give --encoder-weights PATH. "
            "--encoder-weights random runs without them, to try things out."
        )
        raise WeightsError(msg) from error
    return Path(file)


def _pretrained_cfg(config: EncoderConfig) -> Mapping[str, Any]:
    tags = list_pretrained_tags_by_model(config.name)
    if config.weights not in tags:
        msg = (
            f"encoder.weights is {config.weights!r}; allowed for {config.name}: "
            f"{', '.join([*tags, RANDOM_WEIGHTS])}, or the path of a file."
        )
        raise ConfigError(msg)
    cfg: Mapping[str, Any] = get_pretrained_cfg(config.name, config.weights)
    model_cfg = open_clip.get_model_config(config.name) or {}
    if bool(cfg.get("quick_gelu")) != bool(model_cfg.get("quick_gelu")):
        trained, built = ("QuickGELU", "GELU") if cfg.get("quick_gelu") else ("GELU", "QuickGELU")
        other = config.name.removesuffix("-quickgelu") if built == "QuickGELU" else f"{config.name}-quickgelu"
        msg = (
            f"encoder.name is {config.name!r}, built with {built}; the weights '{config.weights}' were "
            f"trained with {trained} and would give wrong features. Use {other}."
        )
        raise ConfigError(msg)
    return cfg


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _refuse_unknown_archive(path: Path, config: EncoderConfig) -> None:
    """OpenAI publishes TorchScript archives, which may hold code: only its own are opened."""
    cfg = get_pretrained_cfg(config.name, "openai") or {}
    expected = next((part for part in cfg.get("url", "").split("/") if len(part) == _SHA256_DIGITS), None)
    actual = sha256_file(path)
    if actual != expected:
        msg = (
            f"'{path}' is a TorchScript archive, which may run code, and not the one that OpenAI published "
            f"for {config.name} (sha256 {actual}, {expected or 'none known'} is needed); "
            "give a state dict (.pt, .pth, .bin) or .safetensors file."
        )
        raise WeightsError(msg)


def _unscripted(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated, the file is as it is
        load: Any = torch.jit.load
        scripted = load(str(path), map_location="cpu")
    not_weights = ("input_resolution", "context_length", "vocab_size")
    return {k: v.float() for k, v in scripted.state_dict().items() if k not in not_weights}


@contextmanager
def _quiet_open_clip() -> Iterator[None]:
    """open_clip warns on the root logger about random weights; we say it ourselves, everywhere."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

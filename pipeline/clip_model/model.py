"""Loaded and frozen CLIP-class model of open_clip."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pipeline.clip_model import files, tensors
from pipeline.clip_model.config import EncoderConfig
from pipeline.clip_model.conventions import (
    Channels,
    Conventions,
    conventions_of_file,
    conventions_of_tag,
    untrained,
)
from pipeline.store.meta import RANDOM_WEIGHTS

_VISUAL = "visual."
_INITIALISERS = frozenset(
    {"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_"}
)


@dataclass(frozen=True, kw_only=True)
class LoadedText:
    """Text encoder of a CLIP model in evaluation mode: float32, frozen, on the CPU.

    Attributes:
        config: Model and weights.
        model: open_clip's module, perhaps without its image encoder.
        text_sha256: Hash of the text encoder's values, independent of the file.
    """

    config: EncoderConfig
    model: Any
    text_sha256: str

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        """Return token numbers [C, context length] of C texts, zero-padded after the end token."""
        return self._tokenizer(texts)

    @cached_property
    def _tokenizer(self) -> Callable[[list[str]], torch.Tensor]:
        """The model's tokenizer, which takes a tenth of a second to build."""
        import open_clip

        tokenizer: Callable[[list[str]], torch.Tensor] = open_clip.get_tokenizer(self.config.name)
        return tokenizer


@dataclass(frozen=True, kw_only=True)
class LoadedClip(LoadedText):
    """CLIP model in evaluation mode: float32, frozen, on the CPU.

    Attributes:
        visual_sha256: Hash of the image encoder's values, independent of the file.
        conventions: Training conventions.
    """

    visual_sha256: str
    conventions: Conventions

    @property
    def mean(self) -> Channels:
        """Mean of the images' channels (red, green, blue), on a scale of 0 to 1."""
        return self.conventions.mean

    @property
    def std(self) -> Channels:
        """Standard deviation of the images' channels (red, green, blue), on a scale of 0 to 1."""
        return self.conventions.std

    @property
    def picture_side_px(self) -> int:
        """Side S of the square images of the image encoder, in pixels."""
        return int(self.model.visual.image_size[0])

    @property
    def embed_width(self) -> int:
        """F, the width of the embedding of both encoders."""
        return int(self.model.visual.output_dim)

    @property
    def encoder_width(self) -> int:
        """D, the width of the image encoder's blocks."""
        return int(self.model.visual.conv1.out_channels)

    @property
    def num_patches(self) -> int:
        """Patch tokens per image, without the class token."""
        rows, columns = self.model.visual.grid_size
        return int(rows * columns)


def load_clip_model(config: EncoderConfig) -> LoadedClip:
    """Load the model.

    Mean and std of the images are those of the weights' training (see `conventions`); random weights have
    those of OpenAI's CLIP.

    Raises:
        WeightsError: The weights are not available or do not fit the model.
        ConfigError: The tag is not one of this model, or the weights were trained with another activation.
    """
    read = _tensors_of(config)
    conventions = _conventions(config, read)
    model = _build(config, read)
    values = model.state_dict()
    return LoadedClip(
        config=config,
        model=model,
        visual_sha256=sha256_tensors({k: v for k, v in values.items() if k.startswith(_VISUAL)}),
        text_sha256=sha256_tensors({k: v for k, v in values.items() if not k.startswith(_VISUAL)}),
        conventions=conventions,
    )


def load_text_encoder(config: EncoderConfig) -> LoadedText:
    """Load the text encoder of the model, which is a quarter of ViT-L/14, without its image encoder.

    The values of an untrained text encoder follow those of the image encoder, so that all of them are drawn.

    Raises WeightsError and ConfigError as `load_clip_model`.
    """
    read = _tensors_of(config)
    if read is None:
        return load_clip_model(config)
    model = _build(config, read, without=_VISUAL)
    return LoadedText(config=config, model=model, text_sha256=sha256_tensors(model.state_dict()))


def _tensors_of(config: EncoderConfig) -> tensors.NamedTensors | None:
    """Return the tensors of the weights; None for random weights."""
    if config.weights == RANDOM_WEIGHTS:
        return None
    return tensors.read_tensors(files.find(config), config.name)


def _build(config: EncoderConfig, read: tensors.NamedTensors | None, without: str = "") -> Any:
    """Return open_clip's module with the tensors of a file, or with random values.

    `without` is the prefix of a part that is left out, after a check that the file has it.
    """
    import open_clip

    with _quiet_open_clip(), torch.random.fork_rng(devices=[]), ExitStack() as stack:
        torch.default_generator.manual_seed(config.seed)  # only the CPU's; torch.manual_seed seeds GPUs too
        if read is not None:
            stack.enter_context(_Uninitialised())
        model = open_clip.create_model(config.name, pretrained=None, precision="fp32", device="cpu")
    if read is not None:
        tensors.fill(model, read, config.name, without)
    return model.eval().requires_grad_(False)


class _Uninitialised(TorchFunctionMode):
    """Context in which layers are built without random values, because a file replaces all of them.

    Drawing the values of ViT-L/14 takes several seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _INITIALISERS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _conventions(config: EncoderConfig, read: tensors.NamedTensors | None) -> Conventions:
    if read is None:
        return untrained(config.name)
    if not config.is_path:
        return conventions_of_tag(config.name, config.weights)
    return conventions_of_file(config, read.path, are_of_transformers=read.are_of_transformers)


def sha256_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a hash of names, shapes and float32 values, independent of the file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().to("cpu", torch.float32)
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).numpy().data)
    return digest.hexdigest()


@contextmanager
def _quiet_open_clip() -> Iterator[None]:
    """Disable open_clip's warning about random weights, because this program reports them itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

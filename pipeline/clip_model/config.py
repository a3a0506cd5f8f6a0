"""Settings of the section `encoder`: the CLIP model and its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pipeline.clip_model.architecture import GELU, QUICK_GELU, activation_of, is_clip_class
from pipeline.clip_model.tags import require_activation, tag_of
from pipeline.config import require_one_of, require_range
from pipeline.errors import CacheError, ConfigError
from pipeline.portable import located
from pipeline.store.meta import RANDOM_WEIGHTS

_CHANNELS = 3
_OF_A_FILE = ("tag", "activation", "mean", "std")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """CLIP model and its weights.

    `tag`, `activation`, `mean` and `std` are for a path only, because a file cannot state how it was trained.

    Attributes:
        name: Name in open_clip of a CLIP-class model: a vision transformer whose output is its class token,
            and a causal text encoder whose output is the end-of-text token.
        weights: A tag that open_clip knows for this model, a path to a file or directory, or ``random``,
            which initialises every layer from `seed` and is named wherever a result is shown.
        tag: Tag of the file's weights, or of the weights from which they were fine-tuned.
        activation: ``gelu`` or ``quickgelu``.
        mean: Mean of the images' channels (red, green, blue), on a scale of 0 to 1.
        std: Standard deviation of the channels.
        seed: Seed of random weights.
    """

    name: str = "ViT-L-14-quickgelu"
    weights: str = "openai"
    tag: str | None = None
    activation: str | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_range("encoder.seed", self.seed, 0, 2**63 - 1)
        _require_clip_class(self.name)
        stated = [key for key in _OF_A_FILE if getattr(self, key) is not None]
        if stated and not self.is_path:
            msg = (
                f"encoder.{stated[0]} is {getattr(self, stated[0])!r}, but encoder.weights is "
                f"{self.weights!r}; it belongs to a file: give its path with --encoder-weights."
            )
            raise ConfigError(msg)
        if self.tag is not None:
            tag_of(self.name, self.tag, "encoder.tag")
        if self.activation is not None:
            require_one_of("encoder.activation", self.activation, (GELU, QUICK_GELU))
            require_activation(self.name, self.activation, f"the weights '{self.weights}'")
        require_channels("encoder.mean", self.mean, zero=True)
        require_channels("encoder.std", self.std, zero=False)

    @property
    def is_path(self) -> bool:
        """Whether the weights are a file or directory, not a tag or ``random``."""
        return self.weights != RANDOM_WEIGHTS and is_path(self.weights)


def is_path(weights: str) -> bool:
    """Return whether a text names a file or directory: it has a slash or a suffix, which no tag has."""
    return "/" in weights or bool(Path(weights).suffix)


class MadeFeatures(Protocol):
    """How features were made, as caches and runs store it."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Settings of all steps, as stored."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Identity of the features."""

    @property
    def encoder_name(self) -> str:
        """Model of the encoder."""

    @property
    def encoder_weights(self) -> str:
        """Tag or path of its weights, as stored."""


def encoder_of(meta: MadeFeatures, weights: str | None = None) -> EncoderConfig:
    """Return the encoder that made features. A file's activation, mean and std are those of the features.

    Args:
        meta: How they were made: the attributes of a cache, or of a run.
        weights: A tag or path that replaces the one in the cache; None for that of the cache.

    Raises:
        CacheError: The attributes do not describe an encoder.
    """
    stored, identity = meta.config.get("encoder", {}), meta.identity.get("encoder", {})
    seed = stored.get("seed", 0) if isinstance(stored, Mapping) else None
    if not isinstance(seed, int):
        msg = f"The cache's attribute 'config.encoder' holds {stored!r:.100}, no seed. Extract it again."
        raise CacheError(msg)
    named = weights or located(meta.encoder_weights)
    plain = EncoderConfig(name=meta.encoder_name, weights=named, seed=seed)
    if not plain.is_path or not isinstance(identity, Mapping) or not {"mean", "std"} <= identity.keys():
        return plain
    try:
        return replace(
            plain,
            activation=activation_of(plain.name),
            mean=_tuple(identity["mean"]),
            std=_tuple(identity["std"]),
        )
    except ConfigError as error:
        msg = f"The cache's attribute 'identity.encoder' is damaged: {error} Extract it again."
        raise CacheError(msg) from error


def _tuple(stored: Any) -> Any:
    return tuple(stored) if isinstance(stored, list) else stored


def _require_clip_class(name: str) -> None:
    import open_clip

    if name not in open_clip.list_models():
        msg = (
            f"encoder.name is {name!r}; allowed: CLIP-class models of open_clip, such as "
            "ViT-L-14-quickgelu, ViT-B-16-quickgelu, ViT-B-32."
        )
        raise ConfigError(msg)
    if not is_clip_class(open_clip.get_model_config(name)):
        msg = (
            f"encoder.name is {name!r}, which is not a CLIP-class model (vision transformer read at its "
            "class token, causal text encoder read at its end token); use for instance ViT-L-14-quickgelu."
        )
        raise ConfigError(msg)


def require_channels(name: str, values: Any, *, zero: bool) -> None:
    """Raise ConfigError unless the values are three numbers from 0 to 1, or None.

    Args:
        name: Name of the setting, for the message.
        values: The values.
        zero: Whether 0 is allowed.
    """
    if values is None:
        return
    is_right = (
        isinstance(values, tuple)
        and len(values) == _CHANNELS
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        and all(0 <= value <= 1 and (zero or value > 0) for value in values)
    )
    if not is_right:
        allowed = "0 to 1" if zero else "more than 0, up to 1"
        msg = f"{name} is {values!r:.100}; allowed: three numbers (red, green, blue), each {allowed}."
        raise ConfigError(msg)

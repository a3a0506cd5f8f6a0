"""Training conventions of a model that its tensors do not show: activation, and mean and std of its images.

A file cannot state these. They are taken, in this order, from the settings of `encoder`, from the configs
beside the file (open_clip's or transformers'), and from the tag of a file whose sha256 open_clip publishes.
If no source states one of them, or two sources disagree, the file is rejected.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.clip_model.architecture import (
    GELU,
    QUICK_GELU,
    TITLES,
    activation_of,
    activation_of_transformers,
    architecture_of,
    from_open_clip,
    from_transformers,
    with_activation,
)
from pipeline.clip_model.config import EncoderConfig, require_channels
from pipeline.clip_model.tags import activation_of_tag, require_activation, tag_of, tag_of_file, tags_of
from pipeline.errors import ConfigError, FileError, WeightsError, reason_of, some
from pipeline.fingerprint import differences, sha256_file
from pipeline.plain_file import read_given

OPEN_CLIP_CONFIG = "open_clip_config.json"
TRANSFORMERS_CONFIG, TRANSFORMERS_IMAGES = "config.json", "preprocessor_config.json"
_MAX_CONFIG_BYTES = 1 << 20
_OTHER_ENCODER = "Give the --encoder that it describes."

Channels = tuple[float, float, float]

CLIP_MEAN: Channels = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Channels = (0.26862954, 0.26130258, 0.27577711)
"""Mean and std of the images of OpenAI's CLIP (red, green, blue; 0 to 1).

From github.com/openai/CLIP; open_clip repeats them, and is not loaded for them.
"""


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """Training conventions of a model.

    Attributes:
        activation: ``gelu`` or ``quickgelu``.
        mean: Mean of the images' channels (red, green, blue; 0 to 1).
        std: Standard deviation of the channels.
        source: Source of these values, in words.
    """

    activation: str
    mean: Channels
    std: Channels
    source: str

    def __str__(self) -> str:
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{TITLES[self.activation]}, mean {mean}, std {std} ({self.source})"


@dataclass(frozen=True, kw_only=True)
class _Statement:
    """Conventions that one source states; None for those that it does not state."""

    source: str
    activation: str | None = None
    mean: Channels | None = None
    std: Channels | None = None

    @classmethod
    def of_tag(cls, published: Mapping[str, Any], source: str) -> "_Statement":
        mean, std = tuple(published["mean"]), tuple(published["std"])
        return cls(source=source, activation=activation_of_tag(published), mean=mean, std=std)


_FACTS = ("activation", "mean", "std")


def untrained(name: str) -> Conventions:
    """Return the conventions of a model with random weights: the mean and std of OpenAI's CLIP."""
    return Conventions(activation=activation_of(name), mean=CLIP_MEAN, std=CLIP_STD, source="random weights")


def conventions_of_tag(name: str, tag: str) -> Conventions:
    """Return the conventions of a tag in open_clip. Raises ConfigError as `tags.tag_of` does."""
    published = tag_of(name, tag)
    return Conventions(
        activation=activation_of_tag(published),
        mean=tuple(published["mean"]),
        std=tuple(published["std"]),
        source=f"tag {tag}",
    )


def conventions_of_file(config: EncoderConfig, path: Path, *, are_of_transformers: bool) -> Conventions:
    """Return the conventions with which the weights in a file were trained.

    Args:
        config: The encoder.
        path: The file.
        are_of_transformers: Whether its tensors have transformers' names, so that transformers' configs
            have precedence over open_clip's.

    Raises:
        WeightsError: No source states them, a config beside the file is damaged, or two sources disagree.
        ConfigError: The weights have another activation or architecture than the encoder.
    """
    own = _Statement(source="settings", activation=config.activation, mean=config.mean, std=config.std)
    statements = [own]
    if _missing_facts(statements):  # settings that state all three overrule the other sources
        statements += [*_of_setting(config), *_beside(config.name, path, are_of_transformers)]
        statements += _of_hash(config.name, path)
    _require_agreement(path, statements)
    if missing := _missing_facts(statements):
        raise _unknown(config, path, missing, are_of_transformers=are_of_transformers)
    stated = {fact: _first(statements, fact) for fact in _FACTS}
    sources = dict.fromkeys(statement.source for statement, _ in stated.values())
    facts = {fact: value for fact, (_, value) in stated.items()}
    require_activation(config.name, facts["activation"], f"the weights in '{path}'")
    return Conventions(**facts, source=" and ".join(sources))


def _of_setting(config: EncoderConfig) -> Iterator[_Statement]:
    if config.tag is not None:
        yield _Statement.of_tag(tag_of(config.name, config.tag, "encoder.tag"), f"encoder.tag {config.tag}")


def _of_hash(name: str, path: Path) -> Iterator[_Statement]:
    """Yield the statement of the tag whose published sha256 is the file's."""
    found = tag_of_file(name, sha256_file(path))
    if found is None:
        return
    from open_clip.pretrained import get_pretrained_cfg

    model, tag = found
    if with_activation(model, GELU) != with_activation(name, GELU):
        msg = f"encoder.name is {name!r}, but '{path}' is the file of the tag {tag} of {model}. Use {model}."
        raise ConfigError(msg)
    yield _Statement.of_tag(get_pretrained_cfg(model, tag), f"sha256 of tag {tag} of {model}")


def _beside(name: str, path: Path, are_of_transformers: bool) -> Iterator[_Statement]:
    """Yield the statements of all configs beside a file, those in its own form first."""
    forms = [_open_clip_config, _transformers_config, _transformers_images]
    if are_of_transformers:
        forms = [*forms[1:], forms[0]]
    stated = (form(name, path.parent) for form in forms)
    yield from (statement for statement in stated if statement is not None)


def _open_clip_config(name: str, directory: Path) -> _Statement | None:
    described = _read(directory / OPEN_CLIP_CONFIG)
    if described is None:
        return None
    model, images = described.get("model_cfg"), described.get("preprocess_cfg")
    if not isinstance(model, Mapping):
        msg = f"'{directory / OPEN_CLIP_CONFIG}' has no section 'model_cfg'; remove it or replace it."
        raise WeightsError(msg)
    _require_architecture(name, directory / OPEN_CLIP_CONFIG, from_open_clip, model)
    mean, std = _images(directory / OPEN_CLIP_CONFIG, images, "mean", "std")
    activation = activation_of_tag(model)
    return _Statement(source=OPEN_CLIP_CONFIG, activation=activation, mean=mean, std=std)


def _transformers_config(name: str, directory: Path) -> _Statement | None:
    described = _read(directory / TRANSFORMERS_CONFIG)
    if described is None or not {"vision_config", "text_config"} <= described.keys():
        return None
    _require_architecture(name, directory / TRANSFORMERS_CONFIG, from_transformers, described)
    return _Statement(source=TRANSFORMERS_CONFIG, activation=activation_of_transformers(described))


def _transformers_images(_: str, directory: Path) -> _Statement | None:
    images = _read(directory / TRANSFORMERS_IMAGES)
    if images is None or images.get("do_normalize") is False:
        return None
    mean, std = _images(directory / TRANSFORMERS_IMAGES, images, "image_mean", "image_std")
    return _Statement(source=TRANSFORMERS_IMAGES, mean=mean, std=std)


def _read(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, None if the file does not exist. Raises WeightsError for anything else."""
    if not path.is_file():
        return None
    try:
        document = json.loads(read_given(path, _MAX_CONFIG_BYTES))
    except FileError as error:
        raise WeightsError(str(error)) from error
    except (ValueError, RecursionError) as error:
        msg = f"'{path}' cannot be read as JSON ({reason_of(error)}); remove it or download it again."
        raise WeightsError(msg) from error
    if not isinstance(document, dict):
        msg = f"'{path}' holds a {type(document).__name__}, not an object; remove it or download it again."
        raise WeightsError(msg)
    return document


def _images(path: Path, images: Any, *keys: str) -> list[Any]:
    """Return the mean and std that a config states; None for each that it does not state."""
    if not isinstance(images, Mapping):
        return [None, None]
    values = [tuple(images[key]) if isinstance(images.get(key), list) else images.get(key) for key in keys]
    try:
        for key, value, zero in zip(keys, values, (True, False), strict=True):
            require_channels(f"{key} of '{path}'", value, zero=zero)
    except ConfigError as error:
        raise WeightsError(str(error)) from error
    return values


def _require_architecture(name: str, path: Path, form: Any, described: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the config describes the model `name`; only numbers of both are compared."""
    try:
        theirs = form(described)
    except ConfigError as error:
        msg = f"encoder.name is {name!r}, but '{path}' describes another model: {error}. {_OTHER_ENCODER}"
        raise ConfigError(msg) from error
    mine = architecture_of(name)
    found = differences({key: mine[key] for key in theirs if key in mine}, theirs)
    if found:
        msg = (
            f"encoder.name is {name!r}, but '{path}' describes another model: {some(found)}. {_OTHER_ENCODER}"
        )
        raise ConfigError(msg)


def _first(statements: list[_Statement], fact: str) -> tuple[_Statement, Any]:
    return next((s, getattr(s, fact)) for s in statements if getattr(s, fact) is not None)


def _missing_facts(statements: list[_Statement]) -> list[str]:
    """Return the facts that no source states."""
    return [fact for fact in _FACTS if all(getattr(statement, fact) is None for statement in statements)]


def _require_agreement(path: Path, statements: list[_Statement]) -> None:
    for fact in _FACTS:
        stated = [(s.source, getattr(s, fact)) for s in statements if getattr(s, fact) is not None]
        for source, value in stated[1:]:
            if value != stated[0][1]:
                msg = (
                    f"The {fact} of '{path}' is {stated[0][1]} by {stated[0][0]}, but {value} by {source}. "
                    "Correct one of them, or set all of encoder.activation, encoder.mean and encoder.std."
                )
                raise WeightsError(msg)


def _unknown(
    config: EncoderConfig, path: Path, missing: list[str], *, are_of_transformers: bool
) -> WeightsError:
    tags = some(tags_of(config.name), shown=4)
    by_tag = f"--set encoder.tag=TAG if it holds the weights of a tag ({tags}); " if tags else ""
    settings = {
        "activation": f"--set encoder.activation={GELU}|{QUICK_GELU}",
        "mean": "--set encoder.mean=R,G,B",
        "std": "--set encoder.std=R,G,B",
    }
    form, config_names = "", OPEN_CLIP_CONFIG
    if are_of_transformers:
        form = "holds CLIP's weights in transformers' names and "
        config_names = f"{TRANSFORMERS_CONFIG} and {TRANSFORMERS_IMAGES}"
    return WeightsError(
        f"'{path}' {form}cannot state how it was trained, and no other source does: {', '.join(missing)} "
        f"unknown for {config.name}. State it: {by_tag}put {config_names} beside it; or "
        f"{' '.join(settings[fact] for fact in missing)}."
    )

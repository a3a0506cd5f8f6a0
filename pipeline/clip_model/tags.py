"""open_clip's pretrained tags: their training conventions, and the places of their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.clip_model.architecture import (
    GELU,
    QUICK_GELU,
    TITLES,
    activation_of,
    supported_models,
    with_activation,
)
from pipeline.errors import ConfigError
from pipeline.store.meta import RANDOM_WEIGHTS
from pipeline.weights import SHA256_DIGITS, weights_dir

_WEIGHTS = "encoder.weights"
_OR_PATH = ", or the path of a file or directory (./NAME for one in this directory)"
_RELEASE_DIGITS = 8
"""Digits of the sha256 in the names of open_clip's own release files."""


def tag_of(name: str, tag: str, setting: str = _WEIGHTS) -> Mapping[str, Any]:
    """Return open_clip's entry for a tag of a model: its files, mean, std and activation.

    Args:
        name: The model.
        tag: The tag.
        setting: Name of the setting of the tag, for messages.

    Raises:
        ConfigError: The tag is unknown (the message lists all tags), or was trained with another activation
            than the model is built with.
    """
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(name)
    if tag not in tags:
        others = [model for model in supported_models() if is_tag_of(model, tag)]
        allowed, more = (tags, "") if setting != _WEIGHTS else ([*tags, RANDOM_WEIGHTS], _OR_PATH)
        msg = f"{setting} is {tag!r}; allowed for {name}: {', '.join(allowed) or 'no tag'}{more}."
        if others:
            msg += f" It is a tag of {', '.join(others)}: give --encoder {others[0]}."
        raise ConfigError(msg)
    published: Mapping[str, Any] = get_pretrained_cfg(name, tag)
    require_activation(name, activation_of_tag(published), f"the weights '{tag}'")
    return published


def is_tag_of(name: str, tag: str) -> bool:
    """Return whether a tag is one of the model, and was trained with the model's activation."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    if tag not in list_pretrained_tags_by_model(name):
        return False
    return activation_of_tag(get_pretrained_cfg(name, tag)) == activation_of(name)


def activation_of_tag(published: Mapping[str, Any]) -> str:
    """Return the activation with which a tag was trained."""
    return QUICK_GELU if published.get("quick_gelu") else GELU


def require_activation(name: str, trained: str, what: str) -> None:
    """Raise ConfigError unless weights were trained with the activation of the model.

    Args:
        name: The model.
        trained: Activation of the weights.
        what: The weights in words, for the message.
    """
    built = activation_of(name)
    if trained != built:
        msg = (
            f"encoder.name is {name!r}, built with {TITLES[built]}; {what} were trained with "
            f"{TITLES[trained]} and would give wrong features. Use {with_activation(name, trained)}."
        )
        raise ConfigError(msg)


def tags_of(name: str) -> list[str]:
    """Return the tags of a model that were trained with its activation."""
    from open_clip.pretrained import list_pretrained_tags_by_model

    return [tag for tag in list_pretrained_tags_by_model(name) if is_tag_of(name, tag)]


def sha256_of(published: Mapping[str, Any]) -> str:
    """Return the sha256 of a tag's file, or its first digits; empty if open_clip publishes none.

    OpenAI's addresses contain the whole sha256, those of open_clip's releases its first digits.
    """
    address = published.get("url", "")
    if "mlfoundations" in address:
        return Path(address).stem.rpartition("-")[2][:_RELEASE_DIGITS]
    return next((part for part in address.split("/") if len(part) == SHA256_DIGITS), "")


def _published_files() -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (sha256_of(published), name, tag)
        for name in supported_models()
        for tag in tags_of(name)
        if sha256_of(published := tag_of(name, tag))
    )


def tag_of_file(name: str, sha256: str) -> tuple[str, str] | None:
    """Return the model and tag whose file has this sha256, of `name` if possible; None for any other file."""
    found = [(model, tag) for start, model, tag in _published_files() if sha256.startswith(start)]
    alike = [
        (model, tag) for model, tag in found if with_activation(model, GELU) == with_activation(name, GELU)
    ]
    return next(iter(alike or found), None)


def repository_of(published: Mapping[str, Any]) -> str:
    """Return the repository of a tag's file on the Hugging Face hub; empty if it has none."""
    place: str = published.get("hf_hub", "")
    return place.strip("/")


def hub_files() -> tuple[str, str]:
    """Return the names of open_clip's files on the hub, safetensors first."""
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    return HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME


def kept_at(published: Mapping[str, Any]) -> list[Path]:
    """Return the paths of a tag's file in the directory of weights, the best path first."""
    paths = []
    if address := published.get("url", ""):
        paths.append(weights_dir() / Path(address).name)
    if repository := repository_of(published):
        paths += [weights_dir() / repository.replace("/", "--") / file for file in hub_files()]
    return paths

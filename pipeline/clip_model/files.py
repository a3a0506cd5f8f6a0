"""The weights of a CLIP model: found by tag or path, checked, and read without running code."""

import ssl
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from huggingface_hub import constants as hub
from huggingface_hub import try_to_load_from_cache

from pipeline import weights as published
from pipeline.errors import ConfigError, OusError, WeightsError, first_line
from pipeline.fingerprint import sha256_file
from pipeline.store.meta import RANDOM_WEIGHTS

_SHA256_DIGITS = 64
_PREFIX_DIGITS = 8
_TIMEOUT_SECONDS = 10.0
_TIMES_THE_MODEL = 8
_BESIDE_BYTES = 64 << 20
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")


def tag_of(name: str, weights: str) -> Mapping[str, Any] | None:
    """What open_clip knows of the tag `weights` of the model; None for a path and for ``random``.

    Raises ConfigError for an unknown tag, naming those there are, and for one that was trained
    with another activation than the model is built with.
    """
    if weights == RANDOM_WEIGHTS or _is_path(weights):
        return None
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(name)
    if weights not in tags:
        msg = (
            f"encoder.weights is {weights!r}; allowed for {name}: "
            f"{', '.join([*tags, RANDOM_WEIGHTS])}, or the path of a file."
        )
        raise ConfigError(msg)
    tag: Mapping[str, Any] = get_pretrained_cfg(name, weights)
    _refuse_other_activation(name, weights, tag)
    return tag


def find(name: str, weights: str) -> Path:
    """The file of the weights on this machine, downloaded by open_clip when it is not there.

    A tag's file is looked for where `weights fetch` puts it, then in the cache of the Hugging Face
    hub. Raises WeightsError, naming the file, its address and its place, when it cannot be had.
    """
    tag = tag_of(name, weights)
    if tag is None:
        path = Path(weights).expanduser()
        if not path.is_file():
            msg = f"No encoder weights at '{path}'; give a file, a tag of {name}, or 'random'."
            raise WeightsError(msg)
        return path
    address = tag.get("url", "")
    if fetched := _fetched(tag):
        _refuse_other_file(fetched, address)
        return fetched
    return _cached(tag) or _downloaded(name, weights, tag, published.weights_dir() / Path(address).name)


def is_here(name: str, weights: str) -> bool:
    """Return whether the model's weights are on this machine; nothing is read, checked or downloaded.

    Random weights need no file. Raises ConfigError for an unknown tag.
    """
    if weights == RANDOM_WEIGHTS:
        return True
    tag = tag_of(name, weights)
    if tag is None:
        return Path(weights).expanduser().is_file()
    return (_fetched(tag) or _cached(tag)) is not None


def load_into(model: Any, path: Path, name: str) -> None:
    """Fill the model with the weights of the file, every one of them and of the same shape.

    Raises WeightsError for a file that is damaged, holds code, or holds another model's weights.
    """
    own = model.state_dict()
    try:
        published.require_unpacked_size(path, _most_bytes(own))
        state = _archived(path, name) if _is_torchscript(path) else _tensors(path)
    except OusError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged or hostile file raises is one known error
        msg = f"'{path}' does not hold weights of {name}: {first_line(error)}"
        raise WeightsError(msg) from error
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(own["logit_scale"].shape)
    wrong = _differences(own, state)
    if wrong:
        msg = f"'{path}' does not hold weights of {name}: {wrong}."
        raise WeightsError(msg)
    model.load_state_dict(state, strict=True)


def _most_bytes(own: Mapping[str, torch.Tensor]) -> int:
    """The most that a file of these tensors can hold: in double precision, beside an optimizer's state."""
    return (
        _TIMES_THE_MODEL * sum(value.numel() * value.element_size() for value in own.values()) + _BESIDE_BYTES
    )


def _is_path(weights: str) -> bool:
    return "/" in weights or bool(Path(weights).suffix)


def _refuse_other_activation(name: str, weights: str, tag: Mapping[str, Any]) -> None:
    import open_clip

    model_cfg = open_clip.get_model_config(name) or {}
    if bool(tag.get("quick_gelu")) == bool(model_cfg.get("quick_gelu")):
        return
    trained, built = ("QuickGELU", "GELU") if tag.get("quick_gelu") else ("GELU", "QuickGELU")
    other = name.removesuffix("-quickgelu") if built == "QuickGELU" else f"{name}-quickgelu"
    msg = (
        f"encoder.name is {name!r}, built with {built}; the weights '{weights}' were "
        f"trained with {trained} and would give wrong features. Use {other}."
    )
    raise ConfigError(msg)


def _refuse_other_file(path: Path, address: str) -> None:
    """The addresses of OpenAI hold the whole sha256, those of open_clip's releases its first digits."""
    expected = _sha256_in(address)
    if "mlfoundations" in address:
        expected = Path(address).stem.rpartition("-")[2][:_PREFIX_DIGITS]
    actual = sha256_file(path)
    if not actual.startswith(expected):
        msg = (
            f"'{path}' is not the file of {address}: its sha256 is {actual}, {expected} is needed. "
            "Move it away, or give the right one with --encoder-weights PATH."
        )
        raise WeightsError(msg)


def _sha256_in(address: str) -> str:
    return next((part for part in address.split("/") if len(part) == _SHA256_DIGITS), "")


def _fetched(tag: Mapping[str, Any]) -> Path | None:
    """Return the tag's file where `weights fetch` puts it; None where there is none."""
    address = tag.get("url", "")
    path = published.weights_dir() / Path(address).name
    return path if address and path.is_file() else None


def _cached(tag: Mapping[str, Any]) -> Path | None:
    """The tag's file in the cache of the Hugging Face hub, without asking the network."""
    repository = _repository(tag)
    for file in _hub_files() if repository else ():
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
    return None


def _hub_files() -> tuple[str, str]:
    """Return the names that open_clip gives its files on the hub, safetensors first."""
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    return HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME


def _repository(tag: Mapping[str, Any]) -> str:
    place: str = tag.get("hf_hub", "")
    return place.strip("/")


def _downloaded(name: str, weights: str, tag: Mapping[str, Any], fetched: Path) -> Path:
    repository, address = _repository(tag), tag.get("url", "")
    try:
        _reach(hub.ENDPOINT if repository else address)
        from open_clip.pretrained import download_pretrained

        file: str = download_pretrained(tag)
    except Exception as error:  # noqa: BLE001 - every way a download fails has one remedy
        source = f"{hub.ENDPOINT}/{repository}" if repository else address
        if address:
            remedy = f"download {address} and put it at {fetched}, or give it with --encoder-weights PATH"
        else:
            remedy = (
                f"download {' or '.join(_hub_files())} from there and give it with --encoder-weights PATH"
            )
        reason = first_line(error)
        msg = (
            f"The weights '{weights}' of {name} are not on this machine and could not be downloaded from "
            f"{source} ({reason}). Where there is internet, {remedy}. "
            "--encoder-weights random tries things out without them."
        )
        raise WeightsError(msg) from error
    return Path(file)


def _reach(address: str) -> None:
    """Raise OSError when the server cannot be reached: the hub's client would try for a minute."""
    if hub.HF_HUB_OFFLINE:
        msg = "HF_HUB_OFFLINE is set"
        raise OSError(msg)
    try:
        request = urllib.request.Request(address, method="HEAD")
        urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answers
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # the client may know more certificates
            raise OSError(str(error.reason)) from error


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _archived(path: Path, name: str) -> dict[str, torch.Tensor]:
    """OpenAI publishes TorchScript archives, which may hold code: only its own are opened."""
    from open_clip.pretrained import get_pretrained_cfg

    tag = get_pretrained_cfg(name, "openai") or {}
    expected, actual = _sha256_in(tag.get("url", "")), sha256_file(path)
    if actual != expected:
        msg = (
            f"'{path}' is a TorchScript archive, which may run code, and not the one that OpenAI published "
            f"for {name} (sha256 {actual}, {expected or 'none known'} is needed); "
            "give a state dict (.pt, .pth, .bin) or .safetensors file."
        )
        raise WeightsError(msg)
    _refuse_other_activation(name, "openai", tag)
    with warnings.catch_warnings():
        # torch.jit is deprecated, the file is as it is
        warnings.filterwarnings("ignore", message=".*torch.jit")
        load: Any = torch.jit.load
        scripted = load(str(path), map_location="cpu")
    return _without_settings(scripted.state_dict())


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """Named tensors of a .safetensors file or of a pickle, of which only tensors are taken."""
    if path.suffix.lower() == ".safetensors":
        held: Any = safetensors.torch.load_file(path)
    else:
        held = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(held, dict) and "state_dict" in held:  # a checkpoint of open_clip's training
        held = held["state_dict"]
    if not isinstance(held, Mapping) or not all(_is_plain(value) for value in held.values()):
        kind = type(held).__name__
        msg = f"'{path}' holds a {kind} that does not map names to plain tensors; give a state dict."
        raise WeightsError(msg)
    return _without_settings({str(key).removeprefix("module."): value for key, value in held.items()})


def _is_plain(value: object) -> bool:
    """Whether a value is a tensor that holds its numbers: not sparse, quantized or without storage."""
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and value.device.type == "cpu"


def _without_settings(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key not in _NOT_WEIGHTS}


def _differences(own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> str:
    """What keeps the file's tensors from being the model's, in words; empty where nothing does."""
    missing, unknown = sorted(own.keys() - other.keys()), sorted(other.keys() - own.keys())
    reshaped = sorted(k for k in own.keys() & other.keys() if own[k].shape != other[k].shape)
    parts = []
    if missing:
        parts.append(f"{len(missing)} of its {len(own)} tensors are missing, such as {missing[0]}")
    if unknown:
        parts.append(f"{len(unknown)} are unknown to it, such as {unknown[0]}")
    if reshaped:
        key = reshaped[0]
        shapes = f"{list(other[key].shape)}, not {list(own[key].shape)}"
        parts.append(f"{len(reshaped)} have another shape, such as {key} with {shapes}")
    return "; ".join(parts)

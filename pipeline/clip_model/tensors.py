"""Loading of a file's tensors into a CLIP model: checked, complete, and without running code."""

import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from pipeline.clip_model.architecture import architecture_of, num_parameters
from pipeline.clip_model.tags import activation_of_tag, require_activation, sha256_of
from pipeline.clip_model.transformers_names import is_transformers, renamed
from pipeline.errors import FileError, OusError, WeightsError, printable, reason_of, some
from pipeline.fingerprint import sha256_file
from pipeline.plain_file import read_given
from pipeline.weights import (
    find_untrained_values,
    is_safetensors,
    refuse_other_kinds,
    require_unpacked_size,
    unreadable,
)

_TIMES_THE_MODEL, _FLOAT32_BYTES = 8, 4
_BESIDE_BYTES = 64 << 20
_MAX_INDEX_BYTES = 64 << 20
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
OF_ADAPTER = (
    "It is an adapter (such as LoRA), which holds changes to a model's weights: merge it into the model "
    "(PEFT's merge_and_unload), save the model, and give that."
)
_ONE_OF_SEVERAL = re.compile(r"-\d{5}-of-\d{5}\.")


@dataclass(frozen=True, kw_only=True)
class NamedTensors:
    """Tensors of a file, under open_clip's names.

    Attributes:
        path: The file.
        tensors: Tensors by name.
        are_of_transformers: Whether the file has transformers' names.
        untrained: Description of values that no trained weights have, by the names in the file; empty if
            there are none.
    """

    path: Path
    tensors: Mapping[str, torch.Tensor]
    are_of_transformers: bool
    untrained: str


def read_tensors(path: Path, name: str) -> NamedTensors:
    """Read the tensors of a file; no code in it is run.

    Args:
        path: A state dict in open_clip's or transformers' names, an index of files, or OpenAI's archive.
        name: The model, whose size limits the bytes that are read.

    Raises:
        WeightsError: The file is damaged, is of another kind, contains code, or unpacks to too many bytes.
        ConfigError: It is OpenAI's archive, and the model is built with another activation.
    """
    state: dict[str, torch.Tensor] = {}
    untrained = []
    for file in _indexed(path) if is_index(path) else [path]:
        tensors = _read(file, name)
        untrained.append(find_untrained_values(file, tensors))
        state |= tensors
    is_renamed = is_transformers(state)
    return NamedTensors(
        path=path,
        tensors=renamed(state) if is_renamed else state,
        are_of_transformers=is_renamed,
        untrained=" ".join(filter(None, untrained)),
    )


def fill(model: Any, read: NamedTensors, name: str, without: str = "") -> None:
    """Load tensors into a model. All names and shapes must match.

    Args:
        model: open_clip's module.
        read: The tensors.
        name: Name of the model, for messages.
        without: Prefix of the tensors of a part of the model, such as "visual.", which is then removed.

    Raises:
        WeightsError: The tensors are of another model, or have values that no trained weights have.
    """
    own, state = model.state_dict(), dict(read.tensors)
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(own["logit_scale"].shape)
    if wrong := _differences(own, state):
        form = " holds CLIP's weights in transformers' names and" if read.are_of_transformers else ""
        is_part = _ONE_OF_SEVERAL.search(read.path.name)
        several = " It is one of several files: give their index." if is_part else ""
        adapter = f" {OF_ADAPTER}" if any(".lora_" in key for key in state) else ""
        msg = f"'{read.path}'{form} does not hold weights of {name}: {wrong}.{several}{adapter}"
        raise WeightsError(msg)
    if read.untrained:
        raise WeightsError(read.untrained)
    if without:
        delattr(model, without.removesuffix("."))
        state = {key: value for key, value in state.items() if not key.startswith(without)}
    model.load_state_dict(state, strict=True)


def is_index(path: Path) -> bool:
    """Return whether a file is transformers' index of weights in several files."""
    return path.name.endswith(".index.json")


def _refuse_unknown_archive(path: Path, name: str) -> None:
    """Raise WeightsError for a TorchScript archive, which may contain code, except OpenAI's of this model.

    Raises ConfigError if it is OpenAI's, and the model is built with another activation.
    """
    from open_clip.pretrained import get_pretrained_cfg

    published = get_pretrained_cfg(name, "openai") or {}
    expected, actual = sha256_of(published), sha256_file(path)
    if actual != expected:
        msg = (
            f"'{path}' is a TorchScript archive, which may run code, and not the one that OpenAI published "
            f"for {name} (sha256 {actual}, {expected or 'none known'} is needed); "
            "give a state dict (.pt, .pth, .bin) or .safetensors file."
        )
        raise WeightsError(msg)
    require_activation(name, activation_of_tag(published), f"the weights in '{path}'")


def _indexed(path: Path) -> list[Path]:
    """Return the files in an index, which must be beside it."""
    try:
        document = json.loads(read_given(path, _MAX_INDEX_BYTES))
        names = sorted(set(document["weight_map"].values()))
        files = [path.parent / name for name in names if Path(name).name == name]
    except FileError as error:
        raise WeightsError(str(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        msg = f"'{path}' is not an index of weight files ({reason_of(error)}); download it again."
        raise WeightsError(msg) from error
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing or len(files) < len(names) or not files:
        absent = some([printable(repr(name)) for name in missing or names]) or "no file"
        msg = f"'{path}' names {absent}, which must be files beside it; download them into that directory."
        raise WeightsError(msg)
    return files


def _read(path: Path, name: str) -> dict[str, torch.Tensor]:
    wanted = f"weights of {name}"
    refuse_other_kinds(path, wanted)
    try:
        require_unpacked_size(path, _most_bytes(name))
        if not _is_torchscript(path):
            return _plain(path)
        _refuse_unknown_archive(path, name)
        return _archived(path)
    except OusError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged or hostile file raises is one known error
        raise unreadable(path, wanted, error) from error


def _most_bytes(name: str) -> int:
    """Return the most bytes of a file of the model: in double precision, with an optimizer's state."""
    return _TIMES_THE_MODEL * _FLOAT32_BYTES * num_parameters(architecture_of(name)) + _BESIDE_BYTES


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _archived(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        # torch.jit is deprecated, but OpenAI's file has this form
        warnings.filterwarnings("ignore", message=".*torch.jit")
        load: Any = torch.jit.load
        scripted = load(str(path), map_location="cpu")
    return _without_settings(scripted.state_dict())


def _plain(path: Path) -> dict[str, torch.Tensor]:
    """Return the named tensors of a .safetensors file or of a pickle, of which only tensors are read."""
    if is_safetensors(path):
        content: Any = safetensors.torch.load_file(path)
    else:
        with path.open("rb") as file:  # for a path, torch would choose the format by the suffix
            content = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(content, dict) and "state_dict" in content:  # a checkpoint of open_clip's training
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(_is_plain(value) for value in content.values()):
        kind = type(content).__name__
        msg = f"'{path}' holds a {kind} that does not map names to plain tensors; give a state dict."
        raise WeightsError(msg)
    return _without_settings({str(key).removeprefix("module."): value for key, value in content.items()})


def _is_plain(value: object) -> bool:
    """Return whether a value is a dense tensor with storage: not sparse, quantized or on no device."""
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and value.device.type == "cpu"


def _without_settings(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key not in _NOT_WEIGHTS}


def _differences(own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> str:
    """Return the differences between the file's and the model's tensors in words; empty if there are none."""
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

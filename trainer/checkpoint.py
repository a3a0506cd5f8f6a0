"""The best model of a run, best.safetensors: save and load.

The checkpoint includes the class features, so that a trained model needs no text encoder.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import (
    CheckpointError,
    FileError,
    MissingFileError,
    counted,
    first_line,
    some,
)
from pipeline.fingerprint import differences
from pipeline.own_dir import Folder, OwnDir
from pipeline.strict_json import from_json, to_json
from trainer.config import TrainConfig, result_settings
from trainer.config_file import from_toml
from trainer.model import VideoModel
from trainer.model_choice import build_model
from trainer.model_directory import MODEL_CONFIG_FILE, is_model_directory, load_settings, weights_name
from trainer.run_directory import CONFIG_FILE, RUN_FILE, WEIGHTS_FILE, info_json, read_text
from trainer.run_info import LARGEST_SIZE, RunInfo
from trainer.weights_file import MOST_BYTES, load_tensors, read_header, to_bytes

_METADATA = "ous"
_MODEL = "model."
_TEXT_FEATURES = "text_features"
_CONTEXT = "prompts.context"
_NOT_IN_OLDER_RUNS: dict[str, Any] = {
    "validation_leak": 0,
    "usable_sha256": "",
    "num_train": 0,
    "num_validation": 0,
    "left_out_of_training": {},
    "precision": "",
    "identity": {},
    "extract_config": {},
    "clip_seconds": [],
}
"""Defaults of the parts of a run's origin that checkpoints of earlier versions do not have."""

_LATER: dict[str, Any] = {"selected_by": "loss", "added_caches": []}
"""Defaults of the parts that are newer than the hashes in stored states, which leave them out."""

_AGAIN = {False: "train again", True: "export the run again"}
"""What to do about files that do not fit, for a run and for an exported model."""

_PROGRESS = (
    "best_epoch", "best_loss", "overfit_epoch", "stop_reason", "cache_from_run",
    "temperature", "ece_before", "ece_after", "not_calibrated", "num_without_face",
)  # fmt: skip
"""The parts that change after weights were saved, the paths from the run to its caches (of those in
`added_caches`, too), and a number that follows from other parts and that older runs do not have."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained model in evaluation mode, with its class features [C, F], settings and origin."""

    model: VideoModel
    text_CF: torch.Tensor
    config: TrainConfig
    info: RunInfo


def save_weights(
    run_dir: Folder,
    model: VideoModel,
    context: torch.Tensor,
    text_CF: torch.Tensor,
    info: RunInfo,
    epoch: int,
) -> None:
    """Write best.safetensors and run.json, and replace both files at once.

    The metadata of the weights contain config, origin and epoch, so that the file can be identified alone.

    Args:
        run_dir: Directory of the run, with its config.toml.
        model: The trained model.
        context: Context vectors of the prompts.
        text_CF: Class features of the prompts.
        info: Origin of the run.
        epoch: Epoch of the weights, from 1.

    Raises:
        FileError: A file cannot be written.
    """
    place = OwnDir.of(run_dir)
    origin = {"config_toml": read_text(place, CONFIG_FILE), "run": origin_of(info), "epoch": epoch}
    metadata = {_METADATA: to_json(origin, indent=None)}
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {_CONTEXT: context, _TEXT_FEATURES: text_CF}
    place.write_together({WEIGHTS_FILE: to_bytes(tensors, metadata), RUN_FILE: info_json(info)})


def load_checkpoint(run_dir: Folder, device: torch.device) -> Checkpoint:
    """Load the best model of a run, or an exported model.

    Raises CheckpointError if the run has no checkpoint, or its files are damaged or of different runs.
    """
    place = OwnDir.of(run_dir)
    with _as_checkpoint_errors(place):
        config, info, tensors, _ = _read(place)
        model = build_model(config, info.shape)
        state = {name.removeprefix(_MODEL): t for name, t in tensors.items() if name.startswith(_MODEL)}
        model.load_state_dict(state)
        text_CF = tensors[_TEXT_FEATURES]
    model.to(device).eval()
    return Checkpoint(model=model, text_CF=text_CF.to(device), config=config, info=info)


def reissued_weights(run_dir: Folder, info: RunInfo) -> bytes:
    """Return the bytes of a run's weights file with another description of its origin, for an export.

    Raises CheckpointError as `load_checkpoint`.
    """
    place = OwnDir.of(run_dir)
    with _as_checkpoint_errors(place):
        _, _, tensors, origin = _read(place)
        metadata = {_METADATA: to_json(origin | {"run": origin_of(info)}, indent=None)}
        return to_bytes(tensors, metadata)


def stored_epoch(place: OwnDir, name: str) -> int:
    """Return the epoch of a file of weights; 0 for one that cannot be read. Raises MissingFileError."""
    try:
        with place.open_read(name, MOST_BYTES) as file:
            return int(from_json(read_header(file).metadata[_METADATA])["epoch"])
    except MissingFileError:
        raise
    except (FileError, ValueError, KeyError, TypeError):
        return 0


def _read(
    place: OwnDir,
) -> tuple[TrainConfig, RunInfo, dict[str, torch.Tensor], dict[str, Any]]:
    """Return settings, origin, tensors and metadata of a run or an exported model, after all checks."""
    config, info = load_settings(place)
    name = weights_name(place)
    path = place.path / name
    with place.open_read(name, MOST_BYTES) as file:
        header = read_header(file)
        origin = from_json(header.metadata.get(_METADATA, "{}"))
        _require_origin(origin, info, path)
        _require_shapes(header.shapes, config, info)
        _require_setting(origin["config_toml"], config, path)
        tensors = load_tensors(file, header)
        _require_finite(tensors)
    return config, info, tensors, origin


@contextmanager
def _as_checkpoint_errors(place: OwnDir) -> Iterator[None]:
    """Raise CheckpointError for all errors of missing and damaged files."""
    try:
        yield
    except MissingFileError as error:
        name = weights_name(place)
        why = (
            "it is incomplete; export the run again."
            if is_model_directory(place)
            else "its training diverged, was stopped, or is in its first epoch. Wait for that, or train it "
            "again."
        )
        msg = f"'{place}' has no {name}; {why}"
        raise CheckpointError(msg) from error
    except FileError as error:
        raise CheckpointError(str(error)) from error
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged files may raise any error
        path = place.path / weights_name(place)
        settings = MODEL_CONFIG_FILE if is_model_directory(place) else CONFIG_FILE
        msg = f"'{path}' does not hold the model that {settings} describes: {first_line(error)}"
        raise CheckpointError(msg) from error


def _require_origin(metadata: Any, info: RunInfo, path: Path) -> None:
    run = metadata.get("run") if isinstance(metadata, dict) else None
    if not isinstance(run, dict) or _NOT_IN_OLDER_RUNS | _LATER | run != _LATER | origin_of(info):
        is_model = is_model_directory(path.parent)
        file = MODEL_CONFIG_FILE if is_model else RUN_FILE
        msg = f"'{path}' is not of the run that {file} beside it describes; {_AGAIN[is_model]}."
        raise CheckpointError(msg)


def _require_setting(trained: str, config: TrainConfig, path: Path) -> None:
    """Raise CheckpointError if config.toml has other settings than the config stored with the weights.

    Shapes cannot show this, because many settings change the model and no shape.
    """
    found = differences(result_settings(config), result_settings(from_toml(trained)))
    if found:
        is_model = is_model_directory(path.parent)
        settings = MODEL_CONFIG_FILE if is_model else CONFIG_FILE
        msg = (
            f"'{path}' was trained with other settings ('there') than {settings} has ('here'): "
            f"{some(found, joint='; ')}. Restore {settings}, or {_AGAIN[is_model]}."
        )
        raise CheckpointError(msg)


def _require_shapes(shapes: Mapping[str, tuple[int, ...]], config: TrainConfig, info: RunInfo) -> None:
    """Raise ValueError unless a file has the tensors of the model that config and origin describe.

    The model is built on the meta device, so that wrong sizes take no memory.
    """
    with torch.device("meta"):
        needed = {
            f"{_MODEL}{name}": tuple(t.shape)
            for name, t in build_model(config, info.shape).state_dict().items()
        }
    needed[_TEXT_FEATURES] = (len(info.class_names), info.embed_width)
    for name, shape in needed.items():
        if shapes.get(name) != shape:
            msg = f"'{name}' has shape {shapes.get(name)}, {shape} is needed"
            raise ValueError(msg)
    more = [name for name in shapes if name not in needed and name != _CONTEXT]
    largest = len(info.class_names) * config.prompts.length * LARGEST_SIZE
    if more or math.prod(shapes.get(_CONTEXT, ())) > largest:
        msg = f"'{more[0] if more else _CONTEXT}' is not a tensor of this model"
        raise ValueError(msg)


def _require_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError, naming tensors, for weights that are NaN or infinite."""
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        msg = f"NaN or infinity in {counted(len(bad), 'tensor')} ({some(bad)})"
        raise ValueError(msg)


def origin_of(info: RunInfo) -> dict[str, Any]:
    """Return the constant parts of a run's origin as plain JSON values."""
    values = json.loads(json.dumps(asdict(info)))  # as in the file: lists for tuples
    for added in values["added_caches"]:
        del added["cache_from_run"]
    later = {name for name, default in _LATER.items() if values[name] == default}
    return {name: value for name, value in values.items() if name not in later.union(_PROGRESS)}

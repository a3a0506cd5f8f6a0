"""A run directory: config.toml, run.json and best.safetensors; written, and loaded back.

The checkpoint carries the class text features, so that a trained model needs no text tower.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from pipeline.device import device_name
from pipeline.errors import (
    CheckpointError,
    ConfigError,
    FileError,
    MissingFileError,
    counted,
    first_line,
    some,
)
from pipeline.fingerprint import differences
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.meta import CacheMeta
from pipeline.store.place import Place, Where
from pipeline.store.reader import FeatureCache
from pipeline.strict_json import from_json, to_json
from trainer.caches import stored_location, training_cache
from trainer.config import TrainConfig, from_toml, learnt, to_toml
from trainer.folds import FoldRows, usable_sha256
from trainer.model import FeatureShape, OusModel
from trainer.precision import training_precision
from trainer.weights_file import MOST_BYTES, load_tensors, read_header, to_bytes

CONFIG_FILE = "config.toml"
RUN_FILE = "run.json"
WEIGHTS_FILE = "best.safetensors"
_METADATA = "ous"
_MODEL = "model."
_TEXT_FEATURES = "text_features"
_MAX_TEXT_BYTES, _MAX_CONFIG_BYTES = 16 << 20, 1 << 20
_LARGEST_SIZE = 65_536
_PACKAGES = ("torch", "numpy", "open_clip_torch", "zarr")
_SHOWN = 100
_KINDS: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float: (float, int),
    tuple[str, ...]: (list,),
    Mapping[str, int]: (dict,),
}
"""The annotations of `RunInfo`, and what JSON makes of such values."""

_IN_WORDS: Mapping[type, str] = {list: "a list of texts", dict: "an object of counts"}

_NOT_IN_OLDER_RUNS: dict[str, Any] = {
    "validation_leak": 0,
    "usable_sha256": "",
    "num_train": 0,
    "num_validation": 0,
    "left_out_of_training": {},
    "precision": "",
}
"""Parts of a run's origin that checkpoints of earlier versions do not hold, and what they mean there."""

_CONTEXT = "prompts.context"


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a run was made from, and how it went.

    cache_path, cache_from_run: where the training cache is, without the user's name, and its path from the
    run's directory (empty on object storage, and in older runs); see `training_cache`.
    cache_fingerprint, encoder_sha256, text_sha256: of the cache it was trained on.
    clips_sha256: of the cache's clips, labels and membership. training_sha256: of the rows that
    trained and validated. num_tokens: patch tokens per picture that the model looks at, 0 for none.
    selection: the rule by which the checkpoint was chosen: holdout, holdout by group, given, test or train.
    validation_leak: validation clips that share footage with training clips.
    usable_sha256: of the rows of the cache that were done and labelled, in all folds, and of their groups.
    num_train, num_validation: clips. left_out_of_training: why clips of the fold were not used, and how many.
    precision: of training. Empty or 0 in runs of versions that did not record them; see `training_set`.
    best_epoch, best_loss: of the lowest ungated class-contrastive validation loss.
    overfit_epoch: the first epoch above the accuracy that IV-A calls overfitting; 0 for none.
    stop_reason: why training ended; empty while it runs. hardware: the GPU's name, or the CPU and its
    threads. packages: with their versions, each "name version".
    """

    cache_path: str
    cache_fingerprint: str
    dataset: str
    class_names: tuple[str, ...]
    encoder_name: str
    encoder_sha256: str
    text_sha256: str
    random_weights: bool
    num_frames: int
    embed_width: int
    encoder_width: int
    fold: str
    seed: int
    selection: str
    clips_sha256: str
    training_sha256: str
    cache_from_run: str = ""
    num_tokens: int = 0
    validation_leak: int = 0
    usable_sha256: str = ""
    num_train: int = 0
    num_validation: int = 0
    left_out_of_training: Mapping[str, int] = field(default_factory=dict)
    precision: str = ""
    best_epoch: int = 0
    best_loss: float = 0.0
    overfit_epoch: int = 0
    stop_reason: str = ""
    hardware: str = ""
    packages: tuple[str, ...] = ()

    @classmethod
    def of_cache(
        cls, cache: FeatureCache, rows: FoldRows, config: TrainConfig, seed: int, device: torch.device
    ) -> "RunInfo":
        """A run of `config` that is about to begin on some rows of a cache."""
        meta = cache.meta
        return cls(
            cache_path=stored_location(cache.place),
            cache_fingerprint=meta.fingerprint,
            dataset=meta.dataset,
            class_names=meta.class_names,
            encoder_name=meta.encoder_name,
            encoder_sha256=meta.encoder_sha256,
            text_sha256=meta.text_sha256,
            random_weights=meta.has_random_weights,
            num_frames=meta.num_frames,
            embed_width=meta.embed_width,
            encoder_width=meta.encoder_width,
            fold=rows.fold_name,
            seed=seed,
            selection=rows.rule,
            clips_sha256=cache.clips_sha256(),
            training_sha256=rows.training_sha256(),
            usable_sha256=usable_sha256(cache),
            num_train=len(rows.train),
            num_validation=len(rows.validation),
            left_out_of_training=dict(rows.left_out),
            precision=training_precision(config, device),
            num_tokens=meta.num_tokens if config.model.has_patch_tokens else 0,
            hardware=device_name(device)
            if device.type == "cuda"
            else f"CPU, {torch.get_num_threads()} threads",
            packages=tuple(f"{name} {version(name)}" for name in _PACKAGES),
        )

    @property
    def banners(self) -> tuple[str, ...]:
        """What must stand, loudly, beside every number and figure of this run."""
        lines = []
        if self.random_weights:
            lines.append("RANDOM ENCODER WEIGHTS: these numbers say nothing about the method")
        if self.selection in ("test", "train"):
            lines.append(f"SELECTED ON {self.selection.upper()}")
        if self.validation_leak:
            lines.append(
                f"VALIDATION LEAK: {counted(self.validation_leak, 'clip')} that chose the checkpoint with "
                "footage of training clips"
            )
        if pending := self.left_out_of_training.get("pending", 0):
            lines.append(
                f"UNFINISHED CACHE: trained while {counted(pending, 'clip')} of the fold had no features yet"
            )
        return tuple(lines)

    @property
    def shape(self) -> FeatureShape:
        """The sizes that the model was built for."""
        return FeatureShape(
            num_frames=self.num_frames, embed_width=self.embed_width, encoder_width=self.encoder_width
        )

    def training_cache(self, run_dir: Path) -> Place:
        """The training cache that this run, in its directory, names; nothing is opened."""
        return training_cache(run_dir, self.cache_path, self.cache_from_run)

    def require_fits(self, meta: CacheMeta, where: Where) -> None:
        """Raise CheckpointError, naming the differences, unless the model can read this cache.

        Class names in their order, the encoder and the sizes must agree; the data set may differ.
        """
        names = (
            "class_names",
            "encoder_name",
            "encoder_sha256",
            "num_frames",
            "embed_width",
            "encoder_width",
            *(["num_tokens"] if self.num_tokens else []),
        )
        found = differences(
            {name: getattr(self, name) for name in names}, {name: getattr(meta, name) for name in names}
        )
        if found:
            msg = (
                f"This run ('here') does not fit the cache '{where}' ('there'): {'; '.join(found)}. "
                "Evaluate on a cache with the same classes and encoder"
                f"{' and --tokens' if self.num_tokens else ''}."
            )
            raise CheckpointError(msg)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained model in evaluation mode, the class features [C, F] it is compared with, its origin."""

    model: OusModel
    text_CF: torch.Tensor
    config: TrainConfig
    info: RunInfo


def create_run_dir(
    run_dir: Folder, config: TrainConfig, info: RunInfo, more: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Create the directory with its config and origin, and `more` files by name; on an error, nothing.

    Raises ConfigError unless it is new or empty, and may be written.
    """
    require_new(run_dir)
    place = OwnDir.of(run_dir)
    existed = place.exists()
    try:
        place.make()
        place.write_together({CONFIG_FILE: to_toml(config), RUN_FILE: _info_json(info), **more})
    except FileError as error:
        if not existed:
            place.remove_empty()
        msg = f"--run {error}"
        raise ConfigError(msg) from error


def require_new(run_dir: Folder) -> None:
    """Raise ConfigError if anything is at `run_dir`, a link to nowhere too, other than an empty directory."""
    place = OwnDir.of(run_dir)
    if not place.exists():
        return
    there = place.entries() if place.is_dir() else None
    if there != {}:
        what = (
            " (a run without a model: it diverged, was stopped, or is in its first epoch)"
            if there and CONFIG_FILE in there and WEIGHTS_FILE not in there
            else ""
        )
        msg = f"--run '{run_dir}' exists already{what}; give another name, or remove it."
        raise ConfigError(msg)


def save_info(run_dir: Folder, info: RunInfo) -> None:
    """Write run.json, replacing the one before it at once."""
    OwnDir.of(run_dir).write_text(RUN_FILE, _info_json(info))


def _info_json(info: RunInfo) -> str:
    return to_json(asdict(info)) + "\n"


def save_weights(
    run_dir: Folder, model: OusModel, context: torch.Tensor, text_CF: torch.Tensor, info: RunInfo, epoch: int
) -> None:
    """Write best.safetensors and run.json together, replacing those before them.

    Its metadata tell what it is without the files beside it: config, origin and epoch.
    """
    place = OwnDir.of(run_dir)
    origin = {"config_toml": _read(place, CONFIG_FILE), "run": _origin(info), "epoch": epoch}
    metadata = {_METADATA: to_json(origin, indent=None)}
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {_CONTEXT: context, _TEXT_FEATURES: text_CF}
    place.write_together({WEIGHTS_FILE: to_bytes(tensors, metadata), RUN_FILE: _info_json(info)})


def load_checkpoint(run_dir: Folder, device: torch.device) -> Checkpoint:
    """Load the best model of a run.

    Raises CheckpointError when the run has no checkpoint, or its files do not belong together.
    """
    place = OwnDir.of(run_dir)
    config, info = load_config(place), load_info(place)
    path = place.path / WEIGHTS_FILE
    try:
        with place.open_read(WEIGHTS_FILE, MOST_BYTES) as file:
            header = read_header(file)
            origin = from_json(header.metadata.get(_METADATA, "{}"))
            _require_origin(origin, info, path)
            _require_shapes(header.shapes, config, info)
            _require_setting(origin["config_toml"], config, path)
            tensors = load_tensors(file, header)
            _require_finite(tensors)
        model = OusModel(config, info.shape)
        state = {name.removeprefix(_MODEL): t for name, t in tensors.items() if name.startswith(_MODEL)}
        model.load_state_dict(state)
        text_CF = tensors[_TEXT_FEATURES]
    except MissingFileError as error:
        msg = (
            f"'{run_dir}' has no {WEIGHTS_FILE}; its training diverged, was stopped, or is in its first "
            "epoch. Wait for that, or train it again."
        )
        raise CheckpointError(msg) from error
    except FileError as error:
        raise CheckpointError(str(error)) from error
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged or hostile file raises is one known error
        msg = f"'{path}' does not hold the model that {CONFIG_FILE} describes: {first_line(error)}"
        raise CheckpointError(msg) from error
    model.to(device).eval()
    return Checkpoint(model=model, text_CF=text_CF.to(device), config=config, info=info)


def _require_origin(metadata: Any, info: RunInfo, path: Path) -> None:
    run = metadata.get("run") if isinstance(metadata, dict) else None
    if not isinstance(run, dict) or _NOT_IN_OLDER_RUNS | run != _origin(info):
        msg = f"'{path}' is not of the run that {RUN_FILE} beside it describes; train again."
        raise CheckpointError(msg)


def _require_setting(trained: str, config: TrainConfig, path: Path) -> None:
    """Raise CheckpointError unless the config is the one that was trained, but for what does not change it.

    trained: the config that the weights hold. Many settings change the model and no shape of its weights.
    """
    found = differences(learnt(config), learnt(from_toml(trained)))
    if found:
        msg = (
            f"'{path}' was trained with other settings ('there') than {CONFIG_FILE} has ('here'): "
            f"{some(found, joint='; ')}. Restore {CONFIG_FILE}, or train again."
        )
        raise CheckpointError(msg)


def _require_shapes(shapes: Mapping[str, tuple[int, ...]], config: TrainConfig, info: RunInfo) -> None:
    """Raise ValueError unless a file holds the tensors of such a model, before any is made or read.

    The model is laid out without memory: what config and origin claim is held against what is there.
    """
    with torch.device("meta"):
        needed = {
            f"{_MODEL}{name}": tuple(t.shape) for name, t in OusModel(config, info.shape).state_dict().items()
        }
    needed[_TEXT_FEATURES] = (len(info.class_names), info.embed_width)
    for name, shape in needed.items():
        if shapes.get(name) != shape:
            msg = f"'{name}' has shape {shapes.get(name)}, {shape} is needed"
            raise ValueError(msg)
    more = [name for name in shapes if name not in needed and name != _CONTEXT]
    largest = len(info.class_names) * config.prompts.length * _LARGEST_SIZE
    if more or math.prod(shapes.get(_CONTEXT, ())) > largest:
        msg = f"'{more[0] if more else _CONTEXT}' is not a tensor of this model"
        raise ValueError(msg)


def _require_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError, naming tensors, for weights that are no numbers."""
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        msg = f"NaN or infinity in {counted(len(bad), 'tensor')} ({some(bad)})"
        raise ValueError(msg)


def _origin(info: RunInfo) -> dict[str, Any]:
    """What does not change while a run goes on, wherever its directory is, as plain JSON values."""
    left_out = ("best_epoch", "best_loss", "overfit_epoch", "stop_reason", "cache_from_run")
    values = json.loads(json.dumps(asdict(info)))  # as the file will hold it: lists for tuples
    return {name: value for name, value in values.items() if name not in left_out}


def load_config(run_dir: Folder) -> TrainConfig:
    """The config of a run. Raises CheckpointError when it is missing or unreadable."""
    place = OwnDir.of(run_dir)
    try:
        return from_toml(_read(place, CONFIG_FILE))
    except (ConfigError, RecursionError, OverflowError) as error:
        msg = f"'{place.path / CONFIG_FILE}': {first_line(error)}"
        raise CheckpointError(msg) from error


def load_info(run_dir: Folder) -> RunInfo:
    """The origin of a run. Raises CheckpointError when it is missing or unreadable."""
    place = OwnDir.of(run_dir)
    text = _read(place, RUN_FILE)
    try:
        values: Mapping[str, Any] = from_json(text)
        info = RunInfo(**values)
        _require_types(info)
    except (ValueError, TypeError, RecursionError) as error:
        msg = f"'{place.path / RUN_FILE}' is not a readable run description: {first_line(error)}"
        raise CheckpointError(msg) from error
    return replace(info, class_names=tuple(info.class_names), packages=tuple(info.packages))


def _require_types(info: RunInfo) -> None:
    """Raise ValueError for a value of another type than is declared, or a size out of all bounds."""
    for part in fields(info):
        value, allowed = getattr(info, part.name), _KINDS[part.type]
        if type(value) not in allowed or not _has_members(value):
            wanted = _IN_WORDS.get(allowed[0], allowed[0].__name__)
            msg = f"{part.name} is {repr(value)[:_SHOWN]}; {wanted} is needed"
            raise ValueError(msg)
    if not math.isfinite(info.best_loss):
        msg = f"best_loss is {info.best_loss}; a finite number is needed"
        raise ValueError(msg)
    for name in ("num_frames", "embed_width", "encoder_width"):
        if not 1 <= getattr(info, name) <= _LARGEST_SIZE:
            msg = f"{name} is {repr(getattr(info, name))[:_SHOWN]}; allowed: 1 to {_LARGEST_SIZE}"
            raise ValueError(msg)
    for name in ("num_tokens", "seed", "num_train", "num_validation", "validation_leak"):
        if getattr(info, name) < 0:
            msg = f"{name} is {repr(getattr(info, name))[:_SHOWN]}; allowed: 0 or more"
            raise ValueError(msg)


def _has_members(value: Any) -> bool:
    """Whether a list holds texts, and an object counts; true of everything else."""
    if isinstance(value, dict):
        return all(type(number) is int and number >= 0 for number in value.values())
    return not isinstance(value, list) or all(isinstance(text, str) for text in value)


def no_run(path: Folder, wanted: str, remedy: str) -> str:
    """Return a message for a path that is no run: nothing is there, or a directory, of runs perhaps.

    Args:
        path: The path that was given.
        wanted: Which files it lacks, in words ("no training run: it has no config.toml").
        remedy: Which path to give.
    """
    place = OwnDir.of(path)
    if not place.exists():
        return f"Nothing is at '{path}'. {remedy}"
    below = place.entries() if place.is_dir() else {}
    runs = [
        name
        for name, kind in below.items()
        if kind == "directory" and (place / name).kind(CONFIG_FILE) == "file"
    ]
    inside = f" These runs are in it: {some(runs)}." if runs else ""
    return f"'{path}' is {wanted}. {remedy}{inside}"


def _read(place: OwnDir, name: str) -> str:
    try:
        return place.read_text(name, _MAX_CONFIG_BYTES if name == CONFIG_FILE else _MAX_TEXT_BYTES)
    except MissingFileError as error:
        wanted = f"no training run: it has no {name}"
        msg = no_run(place, wanted, "Give the directory that `train --run` made.")
        raise CheckpointError(msg) from error
    except FileError as error:
        raise CheckpointError(str(error)) from error

"""Create, write and read a run directory: config.toml and run.json. `checkpoint` adds the weights."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from pipeline.errors import (
    CheckpointError,
    ConfigError,
    FileError,
    MissingFileError,
    first_line,
    some,
)
from pipeline.own_dir import Folder, OwnDir
from pipeline.program import command
from pipeline.strict_json import from_json, to_json
from trainer.added_cache import added_from
from trainer.config import TrainConfig
from trainer.config_file import from_toml, to_toml
from trainer.run_info import RunInfo
from trainer.run_values import require_types

CONFIG_FILE = "config.toml"
RUN_FILE = "run.json"
WEIGHTS_FILE = "best.safetensors"
STATE_FILE = "training_state.safetensors"
_MAX_TEXT_BYTES, _MAX_CONFIG_BYTES = 16 << 20, 1 << 20


def create_run_dir(
    run_dir: Folder, config: TrainConfig, info: RunInfo, more: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Create the directory of a run with its first files, or nothing if one cannot be written.

    Args:
        run_dir: A path where nothing is, or an empty directory.
        config: Settings of the run.
        info: Origin of the run.
        more: Texts of further files, by name.

    Raises:
        ConfigError: The directory is not new, or cannot be written.
    """
    require_new(run_dir)
    place = OwnDir.of(run_dir)
    existed = place.exists()
    try:
        place.make()
        place.write_together({CONFIG_FILE: to_toml(config), RUN_FILE: info_json(info), **more})
    except FileError as error:
        if not existed:
            place.remove_empty()
        msg = f"--run {error}"
        raise ConfigError(msg) from error


def require_new(run_dir: Folder) -> None:
    """Raise ConfigError if anything but an empty directory is at `run_dir`, even a broken link."""
    place = OwnDir.of(run_dir)
    if not place.exists():
        return
    there = place.entries() if place.is_dir() else None
    if there != {}:
        what, more = "", ""
        if there and CONFIG_FILE in there and WEIGHTS_FILE not in there:
            what = " (a run without a model: it diverged, was stopped, or is in its first epoch)"
        elif there and STATE_FILE in there:
            what, more = (
                " (an interrupted training)",
                f" `{command('train', '--resume', place.path)}` continues it.",
            )
        msg = f"--run '{run_dir}' exists already{what}; give another name, or remove it.{more}"
        raise ConfigError(msg)


def save_info(run_dir: Folder, info: RunInfo) -> None:
    """Write run.json, and replace the file at once."""
    OwnDir.of(run_dir).write_text(RUN_FILE, info_json(info))


def info_json(info: RunInfo) -> str:
    """Return the text of run.json."""
    return to_json(asdict(info)) + "\n"


def load_config(run_dir: Folder) -> TrainConfig:
    """Return the config of a run. Raises CheckpointError if it is missing or unreadable."""
    place = OwnDir.of(run_dir)
    try:
        return from_toml(read_text(place, CONFIG_FILE))
    except (ConfigError, RecursionError, OverflowError) as error:
        msg = f"'{place.path / CONFIG_FILE}': {first_line(error)}"
        raise CheckpointError(msg) from error


def load_info(run_dir: Folder) -> RunInfo:
    """Return the origin of a run. Raises CheckpointError if it is missing or unreadable."""
    place = OwnDir.of(run_dir)
    text = read_text(place, RUN_FILE)
    try:
        return info_from(from_json(text))
    except (ValueError, TypeError, RecursionError) as error:
        msg = f"'{place.path / RUN_FILE}' is not a readable run description: {first_line(error)}"
        raise CheckpointError(msg) from error


def info_from(values: Mapping[str, Any]) -> RunInfo:
    """Return the origin of a run from the JSON values of run.json. Raises ValueError or TypeError."""
    info = RunInfo(**values)
    require_types(info)
    return replace(
        info,
        class_names=tuple(info.class_names),
        packages=tuple(info.packages),
        clip_seconds=tuple(info.clip_seconds),
        added_caches=added_from(info.added_caches),
    )


def no_run(path: Folder, wanted: str, remedy: str) -> str:
    """Return a message for a path that is not a run.

    Args:
        path: The path, which may be missing, or a directory of runs.
        wanted: The missing files, such as "no training run: it has no config.toml".
        remedy: A sentence with the path to give.
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


def read_text(place: OwnDir, name: str) -> str:
    """Return the text of a file of a run. Raises CheckpointError if it is missing or too long."""
    try:
        return place.read_text(name, _MAX_CONFIG_BYTES if name == CONFIG_FILE else _MAX_TEXT_BYTES)
    except MissingFileError as error:
        wanted = f"no training run: it has no {name}"
        msg = no_run(place, wanted, "Give the directory that `train --run` made.")
        raise CheckpointError(msg) from error
    except FileError as error:
        raise CheckpointError(str(error)) from error

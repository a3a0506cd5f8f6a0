"""The directory of an exported model: config.json and model.safetensors, read as the files of a run.

`trainer.export` writes it. `load_run` reads it like a run.
"""

from dataclasses import asdict
from typing import Any

from pipeline.config import from_dict, to_dict
from pipeline.errors import CheckpointError, ConfigError, FileError, first_line
from pipeline.own_dir import Folder, OwnDir
from pipeline.strict_json import from_json, to_json
from trainer.config import TrainConfig
from trainer.run_directory import CONFIG_FILE, WEIGHTS_FILE, info_from, load_config, load_info
from trainer.run_info import RunInfo

MODEL_CONFIG_FILE = "config.json"
MODEL_WEIGHTS_FILE = "model.safetensors"
FORMAT, VERSION = "ous-model", 1
_MOST_BYTES = 16 << 20


def is_model_directory(folder: Folder) -> bool:
    """Return whether a directory is an exported model: it has a config.json, and no config.toml of a run."""
    place = OwnDir.of(folder)
    return place.kind(CONFIG_FILE) is None and place.kind(MODEL_CONFIG_FILE) == "file"


def weights_name(folder: Folder) -> str:
    """Return the name of the file with the weights of a run or an exported model."""
    return MODEL_WEIGHTS_FILE if is_model_directory(folder) else WEIGHTS_FILE


def model_config_json(config: TrainConfig, info: RunInfo) -> str:
    """Return the text of config.json: settings, and the origin of the run."""
    values = {"format": FORMAT, "version": VERSION, "settings": to_dict(config), "run": asdict(info)}
    return to_json(values) + "\n"


def load_settings(folder: Folder) -> tuple[TrainConfig, RunInfo]:
    """Return settings and origin of a run or an exported model.

    Raises CheckpointError if they are missing, unreadable, or of another format or version.
    """
    place = OwnDir.of(folder)
    if not is_model_directory(place):
        return load_config(place), load_info(place)
    path = place.path / MODEL_CONFIG_FILE
    try:
        values: Any = from_json(place.read_text(MODEL_CONFIG_FILE, _MOST_BYTES))
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            msg = f"its format is {_shown(values)}; {FORMAT!r} is needed"
            raise ValueError(msg)  # noqa: TRY301 - the message below names the file
        if values.get("version") != VERSION:
            msg = f"its version is {str(values.get('version'))[:20]}; this program reads {VERSION}"
            raise ValueError(msg)  # noqa: TRY301
        config, info = from_dict(TrainConfig, values["settings"]), info_from(values["run"])
        paths = [(one.cache_path, one.cache_from_run) for one in info.added_caches]
        if info.cache_path or info.cache_from_run or any(map(any, paths)) or not info.identity:
            msg = "it names a cache, or lacks the identity of the features; a model of `export` does not"
            raise ValueError(msg)  # noqa: TRY301
        return config, info  # noqa: TRY300
    except FileError as error:
        raise CheckpointError(str(error)) from error
    except (ConfigError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        msg = f"'{path}' does not describe a model: {first_line(error)}"
        raise CheckpointError(msg) from error


def _shown(values: Any) -> str:
    return repr(values.get("format"))[:40] if isinstance(values, dict) else "not there"

"""Settings of a training run: a preset, or the config of a file or another run, with changes."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.config import override
from pipeline.errors import ConfigError
from pipeline.plain_file import read_given_text
from trainer.config import TrainConfig
from trainer.config_file import from_toml
from trainer.presets import PRESETS
from trainer.run_directory import CONFIG_FILE

_MOST_BYTES = 1 << 20


def chosen_config(base: TrainConfig | str | Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Return settings with changes.

    Args:
        base: Settings; the name of a preset; a TOML file, such as config.toml of a run; or the directory of a
            run. A setting that the file does not have keeps its default.
        changes: Changed settings, as ``"section.key=value"``.

    Raises:
        ConfigError: There is no such preset or file, the file is no config, or a setting is not allowed.
    """
    if isinstance(base, TrainConfig):
        return override(base, changes)
    if base in PRESETS:
        return override(PRESETS[str(base)](), changes)
    path = Path(base)
    if path.is_dir():
        path /= CONFIG_FILE
    if not path.exists():
        msg = f"config is '{base}'; allowed: {', '.join(PRESETS)}, a TOML file, or the directory of a run."
        raise ConfigError(msg)
    try:
        config = from_toml(read_given_text(path, _MOST_BYTES))
    except ConfigError as error:
        msg = f"'{path}': {error}"
        raise ConfigError(msg) from error
    return override(config, changes)

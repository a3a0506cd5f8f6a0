"""Convert the config of a run to TOML, and back."""

import json
from collections.abc import Mapping
from typing import Any

from pipeline.config import from_dict, to_dict
from pipeline.errors import ConfigError, first_line
from pipeline.strict_toml import from_toml_text
from trainer.config import TrainConfig


def to_toml(config: TrainConfig) -> str:
    """Return the config as TOML, one table per section; `from_toml` reads it back unchanged."""
    sections = []
    for name, section in to_dict(config).items():
        lines = [f"{key} = {_toml_value(value)}" for key, value in section.items()]
        sections.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(sections) + "\n"


def from_toml(text: str) -> TrainConfig:
    """Read the text of `to_toml`. Raises ConfigError for invalid TOML or settings."""
    try:
        values: Mapping[str, Any] = from_toml_text(text)
    except (ValueError, RecursionError) as error:
        msg = f"Not a readable config: {first_line(error)}"
        raise ConfigError(msg) from error
    return from_dict(TrainConfig, values)


def _toml_value(value: bool | float | str | list[str]) -> str:
    if isinstance(value, str | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)

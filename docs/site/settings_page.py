"""The page of all settings, from the config dataclasses and their docstrings."""

import ast
import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

from pipeline.process import ExtractConfig
from trainer.baselines.settings import BaselineSettings
from trainer.config import TrainConfig
from trainer.presets import PRESETS

_ATTRIBUTE = re.compile(r"^    (?P<names>\w+(?:, \w+)*): (?P<text>.+)$")
_KINDS = {int: "whole number", float: "number", str: "text", type(None): "none"}

_INTRODUCTION = """\
# Settings

Frequent settings have options of their own ([commands](commands.md)). `--set section.key=value` changes any
setting, and may be repeated: `train --set model.tfe_blocks=8 --set optim.lr=0.001`. `none` is the value of a
setting that is not set. Values of lists are separated by commas. An unknown key is rejected, and the message
lists the keys that there are.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One key of `--set`."""

    key: str
    """``section.key``."""
    values: str
    """Its allowed values, or their kind."""
    default: str
    meaning: str


def list_settings(config: type[Any]) -> list[Setting]:
    """Return the settings of a config class whose fields are sections.

    Raises:
        ValueError: A setting has no description.
    """
    return [setting for section in _sections(config) for setting in _settings(*section)]


def settings_page() -> str:
    """Return the page as Markdown: settings of `extract`, of `train`, and what the presets change."""
    parts = [_INTRODUCTION]
    for heading, text, config in (
        (
            "Settings of an extraction",
            "For `extract` and `bench`. Those that affect features are part of the cache's identity.",
            ExtractConfig,
        ),
        (
            "Settings of a training",
            "For `train` and `ablate`. `config.toml` of a run has all of them; `train --config` reads it.",
            TrainConfig,
        ),
        (
            "Settings of the baselines",
            "For `ablate` with a table that has [baselines](baselines.md), in a row or for all rows.",
            BaselineSettings,
        ),
    ):
        parts.append(f"## {heading}\n\n{text}\n")
        for name, kind in _sections(config):
            parts.append(f"### {name}\n\n{_in_markdown(_summary(kind))}\n")
            rows = ["| setting | meaning | values | default |", "|---|---|---|---|"]
            rows += [
                f"| `{one.key}` | {_in_markdown(one.meaning)} | {one.values} | {one.default} |"
                for one in _settings(name, kind)
            ]
            parts.append("\n".join(rows) + "\n")
    parts.append(_presets())
    return "\n".join(parts)


def _sections(config: type[Any]) -> list[tuple[str, type[Any]]]:
    hints = typing.get_type_hints(config)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(config)]


def _settings(section: str, kind: type[Any]) -> Iterator[Setting]:
    hints, texts = typing.get_type_hints(kind), field_texts(kind)
    for field in dataclasses.fields(kind):
        key = f"{section}.{field.name}"
        if field.name not in texts:
            msg = f"{key} has no description; add it to the docstring of {kind.__module__}.{kind.__name__}."
            raise ValueError(msg)
        default = f"`{_shown(field.default)}`"
        yield Setting(key=key, values=_values(hints[field.name]), default=default, meaning=texts[field.name])


def field_texts(kind: type[Any]) -> dict[str, str]:
    """Return the description of each field of a dataclass.

    It is in the section "Attributes" of the docstring of the class, or a string below the field.
    """
    texts = dict(_below_fields(kind))
    names: list[str] = []
    _, found, attributes = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")
    for line in attributes.splitlines() if found else []:
        start = _ATTRIBUTE.match(line)
        if start:
            names = start["names"].split(", ")
            texts.update(dict.fromkeys(names, start["text"]))
        else:
            texts.update({name: f"{texts[name]} {line.strip()}".rstrip() for name in names})
    return texts


def _below_fields(kind: type[Any]) -> Iterator[tuple[str, str]]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield node.target.id, " ".join(str(after.value.value).split())


def _summary(kind: type[Any]) -> str:
    """Return the docstring of a class without its attributes."""
    return (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[0].strip()


def _values(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if hint is bool:
        return "`true`, `false`"
    if hint in _KINDS:
        return _KINDS[hint]
    args = [arg for arg in typing.get_args(hint) if arg is not Ellipsis]
    if typing.get_origin(hint) is tuple:
        kinds = list(dict.fromkeys(_values(arg) for arg in args))
        return f"list of {', '.join(kinds)}"
    return " or ".join(_values(arg) for arg in args)


def _shown(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def _presets() -> str:
    """Return the table of settings that differ among the presets."""
    flat = {name: _flat(make()) for name, make in PRESETS.items()}
    rows = [
        "## Presets\n",
        "`train --preset NAME`. Other settings have their defaults in every preset.\n",
        f"| setting | {' | '.join(f'`{name}`' for name in flat)} |",
        "|---" * (1 + len(flat)) + "|",
    ]
    for key in next(iter(flat.values())):
        values = [settings[key] for settings in flat.values()]
        if len(set(values)) > 1:
            rows.append(f"| `{key}` | {' | '.join(values)} |")
    return "\n".join(rows) + "\n"


def _flat(config: Any) -> dict[str, str]:
    return {
        f"{section.name}.{field.name}": _shown(getattr(getattr(config, section.name), field.name))
        for section in dataclasses.fields(config)
        for field in dataclasses.fields(getattr(config, section.name))
    }


def _in_markdown(text: str) -> str:
    """Return a docstring's text in Markdown, for a cell of a table too."""
    return re.sub(r"``(.+?)``", r"`\1`", text).replace("|", r"\|")

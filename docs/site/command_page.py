"""The page of all commands, from the command line itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import typer

_DEFAULT = re.compile(r"\s*\[(?P<default>[^\[\]]*)\]\.?$")
"""A help text ends with its default: ``[default: 16]``, or ``[none]`` if the default is described."""
_CHOICES = re.compile(r" <(?P<choices>[^<>|]+(?:\|[^<>|]+)+)>$")
"""An option's spellings end with its choices: ``--split <test|validation|train>``."""
_SECTIONS = ("Arguments", "Data", "Model", "Machine", "Output")

_INTRODUCTION = """\
# Commands

Every command and option, as `cli.py COMMAND --help` shows them. In any directory, `ous COMMAND` is the same
as `./cli.py COMMAND` in a checkout. The keys of `--set` are on the page of [settings](settings.md).

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a known error, in one line ([messages](troubleshooting.md)) |
| 2 | wrong usage, or a setting that is not allowed |
| 3 | a check has found faults, or clips failed under `--strict` |
| 130 | interrupted |
"""


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option or an argument, as `--help` shows it."""

    section: str
    """Heading of its table."""
    names: str
    """Spellings, with the kind of value."""
    meaning: str
    choices: tuple[str, ...]
    """Allowed values; empty if there is no list of them."""
    default: str
    """What holds without it; ``required`` if there is no default."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command with its options, in the order of its sections."""

    name: str
    """Words after the program, such as ``cache info``."""
    text: str
    example: str
    options: tuple[Option, ...] = field(default=())


def list_commands(app: typer.Typer) -> list[Command]:
    """Return all commands of a Typer application, groups after single commands."""
    root: Any = typer.main.get_command(app)
    return list(_walk(root, (), None))


def command_page(app: typer.Typer) -> str:
    """Return the page as Markdown: a heading per command, a table per section of its options."""
    commands = list_commands(app)
    parts = [_INTRODUCTION]
    for command in commands:
        parts.append(f"## {command.name}\n\n{command.text}\n")
        if command.example:
            parts.append(f"```\n{command.example}\n```\n")
        for section in dict.fromkeys(option.section for option in command.options):
            parts.append(f"**{section}**\n")
            rows = [option for option in command.options if option.section == section]
            parts.append(_table(rows))
    return "\n".join(parts)


def _walk(command: Any, names: tuple[str, ...], parent: Any) -> Iterator[Command]:
    """Yield a command, or the commands of a group. `parent` is the context of the group around it."""
    context = command.make_context(
        names[-1] if names else "cli.py", [], resilient_parsing=True, parent=parent
    )
    children = getattr(command, "commands", None)
    if children is not None:
        for name, child in children.items():
            yield from _walk(child, (*names, name), context)
        return
    yield Command(
        name=" ".join(names),
        text=_in_markdown(command.help or ""),
        example=(command.epilog or "").removeprefix("Example: "),
        options=tuple(_options(command, context)),
    )


def _options(command: Any, context: Any) -> list[Option]:
    found = []
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is None or param.name == "help":
            continue
        is_argument = param.param_type_name == "argument"
        section = "Arguments" if is_argument else getattr(param, "rich_help_panel", None) or "Output"
        names, text = record
        choices = _CHOICES.search(names)
        default = _DEFAULT.search(text)
        meaning = text[: default.start()] if default else text
        found.append(
            Option(
                section=section,
                names=(names[: choices.start()] if choices else names).replace("<list[Path]>", "<path>"),
                meaning=_in_markdown(meaning if meaning.endswith(".") else f"{meaning}."),
                choices=tuple(choices["choices"].split("|")) if choices else (),
                default=_default(names, default["default"]) if default else "",
            )
        )
    return sorted(found, key=lambda option: _SECTIONS.index(option.section))


def _default(names: str, text: str) -> str:
    """Return a default as a user may write it: of a pair of flags, the one that holds."""
    value = text.removeprefix("default: ")
    return f"`--{value}`" if f"--{value}" in names.split() else value


def _table(options: list[Option]) -> str:
    rows = ["| option | meaning | default |", "|---|---|---|"]
    for option in options:
        choices = ", ".join(f"`{choice}`" for choice in option.choices)
        meaning = f"{option.meaning} Values: {choices}." if choices else option.meaning
        rows.append(f"| `{_in_cell(option.names)}` | {_in_cell(meaning)} | {_in_cell(option.default)} |")
    return "\n".join(rows) + "\n"


def _in_markdown(text: str) -> str:
    """Return a help text with its commands, options and names in capitals kept from Markdown."""
    quoted = re.sub(r"(?<![`\w$/.])(--[a-z][a-z0-9-]*|\$[A-Z_/a-z]+)(?![`\w])", r"`\1`", text)
    return quoted.replace("*", r"\*").replace("<", "&lt;")


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")

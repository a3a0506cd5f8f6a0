"""Command class that shows options in sections of plain text, and an invalid choice as one line.

Typer draws groups of options as boxes of rich. Plain text needs no rich, is the same in a pipe, and
can be searched. An option names its section with Typer's own parameter `rich_help_panel`.
"""

import re
from typing import Any

import typer
from typer.core import TyperCommand

from pipeline.errors import ConfigError

DATA, MODEL, MACHINE, OUTPUT = "Data", "Model", "Machine", "Output"
_SECTIONS = (DATA, MODEL, MACHINE, OUTPUT)
_MOST_IN_ONE_SECTION = 7
"""Most parameters of a command whose options are in one section; with more, there is a section per topic."""
_WRONG_CHOICE = re.compile(r"(?P<value>'.*'|\".*\") is not one of (?P<allowed>'.*')\.$", re.DOTALL)
"""Typer's message, ``'x' is not one of 'a', 'b'.``"""


class Command(TyperCommand):
    """Command of this program: sections in `--help`, and ConfigError for an invalid choice."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options: in one section, or in sections by topic if there are many.

        Args:
            ctx: Typer's context of the command.
            formatter: Typer's formatter, which wraps lines.
        """
        arguments, sections = [], dict[str, list[tuple[str, str]]]()
        params = self.get_params(ctx)
        has_sections = len(params) > _MOST_IN_ONE_SECTION
        for param in params:
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                arguments.append(record)
                continue
            section = (getattr(param, "rich_help_panel", None) or OUTPUT) if has_sections else "Options"
            sections.setdefault(section, []).append(record)
        order = [name for name in _SECTIONS if name in sections] if has_sections else list(sections)
        for name, records in (("Arguments", arguments), *((name, sections[name]) for name in order)):
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of the command.

        Args:
            ctx: Typer's context of the command.
            args: Arguments after the command's name.

        Returns:
            Arguments that no parameter took.

        Raises:
            ConfigError: A value is not one of an option's choices. The message lists them.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            found = _WRONG_CHOICE.search(str(error.message))
            if found is None or error.param is None:
                raise
            allowed = ", ".join(re.findall(r"'([^']*)'", found["allowed"]))
            option = max(error.param.opts, key=len)
            msg = f"{option} is {found['value']}; allowed: {allowed}."
            raise ConfigError(msg) from None

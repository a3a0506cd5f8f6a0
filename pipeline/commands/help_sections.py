"""Command class that shows options in sections of plain text, and misuse of an option as one line.

Typer draws groups of options as boxes of rich. Plain text needs no rich, is the same in a pipe, and
can be searched. An option names its section with Typer's own parameter `rich_help_panel`.
"""

import copy
import re
from typing import Any

import typer
from typer.core import TyperCommand

from pipeline.errors import ConfigError, some
from pipeline.program import SCRIPT, called_name

DATA, MODEL, MACHINE, OUTPUT = "Data", "Model", "Machine", "Output"
_SECTIONS = (DATA, MODEL, MACHINE, OUTPUT)
_MOST_IN_ONE_SECTION = 7
"""Most parameters of a command whose options are in one section; with more, there is a section per topic."""
_WRONG_CHOICE = re.compile(r"(?P<value>'.*'|\".*\") is not one of (?P<allowed>'.*')\.$", re.DOTALL)
"""Typer's message, ``'x' is not one of 'a', 'b'.``"""
_FOR_SEVERAL = {
    ("evaluate", "--cache"): "For several caches, use `transfer`",
    ("report", "--cache"): "For several caches, use `transfer`",
    ("train", "--seed"): "For several seeds, use `ablate --seeds`",
}
"""What to do instead, for a command and its option that takes one value."""


class Command(TyperCommand):
    """Command of this program: sections in `--help`, and ConfigError for an invalid or repeated choice."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the example, which begins as this program was called. Arguments are those of Typer."""
        if self.epilog:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(self.epilog.replace(f"{SCRIPT} ", f"{called_name()} "))

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
            ConfigError: A value is not one of an option's choices, which the message lists; or an option that
                takes one value is given several different ones.
        """
        try:
            left = super().parse_args(ctx, list(args))
        except typer.BadParameter as error:
            found = _WRONG_CHOICE.search(str(error.message))
            if found is None or error.param is None:
                raise
            allowed = ", ".join(re.findall(r"'([^']*)'", found["allowed"]))
            option = max(error.param.opts, key=len)
            msg = f"{option} is {found['value']}; allowed: {allowed}."
            raise ConfigError(msg) from None
        self._require_single_values(ctx, args)
        return left

    def _require_single_values(self, ctx: Any, args: list[str]) -> None:
        """Raise ConfigError for an option with several values, of which Typer would take the last."""
        twin = copy.copy(self)
        twin.params = [_with_all_values(param) for param in self.params]
        values_of, _, _ = twin.make_parser(ctx).parse_args(list(args))
        for param in self.params:
            values = values_of.get(param.name)
            if not _takes_one(param) or not values or all(value == values[0] for value in values):
                continue
            option, name = max(param.opts, key=len), ctx.command_path.split(" ", 1)[-1]
            shown = [f"'{value if isinstance(value, str) else ' '.join(value)}'" for value in values]
            listed = (
                f"twice, {' and '.join(shown)}" if len(shown) == 2 else f"{len(shown)} times: {some(shown)}"
            )
            remedy = _FOR_SEVERAL.get((name, option), "Leave out the other" + "s" * (len(values) > 2))
            msg = f"{option} is given {listed}; {name} takes one. {remedy}."
            raise ConfigError(msg)


def _takes_one(param: Any) -> bool:
    """Return whether a parameter is an option with one value: neither a flag nor a list."""
    return param.param_type_name == "option" and not (param.is_flag or param.count or param.multiple)


def _with_all_values(param: Any) -> Any:
    """Return a copy of an option for which the parser keeps every value; other parameters unchanged."""
    if not _takes_one(param):
        return param
    twin = copy.copy(param)
    twin.multiple = True
    return twin

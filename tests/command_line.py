"""`cli.py` in this process, as a user calls it."""

import sys

import typer

import cli
from pipeline.commands.help_sections import Command


def call(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `cli.py` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["cli.py", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code or 0
    out = capsys.readouterr()
    return code, out.out, out.err


def commands() -> dict[str, Command]:
    """Every command by the words that call it."""
    found = {}
    for name, command in typer.main.get_command(cli.app).commands.items():
        for inner, one in getattr(command, "commands", {"": command}).items():
            found[f"{name} {inner}".strip()] = one
    return found

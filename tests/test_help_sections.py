"""Help and misuse of every command: sections, choices, plain text."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, get_args

import pytest
import typer
from typer.testing import CliRunner

from pipeline import choices
from pipeline.commands.help_sections import Command
from tests.command_line import call, commands

ROOT = Path(__file__).parents[1]
WIDTH = 80


COMMANDS = commands()
LONG = ("extract", "train", "evaluate", "report", "ablate", "bench", "data check")
CHOICES = {
    "--dataset": choices.Dataset,
    "--source": choices.ClipForm,
    "--scene": choices.SceneFrame,
    "--faces": choices.FaceSource,
    "--detector": choices.DetectorOption,
    "--tokens": choices.Tokens,
    "--preset": choices.Preset,
    "--split": choices.MeasuredSplit,
    "--table": choices.BundledTable,
}


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(call, monkeypatch, capsys)


def help_of(name: str) -> str:
    """What `cli.py NAME --help` prints."""
    command = COMMANDS[name]
    with typer.Context(command, info_name=f"cli.py {name}") as context:
        return command.get_help(context) + "\n"


def options(name: str) -> dict[str, object]:
    return {p.opts[0]: p for p in COMMANDS[name].params if p.param_type_name == "option"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_has_a_help_text(name):
    assert isinstance(COMMANDS[name], Command)
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.opts
        assert re.match(r"[A-Z].*[.\])]$", parameter.help, re.DOTALL), parameter.help


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_without_a_default_names_what_holds_instead(name):
    """In brackets, as Typer shows defaults."""
    for option, parameter in options(name).items():
        if parameter.default is None and not parameter.required:
            assert re.search(r"\[.+\]\.$", parameter.help), option


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_plain_text_of_80_columns(name):
    out = help_of(name)
    assert out.isascii()
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", LONG)
def test_options_of_long_commands_stand_in_sections(name):
    sections = re.findall(r"^(\w+):$", help_of(name), re.MULTILINE)
    shown = [section for section in sections if section != "Arguments"]
    assert shown == [one for one in ("Data", "Model", "Machine", "Output") if one in shown]
    assert {"Data", "Output"} <= set(shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_shown_once(name):
    shown = re.findall(r"^  (--[\w-]+)", help_of(name), re.MULTILINE)
    assert sorted(shown) == sorted([*options(name), "--help"])


def test_few_options_stand_in_one_section():
    assert re.findall(r"^(\w+):$", help_of("cache info"), re.MULTILINE) == ["Arguments", "Options"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_choices_and_a_wrong_one_is_one_line(run, name):
    out = help_of(name)
    kinds = CHOICES
    if "--faces" not in options(name):  # and no dataset that could provide them
        kinds = {**CHOICES, "--detector": choices.DetectorName}
    for option in set(kinds) & set(options(name)):
        values = get_args(kinds[option])
        assert re.search(rf"{option} [\[<]+{re.escape('|'.join(values))}[\]>]+", out)
        code, shown, err = run(*name.split(), option, "o'dd\x1b")
        assert (code, shown) == (2, "")
        assert re.fullmatch(rf"error: {option} is .*; allowed: {re.escape(', '.join(values))}\.\n", err), err


def test_the_choices_of_presets_are_the_presets():
    from trainer.presets import PRESETS

    assert tuple(PRESETS) == get_args(choices.Preset)


def test_bench_lists_its_parts():
    from pipeline.bench import PARTS

    assert f"commas: {', '.join(PARTS)} [all]." in " ".join(help_of("bench").split())


def test_misuse_of_other_kinds_shows_the_usage(run):
    for arguments in (["train", "--nope"], ["extract"], ["train", "--seed", "x"]):
        code, _, err = run(*arguments)
        assert code == 2
        assert err.startswith("Usage: ")


def test_the_help_of_the_program_names_the_glossary(run):
    code, out, _ = run("--help")
    assert code == 0
    assert out.rstrip().endswith("Terms: docs/glossary.md")


def test_a_pipe_gets_the_same_help_as_a_terminal_and_no_boxes():
    done = subprocess.run(
        [sys.executable, "cli.py", "extract", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True, env={"COLUMNS": "80", "FORCE_COLOR": "1"},
    )  # fmt: skip
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "evaluate r --cache A --cache=B",
            "--cache is given twice, 'A' and 'B'; evaluate takes one. For several caches, use `transfer`.",
        ),
        (
            "train --seed 1 --seed 2 --seed 1",
            "--seed is given 3 times: '1', '2', '1'; train takes one. "
            "For several seeds, use `ablate --seeds`.",
        ),
        (
            "cache verify c --root a --root b",
            "--root is given twice, 'a' and 'b'; cache verify takes one. Leave out the other.",
        ),
        (
            "report --rigid a b --rigid a c",
            "--rigid is given twice, 'a b' and 'a c'; report takes one. Leave out the other.",
        ),
    ],
)
def test_an_option_that_takes_one_value_is_not_given_two(run, arguments, message):
    assert run(*arguments.split()) == (2, "", f"error: {message}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_with_one_value_is_rejected_with_two(monkeypatch, run, name):
    monkeypatch.setattr(Command.__mro__[1], "parse_args", lambda _self, _context, args: args)
    monkeypatch.setattr(Command, "invoke", lambda *_: None)
    for option, parameter in options(name).items():
        if parameter.is_flag:
            continue
        number = parameter.nargs
        twice = [option, *["1"] * number, option, *["2"] * number]
        code, _, err = run(*name.split(), *twice)
        assert (code, f"{option} is given twice" in err) == ((0, False) if parameter.multiple else (2, True))
        assert run(*name.split(), *twice[: number + 1] * 2) == (0, "", "")  # an equal value hides nothing


def test_a_value_of_the_environment_is_not_a_second_one(monkeypatch):
    from pipeline.errors import ConfigError

    app = typer.Typer()

    @app.command(cls=Command)
    def one(place: Annotated[str, typer.Option(envvar="OUS_TEST_PLACE")]) -> None:
        typer.echo(place)

    found = CliRunner().invoke(app, ["--place", "a"], env={"OUS_TEST_PLACE": "b"})
    assert (found.exit_code, found.stdout) == (0, "a\n")
    found = CliRunner().invoke(app, ["--place", "a", "--place", "b"], env={"OUS_TEST_PLACE": "b"})
    assert isinstance(found.exception, ConfigError)


def test_help_comes_before_an_option_that_is_given_twice(run):
    assert run("evaluate", "--cache", "A", "--cache", "B", "--help")[0] == 0


@pytest.mark.parametrize(
    ("original", "called"),
    [(["python", "/my code/cli.py"], "python '/my code/cli.py'"), (["jupyter", "lab"], "cli.py")],
)
def test_the_example_begins_as_the_program_was_called(monkeypatch, original, called):
    monkeypatch.setattr("sys.orig_argv", original)
    monkeypatch.setattr("sys.argv", original[1:])
    assert f"Example: {called} cache info feats.zarr" in " ".join(help_of("cache info").split())

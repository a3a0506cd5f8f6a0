#!/usr/bin/env python3
"""Command line: the commands of the pipeline and of the trainer.

Progress and remarks go to stderr. The result goes to stdout, with `--json` as one JSON document.
Exit codes: 0 success; 1 a known error, in one line; 2 misuse; 3 a failed verification, or failed clips
with `--strict`. Large libraries are imported inside commands.
"""

import sys

try:
    import contextlib
    import os
    import signal
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Annotated

    import typer

    from pipeline.commands import bench, cache, data, extract, faces, weights
    from pipeline.commands.options import EXIT_INTERRUPTED
    from pipeline.commands.shutdown import Program
    from pipeline.errors import ConfigError, OusError
    from pipeline.program import program_version
    from pipeline.terminal import leave, open_standard_streams, say, show_error
    from trainer import commands as trainer
    from trainer import ensemble_command, export_command, predict_command, train_command, transfer_command
except ModuleNotFoundError as error:
    sys.exit(
        f"error: package '{error.name}' is missing; in a checkout, run `make install`, then .venv/bin/python "
        "cli.py; otherwise install the wheel with its dependencies"
    )
except KeyboardInterrupt:
    sys.stderr.write("stopped\n")
    sys.exit(130)  # EXIT_INTERRUPTED, which may not be imported at this point

NO_DIRECTORY = "The current directory does not exist any more; change to another one with cd."
NO_HOME = "This user has no home directory; set $HOME, or $OUS_WEIGHTS to a directory for model weights."

app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Terms: docs/glossary.md",
)
_OF_TRAINER = (train_command, trainer, ensemble_command, transfer_command, predict_command, export_command)
for commands in (*_OF_TRAINER, extract, faces, bench):
    app.add_typer(commands.app)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(weights.app, name="weights")


def _show_version(is_given: bool) -> None:
    if is_given:
        typer.echo(f"ous {program_version() or '(not installed)'}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Scene-guided dynamic facial expression recognition: clips -> feature cache -> trained OUS model."""


def _require_current_directory() -> None:
    """Raise ConfigError if the current directory was removed: libraries of torch would end the process."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ConfigError(NO_DIRECTORY) from None


@contextlib.contextmanager
def _safe_path_in_children() -> Iterator[None]:
    """Keep child processes from importing code of the current directory, which may be somebody's run."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def main() -> None:
    """Run a command, and print a known error as one line. SIGTERM has the effect of Ctrl-C."""
    try:
        open_standard_streams()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _require_current_directory()
        with _safe_path_in_children():
            app()
    except (OusError, OSError) as error:
        sys.exit(show_error(error))
    except RuntimeError as error:
        if "home directory" not in str(error):  # pathlib raises it for ~ if the user has no home directory
            raise
        sys.exit(show_error(ConfigError(NO_HOME)))
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(EXIT_INTERRUPTED)


def main_of_process() -> None:
    """Run a command, and end the process without waiting for threads that still run."""
    try:
        main()
    except SystemExit as end:
        leave(int(end.code or 0))


if __name__ == "__main__":
    main_of_process()

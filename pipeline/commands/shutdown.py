"""End of a command after Ctrl-C, and without waiting for threads that are inside a long matrix product."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from pipeline.commands.options import EXIT_INTERRUPTED
from pipeline.errors import OusError
from pipeline.terminal import leave_at_once, say, show_error


class Program(TyperGroup):
    """All commands of this program. Ctrl-C prints "stopped", unless the command prints a text of its own.

    Typer itself ends the process without output.
    """

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Parse the options before the name of a command. Arguments and result are Typer's."""
        with _interruption_shown():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Parse the command's arguments and run it. Argument and result are Typer's."""
        with _interruption_shown():
            return super().invoke(ctx)


@contextmanager
def _interruption_shown() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(EXIT_INTERRUPTED) from None


@contextmanager
def ends_at_once(stopped: str) -> Iterator[None]:
    """End the process after Ctrl-C, or after a known error while a block is still being computed.

    The interpreter's own shutdown unloads libraries that such a thread still uses, which crashes.

    Args:
        stopped: Text that is printed after Ctrl-C.
    """
    from pipeline.executor import is_at_work

    try:
        yield
    except KeyboardInterrupt:
        say(stopped)
        leave_at_once(EXIT_INTERRUPTED)
    except (OusError, OSError) as error:
        if is_at_work():
            leave_at_once(show_error(error))
        raise

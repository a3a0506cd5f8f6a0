"""What a command shows: remarks and progress for people on stderr, its answer on stdout.

Every text passes `printable` here, because names, notes and reasons in it may be other people's; what
libraries write passes `safe_streams`.
"""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.text import Text

from pipeline.errors import OusError, printable
from pipeline.safe_streams import guard_standard_streams
from pipeline.strict_json import to_json

if TYPE_CHECKING:
    from pipeline.runner import Speed

_people = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
_SECONDS_BETWEEN_LINES = 30.0
_LONGEST = 10_000
"""Characters of a remark or an error: a screen of them. A name may have megabytes."""
_EXIT_UNWRITTEN = 120


def open_standard_streams() -> None:
    """Give every standard stream that is closed the null device, as services and cron may start a program.

    Otherwise the next file that is opened would get the closed stream's number, and with it whatever
    libraries print. A character that a stream's encoding lacks is written as its escape.
    """
    for number, mode in enumerate(("r", "w", "w")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
            else:
                os.set_inheritable(number, True)
        name = ("stdin", "stdout", "stderr")[number]
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: PTH123, SIM115 - by its number
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    guard_standard_streams()


def say(text: str) -> None:
    """Print a line for people, on stderr."""
    _people.print(_line(text))


def _line(text: str) -> str:
    """The text on one line, its end left out where it is too long to be read."""
    more = len(text) - _LONGEST
    return printable(text) if more <= 0 else f"{printable(text[:_LONGEST])}... ({more} characters more)"


def answer(result: Any, as_json: bool) -> None:
    """Print the result of a command on stdout, in the form that its display module registers."""
    from pipeline.display.text import lines

    text = _as_json(result) if as_json else "\n".join(map(printable, lines(result)))
    sys.stdout.write(text + "\n")


def _as_json(result: Any) -> str:
    """The result as a JSON document of printable characters; json itself leaves DEL as it is."""
    from pipeline.display.json_values import to_json_values

    return to_json(to_json_values(result)).replace("\x7f", "\\u007f")


def first_part(as_json: bool) -> Callable[[Any], None]:
    """Return what prints the first part of an answer at once: on stderr, where stdout is for one document."""
    from pipeline.display.text import lines

    def show(result: Any) -> None:
        if not as_json:
            answer(result, as_json=False)
            sys.stdout.flush()
            return
        for line in lines(result):
            say(line)

    return show


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[tuple[Callable[[float], None], Callable[..., None]]]:
    """Show a bar on stderr with rate and time left; yield `start(total)` and `advance(amount, remark)`.

    what: the work. unit: of total and amount, such as clips or MB.

    remark: shown instead of the plain rate. Where stderr is not a terminal, a line every half
    minute instead.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn(
            "{task.fields[remark]}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        console=_people,
        expand=True,
        disable=not _people.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task(_line(what), total=None, remark="")
    total, done = 0.0, 0.0
    began = said = time.monotonic()

    def start(amount: float) -> None:
        nonlocal total, began
        total, began = amount, time.monotonic()
        bar.update(task, total=amount)

    def advance(amount: float, remark: str = "") -> None:
        nonlocal done, said
        done, now = done + amount, time.monotonic()
        rate = done / max(now - began, 1e-9)
        remark = _line(remark) or f"{rate:.2f} {unit}/s"
        bar.update(task, completed=done, remark=remark)
        if not _people.is_terminal and now - said > _SECONDS_BETWEEN_LINES:
            left = f"{(total - done) / rate:.0f} s left" if rate else "time left unknown yet"
            say(f"{what}: {done:.0f} of {total:.0f} {unit}, {left}; {remark}")
            said = now

    with bar:
        yield start, advance


def show_speed(start: Callable[[float], None], advance: Callable[..., None]) -> "Callable[[Speed], None]":
    """Shows a run's speed on a progress bar, which begins with the first; any thread may call it."""
    told: float | None = None
    one_at_a_time = threading.Lock()

    def show(speed: "Speed") -> None:
        nonlocal told
        with one_at_a_time:
            if told is None:
                start(speed.total)
                told = 0.0
            advance(speed.clips - told, str(speed))
            told = speed.clips

    return show


def leave_at_once(code: int) -> NoReturn:
    """End the process, also while other threads are inside a long product: nothing is lost by it.

    What cannot be written out any more makes the code 120, as Python's own end does.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or _EXIT_UNWRITTEN
    os._exit(code)


def leave(code: int) -> NoReturn:
    """End the process once what was registered for its end has run.

    Python's own end stops the libraries' threads wherever they are, and one inside torch aborts the process.
    """
    atexit._run_exitfuncs()
    leave_at_once(code)


def show_error(error: Exception) -> int:
    """Print a known error in one line on stderr; the exit code that goes with it."""
    text = str(error)
    if isinstance(error, OSError):
        text = (f"'{error.filename}': " if error.filename else "") + (error.strerror or text)
    _people.print(
        Text.assemble(("error:", "bold red"), " ", _line(" ".join(map(str.strip, text.splitlines()))))
    )
    return error.exit_code if isinstance(error, OusError) else OusError.exit_code

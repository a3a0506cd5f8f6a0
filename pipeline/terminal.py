"""Output of commands: remarks and progress on stderr, the result on stdout.

Every text passes `printable` here, because it may contain names, notes and reasons of other people. Output
of libraries passes `safe_streams`.
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
"""Most characters of a remark or an error, about a screen. A name may have megabytes."""
_EXIT_UNWRITTEN = 120


def open_standard_streams() -> None:
    """Connect every closed standard stream to the null device; services and cron may close them.

    Otherwise the next opened file would get the number of the closed stream, and libraries would print into
    it. A character that a stream's encoding does not have is written as an escape.
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
    """Return the text on one line, cut if it is too long."""
    more = len(text) - _LONGEST
    return printable(text) if more <= 0 else f"{printable(text[:_LONGEST])}... ({more} characters more)"


def answer(result: Any, as_json: bool) -> None:
    """Print the result of a command on stdout, in the form that its display module registers.

    Args:
        result: The result.
        as_json: Whether it is printed as one JSON document instead of lines of text.
    """
    from pipeline.display.text import lines

    text = _as_json(result) if as_json else "\n".join(map(printable, lines(result)))
    sys.stdout.write(text + "\n")


def _as_json(result: Any) -> str:
    """Return the result as a JSON document of printable characters; json itself does not escape DEL."""
    from pipeline.display.json_values import to_json_values

    return to_json(to_json_values(result)).replace("\x7f", "\\u007f")


def first_part(as_json: bool) -> Callable[[Any], None]:
    """Return a function that prints the first part of a result at once: on stdout, or with JSON on stderr."""
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
    """Show a progress bar on stderr, with rate and remaining time.

    If stderr is not a terminal, a line is printed every 30 s instead.

    Args:
        what: Name of the work.
        unit: Unit of the amounts, such as clips or MB.

    Yields:
        `start(total)`, which may begin another part of the work, and `advance(amount, remark)`. A remark is
        shown instead of the plain rate.
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
    began = last_line = time.monotonic()

    def start(amount: float) -> None:
        nonlocal total, done, began
        total, done, began = amount, 0.0, time.monotonic()
        bar.reset(task, total=amount, remark="")

    def advance(amount: float, remark: str = "") -> None:
        nonlocal done, last_line
        done, now = done + amount, time.monotonic()
        rate = done / max(now - began, 1e-9)
        remark = _line(remark) or f"{rate:.2f} {unit}/s"
        bar.update(task, completed=done, remark=remark)
        if not _people.is_terminal and now - last_line > _SECONDS_BETWEEN_LINES:
            left = f"{(total - done) / rate:.0f} s left" if rate else "time left unknown yet"
            say(f"{what}: {done:.0f} of {total:.0f} {unit}, {left}; {remark}")
            last_line = now

    with bar:
        yield start, advance


def show_speed(start: Callable[[float], None], advance: Callable[..., None]) -> "Callable[[Speed], None]":
    """Return a function that shows a run's speed on a progress bar; any thread may call it.

    Args:
        start: First value of `progress_bar`, called before the first speed is shown.
        advance: Second value of `progress_bar`.
    """
    shown_clips: float | None = None
    lock = threading.Lock()

    def show(speed: "Speed") -> None:
        nonlocal shown_clips
        with lock:
            if shown_clips is None:
                start(speed.total)
                shown_clips = 0.0
            advance(speed.clips - shown_clips, str(speed))
            shown_clips = speed.clips

    return show


def leave_at_once(code: int) -> NoReturn:
    """End the process, also while other threads are inside a long matrix product.

    Args:
        code: Exit code. If it is 0 and a standard stream cannot be flushed, it becomes 120, as in Python.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or _EXIT_UNWRITTEN
    os._exit(code)


def leave(code: int) -> NoReturn:
    """End the process after the functions that are registered with atexit.

    Python's own shutdown stops threads of libraries at any point, and a thread inside torch then aborts the
    process.
    """
    atexit._run_exitfuncs()
    leave_at_once(code)


def show_error(error: Exception) -> int:
    """Print a known error in one line on stderr, and return its exit code."""
    text = str(error)
    if isinstance(error, OSError):
        text = (f"'{error.filename}': " if error.filename else "") + (error.strerror or text)
    _people.print(
        Text.assemble(("error:", "bold red"), " ", _line(" ".join(map(str.strip, text.splitlines()))))
    )
    return error.exit_code if isinstance(error, OusError) else OusError.exit_code

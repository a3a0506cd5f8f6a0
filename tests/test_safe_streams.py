"""What libraries and Python itself write is printable too; rich alone draws its bars past the filter."""

import copy
import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.safe_streams import PrintableStream, guard_standard_streams

HOSTILE = "\x1b]0;mine\x07\u202e\x9b31m\r\x00"
SHOWN = "?]0;mine???31m??"


def guarded(monkeypatch):
    """Standard streams of the test's own, guarded; pytest sets its own between a fixture and the test."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    guard_standard_streams()
    return out, err


def test_what_is_written_keeps_its_lines_and_loses_all_control(monkeypatch):
    out, err = guarded(monkeypatch)
    assert sys.stdout.write(f"{HOSTILE}\nnext\n") == len(f"{HOSTILE}\nnext\n")
    sys.stderr.writelines([HOSTILE, "\n"])
    assert out.getvalue() == f"{SHOWN}\nnext\n"
    assert err.getvalue() == f"{SHOWN}\n"


def test_logs_and_tracebacks_go_through(monkeypatch):
    _, err = guarded(monkeypatch)
    logging.StreamHandler().handle(logging.LogRecord("a", logging.ERROR, "a.py", 1, HOSTILE, None, None))
    sys.excepthook(ValueError, ValueError(HOSTILE), None)
    assert err.getvalue().count(SHOWN) == 2
    assert err.getvalue().replace("\n", "").isprintable()


def test_a_stream_is_guarded_once_and_offers_no_way_around(monkeypatch):
    out, _ = guarded(monkeypatch)
    once = sys.stdout
    guard_standard_streams()
    assert sys.stdout is once
    assert once.rich_proxied_file is out
    assert not hasattr(PrintableStream(io.TextIOWrapper(io.BytesIO())), "buffer")
    assert isinstance(copy.copy(once), PrintableStream)
    with pytest.raises((TypeError, AttributeError)):
        sys.stdout.write(b"bytes")


def test_an_unexpected_error_of_a_command_and_of_its_arguments(tmp_path):
    """A process of its own: a library's print, a warning and a traceback, each with a hostile text."""
    script = tmp_path / "script.py"
    script.write_text(
        "import warnings\n"
        "from pipeline.terminal import open_standard_streams\n"
        "open_standard_streams()\n"
        f"text = {HOSTILE!r}\n"
        "print(text)\n"
        "warnings.warn(text)\n"
        "raise ValueError(text)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=Path(__file__).parents[1], capture_output=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.stdout.decode() == f"{SHOWN}\n"
    assert done.stderr.decode().count(SHOWN) == 2
    assert done.stderr.decode().replace("\n", "").isprintable()

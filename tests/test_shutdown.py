import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.core import TyperGroup

from pipeline.commands.help_sections import Command
from tests.command_line import call, commands

ROOT = Path(__file__).parents[1]
slow = partial(pytest.param, marks=pytest.mark.slow)
SCRIPT = """
import threading
import time
from types import SimpleNamespace

from pipeline.commands.shutdown import ends_at_once
from pipeline.errors import CacheError
from pipeline.executor import LocalExecutor

out, both = threading.Event(), threading.Barrier(2)

def block(task, context):
    both.wait()
    if task == "raises":
        raise {error}
    out.wait({stays})  # as a long product, which is not to be interrupted
    context.advance(1.0)
    return "done"

worker = SimpleNamespace(run=block, close=lambda: None)
executor = LocalExecutor(SimpleNamespace(slots=2, start=lambda: worker))
try:
    with ends_at_once("stopped; all is safe"):
        try:
            list(executor.run(["raises", "stays"]))
        finally:
            if {leaves}:
                out.set()
                time.sleep(0.5)
except CacheError as error:
    print("passed on:", error)
"""


@pytest.mark.parametrize(
    ("stays", "leaves", "error", "code", "out", "err"),
    [
        (60, False, "CacheError('the lock\\nis lost')", 1, "", "error: the lock is lost\n"),
        slow(60, False, "OSError(28, 'No space left', 'feats')", 1, "", "error: 'feats': No space left\n"),
        slow(60, True, "CacheError('the lock is lost')", 1, "", "error: the lock is lost\n"),
        slow(0, False, "CacheError('the lock is lost')", 0, "passed on: the lock is lost\n", ""),
        (60, False, "KeyboardInterrupt", 130, "", "stopped; all is safe\n"),
    ],
)
def test_a_thread_inside_a_block_is_not_waited_for(stays, leaves, error, code, out, err):
    script = SCRIPT.format(stays=stays, leaves=leaves, error=error)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_ctrl_c_while_a_command_starts_ends_it_in_one_line(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    ended = subprocess.run(
        [sys.executable, ROOT / "cli.py", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "stopped\n")


INTERRUPTED = """
import os, signal, sys

class Interrupting:
    \"\"\"Ctrl-C at the import of a module.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

module, *sys.argv = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
with open(sys.argv[0]) as file:
    program = compile(file.read(), sys.argv[0], "exec")
sys.modules.pop(module, None)
sys.meta_path.insert(0, Interrupting())
exec(program, {"__name__": "__main__"})
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("contextlib", ["--version"]),  # the first import of cli.py
        ("typer", ["evaluate", "run"]),
        ("trainer.evaluation", ["evaluate", "run"]),
        slow("torch", ["train", "--cache", "feats.zarr"]),
        slow("pipeline.store.reader", ["cache", "info", "feats.zarr"]),
    ],
)
def test_ctrl_c_while_modules_are_imported_is_one_line(module, arguments):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module, "cli.py", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def interrupted(*_args, **_more):
    raise KeyboardInterrupt


@pytest.mark.parametrize("method", ["parse_args", "invoke"])
@pytest.mark.parametrize("command", commands())
def test_ctrl_c_is_one_line_in_every_command(monkeypatch, capsys, command, method):
    monkeypatch.setattr(Command, "parse_args", lambda *_: [])  # no argument is missing
    monkeypatch.setattr(Command, method, interrupted)
    assert call(monkeypatch, capsys, *command.split()) == (130, "", "stopped\n")


def test_ctrl_c_before_a_command_is_found_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(TyperGroup, "parse_args", interrupted)
    assert call(monkeypatch, capsys, "train") == (130, "", "stopped\n")


def test_a_text_of_the_command_takes_the_place_of_this_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "feats.zarr").mkdir()
    monkeypatch.setattr("trainer.train_command.note_versions", lambda cache: None)
    monkeypatch.setattr("trainer.training.train", interrupted)
    code, out, err = call(monkeypatch, capsys, "train")
    assert (code, out, err) == (130, "", "stopped in the first epoch; no model is kept.\n")

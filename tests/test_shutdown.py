import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

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

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import threading
from pipeline.commands.ending import ends_at_once
from pipeline.errors import CacheError

held = threading.Event()
threading.Thread(target=held.wait, name={name!r}).start()  # no daemon: an ordered end would wait for it
try:
    with ends_at_once("stopped; all is safe"):
        raise {error}
except CacheError as error:
    print("passed on:", error)
    held.set()
"""


@pytest.mark.parametrize(
    ("name", "error", "code", "out", "err"),
    [
        ("block-0", "CacheError('the lock\\nis lost')", 1, "", "error: the lock is lost\n"),
        ("block-0", "OSError(28, 'No space left', 'feats')", 1, "", "error: 'feats': No space left\n"),
        ("another", "CacheError('the lock is lost')", 0, "passed on: the lock is lost\n", ""),
        ("block-0", "KeyboardInterrupt", 130, "", "stopped; all is safe\n"),
    ],
)
def test_a_thread_inside_a_block_is_not_waited_for(name, error, code, out, err):
    script = SCRIPT.format(name=name, error=error)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)

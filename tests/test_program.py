import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.program import command

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("original", "script", "called"),
    [
        (["python3", "./cli.py", "train"], "./cli.py", "./cli.py"),
        ([".venv/bin/python", "cli.py", "train"], "cli.py", ".venv/bin/python cli.py"),
        (["python", "-X", "utf8", "/my code/cli.py"], "/my code/cli.py", "python -X utf8 '/my code/cli.py'"),
        (["python3", "cli.py"], "cli.py", "python3 cli.py"),
        (["python", "-m", "pytest"], "/lib/pytest/__main__.py", "cli.py"),
        (["jupyter", "lab"], "cli.py", "cli.py"),
        (["/no where/python", "/no where/bin/ous", "train"], "/no where/bin/ous", "'/no where/bin/ous'"),
        (["jupyter", "lab"], "/bin/ous", "cli.py"),
    ],
)
def test_a_command_begins_as_this_one_did(monkeypatch, original, script, called):
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setattr(sys, "argv", [script, "train"])
    assert (
        command("evaluate", Path("my run"), "--split", "test") == f"{called} evaluate 'my run' --split test"
    )


def test_a_command_out_of_a_message_can_be_run(tmp_path):
    """The proposal of a command that failed: it fails as misuse of `extract`, not of the shell."""
    failed = subprocess.run(
        [sys.executable, "cli.py", "cache", "info", tmp_path / "no cache.zarr"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 1
    proposed = failed.stderr.split("`")[1].removesuffix("...")
    assert proposed.startswith(f"{sys.executable} cli.py extract --cache")
    again = subprocess.run(
        proposed, shell=True, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert "Missing option '--dataset'" in again.stderr


HOSTILE = "a b\x1b]0;x\x07\u202e'\\\n1\udcff.zarr"


def test_an_argument_with_other_characters_is_printable_and_names_the_same_file():
    quoted = command("evaluate", HOSTILE)
    assert quoted.isprintable()
    script = f"printf '%s' {quoted.removeprefix('cli.py evaluate ')}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout == os.fsencode(HOSTILE)
    assert command("evaluate", "\ud800").isprintable()

"""Commands without standard streams, home directory or current directory, as services may start them."""

import os
import pwd
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from unittest.mock import Mock

import pytest

import cli
from tests.command_line import call

ROOT = Path(__file__).parents[1]
OPENED = """
import sys
from pipeline.terminal import open_standard_streams
open_standard_streams()
with open(sys.argv[1], "w") as file:
    assert file.fileno() > 2, file.fileno()
    print("an answer"); print("a remark", file=sys.stderr); sys.stdin.read()
    sys.stdout.flush(); sys.stderr.flush()
"""


def shell(command, *redirections, before="", **environment):
    """Exit code, stdout and stderr of Python with these arguments, in a shell that closes streams."""
    line = " ".join([before, f"exec '{sys.executable}'", command, *redirections])
    done = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "closed", [combination for n in (1, 2, 3) for combination in combinations(("<&-", ">&-", "2>&-"), n)]
)
def test_a_closed_stream_takes_whatever_is_written_and_no_file_gets_its_number(tmp_path, closed):
    file = tmp_path / "data"
    code, out, err = shell(f"-c '{OPENED}' '{file}'", *closed)
    assert (code, file.read_text()) == (0, "")
    assert out == ("" if ">&-" in closed else "an answer\n")
    assert err == ("" if "2>&-" in closed else "a remark\n")


def test_a_character_that_the_terminal_cannot_show_is_escaped(tmp_path):
    (tmp_path / "m\u00fcde").mkdir()
    (tmp_path / "m\u00fcde/1.mp4").write_bytes(b"x")
    command = f"cli.py data check --dataset folder --root '{tmp_path}'"
    code, out, err = shell(command, PYTHONIOENCODING="ascii")
    assert (code, "m\\xfcde" in out, err) == (0, True, "")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("data check --dataset folder --root '{}'", 0),
        ("cache info none.zarr", 1),
        ("evaluate", 2),
        ("--help", 0),
    ],
)
def test_commands_keep_their_exit_code_without_any_stream(tmp_path, command, code):
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy/1.mp4").write_bytes(b"x")
    command = command.format(tmp_path)
    assert shell(f"cli.py {command}", "<&-", ">&-", "2>&-") == (code, "", "")
    ended, out, err = shell(f"cli.py {command}", ">&-")
    assert (ended, out) == (code, "")
    assert "Traceback" not in err


def test_a_user_without_a_home_directory_is_one_line_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # of an unknown user it raises KeyError
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("OUS_WEIGHTS", raising=False)
    code, out, err = call(monkeypatch, capsys, "weights", "list")
    assert (code, out, err) == (2, "", f"error: {cli.NO_HOME}\n")
    monkeypatch.setenv("OUS_WEIGHTS", "/weights")
    assert call(monkeypatch, capsys, "weights", "list")[0] == 0


def test_another_runtime_error_is_not_taken_for_it(monkeypatch, capsys):
    error = RuntimeError("another one")
    monkeypatch.setattr(cli, "app", Mock(side_effect=error))
    with pytest.raises(RuntimeError, match="another one"):
        call(monkeypatch, capsys)


@pytest.mark.parametrize(
    "command", ["train --cache feats.zarr", "data check --dataset folder --root /", "--help"]
)
def test_a_current_directory_that_was_removed_is_one_line(tmp_path, command):
    place = tmp_path / "removed"
    place.mkdir()
    code, out, err = shell(
        f"'{ROOT / 'cli.py'}' {command}", before=f"cd '{place}' && rmdir '{place}' &&", PYTHONPATH=str(ROOT)
    )
    assert (code, out, err) == (2, "", f"error: {cli.NO_DIRECTORY}\n")

"""Follow a tutorial as its reader does: write the files that the page shows, run its commands, in its order.

A code block with `title="NAME"` is the file NAME. A line of a `console` block that begins with `$` is a
command. Other blocks are output, or commands that a test cannot run, such as an installation.
"""

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import cli
from tests import tiny_clip

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "docs/tutorials"
_BLOCK = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class PageFile:
    """A file that the page shows.

    Attributes:
        name: Path relative to the reader's directory.
        text: Content.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command of the page, as a shell reads it."""

    line: str


def steps(page: Path) -> list[PageFile | Command]:
    """Return the files and commands of a page in order."""
    found: list[PageFile | Command] = []
    for language, title, body in _BLOCK.findall(page.read_text()):
        if title:
            found.append(PageFile(title, body))
        elif language == "console":
            joined = body.replace("\\\n", " ")
            found += [Command(line[2:]) for line in joined.splitlines() if line.startswith("$ ")]
    return found


def commands(page: Path) -> list[str]:
    """Return the commands of a page in order."""
    return [step.line for step in steps(page) if isinstance(step, Command)]


def prepare(directory: Path) -> Path:
    """Make `directory` look like a checkout with an environment: `cli.py`, `docs`, `.venv`. Return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, target in (("cli.py", ROOT / "cli.py"), ("docs", ROOT / "docs"), (".venv", sys.prefix)):
        (directory / name).symlink_to(target)
    return directory


def follow(
    page: Path,
    directory: Path,
    stand_ins: Mapping[str, str] | None = None,
    *,
    codes: Mapping[str, int] | None = None,
    path: Path | None = None,
) -> dict[str, str]:
    """Write the files and run the commands of a page in a directory of `prepare`.

    `./cli.py` runs in this process, which saves its start, and everything else in a shell. Both know the
    small encoder of `tests.modest`.

    Args:
        page: The tutorial.
        directory: The reader's working directory.
        stand_ins: Texts of files and commands, and what replaces them. Each must occur in the page.
        codes: Exit codes other than 0, by the start of a command as the page shows it.
        path: Directory of programs that the machine lacks, before those of PATH.

    Returns:
        The stdout of each command, by the command as the page shows it.

    Raises:
        AssertionError: A command has another exit code, or a stand-in replaces nothing.
    """
    tiny_clip.modest_model()
    unused = set(stand_ins or {})
    programs = [*([str(path)] if path else []), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(programs),
        "PYTHONPATH": tiny_clip.PYTHONPATH,
        "OUS": str(directory),
    }
    outputs: dict[str, str] = {}

    def replaced(text: str) -> str:
        for shown, used in (stand_ins or {}).items():
            if shown in text:
                unused.discard(shown)
                text = text.replace(shown, used)
        return text

    for step in steps(page):
        if isinstance(step, PageFile):
            (directory / step.name).parent.mkdir(parents=True, exist_ok=True)
            (directory / step.name).write_text(replaced(step.text))
            continue
        line = replaced(step.line)
        ran = _in_process(line, directory, environment) or subprocess.run(
            ["bash", "-euc", line], cwd=directory, env=environment, capture_output=True, text=True
        )
        expected = next((code for start, code in (codes or {}).items() if step.line.startswith(start)), 0)
        assert ran.returncode == expected, f"{page.name}: {line}\n{ran.stdout}\n{ran.stderr}"
        outputs[step.line] = ran.stdout
    assert not unused, f"{page.name} has no {sorted(unused)}; remove or correct these stand-ins"
    return outputs


def _in_process(
    line: str, directory: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str] | None":
    """Run a line that only calls `./cli.py`, with its `*` expanded; None for any other line."""
    words = shlex.split(line)
    if words[0] != "./cli.py" or set("|&;<>$`(){}~") & set(line):
        return None
    arguments = [
        name for word in words[1:] for name in (_expanded(word, directory) if "*" in word else [word])
    ]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        chdir(directory),
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", ["./cli.py", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def _expanded(pattern: str, directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.glob(pattern)) or [pattern]

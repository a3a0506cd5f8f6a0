"""Commands of this program in messages, written so that a user can copy them into a shell."""

import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SCRIPT, INSTALLED = "cli.py", "ous"
"""Names of this program: in a checkout, and as an installed command."""
_BY_SHEBANG = "python3"


def command(*arguments: object) -> str:
    """Return a command of this program for a shell, with the interpreter and script of this process.

    Examples are ``.venv/bin/python cli.py evaluate 'my run'`` and ``ous evaluate 'my run'``. The script is
    ``cli.py`` if another program, such as a notebook, runs this code.
    """
    return f"{called_name()} {' '.join(quoted(str(argument)) for argument in arguments)}"


def called_name() -> str:
    """Return the interpreter and script of this process as a user would type them. See `command`."""
    script = sys.argv[0]
    if Path(script).name == INSTALLED and script in sys.orig_argv:
        on_path = shutil.which(INSTALLED)
        is_this = on_path is not None and Path(on_path).absolute() == Path(script).absolute()
        return INSTALLED if is_this else quoted(script)
    if Path(script).name != SCRIPT or script not in sys.orig_argv:
        return SCRIPT
    interpreter = sys.orig_argv[: sys.orig_argv.index(script)]
    if interpreter == [_BY_SHEBANG] and "/" in script:  # called as ./cli.py
        return quoted(script)
    return " ".join(map(quoted, [*interpreter, script]))


def program_version() -> str:
    """Return the version of this program; empty if it is run from a directory without being installed."""
    try:
        return version(INSTALLED)
    except PackageNotFoundError:
        return ""


def quoted(argument: str) -> str:
    """Return an argument for a shell, in printable characters only.

    An argument with other characters is written as ``$'...'`` with an escape for each of their bytes
    (POSIX.1-2024; bash, zsh, ksh), so that the command still names the same file.
    """
    if argument.isprintable():
        return shlex.quote(argument)
    return f"$'{''.join(map(_escaped, argument))}'"


def _escaped(letter: str) -> str:
    """Return a character within ``$'...'``, in octal: digits that follow do not extend such an escape."""
    if letter.isprintable():
        return f"\\{letter}" if letter in "\\'" else letter
    is_byte = "\udc80" <= letter <= "\udcff"  # of a file name that is not UTF-8
    encoded = letter.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in encoded)

"""How this program was called: for commands that a user can copy out of a message."""

import shlex
import sys
from pathlib import Path

SCRIPT = "cli.py"
_BY_SHEBANG = "python3"


def command(*arguments: object) -> str:
    """Return a command of this program for a shell, called the way it was called this time.

    Such as ``.venv/bin/python cli.py evaluate 'my run'``. It is ``cli.py`` where another program, such as a
    notebook, runs this code.
    """
    return f"{_called()} {shlex.join(map(str, arguments))}"


def _called() -> str:
    script = sys.argv[0]
    if Path(script).name != SCRIPT or script not in sys.orig_argv:
        return SCRIPT
    interpreter = sys.orig_argv[: sys.orig_argv.index(script)]
    if interpreter == [_BY_SHEBANG] and "/" in script:  # it was called by itself, as ./cli.py
        return shlex.quote(script)
    return shlex.join([*interpreter, script])

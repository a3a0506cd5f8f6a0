"""`cli.py` in this process, as a user calls it."""

import sys

import cli


def call(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `cli.py` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["cli.py", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code or 0
    out = capsys.readouterr()
    return code, out.out, out.err

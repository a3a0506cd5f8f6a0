"""The table of findings in docs/checking-data.md: ``python -m pipeline.doctor.page`` prints it."""

import sys

from pipeline.doctor.finding_kinds import KINDS, Kind


def kinds_table() -> str:
    """Return a table in Markdown with a row for every kind of finding."""
    rows = [_row(name, kind) for name, kind in KINDS.items()]
    return "\n".join(["| finding | severity | meaning | remedy |", "|---|---|---|---|", *rows]) + "\n"


def _row(name: str, kind: Kind) -> str:
    severity = f"{kind.severity}, deep" if kind.deep else str(kind.severity)
    return f"| `{name}` | {severity} | {kind.meaning} | {kind.remedy} |"


if __name__ == "__main__":
    sys.stdout.write(kinds_table())

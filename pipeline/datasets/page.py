"""The README's table of datasets, from the registry: ``python -m pipeline.datasets.page`` prints it."""

import sys
from importlib import import_module

from pipeline.datasets import READERS
from pipeline.datasets.official_reader import OfficialSet


def datasets_table() -> str:
    """Return one row per dataset that can be read, as Markdown."""
    rows = ["| `--dataset` | dataset | clips | classes | folds | access |", "|---|---|---|---|---|---|"]
    return "\n".join([*rows, *(_row(name) for name in READERS)])


def _row(name: str) -> str:
    module = import_module(f"pipeline.datasets.{name}")
    official: OfficialSet | None = getattr(module, "SET", None)
    if official is None:
        first = (module.__doc__ or "").strip().splitlines()[0].rstrip(".").replace("``", "`")
        return f"| `{name}` | {first} | | | | |"
    published = official.published
    cells = (
        published.title,
        f"{published.num_clips:,}",
        str(len(published.class_names)),
        str(len(published.fold_names)),
        published.access,
    )
    return f"| `{name}` | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(f"{datasets_table()}\n")

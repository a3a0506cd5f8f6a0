"""A grid's folder -> its table as far as the runs have got. Nothing is trained, measured or written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, OusError, first_line
from trainer.ablate.asked import Asked, AskedRun
from trainer.ablate.compare import GridResult
from trainer.ablate.ledger import ASKED, GRID_FILE, OUTCOME_FILE, read_outcome
from trainer.ablate.outcome import Outcome
from trainer.ablate.spec import taken

_MOST_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class StoredGrid:
    """What the folder `out` holds.

    outcomes: of the result, by run directory. num_others: those of folds or seeds that are not asked for.
    """

    out: Path
    outcomes: Mapping[Path, Outcome]
    result: GridResult
    num_others: int

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {"folder": str(self.out), "num_others": self.num_others, **self.result.to_dict()}


def is_grid(folder: Path) -> bool:
    """Whether a folder is that of a grid, sound or damaged."""
    return (folder / GRID_FILE).is_file()


def read_grid(out: Path) -> StoredGrid:
    """The table that the last `ablate` into a folder has asked for, of the outcomes that are there.

    Raises ConfigError for a folder without a grid or with a damaged one, OusError for a damaged outcome.
    """
    asked, fingerprint = _read(out / GRID_FILE)
    found = {out / run.folder: _outcome(out, run) for run in asked.runs()}
    outcomes = {run_dir: outcome for run_dir, outcome in found.items() if outcome is not None}
    there = {path.parent for path in out.glob(f"*/fold*/{OUTCOME_FILE}")}
    return StoredGrid(
        out=out,
        outcomes=outcomes,
        result=GridResult.of(asked, fingerprint, list(outcomes.values())),
        num_others=len(there - found.keys()),
    )


def _read(path: Path) -> tuple[Asked, str]:
    """What was asked of a grid, and the fingerprint of its cache."""
    try:
        values = _values(path)
        asked = Asked.from_dict(taken(values, ASKED, dict, ""))
        return asked, taken(taken(values, "cache", dict, ""), "fingerprint", str, "cache.")
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        why = first_line(error).rstrip(".")
        msg = f"'{path}' does not tell what its grid is ({why}). Run its `ablate` command again."
        raise ConfigError(msg) from error


def _values(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MOST_BYTES:
        msg = f"it has {path.stat().st_size} bytes; allowed: {_MOST_BYTES}"
        raise ConfigError(msg)
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        msg = f"it holds {values!r:.100}; a section with keys is needed"
        raise ConfigError(msg)
    return values


def _outcome(out: Path, run: AskedRun) -> Outcome | None:
    outcome = read_outcome(out / run.folder)
    if outcome is not None and (outcome.row, outcome.fold, outcome.seed) != (
        run.row.name,
        run.fold,
        run.seed,
    ):
        there = f"{outcome.row}, fold {outcome.fold}, seed {outcome.seed}"
        msg = f"'{out / run.folder}' holds the outcome of another run ({there}); remove this folder."
        raise OusError(msg)
    return outcome

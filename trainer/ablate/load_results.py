"""The directory of a sweep -> its table so far. Nothing is trained, measured or written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, FileError, first_line
from pipeline.own_dir import OwnDir
from pipeline.strict_json import from_json
from trainer.ablate.aggregate import SweepResult
from trainer.ablate.outcome import Outcome
from trainer.ablate.stored_predictions import read_predictions_of
from trainer.ablate.sweep_directory import (
    GRID_FILE,
    MOST_BYTES,
    REQUEST_KEY,
    outcome_of,
    planned_after,
    settled,
)
from trainer.ablate.sweep_request import SweepRequest
from trainer.ablate.typed_values import taken


@dataclass(frozen=True, kw_only=True)
class StoredSweep:
    """Content of the directory of a sweep.

    Attributes:
        out: The directory.
        outcomes: Outcomes of the last request, by run directory.
        num_others: Number of outcomes of other folds or seeds.
    """

    out: Path
    outcomes: Mapping[Path, Outcome]
    result: SweepResult
    num_others: int


def is_sweep(folder: Path) -> bool:
    """Return whether a directory is that of a sweep, damaged or not."""
    return OwnDir.of(folder).kind(GRID_FILE) is not None


def read_sweep(out: Path) -> StoredSweep:
    """Return the table of the last `ablate` into a directory, with the outcomes so far.

    Raises ConfigError for a directory without a sweep or with a damaged one, OusError for a damaged outcome.
    """
    folder = OwnDir.of(out)
    request, fingerprint = _read(folder)
    found = {
        out / run.folder: outcome_of(folder / run.folder, run.row.name, run.fold, run.seed)
        for run in request.runs()
    }
    outcomes = {run_dir: outcome for run_dir, outcome in found.items() if outcome is not None}
    there = {run_dir.path for run_dir in settled(folder)}
    return StoredSweep(
        out=out,
        outcomes=outcomes,
        result=SweepResult.of(
            request,
            fingerprint,
            list(outcomes.values()),
            read_predictions_of(folder, request),
            planned_after(folder, request.plan),
        ),  # fmt: skip
        num_others=len(there - found.keys()),
    )


def _read(folder: OwnDir) -> tuple[SweepRequest, str]:
    """Return the last request of a sweep, and the fingerprint of its cache."""
    try:
        values = _values(folder)
        request = SweepRequest.from_dict(taken(values, REQUEST_KEY, dict, ""))
        return request, taken(taken(values, "cache", dict, ""), "fingerprint", str, "cache.")
    except (FileError, ValueError, RecursionError, ConfigError) as error:
        path, why = folder.path / GRID_FILE, first_line(error).rstrip(".")
        msg = f"'{path}' does not describe its grid ({why}). Run its `ablate` command again."
        raise ConfigError(msg) from error


def _values(folder: OwnDir) -> dict[str, Any]:
    values = from_json(folder.read_text(GRID_FILE, MOST_BYTES))
    if not isinstance(values, dict):
        msg = f"it holds {values!r:.100}; a section with keys is needed"
        raise ConfigError(msg)
    return values

"""The directory of a sweep: its settings, its lock, and its outcomes.

    OUT/grid.json                           settings that all runs share, and the last request
    OUT/ROW/fold1-seed0/                    a run with an outcome: a run directory, and outcome.json
    OUT/ROW/.fold1-seed0.1f2e3d4c.partial/  a run in progress, or a killed one

A run directory is renamed when it has an outcome, so that its name shows that the run has ended.
"""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, FileError, OusError, first_line, some
from pipeline.fingerprint import differences
from pipeline.own_dir import LockedError, OwnDir, is_partial
from pipeline.portable import portable_values
from pipeline.strict_json import from_json, to_json
from trainer.ablate.outcome import Outcome
from trainer.pages.files import require_writable

GRID_FILE, OUTCOME_FILE = "grid.json", "outcome.json"
REQUEST_KEY = "asked"
"""Key of the last request in grid.json. Folds and seeds may differ between commands."""
PLANS_KEY = "plans"
"""Key of the plans of the comparisons so far, each with the number of outcomes when it was fixed."""

MOST_BYTES = 16 << 20
"""Largest size of grid.json and of outcome.json."""

_LOCK, _PARTIAL = ".lock", ".partial"
_SHOWN_DIFFERENCES = 5


@contextlib.contextmanager
def hold(
    out: Path, identity: Mapping[str, Any], request: Mapping[str, Any], plan: Mapping[str, Any]
) -> Iterator[OwnDir]:
    """Lock the directory of a sweep against other commands, and remove leftovers of killed runs.

    Args:
        out: The directory; created if needed.
        identity: Facts that all runs of the directory must share. Written to grid.json with `request`.
        request: The request.
        plan: Plan of the comparisons (`SweepRequest.plan`), recorded with the number of outcomes so far if it
            is new.

    Raises:
        ConfigError: The directory has another sweep or other files.
        OusError: Another command has the lock.
    """
    folder = require_writable(out, [GRID_FILE])
    _require_own_files(folder)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(folder.lock(_LOCK))
        except LockedError as error:
            msg = f"--out '{out}' is in use by another ablate; wait for it, or give another --out."
            raise OusError(msg) from error
        _require_same(folder, identity)
        values = {**identity, REQUEST_KEY: request, PLANS_KEY: _plans(folder, plan)}
        folder.write_json(GRID_FILE, portable_values(values))
        remove_leftovers(folder)
        yield folder


def planned_after(folder: OwnDir, plan: Mapping[str, Any]) -> int | None:
    """Return the number of outcomes when a plan was last fixed; None if grid.json does not record it."""
    plans = _recorded_plans(folder)
    return plans[-1]["num_outcomes"] if plans and plans[-1]["plan"] == plan else None


def _plans(folder: OwnDir, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    plans = _recorded_plans(folder)
    if plans and plans[-1]["plan"] == plan:
        return plans
    return [*plans, {"plan": dict(plan), "num_outcomes": len(settled(folder))}]


def _recorded_plans(folder: OwnDir) -> list[dict[str, Any]]:
    """Return the plans in grid.json; none if it has none, or cannot be read."""
    try:
        plans = from_json(folder.read_text(GRID_FILE, MOST_BYTES))[PLANS_KEY]
        return [{"plan": dict(one["plan"]), "num_outcomes": int(one["num_outcomes"])} for one in plans]
    except (FileError, ValueError, TypeError, KeyError, RecursionError):
        return []


def remove_leftovers(folder: OwnDir) -> None:
    """Remove leftovers of killed processes. Links and their targets are not changed."""
    for name, kind in folder.entries().items():
        if kind == "file" and is_partial(name):
            folder.remove_file(name)
        elif kind == "directory":
            for inner, inner_kind in (folder / name).entries().items():
                if inner_kind == "directory" and is_partial(inner):
                    _remove_quietly(folder / name / inner)


def settled(folder: OwnDir) -> list[OwnDir]:
    """Return the run directories of a sweep that have an outcome, of all folds and seeds."""
    rows = [folder / name for name, kind in folder.entries().items() if kind == "directory"]
    runs = [
        row / name
        for row in rows
        for name, kind in row.entries().items()
        if kind == "directory" and name.startswith("fold")
    ]
    return [run_dir for run_dir in runs if run_dir.kind(OUTCOME_FILE) == "file"]


def outcome_of(run_dir: OwnDir, row: str, fold: str, seed: int) -> Outcome | None:
    """Return the outcome of a run; None if it has none yet.

    Args:
        run_dir: Directory of the run.
        row: Expected name of the row.
        fold: Expected fold.
        seed: Expected seed.

    Raises:
        OusError: The outcome cannot be read, or is that of another run.
    """
    outcome = read_outcome(run_dir)
    if outcome is not None and (outcome.row, outcome.fold, outcome.seed) != (row, fold, seed):
        there = f"{outcome.row}, fold {outcome.fold}, seed {outcome.seed}"
        msg = f"'{run_dir}' holds the outcome of another run ({there}); remove this directory."
        raise OusError(msg)
    return outcome


def read_outcome(run_dir: OwnDir) -> Outcome | None:
    """Return the outcome of a run; None if it has none yet. Raises OusError if it cannot be read."""
    if not run_dir.exists():
        return None
    try:
        return Outcome.from_dict(from_json(run_dir.read_text(OUTCOME_FILE, MOST_BYTES)))
    except (FileError, ValueError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        path, why = run_dir.path / OUTCOME_FILE, first_line(error).rstrip(".")
        msg = f"'{path}' is not a readable outcome ({why}); remove the directory '{run_dir}'."
        raise OusError(msg) from error


def partial_of(run_dir: OwnDir) -> OwnDir:
    """Return a new temporary directory for a run, until it has an outcome."""
    row = OwnDir(run_dir.root, run_dir.inside[:-1])
    row.make()
    return row / f".{run_dir.name}.{secrets.token_hex(4)}{_PARTIAL}"


def settle(partial: OwnDir, run_dir: OwnDir, outcome: Outcome) -> Outcome:
    """Store the outcome of a run, and rename its directory.

    Args:
        partial: Temporary directory of the run.
        run_dir: Its final name.
        outcome: Outcome of the run.

    Returns:
        The outcome that counts. If another process has stored one for the same run, that one counts, unless
        it failed and this one did not.
    """
    partial.make()
    partial.write_json(OUTCOME_FILE, portable_values(outcome.to_dict()))
    try:
        partial.move_to(run_dir)
    except FileError:
        there = read_outcome(run_dir)
        if there is None:
            raise
        if there.state == "failed" and outcome.state != "failed":
            forget(run_dir)
            return settle(partial, run_dir, outcome)
        _remove_quietly(partial)
        return there
    return outcome


def forget(run_dir: OwnDir) -> None:
    """Remove the directory of a run. It is renamed first, so that no reader finds a part of it."""
    partial = partial_of(run_dir)
    run_dir.move_to(partial)
    _remove_quietly(partial)


def _remove_quietly(partial: OwnDir) -> None:
    """Remove a temporary directory. If that fails, the next command tries again."""
    with contextlib.suppress(FileError):
        partial.remove_tree()


def _require_own_files(folder: OwnDir) -> None:
    names = folder.entries()
    foreign = [name for name in names if name != _LOCK and not is_partial(name)]
    if foreign and GRID_FILE not in names:
        msg = f"--out '{folder}' holds '{foreign[0]}', which no ablate has made; give a new directory."
        raise ConfigError(msg)


def _require_same(folder: OwnDir, identity: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming the differences, if the directory has runs of another sweep."""
    if folder.kind(GRID_FILE) is None:
        return
    try:
        there = from_json(folder.read_text(GRID_FILE, MOST_BYTES))
        there.pop(REQUEST_KEY, None)
        there.pop(PLANS_KEY, None)
        found = differences(portable_values(from_json(to_json(identity))), there)
    except (FileError, ValueError, TypeError, AttributeError, RecursionError) as error:
        path, why = folder.path / GRID_FILE, first_line(error).rstrip(".")
        msg = f"'{path}' cannot be read ({why}); give another --out, or remove the directory."
        raise ConfigError(msg) from error
    has_begun = any(kind == "directory" for kind in folder.entries().values())
    if found and (has_begun or there.keys() != identity.keys()):
        shown = some(found, _SHOWN_DIFFERENCES, "; ")
        msg = (
            f"--out '{folder}' holds another grid; 'here' is the request, 'there' the grid of the directory: "
            f"{shown}. Give another --out, or remove the directory; folds and seeds may differ."
        )
        raise ConfigError(msg)

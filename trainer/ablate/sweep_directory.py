"""The folder of a grid: whose it is, who fills it, and the outcomes that are there.

    OUT/grid.json                           what the runs are of; others are refused. What was asked last
    OUT/ROW/fold1-seed0/                    a run with an outcome: a run directory, and outcome.json
    OUT/ROW/.fold1-seed0.1f2e3d4c.partial/  a run under way, or one that was killed

A run directory gets its name when its outcome is there, so that the name alone tells a finished run.
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
ASKED = "asked"
"""Where grid.json tells what was asked last; folds and seeds may differ from one command to the next."""

MOST_BYTES = 16 << 20
"""Of grid.json and of an outcome."""

_LOCK, _PARTIAL = ".lock", ".partial"
_SHOWN_DIFFERENCES = 5


@contextlib.contextmanager
def hold(out: Path, identity: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[OwnDir]:
    """Hold the folder of a grid against other commands of this machine; leftovers of killed runs are removed.

    identity: what the runs of the folder must share; asked: what is asked now. grid.json tells both.

    Raises ConfigError for a folder of another grid, or of something else; OusError when it is held.
    """
    folder = require_writable(out, [GRID_FILE])
    _refuse_foreign(folder)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(folder.lock(_LOCK))
        except LockedError as error:
            msg = f"--out '{out}' is being filled by another ablate; wait for it, or give another --out."
            raise OusError(msg) from error
        _require_same(folder, identity)
        folder.write_json(GRID_FILE, portable_values({**identity, ASKED: asked}))
        remove_leftovers(folder)
        yield folder


def remove_leftovers(folder: OwnDir) -> None:
    """Remove what processes have left that were killed. Links are left alone, and what they lead to."""
    for name, kind in folder.entries().items():
        if kind == "file" and is_partial(name):
            folder.remove_file(name)
        elif kind == "directory":
            for inner, inner_kind in (folder / name).entries().items():
                if inner_kind == "directory" and is_partial(inner):
                    _remove_quietly(folder / name / inner)


def settled(folder: OwnDir) -> list[OwnDir]:
    """The run directories of a grid that hold an outcome, those of other folds and seeds too."""
    rows = [folder / name for name, kind in folder.entries().items() if kind == "directory"]
    runs = [
        row / name
        for row in rows
        for name, kind in row.entries().items()
        if kind == "directory" and name.startswith("fold")
    ]
    return [run_dir for run_dir in runs if run_dir.kind(OUTCOME_FILE) == "file"]


def outcome_of(run_dir: OwnDir, row: str, fold: str, seed: int) -> Outcome | None:
    """The outcome of a run by its row, fold and seed. Raises what `read_outcome` does, also for another's."""
    outcome = read_outcome(run_dir)
    if outcome is not None and (outcome.row, outcome.fold, outcome.seed) != (row, fold, seed):
        there = f"{outcome.row}, fold {outcome.fold}, seed {outcome.seed}"
        msg = f"'{run_dir}' holds the outcome of another run ({there}); remove this folder."
        raise OusError(msg)
    return outcome


def read_outcome(run_dir: OwnDir) -> Outcome | None:
    """The outcome of a run; None when it has none yet. Raises OusError for one that cannot be read."""
    if not run_dir.exists():
        return None
    try:
        return Outcome.from_dict(from_json(run_dir.read_text(OUTCOME_FILE, MOST_BYTES)))
    except (FileError, ValueError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        path, why = run_dir.path / OUTCOME_FILE, first_line(error).rstrip(".")
        msg = f"'{path}' is no readable outcome ({why}); remove the folder '{run_dir}'."
        raise OusError(msg) from error


def partial_of(run_dir: OwnDir) -> OwnDir:
    """Where a run is made before it has an outcome; another name each time."""
    row = OwnDir(run_dir.root, run_dir.inside[:-1])
    row.make()
    return row / f".{run_dir.name}.{secrets.token_hex(4)}{_PARTIAL}"


def settle(partial: OwnDir, run_dir: OwnDir, outcome: Outcome) -> Outcome:
    """Give a run its name, with its outcome in it.

    Where another process has settled the same run meanwhile, that one's outcome counts, unless it failed
    and this one did not.
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
    """Take a run's folder away, its name first."""
    partial = partial_of(run_dir)
    run_dir.move_to(partial)
    _remove_quietly(partial)


def _remove_quietly(partial: OwnDir) -> None:
    """Remove what no reader looks at; what cannot be removed now is a leftover for the next command."""
    with contextlib.suppress(FileError):
        partial.remove_tree()


def _refuse_foreign(folder: OwnDir) -> None:
    names = folder.entries()
    foreign = [name for name in names if name != _LOCK and not is_partial(name)]
    if foreign and GRID_FILE not in names:
        msg = f"--out '{folder}' holds '{foreign[0]}', which no ablate has made; give a new folder."
        raise ConfigError(msg)


def _require_same(folder: OwnDir, identity: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming the differences, for a folder in which another grid has begun."""
    if folder.kind(GRID_FILE) is None:
        return
    try:
        there = from_json(folder.read_text(GRID_FILE, MOST_BYTES))
        there.pop(ASKED, None)
        found = differences(portable_values(from_json(to_json(identity))), there)
    except (FileError, ValueError, TypeError, AttributeError, RecursionError) as error:
        path, why = folder.path / GRID_FILE, first_line(error).rstrip(".")
        msg = f"'{path}' cannot be read ({why}); give another --out, or remove the folder."
        raise ConfigError(msg) from error
    has_begun = any(kind == "directory" for kind in folder.entries().values())
    if found and (has_begun or there.keys() != identity.keys()):
        shown = some(found, _SHOWN_DIFFERENCES, "; ")
        msg = (
            f"--out '{folder}' holds another grid; here is what is asked, there what it was made for: "
            f"{shown}. Give another --out, or remove the folder; folds and seeds may differ."
        )
        raise ConfigError(msg)

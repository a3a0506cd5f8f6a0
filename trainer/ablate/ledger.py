"""The folder of a grid: whose it is, who fills it, and the outcomes that are there.

    OUT/grid.json                           what the runs are of; others are refused. What was asked last
    OUT/ROW/fold1-seed0/                    a run with an outcome: a run directory, and outcome.json
    OUT/ROW/.fold1-seed0.1f2e3d4c.partial/  a run under way, or one that was killed

A run directory gets its name when its outcome is there, so that the name alone tells a finished run.
"""

import contextlib
import fcntl
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, OusError, first_line, some
from pipeline.fingerprint import differences
from pipeline.portable import portable_values
from trainer.ablate.outcome import Outcome
from trainer.pages.files import require_writable, write_text

GRID_FILE, OUTCOME_FILE = "grid.json", "outcome.json"
ASKED = "asked"
"""Where grid.json tells what was asked last; folds and seeds may differ from one command to the next."""

_LOCK, _PARTIAL = ".lock", ".partial"
_SHOWN_DIFFERENCES = 5


@contextlib.contextmanager
def hold(out: Path, identity: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[None]:
    """Hold the folder of a grid against other commands of this machine; leftovers of killed runs are removed.

    identity: what the runs of the folder must share; asked: what is asked now. grid.json tells both.

    Raises ConfigError for a folder of another grid, or of something else; OusError when it is held.
    """
    require_writable(out, ())
    _refuse_foreign(out)
    with (out / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"--out '{out}' is being filled by another ablate; wait for it, or give another --out."
            raise OusError(msg) from error
        _require_same(out, identity)
        write_json(out / GRID_FILE, {**identity, ASKED: asked})
        remove_leftovers(out)
        yield


def remove_leftovers(out: Path) -> None:
    """Remove what runs have left that were killed."""
    for leftover in out.glob(f"*/.*{_PARTIAL}"):
        shutil.rmtree(leftover, ignore_errors=True)


def read_outcome(run_dir: Path) -> Outcome | None:
    """The outcome of a run; None when it has none yet. Raises OusError for one that cannot be read."""
    path = run_dir / OUTCOME_FILE
    if not run_dir.exists():
        return None
    try:
        return Outcome.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        msg = f"'{path}' is no readable outcome ({first_line(error)}); remove the folder '{run_dir}'."
        raise OusError(msg) from error


def partial_of(run_dir: Path) -> Path:
    """Where a run is made before it has an outcome; another name each time."""
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    return run_dir.parent / f".{run_dir.name}.{secrets.token_hex(4)}{_PARTIAL}"


def settle(partial: Path, run_dir: Path, outcome: Outcome) -> Outcome:
    """Give a run its name, with its outcome in it.

    Where another process has settled the same run meanwhile, that one's outcome counts, unless it failed
    and this one did not.
    """
    partial.mkdir(exist_ok=True)
    write_json(partial / OUTCOME_FILE, outcome.to_dict())
    try:
        partial.rename(run_dir)
    except OSError:
        there = read_outcome(run_dir)
        if there is None:
            raise
        if there.state == "failed" and outcome.state != "failed":
            forget(run_dir)
            return settle(partial, run_dir, outcome)
        shutil.rmtree(partial, ignore_errors=True)
        return there
    return outcome


def forget(run_dir: Path) -> None:
    """Take a run's folder away, its name first."""
    partial = partial_of(run_dir)
    run_dir.rename(partial)
    shutil.rmtree(partial, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, replacing the one before it at once. No path in its values names the user."""
    write_text(path, json.dumps(portable_values(value), indent=2, allow_nan=False) + "\n")


def _refuse_foreign(out: Path) -> None:
    names = sorted(path.name for path in out.iterdir())
    foreign = [name for name in names if name not in (_LOCK, f".{GRID_FILE}{_PARTIAL}")]
    if foreign and GRID_FILE not in names:
        msg = f"--out '{out}' holds '{foreign[0]}', which no ablate has made; give a new folder."
        raise ConfigError(msg)


def _require_same(out: Path, identity: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming the differences, for a folder in which another grid has begun."""
    path = out / GRID_FILE
    if not path.exists():
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        there.pop(ASKED, None)
        found = differences(portable_values(json.loads(json.dumps(identity))), there)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        msg = f"'{path}' cannot be read ({first_line(error)}); give another --out, or remove the folder."
        raise ConfigError(msg) from error
    has_begun = any(path.is_dir() for path in out.iterdir())
    if found and (has_begun or there.keys() != identity.keys()):
        shown = some(found, _SHOWN_DIFFERENCES, "; ")
        msg = (
            f"--out '{out}' holds another grid; here is what is asked, there what it was made for: {shown}. "
            "Give another --out, or remove the folder; folds and seeds may differ."
        )
        raise ConfigError(msg)

"""Directories, as they are named -> runs to measure and grids to show; what is neither is refused at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CheckpointError, ConfigError
from pipeline.own_dir import OwnDir
from pipeline.store.location import Where
from trainer.ablate.load_results import StoredGrid, is_grid, read_grid
from trainer.ablate.sweep_directory import GRID_FILE
from trainer.run_directory import CONFIG_FILE, no_run


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Runs by where they lie, as they were named; grids, as far as their runs have got."""

    runs: Mapping[Path, Path]
    grids: tuple[StoredGrid, ...]

    def require_measured_on(self, split: str, cache: Where | None, fold: int | str | None) -> None:
        """Raise ConfigError for a grid beside another split than test, another cache or a fold."""
        given = {
            f"--split {split}": split != "test",
            f"--cache '{cache}'": cache is not None,
            f"--fold {fold}": fold is not None,
        }
        named = next((option for option, is_given in given.items() if is_given), None)
        if not self.grids or named is None:
            return
        msg = (
            f"{named} cannot be had of the grid '{self.grids[0].out}', whose outcomes are of test clips of "
            "its own cache and folds; report runs and grids apart."
        )
        raise ConfigError(msg)


def read_inputs(folders: Sequence[Path], rigid: Sequence[Path]) -> Inputs:
    """The runs and grids among `folders`, and the runs of `rigid` that are not among them last.

    Raises ConfigError for nothing at all, for a folder that is given twice, for a grid in `rigid`, and
    what `read_grid` raises; CheckpointError for a folder that is neither a run nor a grid.
    """
    if not folders and not rigid:
        msg = (
            "report needs a run or a grid: the directory of a training run, a folder of `ablate`, or several."
        )
        raise ConfigError(msg)
    runs: dict[Path, Path] = {}
    grids: dict[Path, StoredGrid] = {}
    for folder in folders:
        place, kind = folder.resolve(), _kind(folder)
        if place in runs or place in grids:
            msg = f"'{folder}' is given twice; give each {kind} once."
            raise ConfigError(msg)
        if kind == "grid":
            grids[place] = read_grid(folder)
        else:
            runs[place] = folder
    for folder in rigid:
        if is_grid(folder):
            msg = f"--rigid '{folder}' is a grid's folder; give two runs, such as those in its folders."
            raise ConfigError(msg)
        runs.setdefault(folder.resolve(), folder)
    return Inputs(runs=runs, grids=tuple(grids.values()))


def _kind(folder: Path) -> str:
    if is_grid(folder):
        return "grid"
    if OwnDir.of(folder).kind(CONFIG_FILE) is not None:
        return "run"
    wanted = f"no training run and no grid: it has neither {CONFIG_FILE} nor {GRID_FILE}"
    raise CheckpointError(no_run(folder, wanted, "Give directories that `train` or `ablate` made."))

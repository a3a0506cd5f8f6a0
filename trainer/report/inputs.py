"""Directories -> runs to measure, sweeps and stored sections to show. Other directories are rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CheckpointError, ConfigError
from pipeline.own_dir import OwnDir
from pipeline.store.location import LocationLike
from trainer.ablate.load_results import StoredSweep, is_sweep, read_sweep
from trainer.ablate.sweep_directory import GRID_FILE
from trainer.pages.document import Section
from trainer.pages.stored_section import SECTION_FILE, read_section
from trainer.run_directory import CONFIG_FILE, no_run


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of a report.

    Attributes:
        runs: Runs, by resolved path, under the given path.
        sweeps: Sweeps with their outcomes so far.
        sections: Sections that `ensemble`, `transfer` and a search have stored, by directory.
    """

    runs: Mapping[Path, Path]
    sweeps: tuple[StoredSweep, ...]
    sections: Mapping[Path, Section]

    def require_measured_on(self, split: str, cache: LocationLike | None, fold: int | str | None) -> None:
        """Raise ConfigError for a sweep with an option that applies to runs only.

        Args:
            split: Must be ``test`` if there are sweeps.
            cache: Must be None.
            fold: Must be None.
        """
        given = {
            f"--split {split}": split != "test",
            f"--cache '{cache}'": cache is not None,
            f"--fold {fold}": fold is not None,
        }
        named = next((option for option, is_given in given.items() if is_given), None)
        if not self.sweeps or named is None:
            return
        msg = (
            f"{named} does not apply to the grid '{self.sweeps[0].out}', whose outcomes are of test clips of "
            "its own cache and folds; report runs and grids separately."
        )
        raise ConfigError(msg)


def read_inputs(folders: Sequence[Path], rigid: Sequence[Path]) -> Inputs:
    """Return the inputs in `folders`, followed by other runs of `rigid`.

    Raises ConfigError if there are none, a directory is given twice, or `rigid` has a sweep; CheckpointError
    for a directory of another kind; and the errors of `read_sweep` and `read_section`.
    """
    if not folders and not rigid:
        msg = "report needs runs or grids: directories of `train` or `ablate`."
        raise ConfigError(msg)
    runs: dict[Path, Path] = {}
    sweeps: dict[Path, StoredSweep] = {}
    sections: dict[Path, Section] = {}
    for folder in folders:
        place, kind = folder.resolve(), _kind(folder)
        if place in runs or place in sweeps or place in sections:
            msg = f"'{folder}' is given twice; give each {kind} once."
            raise ConfigError(msg)
        if kind == "grid":
            sweeps[place] = read_sweep(folder)
        elif kind == "result":
            sections[place] = read_section(OwnDir.of(folder))
        else:
            runs[place] = folder
    for folder in rigid:
        if is_sweep(folder):
            msg = f"--rigid '{folder}' is the directory of a grid; give two runs, such as those below it."
            raise ConfigError(msg)
        runs.setdefault(folder.resolve(), folder)
    return Inputs(runs=runs, sweeps=tuple(sweeps.values()), sections=sections)


def _kind(folder: Path) -> str:
    if is_sweep(folder):
        return "grid"
    if OwnDir.of(folder).kind(CONFIG_FILE) is not None:
        return "run"
    if OwnDir.of(folder).kind(SECTION_FILE) is not None:
        return "result"
    wanted = f"neither a training run nor a grid: it has neither {CONFIG_FILE} nor {GRID_FILE}"
    raise CheckpointError(
        no_run(folder, wanted, "Give directories that `train`, `ablate`, `ensemble` or `transfer` made.")
    )

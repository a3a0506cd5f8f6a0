"""Runs and sweeps -> report.html, report.md and report.json in a directory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from pipeline.choices import MeasuredSplit
from pipeline.config import require_one_of, require_range
from pipeline.display.json_values import to_json_values
from pipeline.errors import counted
from pipeline.portable import portable_values
from pipeline.store.location import LocationLike
from pipeline.strict_json import to_json
from trainer.ablate.load_results import StoredSweep
from trainer.measured_clips import MeasureRequest, require_measurable
from trainer.measurement import measure
from trainer.pages.document import Block, Figure, Page, Section
from trainer.pages.files import output_directory
from trainer.pages.html import as_html
from trainer.pages.markdown import as_markdown
from trainer.report.comparability import SharedFacts
from trainer.report.inputs import read_inputs
from trainer.report.rows import RunRow, rows_of
from trainer.report.runs import ReportedRun
from trainer.report.scene import ScenePair, chosen_pair, pairs_among, require_pair, scene_section
from trainer.report.sections import (
    banners_of,
    origin_section,
    result_sections,
    run_sections,
    settings_section,
    stages_figure,
    stages_section,
)
from trainer.report.sheet import decided_sheets
from trainer.report.stages import FEWEST_CLIPS, Stages, lay_out
from trainer.report.sweeps import sweep_origins, sweep_sections

HTML_FILE, MARKDOWN_FILE, JSON_FILE = "report.html", "report.md", "report.json"
_MOST_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class Report:
    """Measured runs, and sweeps with their stored outcomes.

    Attributes:
        split: Measured split.
        sections: Sections that other commands have stored.
        run_rows: Runs by setting.
        pairs: Face-only and full runs.
        stages: Directory, features and Fig. 4 of the first run of each setting.
        sheets: Contact sheets of clips won and lost.
        files: Written files.
    """

    split: str
    run_rows: tuple[RunRow, ...]
    sweeps: tuple[StoredSweep, ...]
    sections: tuple[Section, ...]
    pairs: tuple[ScenePair, ...]
    stages: tuple[tuple[Path, Stages, Figure], ...]
    sheets: tuple[Block, ...]
    files: tuple[Path, ...]

    @property
    def runs(self) -> tuple[ReportedRun, ...]:
        """All runs, by group."""
        return tuple(run for run_row in self.run_rows for run in run_row.runs)

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings of runs and sweeps."""
        warnings = [(run.run_dir, run.banners) for run in self.runs]
        for sweep in self.sweeps:
            warnings += [
                (place, one.banners) for place, one in sweep.outcomes.items() if one.state == "finished"
            ]
        of_sections = [banner for section in self.sections for banner in section.banners]
        return tuple(dict.fromkeys([*banners_of(warnings, self.split), *of_sections]))


def page_of(made: Report) -> Page:
    """Return a report as a page."""
    datasets = [run_row.dataset for run_row in made.run_rows]
    datasets += [sweep.result.request.dataset for sweep in made.sweeps]
    things = {
        "run": made.runs, "setting": made.run_rows, "grid": made.sweeps, "other result": made.sections,
    }  # fmt: skip
    numbers = [counted(len(found), thing) for thing, found in things.items() if found]
    return Page(
        title=f"OUS{' on ' if datasets else ''}{', '.join(dict.fromkeys(datasets))}: {', '.join(numbers)}",
        banners=made.banners,
        sections=[
            *([settings_section(made.run_rows)] if made.run_rows else []),
            *result_sections(made.run_rows, made.split),
            *sweep_sections(made.sweeps),
            *made.sections,
            *([scene_section(made.pairs, made.sheets)] if made.pairs else []),
            *([stages_section([figure for _, _, figure in made.stages])] if made.stages else []),
            *run_sections(made.run_rows),
            origin_section(made.run_rows, sweep_origins(made.sweeps)),
        ],
    )


def report(
    folders: Sequence[Path],
    out: Path,
    say: Callable[[str], None],
    *,
    split: str = "test",
    cache: LocationLike | None = None,
    fold: int | str | None = None,
    device: str = "auto",
    rigid: tuple[Path, Path] | None = None,
    num_shown: int = 6,
    allow_leak: bool = False,
) -> Report:
    """Measure runs on a split of a fold, read the outcomes of sweeps, and write the report.

    Args:
        folders: Directories of runs and of sweeps.
        out: Directory of the report; created if needed.
        say: Shows a line of progress.
        split: ``test``, ``validation`` or ``train``; ``test`` if there are sweeps.
        cache: Cache to measure on. None: the training cache of each run.
        fold: See `measure`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        rigid: A face-only and a full run to compare clip by clip, which need not be in `folders`. None: all
            pairs that differ only by scene and polarity.
        num_shown: Number of clips on each contact sheet of the first pair; 0 for no sheets.
        allow_leak: See `measure`.

    Raises:
        ConfigError: `out` cannot be written; this is checked before runs are measured.
        OusError: As for `read_inputs`, `Inputs.require_measured_on`, `require_pair` and `measure`. All runs
            that cannot be measured are named before any is measured (`require_measurable`).
    """
    require_one_of("--split", split, get_args(MeasuredSplit))
    require_range("--clips", num_shown, 0, _MOST_SHOWN)
    inputs = read_inputs(folders, rigid or ())
    inputs.require_measured_on(split, cache, fold)
    if rigid is not None:
        require_pair(*rigid, cache)
    names = (HTML_FILE, MARKDOWN_FILE, JSON_FILE)
    with output_directory(out, names) as folder:
        require_measurable(
            [
                MeasureRequest(run_dir=run_dir, split=split, cache=cache, fold=fold, allow_leak=allow_leak)
                for run_dir in inputs.runs.values()
            ]
        )
        runs: dict[Path, ReportedRun] = {}
        stages: dict[SharedFacts, tuple[ReportedRun, Stages]] = {}
        for number, (place, run_dir) in enumerate(inputs.runs.items(), 1):
            say(f"measuring {run_dir} ({number} of {len(inputs.runs)})")
            measured = measure(run_dir, split, cache, device, fold=fold, allow_leak=allow_leak)
            run = runs[place] = ReportedRun.of(run_dir, measured)
            identity = SharedFacts.of(run)
            if identity not in stages and run.metrics.num_clips >= FEWEST_CLIPS:
                say(f"computing t-SNE of the features of {run_dir}")
                stages[identity] = (run, lay_out(measured))
        if rigid is None:
            pairs = tuple(pairs_among(list(runs.values())))
        else:
            face, full = (runs[run_dir.resolve()] for run_dir in rigid)
            pairs = (chosen_pair(face, full),)
        sheets = decided_sheets(pairs[0], num_shown, say) if pairs and num_shown else []
        run_rows = rows_of(list(runs.values()))
        made = Report(
            split=split,
            run_rows=run_rows,
            sweeps=inputs.sweeps,
            sections=tuple(
                replace(section, title=f"{section.title} ({place})")
                for place, section in inputs.sections.items()
            ),
            pairs=pairs,
            stages=tuple(
                _shown_stages(run_row, stages)
                for run_row in run_rows
                if SharedFacts.of(run_row.runs[0]) in stages
            ),
            sheets=tuple(sheets),
            files=tuple(out / name for name in names),
        )
        page = page_of(made)
        texts = (as_html(page), as_markdown(page), to_json(portable_values(to_json_values(made))) + "\n")
        folder.write_together(dict(zip(names, texts, strict=True)))
    return made


def _shown_stages(
    run_row: RunRow, stages: Mapping[SharedFacts, tuple[ReportedRun, Stages]]
) -> tuple[Path, Stages, Figure]:
    run, laid_out = stages[SharedFacts.of(run_row.runs[0])]
    title, names = f"{run_row.label}, {run.name}", run.info.class_names
    return run.run_dir, laid_out, stages_figure(laid_out, title, run.run_dir, names, run.banners)

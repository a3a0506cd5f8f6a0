"""Runs and grids -> report.html, report.md and report.json in a folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pipeline.choices import MeasuredSplit
from pipeline.config import require_one_of, require_range
from pipeline.display.json_values import to_json_values
from pipeline.errors import counted
from pipeline.portable import portable_values
from pipeline.store.location import Where
from pipeline.strict_json import to_json
from trainer.ablate.load_results import StoredGrid
from trainer.measurement import measure
from trainer.pages.document import Block, Figure, Page
from trainer.pages.files import require_writable
from trainer.pages.html import as_html
from trainer.pages.markdown import as_markdown
from trainer.report.grids import grid_origins, grid_sections
from trainer.report.groups import Group, grouped
from trainer.report.identity import Identity
from trainer.report.inputs import read_inputs
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

HTML_FILE, MARKDOWN_FILE, JSON_FILE = "report.html", "report.md", "report.json"
_MOST_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class Report:
    """Runs, measured and laid side by side; grids, shown as their folders tell.

    pairs: face-only and full runs. stages: Fig. 4 of each setting's first run, with the directory of
    that run, and how it was made. sheets: of clips won and lost. files: what was written.
    """

    split: str
    groups: tuple[Group, ...]
    grids: tuple[StoredGrid, ...]
    pairs: tuple[ScenePair, ...]
    stages: tuple[tuple[Path, Stages, Figure], ...]
    sheets: tuple[Block, ...]
    files: tuple[Path, ...]

    @property
    def runs(self) -> tuple[ReportedRun, ...]:
        """All runs, by group."""
        return tuple(run for group in self.groups for run in group.runs)

    @property
    def banners(self) -> tuple[str, ...]:
        """What must be read first."""
        said = [(run.run_dir, run.banners) for run in self.runs]
        for grid in self.grids:
            said += [(place, one.banners) for place, one in grid.outcomes.items() if one.state == "finished"]
        return banners_of(said, self.split)


def page_of(made: Report) -> Page:
    """Lay a report out as a page."""
    datasets = [group.dataset for group in made.groups]
    datasets += [grid.result.asked.dataset for grid in made.grids]
    things = {"run": made.runs, "setting": made.groups, "grid": made.grids}
    numbers = [counted(len(found), thing) for thing, found in things.items() if found]
    return Page(
        title=f"OUS on {', '.join(dict.fromkeys(datasets))}: {', '.join(numbers)}",
        banners=made.banners,
        sections=[
            *([settings_section(made.groups)] if made.groups else []),
            *result_sections(made.groups, made.split),
            *grid_sections(made.grids),
            *([scene_section(made.pairs, made.sheets)] if made.pairs else []),
            *([stages_section([figure for _, _, figure in made.stages])] if made.stages else []),
            *run_sections(made.groups),
            origin_section(made.groups, grid_origins(made.grids)),
        ],
    )


def report(
    folders: Sequence[Path],
    out: Path,
    say: Callable[[str], None],
    *,
    split: str = "test",
    cache: Where | None = None,
    fold: int | str | None = None,
    device: str = "auto",
    rigid: tuple[Path, Path] | None = None,
    num_shown: int = 6,
    allow_leak: bool = False,
) -> Report:
    """Measure runs on a split of a fold, read the outcomes of grids, and write the report.

    folders: run directories, and folders of `ablate`, whose outcomes are of test splits.
    rigid: a face-only run and a full one, to be held against each other clip by clip; they need not be
    among `folders`. Without it every pair is found that differs by the scene, and the polarity that is read
    from it, and nothing else. num_shown: clips that the full run won, and lost, on contact sheets of the
    first pair; 0 for none. fold, allow_leak: see `measure`.
    Raises what `read_inputs`, `Inputs.require_measured_on`, `require_pair` and `measure` raise, and, before
    anything is measured, ConfigError for an `out` that cannot be written.
    """
    require_one_of("--split", split, get_args(MeasuredSplit))
    require_range("--clips", num_shown, 0, _MOST_SHOWN)
    inputs = read_inputs(folders, rigid or ())
    inputs.require_measured_on(split, cache, fold)
    if rigid is not None:
        require_pair(*rigid, cache)
    names = (HTML_FILE, MARKDOWN_FILE, JSON_FILE)
    folder = require_writable(out, names)
    runs: dict[Path, ReportedRun] = {}
    stages: dict[Identity, tuple[ReportedRun, Stages]] = {}
    for number, (place, run_dir) in enumerate(inputs.runs.items(), 1):
        say(f"measuring {run_dir} ({number} of {len(inputs.runs)})")
        measured = measure(run_dir, split, cache, device, fold=fold, allow_leak=allow_leak)
        run = runs[place] = ReportedRun.of(run_dir, measured)
        identity = Identity.of(run)
        if identity not in stages and run.metrics.num_clips >= FEWEST_CLIPS:
            say(f"laying out the features of {run_dir} (t-SNE)")
            stages[identity] = (run, lay_out(measured))
    if rigid is None:
        pairs = tuple(pairs_among(list(runs.values())))
    else:
        face, full = (runs[run_dir.resolve()] for run_dir in rigid)
        pairs = (chosen_pair(face, full),)
    sheets = decided_sheets(pairs[0], num_shown, say) if pairs and num_shown else []
    groups = grouped(list(runs.values()))
    made = Report(
        split=split,
        groups=groups,
        grids=inputs.grids,
        pairs=pairs,
        stages=tuple(
            _shown_stages(group, stages) for group in groups if Identity.of(group.runs[0]) in stages
        ),
        sheets=tuple(sheets),
        files=tuple(out / name for name in names),
    )
    page = page_of(made)
    texts = (as_html(page), as_markdown(page), to_json(portable_values(to_json_values(made))) + "\n")
    folder.write_together(dict(zip(names, texts, strict=True)))
    return made


def _shown_stages(
    group: Group, stages: Mapping[Identity, tuple[ReportedRun, Stages]]
) -> tuple[Path, Stages, Figure]:
    run, laid_out = stages[Identity.of(group.runs[0])]
    title, names = f"{group.label}, {run.name}", run.info.class_names
    return run.run_dir, laid_out, stages_figure(laid_out, title, run.run_dir, names, run.banners)

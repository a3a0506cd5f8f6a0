"""`evaluate`, `report`, `ablate`. Heavy modules are imported inside commands."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pipeline.choices import BundledTable, MeasuredSplit, Preset
from pipeline.commands.help_sections import DATA, MACHINE, MODEL, OUTPUT, Command
from pipeline.commands.options import (
    EXIT_INTERRUPTED,
    Cache,
    Device,
    EncoderWeightsOfCache,
    Json,
    Scheduler,
    Settings,
    note_versions,
)
from pipeline.errors import ConfigError, counted
from pipeline.terminal import answer, leave_at_once, progress_bar, say

if TYPE_CHECKING:
    from trainer.ablate import AblateReport, Outcome, SearchResult, SearchSpec, Spec

app = typer.Typer()

AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Accept test clips that share footage with training clips; mark the result.",
        rich_help_panel=DATA,
    ),
]
FoldToMeasure = Annotated[
    str | None,
    typer.Option(
        "--fold",
        help="Measure this fold, by number or name [the run's own; that of a further cache; the only one of "
        "another cache].",
        rich_help_panel=DATA,
    ),
]
SplitToMeasure = Annotated[
    MeasuredSplit, typer.Option("--split", help="Measure the clips of this split.", rich_help_panel=DATA)
]
OtherCache = Annotated[
    str | None,
    typer.Option("--cache", help="Measure on this cache [the cache of the training].", rich_help_panel=DATA),
]
ClassesOfCache = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        help="Read from this TOML file which class of --cache means which class of the run, such as "
        '"joy" = "happiness", or "" to leave it out [as in the training, if --cache added clips to it; else '
        "by their names, in any spelling].",
        rich_help_panel=DATA,
    ),
]
SharedClasses = Annotated[
    bool,
    typer.Option(
        "--shared-classes",
        help="Choose only among classes of the run that --cache has.",
        rich_help_panel=DATA,
    ),
]


@app.command(cls=Command, epilog="Example: cli.py evaluate runs/feats-fold1-seed0 --split test")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    split: SplitToMeasure = "test",
    cache: OtherCache = None,
    fold: FoldToMeasure = None,
    classes: ClassesOfCache = None,
    shared_classes: SharedClasses = False,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    json_: Json = False,
) -> None:
    """Measure a trained model: WAR, UAR, per-class recall, confusion matrix, predictions of every clip."""
    from trainer.class_map import read_class_map
    from trainer.evaluation import evaluate as evaluate_run

    result = evaluate_run(
        run, split, cache, device, fold=fold, allow_leak=allow_leak,
        classes=None if classes is None else read_class_map(classes), shared_classes=shared_classes,
    )  # fmt: skip
    note_versions(result.place)
    answer(result, json_)


@app.command(cls=Command, epilog="Example: cli.py report runs/dfew-fold1-seed0 runs/dfew-table5 --out report")
def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Directories of training runs or of sweeps.")
    ] = None,
    rigid: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="FACE_RUN FULL_RUN",
            help="Compare these two runs clip by clip [all pairs that differ only by scene and polarity].",
            rich_help_panel=DATA,
        ),
    ] = None,
    clips: Annotated[
        int,
        typer.Option(
            help="Show this many clips that only the full run classifies correctly, and as many that only "
            "the face-only run does; 0 for none.",
            rich_help_panel=OUTPUT,
        ),
    ] = 6,
    out: Annotated[
        Path,
        typer.Option(
            help="Write the page, as HTML, Markdown and JSON, to this directory.", rich_help_panel=OUTPUT
        ),
    ] = Path("report"),
    split: SplitToMeasure = "test",
    cache: OtherCache = None,
    fold: FoldToMeasure = None,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    json_: Json = False,
) -> None:
    """Measure runs, read sweeps of `ablate`, and write one page with the paper's numbers beside them."""
    from trainer.report import report as write_report

    result = write_report(
        runs or [], out, say, split=split, cache=cache, fold=fold, device=device, rigid=rigid,
        num_shown=clips, allow_leak=allow_leak,
    )  # fmt: skip
    for place in dict.fromkeys(measured.place for measured in result.runs):
        note_versions(place)
    answer(result, json_)


@app.command(cls=Command, epilog="Example: cli.py ablate --cache dfew.zarr --table 5 --folds all --seeds 3")
def ablate(
    cache: Cache = "feats.zarr",
    table: Annotated[
        BundledTable | None,
        typer.Option(
            help="Train the rows of this table: III to VI of the paper, baselines, or rare classes "
            "(longtail) [none].",
            rich_help_panel=MODEL,
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="Train the rows of your own table, or search in ranges of settings: a TOML file [none].",
            rich_help_panel=MODEL,
        ),
    ] = None,
    folds: Annotated[
        str, typer.Option(help="Train on these folds: 1-5, or 1,3, or names, or all.", rich_help_panel=DATA)
    ] = "1",
    seeds: Annotated[
        int,
        typer.Option(help="Train with this many seeds per row and fold, from 0.", rich_help_panel=MODEL),
    ] = 3,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Train this many runs in parallel on the CPU's cores [by cores and memory].",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            help="Train on this many GPUs; 0 for the CPU [1 if there is one].", rich_help_panel=MACHINE
        ),
    ] = None,
    per_gpu: Annotated[
        int, typer.Option(help="Train this many runs in parallel on each GPU.", rich_help_panel=MACHINE)
    ] = 1,
    scheduler: Scheduler = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the sweep to this directory [runs/CACHE-TABLE].", rich_help_panel=OUTPUT),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help="Start from the settings of this preset [the table's].", rich_help_panel=MODEL),
    ] = None,
    encoder_weights: EncoderWeightsOfCache = None,
    allow_leak: AllowLeak = False,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Train a table of settings over folds and seeds, a sweep; the same command resumes a stopped one."""
    from pipeline.store.location import Location
    from trainer import ablate as sweeps

    if table is not None and spec is not None:
        msg = f"--table {table} and --spec '{spec}': leave out one of them."
        raise ConfigError(msg)
    rows: Spec | SearchSpec
    if table is not None:
        rows, name = sweeps.table(table), sweeps.table_stem(table)
    elif spec is not None:
        rows, name = sweeps.read_table_or_search(spec), spec.stem
    else:
        tables = "|".join(get_args(BundledTable))
        msg = f"ablate needs a table of this program or your own: --table {tables}, or --spec FILE.toml."
        raise ConfigError(msg)
    where = out or Path("runs") / f"{Location.of(cache).stem}-{name}"
    note_versions(cache)
    with progress_bar("training", "runs") as (start, advance):
        observer = _SweepDisplay(start, advance)
        options = sweeps.SweepExecutorOptions(
            gpus=gpus, per_gpu=per_gpu, workers=workers, scheduler=scheduler
        )
        result: AblateReport | SearchResult
        try:
            if isinstance(rows, sweeps.SearchSpec):
                wanted = replace(rows, preset=preset or rows.preset)
                result = sweeps.search(
                    cache, wanted, where, observer, folds=folds, num_seeds=seeds, settings=set_ or [],
                    encoder_weights=encoder_weights, allow_leak=allow_leak, options=options,
                )  # fmt: skip
            else:
                result = sweeps.ablate(
                    cache, rows, where, observer, folds=folds, num_seeds=seeds, preset=preset,
                    settings=set_ or [], encoder_weights=encoder_weights, allow_leak=allow_leak,
                    options=options,
                )  # fmt: skip
        except KeyboardInterrupt:
            say(f"stopped; finished runs are kept in {where}. The same command resumes.")
            leave_at_once(EXIT_INTERRUPTED)
    answer(result, json_)
    (result.final if isinstance(result, sweeps.SearchResult) else result).require_no_failure()


class _SweepDisplay:
    """Progress bar of a sweep, with one line per outcome of a run."""

    def __init__(self, start: Callable[[float], None], advance: Callable[..., None]) -> None:
        self._start, self._advance = start, advance
        self._done = self._failed = self._total = 0

    def on_start(self, num_to_do: int, num_before: int) -> None:
        """Show the number of runs to do and of runs done before."""
        self._total, self._done, self._failed = num_to_do, 0, 0
        say(f"{counted(num_to_do, 'run')} to do, {num_before} done before")
        self._start(num_to_do)

    def on_outcome(self, outcome: "Outcome") -> None:
        """Show the outcome of a run."""
        self._done += 1
        self._failed += outcome.state != "finished"
        say(f"[{self._done}/{self._total}] {outcome}")
        self._advance(1, f"{self._failed} diverged or failed" * bool(self._failed))

    def on_remark(self, text: str) -> None:
        """Show a remark."""
        say(text)

"""`demo`, `train`, `evaluate`, `report`, `ablate`. Heavy modules are imported inside commands."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
    from trainer.config import TrainConfig
    from trainer.training_result import EpochReport

app = typer.Typer()
_WITH_RESUME = frozenset({"resume", "cache", "device", "encoder_weights", "json_"})
"""Parameters of `train` that a resumed run does not determine."""

AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Accept test clips that share footage with training clips; mark the result.",
        rich_help_panel=DATA,
    ),
]
TrainingCaches = Annotated[
    list[str] | None,
    typer.Option(
        "--cache",
        help="Train on this cache: a directory, or s3://BUCKET/PREFIX. Further ones add training clips to "
        "those of the first, which has the classes, validation and test clips [feats.zarr].",
        rich_help_panel=DATA,
    ),
]
FoldToMeasure = Annotated[
    str | None,
    typer.Option(
        "--fold",
        help="Measure this fold, by number or name [the run's own; the only one of another cache].",
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
        '"joy" = "happiness", or "" to leave it out [by their names, in any spelling].',
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
Seed = Annotated[int, typer.Option(help="Start random numbers from this seed.", rich_help_panel=MODEL)]


@app.command(cls=Command, epilog="Example: cli.py demo --out demo-out")
def demo(
    out: Annotated[
        Path,
        typer.Option(help="Write clips, cache, runs and figures to this directory.", rich_help_panel=OUTPUT),
    ] = Path("demo-out"),
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Draw clips, extract features, train a face-only and a full model, compare both with the known bound."""
    from trainer.demo import run_demo

    with ExitStack() as bars:

        def bar(activity: str, total: float) -> Callable[[float], None]:
            bars.close()
            start, advance = bars.enter_context(progress_bar(activity, "clips"))
            start(total)
            return advance

        def log(text: str) -> None:
            bars.close()
            say(text)

        result = run_demo(out, seed=seed, say=log, bar=bar, on_epoch=_show_epoch)
    answer(result, json_)


@app.command(
    cls=Command, epilog="Example: cli.py train --cache feats.zarr --fold 1 --seed 0 --set model.tfe_blocks=8"
)
def train(
    context: typer.Context,
    cache: TrainingCaches = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Write the run to this new directory [runs/CACHE-foldF-seedS].",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help="Start from the settings of this preset [default].", rich_help_panel=MODEL),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Start from the settings in this TOML file, such as config.toml of a run, or of this run "
            "[--preset].",
            rich_help_panel=MODEL,
        ),
    ] = None,
    fold: Annotated[
        list[str] | None,
        typer.Option(
            help="Train on this fold, by number from 1 or by name; give one for every --cache, or one for "
            "each [1].",
            rich_help_panel=DATA,
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Read from this TOML file which class of a further --cache means which class of the first, "
            'such as "joy" = "happiness", or "" to leave it out [by their names, in any spelling].',
            rich_help_panel=DATA,
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    encoder_weights: EncoderWeightsOfCache = None,
    profile: Annotated[
        bool, typer.Option(help="Show the time of each part of a step.", rich_help_panel=OUTPUT)
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue the interrupted training of this run, with its own settings [none].",
            rich_help_panel=DATA,
        ),
    ] = None,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Train the OUS model on a fold of a cache, and keep the epoch that `schedule.select` chooses."""
    from trainer.class_map import read_class_map
    from trainer.config_choice import chosen_config
    from trainer.training import train as train_run

    if resume is not None:
        _resume(context, resume, device, encoder_weights, json_)
        return
    if preset is not None and config is not None:
        msg = f"--preset {preset} and --config '{config}': leave out one of them."
        raise ConfigError(msg)
    chosen = chosen_config(config or preset or "default", set_ or [])
    caches, folds = cache or ["feats.zarr"], fold or ["1"]
    where = run or _free_run(caches, folds[0], seed)
    for one in caches:
        note_versions(one)
    try:
        result = train_run(
            caches, where, chosen, fold=folds, seed=seed, device=device, encoder_weights=encoder_weights,
            classes=None if classes is None else read_class_map(classes), profile=profile,
            on_epoch=_show_epoch,
        )  # fmt: skip
    except KeyboardInterrupt:
        say(_stopped(where, caches[0], folds[0], chosen, seed))
        raise typer.Exit(EXIT_INTERRUPTED) from None
    answer(result, json_)


def _resume(context: typer.Context, run: Path, device: str, encoder_weights: str | None, json_: bool) -> None:
    """Continue a run. Raises ConfigError for options that the run determines."""
    from trainer.training import resume

    given = {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if (source := context.get_parameter_source(parameter.name or "")) and source.name == "COMMANDLINE"
    }
    fixed = [option for name, option in given.items() if name not in _WITH_RESUME]
    if fixed:
        msg = f"--resume '{run}' and {', '.join(fixed)}: the run has its own settings; leave out {fixed[0]}."
        raise ConfigError(msg)
    cache = context.params["cache"] if "cache" in given else None
    try:
        result = resume(
            run, cache=cache, device=device, encoder_weights=encoder_weights, on_epoch=_show_epoch
        )
    except KeyboardInterrupt:
        say(f"stopped; `{_resume_command(run)}` continues.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    answer(result, json_)


def _resume_command(run: Path) -> str:
    from pipeline.program import command

    return command("train", "--resume", run)


def _stopped(run: Path, cache: str, fold: str, config: "TrainConfig", seed: int) -> str:
    """Return the message for an interrupted training: the files it keeps."""
    from trainer.caches import open_cache
    from trainer.folds import fold_rows
    from trainer.run_directory import STATE_FILE, WEIGHTS_FILE
    from trainer.training_result import evaluate_command

    if (run / WEIGHTS_FILE).is_file():
        with open_cache(cache) as features:
            split = fold_rows(features, fold, config.data, seed).split_to_measure
        command = evaluate_command(run, split)
        resumes = f" `{_resume_command(run)}` continues." if (run / STATE_FILE).is_file() else ""
        return f"stopped; {run} keeps the best epoch so far, and `{command}` measures it.{resumes}"
    return f"stopped in the first epoch; no model is kept{f'; remove {run}' if run.exists() else ''}."


def _show_epoch(report: "EpochReport") -> None:
    say(
        f"epoch {report.epoch:3d}  loss {report.train.loss:8.4f}  train {report.train.accuracy:6.1%}  "
        f"validation loss {report.validation.loss:8.4f}  WAR {report.validation.war:6.1%}  "
        f"UAR {report.validation.uar:6.1%}  {report.seconds:5.1f} s{'  best' if report.is_best else ''}"
    )


def _free_run(caches: Sequence[str], fold: str, seed: int) -> Path:
    from pipeline.own_dir import OwnDir
    from pipeline.store.location import Location

    stem = f"{'+'.join(Location.of(cache).stem for cache in caches)}-fold{fold}-seed{seed}"
    names = (stem + (f"-{n}" if n > 1 else "") for n in range(1, sys.maxsize))
    return next(path for path in (Path("runs") / name for name in names) if not OwnDir.of(path).exists())


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
            help="Train the rows of this table: III to VI of the paper, or baselines [none].",
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

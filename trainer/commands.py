"""`train`, `evaluate`, `ablate`, `demo`: parse, call, print. Nothing heavy is imported before its need."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import (
    EXIT_INTERRUPTED,
    Cache,
    Device,
    EncoderWeights,
    Json,
    Settings,
    note_versions,
)
from pipeline.errors import ConfigError
from pipeline.terminal import answer, leave_at_once, progress_bar, say

if TYPE_CHECKING:
    from trainer.ablate import Outcome
    from trainer.config import TrainConfig
    from trainer.training_result import EpochReport

app = typer.Typer()

AllowLeak = Annotated[
    bool,
    typer.Option("--allow-leak", help="Measure test clips whose footage training has seen; mark the result."),
]

FoldToMeasure = Annotated[
    str | None,
    typer.Option(
        "--fold", help="Fold to measure, by number or name [the run's own; of another cache its only one]."
    ),
]


@app.command(epilog="Example: cli.py demo --out demo-out")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for clips, cache, runs, figures.")] = Path("demo-out"),
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Draw clips, extract, train a face-only and a full model, compare both with what is possible."""
    from trainer.demo import run_demo

    with ExitStack() as bars:

        def bar(what: str, total: float) -> Callable[[float], None]:
            bars.close()
            start, advance = bars.enter_context(progress_bar(what, "clips"))
            start(total)
            return advance

        def tell(text: str) -> None:
            bars.close()
            say(text)

        result = run_demo(out, seed=seed, say=tell, bar=bar, on_epoch=_show_epoch)
    answer(result, json_)


@app.command(epilog="Example: cli.py train --cache feats.zarr --fold 1 --seed 0 --set model.tfe_blocks=8")
def train(
    cache: Cache = "feats.zarr",
    run: Annotated[Path | None, typer.Option(help="New directory [runs/CACHE-foldF-seedS].")] = None,
    preset: Annotated[str, typer.Option(help="default, paper, release, smoke.")] = "default",
    fold: Annotated[str, typer.Option(help="Fold, by number from 1 or by name.")] = "1",
    seed: int = 0,
    device: Device = "auto",
    encoder_weights: EncoderWeights = None,
    profile: Annotated[bool, typer.Option(help="Say where a step's time goes.")] = False,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Train the OUS model on one fold of a cache; keeps the epoch of lowest validation loss."""
    from pipeline.config import override
    from trainer.presets import preset as preset_named
    from trainer.training import train as train_run

    config = override(preset_named(preset), set_ or [])
    where = run or _free_run(cache, fold, seed)
    note_versions(cache)
    try:
        result = train_run(
            cache, where, config, fold=fold, seed=seed, device=device, encoder_weights=encoder_weights,
            profile=profile, on_epoch=_show_epoch,
        )  # fmt: skip
    except KeyboardInterrupt:
        say(_stopped(where, cache, fold, config, seed))
        raise typer.Exit(EXIT_INTERRUPTED) from None
    answer(result, json_)


def _stopped(run: Path, cache: str, fold: str, config: "TrainConfig", seed: int) -> str:
    """What a training that was interrupted leaves."""
    from trainer.caches import open_cache
    from trainer.folds import fold_rows
    from trainer.run_directory import WEIGHTS_FILE
    from trainer.training_result import evaluate_command

    if (run / WEIGHTS_FILE).is_file():
        with open_cache(cache) as features:
            split = fold_rows(features, fold, config.data, seed).split_to_measure
        command = evaluate_command(run, split)
        return f"stopped; {run} keeps the best epoch so far, and `{command}` measures it."
    return f"stopped before the end of an epoch; nothing is kept{f', {run} may go' if run.exists() else ''}."


def _show_epoch(report: "EpochReport") -> None:
    say(
        f"epoch {report.epoch:3d}  loss {report.train.loss:8.4f}  train {report.train.accuracy:6.1%}  "
        f"validation loss {report.validation.loss:8.4f}  WAR {report.validation.war:6.1%}  "
        f"UAR {report.validation.uar:6.1%}  {report.seconds:5.1f} s{'  best' if report.is_best else ''}"
    )


def _free_run(cache: str, fold: str, seed: int) -> Path:
    from pipeline.own_dir import OwnDir
    from pipeline.store.location import Place

    stem = f"{Place.of(cache).stem}-fold{fold}-seed{seed}"
    names = (stem + (f"-{n}" if n > 1 else "") for n in range(1, sys.maxsize))
    return next(path for path in (Path("runs") / name for name in names) if not OwnDir.of(path).exists())


@app.command(epilog="Example: cli.py evaluate runs/feats-fold1-seed0 --split test")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    split: Annotated[str, typer.Option(help="test, validation, train.")] = "test",
    cache: Annotated[str | None, typer.Option(help="Another cache than the one it was trained on.")] = None,
    fold: FoldToMeasure = None,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    json_: Json = False,
) -> None:
    """Measure a trained model: WAR, UAR, per-class recall, confusion matrix."""
    from trainer.evaluation import evaluate as evaluate_run

    result = evaluate_run(run, split, cache, device, fold=fold, allow_leak=allow_leak)
    note_versions(result.place)
    answer(result, json_)


@app.command(epilog="Example: cli.py report runs/dfew-fold1-seed0 runs/dfew-table5 --out report")
def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Directories of training runs, folders of ablate.")
    ] = None,
    rigid: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="FACE_RUN FULL_RUN",
            help="What the scene contributes, clip by clip [every pair alike but for scene and polarity].",
        ),
    ] = None,
    clips: Annotated[
        int,
        typer.Option(
            help="Clips shown that only the full run gets right, and that only the other does; 0 for none."
        ),
    ] = 6,
    out: Annotated[Path, typer.Option(help="Folder for the page, as HTML, Markdown, JSON.")] = Path("report"),
    split: Annotated[str, typer.Option(help="test, validation, train.")] = "test",
    cache: Annotated[
        str | None, typer.Option(help="Another cache than the one they were trained on.")
    ] = None,
    fold: FoldToMeasure = None,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    json_: Json = False,
) -> None:
    """Measure runs, read grids of `ablate`, write one page: beside the paper's numbers, each by itself."""
    from trainer.report import report as write_report

    result = write_report(
        runs or [], out, say, split=split, cache=cache, fold=fold, device=device, rigid=rigid,
        num_shown=clips, allow_leak=allow_leak,
    )  # fmt: skip
    for place in dict.fromkeys(measured.place for measured in result.runs):
        note_versions(place)
    answer(result, json_)


@app.command(epilog="Example: cli.py ablate --cache dfew.zarr --table 5 --folds all --seeds 3")
def ablate(
    cache: Cache = "feats.zarr",
    table: Annotated[int | None, typer.Option(help="The paper's Table III, IV, V or VI: 3, 4, 5, 6.")] = None,
    spec: Annotated[Path | None, typer.Option(help="A table of your own, as TOML.")] = None,
    folds: Annotated[str, typer.Option(help="1-5, 1,3, names, or all.")] = "1",
    seeds: Annotated[int, typer.Option(help="Seeds per row and fold, from 0.")] = 3,
    workers: Annotated[
        int | None, typer.Option(help="Runs side by side on the CPU's cores [as pays].")
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs to use; 0 for the CPU [1 if there is one].")] = None,
    per_gpu: Annotated[int, typer.Option(help="Runs side by side on each GPU.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="sync for this process, or a Dask cluster's address or file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the grid [runs/CACHE-TABLE].")] = None,
    preset: Annotated[str | None, typer.Option(help="default, paper, release, smoke [the table's].")] = None,
    encoder_weights: EncoderWeights = None,
    allow_leak: AllowLeak = False,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Run a table of settings over folds and seeds, beside the paper's numbers; run again, it goes on."""
    from pipeline.store.location import Place
    from trainer import ablate as grids

    if table is not None and spec is not None:
        msg = f"--table {table} and --spec '{spec}': leave out one of them."
        raise ConfigError(msg)
    if table is not None:
        asked, name = grids.table(table), f"table{table}"
    elif spec is not None:
        asked, name = grids.read_spec(spec), spec.stem
    else:
        msg = "ablate runs a table of the paper or one of your own: --table 3|4|5|6, or --spec FILE.toml."
        raise ConfigError(msg)
    where = out or Path("runs") / f"{Place.of(cache).stem}-{name}"
    note_versions(cache)
    with progress_bar("training", "runs") as (start, advance):
        observer = _SweepDisplay(start, advance)
        try:
            report = grids.ablate(
                cache, asked, where, observer, folds=folds, num_seeds=seeds, preset=preset,
                settings=set_ or [], encoder_weights=encoder_weights, allow_leak=allow_leak,
                options=grids.SweepExecutorOptions(
                    gpus=gpus, per_gpu=per_gpu, workers=workers, scheduler=scheduler
                ),
            )  # fmt: skip
        except KeyboardInterrupt:
            say(f"stopped; finished runs are safe in {where}. The same command goes on from there.")
            leave_at_once(EXIT_INTERRUPTED)
    answer(report, json_)
    report.require_no_failure()


class _SweepDisplay:
    """Shows a sweep on a progress bar, and each run's outcome in a line."""

    def __init__(self, start: Callable[[float], None], advance: Callable[..., None]) -> None:
        self._start, self._advance = start, advance
        self._done = self._failed = self._total = 0

    def on_start(self, num_to_do: int, num_before: int) -> None:
        """Show how many runs there are, and how many of them have their outcome already."""
        self._total = num_to_do
        say(f"{num_to_do} runs to do, {num_before} done before")
        self._start(num_to_do)

    def on_outcome(self, outcome: "Outcome") -> None:
        """Show what became of a run."""
        self._done += 1
        self._failed += outcome.state != "finished"
        say(f"[{self._done}/{self._total}] {outcome}")
        self._advance(1, f"{self._failed} diverged or failed" * bool(self._failed))

    def on_remark(self, text: str) -> None:
        """Show a remark."""
        say(text)

"""`demo` and `train`, with the resumption of a training. Heavy modules are imported inside commands."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.choices import Preset
from pipeline.commands.help_sections import DATA, MODEL, OUTPUT, Command
from pipeline.commands.options import (
    EXIT_INTERRUPTED,
    Device,
    EncoderWeightsOfCache,
    Json,
    Settings,
    note_versions,
)
from pipeline.errors import ConfigError
from pipeline.terminal import answer, progress_bar, say

if TYPE_CHECKING:
    from trainer.config import TrainConfig
    from trainer.training_result import EpochReport

app = typer.Typer()
_WITH_RESUME = frozenset({"resume", "cache", "device", "encoder_weights", "json_"})
"""Parameters of `train` that a resumed run does not determine."""

TrainingCaches = Annotated[
    list[str] | None,
    typer.Option(
        "--cache",
        help="Train on this cache: a directory, or s3://BUCKET/PREFIX. Further ones add training clips to "
        "those of the first, which has the classes, validation and test clips [feats.zarr].",
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
            help="Train on this fold, by number from 1 or by name; given once, it applies to every --cache; "
            "otherwise give one per --cache, in their order [1].",
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
            on_epoch=_show_epoch, on_remark=_show_remark,
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
            run, cache=cache, device=device, encoder_weights=encoder_weights, on_epoch=_show_epoch,
            on_remark=_show_remark,
        )  # fmt: skip
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


def _show_remark(text: str) -> None:
    say(f"note: {text}")


def _free_run(caches: Sequence[str], fold: str, seed: int) -> Path:
    from pipeline.own_dir import OwnDir
    from pipeline.store.location import Location

    stem = f"{'+'.join(Location.of(cache).stem for cache in caches)}-fold{fold}-seed{seed}"
    names = (stem + (f"-{n}" if n > 1 else "") for n in range(1, sys.maxsize))
    return next(path for path in (Path("runs") / name for name in names) if not OwnDir.of(path).exists())

"""`train`, `evaluate` and `demo`: parse, call, print. Nothing heavy is imported before it is needed."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import EXIT_INTERRUPTED, Cache, Device, EncoderWeights, Json, Settings
from pipeline.terminal import answer, progress_bar, say

if TYPE_CHECKING:
    from trainer.train import EpochReport

app = typer.Typer()


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
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Train the OUS model on one fold of a cache; keeps the epoch of lowest validation loss."""
    from pipeline.config import override
    from trainer.config import preset as preset_named
    from trainer.train import train as train_run

    config = override(preset_named(preset), set_ or [])
    where = run or _free_run(cache, fold, seed)
    try:
        result = train_run(
            cache, where, config, fold=fold, seed=seed, device=device, encoder_weights=encoder_weights,
            on_epoch=_show_epoch,
        )  # fmt: skip
    except KeyboardInterrupt:
        say(f"stopped; {where} keeps the best epoch so far, and `cli.py evaluate {where}` measures it.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    answer(result, json_)


def _show_epoch(report: "EpochReport") -> None:
    say(
        f"epoch {report.epoch:3d}  loss {report.train.loss:8.4f}  train {report.train.accuracy:6.1%}  "
        f"validation loss {report.validation.loss:8.4f}  WAR {report.validation.war:6.1%}  "
        f"UAR {report.validation.uar:6.1%}  {report.seconds:5.1f} s{'  best' if report.is_best else ''}"
    )


def _free_run(cache: str, fold: str, seed: int) -> Path:
    from pipeline.store.place import Place

    stem = f"{Place.of(cache).stem}-fold{fold}-seed{seed}"
    names = (stem + (f"-{n}" if n > 1 else "") for n in range(1, sys.maxsize))
    return next(path for path in (Path("runs") / name for name in names) if not path.exists())


@app.command(epilog="Example: cli.py evaluate runs/feats-fold1-seed0 --split test")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    split: Annotated[str, typer.Option(help="test, validation, train.")] = "test",
    cache: Annotated[str | None, typer.Option(help="Another cache than the one it was trained on.")] = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Measure a trained model: WAR, UAR, per-class recall, confusion matrix."""
    from trainer.evaluate import evaluate as evaluate_run

    answer(evaluate_run(run, split, cache, device), json_)

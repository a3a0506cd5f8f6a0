"""Time of a training step on a CPU, and the start of a training, before and after the exact savings.

    python -m benchmarks.training_step --out benchmarks/results/training-step-cpu.json

The preset is ``paper`` with M = 64, batches of 16 clips of 16 frames in the sizes of ViT-L/14, and a text
encoder with random weights, which do not change its time. Four forms take one step each in turn:

``before``  Adam with a pass for each operation, one pass of the LSTM for each stream, and the text encoder's
            last layer at all tokens
``fp32``    as `train` does it
``bf16``    the same with ``model.precision=bf16``
``both``    the same with ``model.precision=bf16`` and ``prompts.precision=bf16``

All start with the same weights and take the same batches; ``losses`` shows that before and fp32 agree.
Start: `train` on a cache of DFEW's size (``--start``, needs 6 GB), from the command to the end of the first
step, in a process of its own; the file of weights has been read before, so that it is in memory.
Accuracy: runs of preset ``smoke`` on the cache of the demo (``--accuracy``) in both precisions, with the
same seeds. They may be made beforehand (``--part accuracy``) and are then read from ``--out``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from benchmarks.findings import difference
from pipeline.bench.load import synthetic_cache
from pipeline.bench.result import about_this_run
from pipeline.clip_model import EncoderConfig, load_clip_model
from pipeline.config import override
from pipeline.datasets.synthetic import CLASSES
from pipeline.executor.machine import keep_memory
from trainer.batches import Batch
from trainer.measurement import measure
from trainer.model import FeatureShape, OusModel
from trainer.optim import set_rate
from trainer.presets import paper, smoke
from trainer.prompts import ClassPrompts, TextTower
from trainer.steps import TrainState
from trainer.training import train

_BATCH, _UNTIMED = 16, 3
_WIDTHS = FeatureShape(num_frames=16, embed_width=768, encoder_width=1024)
FORMS = ("before", "fp32", "bf16", "both")
_FIRST_STEP = "first step"


class EarlierTower(TextTower):
    """Text encoder whose last layer is computed at all tokens."""

    def _ends(self, block: Any, x_YW: torch.Tensor, contexts: int) -> torch.Tensor:
        x_YW = x_YW + block.ls_1(self._attention(block.attn, block.ln_1(x_YW), contexts))
        x_YW = x_YW + block.ls_2(block.mlp(block.ln_2(x_YW)))
        return x_YW[contexts * len(self.position_AW) :][self.end_C]


class EarlierModel(OusModel):
    """Model that passes faces and scenes through the LSTM one after the other."""

    def forward(self, batch: Batch, text_CF: torch.Tensor, stream: Any = None) -> Any:
        """See `OusModel.forward`."""
        return super().forward(batch, text_CF, self.scene_stream(batch) if stream is None else stream)


def batches() -> Callable[[], Batch]:
    """Return a function that returns random batches, the same ones for each function."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(_BATCH, *shape, generator=generator)

    def one() -> Batch:
        return Batch(
            face_BTF=normal(16, 768),
            scene_BTF=normal(16, 768),
            early_B43D=normal(4, 3, 1024),
            valid_BT=torch.ones(_BATCH, 16, dtype=torch.bool),
            label_B=torch.arange(_BATCH) % len(CLASSES),
            polarity_B=torch.arange(_BATCH) % 3,
        )

    return one


def states(encoder: str) -> dict[str, TrainState]:
    """Return the parts to train in each form, with equal weights."""
    clip = load_clip_model(EncoderConfig(name=encoder, weights="random"))
    found = {}
    for form in FORMS:
        model_in, prompts_in = (
            "bf16" if form in names else "fp32" for names in (("bf16", "both"), ("both",))
        )
        config = override(paper(), [f"model.precision={model_in}", f"prompts.precision={prompts_in}"])
        tower_kind, model_kind = (EarlierTower, EarlierModel) if form == "before" else (TextTower, OusModel)
        tower = tower_kind(clip, tuple(CLASSES), config.prompts.length)
        torch.manual_seed(0)
        model = model_kind(config, _WIDTHS)
        prompts = ClassPrompts(config.prompts, len(CLASSES), tower.width)
        state = TrainState.of(
            config, model, prompts, tower.to(torch.bfloat16 if prompts_in == "bf16" else torch.float32)
        )
        if form == "before":
            state.optimizer.defaults["fused"] = None
            state.optimizer.param_groups[0]["fused"] = None
        set_rate(state.optimizer, 1e-4)
        found[form] = state
    return found


def measured(encoder: str, turns: int) -> dict[str, Any]:
    """Take steps of all forms in turns, and return their times in ms and their losses."""
    by_form, draw_of = states(encoder), {form: batches() for form in FORMS}
    times: dict[str, list[float]] = defaultdict(list)
    parts: dict[str, dict[str, list[float]]] = {form: defaultdict(list) for form in FORMS}
    losses: dict[str, list[float]] = defaultdict(list)
    for turn in range(_UNTIMED + turns):
        for form, state in by_form.items():
            batch, last = draw_of[form](), time.perf_counter()
            began = last

            def mark(part: str, form: str = form) -> None:
                nonlocal last
                now = time.perf_counter()
                parts[form][part].append(now - last)
                last = now

            losses[form].append(float(state.step(batch, mark)["loss"]))
            times[form].append(time.perf_counter() - began)
        sys.stderr.write(f"turn {turn + 1}: {[round(1e3 * times[form][-1]) for form in FORMS]} ms\n")
    return {
        "turns": turns,
        "ms": {form: _spread([1e3 * one for one in times[form][_UNTIMED:]]) for form in FORMS},
        "parts_ms": {
            form: {
                part: round(1e3 * statistics.median(values[_UNTIMED:]), 1)
                for part, values in parts[form].items()
            }
            for form in FORMS
        },
        "times_faster": {
            form: _spread(
                [
                    before / now
                    for before, now in zip(times["before"][_UNTIMED:], times[form][_UNTIMED:], strict=True)
                ]
            )
            for form in FORMS[1:]
        },
        "losses": losses,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "lowest": round(min(values), 3),
        "highest": round(max(values), 3),
    }


def started(encoder: str, num_clips: int, turns: int, work: Path) -> dict[str, Any]:
    """Return the seconds from the command `train` to the end of its first step."""
    clip = load_clip_model(EncoderConfig(name=encoder, weights="random"))
    weights = work / "weights.safetensors"
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in clip.model.state_dict().items()}, weights
    )
    synthetic_cache(work / "feats.zarr", num_clips, clip)
    command = [
        sys.executable, "-m", "benchmarks.training_step", "--child", "train",
        "--cache", str(work / "feats.zarr"), "--preset", "paper", "--device", "cpu",
        "--encoder-weights", str(weights),
    ]  # fmt: skip
    del clip
    wall = []
    for turn in range(1 + turns):
        began = time.perf_counter()
        with subprocess.Popen([*command, "--run", str(work / f"run{turn}")], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            line = child.stdout.readline().decode()
            wall.append(time.perf_counter() - began)
            child.kill()
        if line.strip() != _FIRST_STEP:
            msg = f"the training ended before its first step: {line!r}"
            raise RuntimeError(msg)
        sys.stderr.write(f"start {turn}: {wall[-1]:.1f} s\n")
    return {"clips": num_clips, "seconds": _spread(wall[1:]), "turns": turns}


def accuracies(cache: str, seeds: int) -> dict[str, Any]:
    """Return WAR on the test clips of runs in both precisions, by seed, and their differences."""
    war: dict[str, list[float]] = {"fp32": [], "bf16": []}
    with tempfile.TemporaryDirectory(prefix="ous-precision-") as work:
        for seed in range(seeds):
            for precision, found in war.items():
                run = Path(work) / f"{precision}-{seed}"
                config = override(smoke(), [f"model.precision={precision}", f"prompts.precision={precision}"])
                train(cache, run, config, seed=seed, device="cpu", is_resumable=False, has_figures=False)
                found.append(measure(run, device="cpu").metrics().war)
                sys.stderr.write(f"{precision}, seed {seed}: {found[-1]:.4f}\n")
    by_seed = {precision: dict(enumerate(values)) for precision, values in war.items()}
    return {"war": war, "difference": difference(by_seed["bf16"], by_seed["fp32"])}


def _child(arguments: list[str]) -> None:
    """Run the command line, and report the end of the first step."""
    import cli

    plain = TrainState.step

    def step(self: TrainState, *rest: Any, **named: Any) -> Any:
        found = plain(self, *rest, **named)
        sys.stdout.write(f"{_FIRST_STEP}\n")
        sys.stdout.flush()
        time.sleep(600)  # the parent ends this process
        return found

    TrainState.step = step  # type: ignore[method-assign]
    sys.argv = ["cli.py", *arguments]
    cli.main()


def main() -> None:
    """Measure steps and starts, and write the result."""
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description="Time of a training step on a CPU.")
    parser.add_argument("--encoder", default="ViT-L-14-quickgelu")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--start", type=int, default=0, metavar="CLIPS", help="clips of the cache; 0: none")
    parser.add_argument("--part", choices=("all", "accuracy"), default="all")
    parser.add_argument("--accuracy", metavar="CACHE", help="cache of the demo")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    keep_memory()
    kept = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    about = about_this_run({}, {"turns": args.turns, "encoder": args.encoder, "preset": "paper"})
    result: dict[str, Any] = {**about, "threads": torch.get_num_threads()}
    if "accuracy" in kept:
        result["accuracy"] = kept["accuracy"]
    elif args.accuracy:
        result["accuracy"] = accuracies(args.accuracy, args.seeds)
    if args.part == "all":
        result["step"] = measured(args.encoder, args.turns)
    if "start" in kept and not args.start:
        result["start"] = kept["start"]
    if args.start:
        with tempfile.TemporaryDirectory(prefix="ous-start-") as work:
            result["start"] = started(args.encoder, args.start, min(args.turns, 5), Path(work))
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The losses of 20 training steps of each reading on one small cache, kept in tests/golden/losses.json.

Every epoch is one step of all training clips, so that `train` itself reports each step. After a change
that is meant to change numbers, write them anew, and say why in the commit:

    python -m tests.golden_losses
"""

import json
import tempfile
from pathlib import Path

import torch

from pipeline.clip_model import EncoderConfig
from pipeline.config import override
from tests.tiny_cache import tiny_cache, tiny_meta
from tests.tiny_clip import tiny_clip, tiny_model
from trainer.config import TrainConfig
from trainer.presets import smoke
from trainer.training import train

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
STEPS = 20
COLUMNS = ("loss", "contrast", "similarity", "polarity", "validation")

READINGS = {
    "default": [],
    "type": ["model.lstm=type"],
    "literal": ["model.tfe_form=literal"],
    "crossed": ["model.tfe_keys=crossed"],
    "frames": ["model.tfe_tokens=frames"],
    "patches": ["model.tfe_tokens=patches"],
    "average": ["model.tfe=false"],
    "deep": ["model.frame_encoder_depth=3"],
    "faces": ["model.scene=false", "model.polarity=false"],
    "class_specific": ["prompts.context=class_specific"],
    "per_sample": ["losses.similarity=per_sample"],
    "batch": ["losses.contrast=batch"],
    "streams": ["losses.contrast=streams"],
    "sum": ["losses.reduction=sum"],
    "gate_total": ["losses.gate=total", "losses.alpha=2.5"],
    "contrast_alone": ["losses.terms=contrast"],
    "kept_polarity": ["losses.terms=contrast", "model.keep_pol_token=true"],
    "first_view": ["data.views=first"],
    "on_test": ["data.validation=test"],
}
"""Each a change of one reading from the base. Dropout is off, the gate begins open and closes on the way."""


def base() -> TrainConfig:
    """Small, and without any rule that would end the run early."""
    changes = [
        "optim.batch_size=64", "optim.lr=2e-3", "optim.warmup_steps=3", f"schedule.max_epochs={STEPS}",
        "schedule.stop_patience=0", "losses.logit_scale=10",
    ]  # fmt: skip
    return override(smoke(), changes)


def golden_cache(path: Path) -> Path:
    """A cache of three classes with patch tokens, by an encoder of a few thousand weights."""
    clip = tiny_clip()
    encoder = EncoderConfig(name=tiny_model(), weights="random", seed=0)
    meta = tiny_meta(
        num_tokens=3,
        embed_width=clip.embed_width,
        encoder_width=clip.encoder_width,
        encoder_name=encoder.name,
        encoder_sha256=clip.visual_sha256,
        text_sha256=clip.text_sha256,
        config={"encoder": {"name": encoder.name, "weights": encoder.weights, "seed": encoder.seed}},
    )
    tiny_cache(path, meta, signal=1)
    return path


def losses(cache: Path, run_dir: Path, reading: str) -> list[list[float]]:
    """`COLUMNS` of each of the 20 steps, on one thread; the validation loss is the one after the step."""
    rows: list[list[float]] = []
    threads = torch.get_num_threads()

    def keep(report):
        numbers = {"loss": report.train.loss, **report.train.losses, "validation": report.validation.loss}
        rows.append([float(f"{numbers[name]:.5g}") for name in COLUMNS])

    torch.set_num_threads(1)
    try:
        result = train(cache, run_dir, override(base(), READINGS[reading]), device="cpu", on_epoch=keep)
    finally:
        torch.set_num_threads(threads)
    if result.num_steps != len(rows) or len(rows) != STEPS:
        msg = f"{reading}: {result.num_steps} steps in {len(rows)} epochs; {STEPS} epochs of one step needed"
        raise ValueError(msg)
    return rows


def main() -> None:
    """Write tests/golden/losses.json."""
    with tempfile.TemporaryDirectory(prefix="ous-golden-") as folder:
        cache = golden_cache(Path(folder) / "feats.zarr")
        tables = {name: losses(cache, Path(folder) / name, name) for name in READINGS}
    lines = [f"{json.dumps(name)}: {json.dumps(table)}" for name, table in tables.items()]
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

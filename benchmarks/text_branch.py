"""Time of a step's class prompts: CLIP's text encoder, forward and backward to the context.

    python -m benchmarks.text_branch --length 16 --length 64 --out FILE

There is one row per way and prompt length. The plain way computes all 77 positions by open_clip in float32
(the faster one of weights with and without gradients). ``cut`` leaves out positions after the longest end
token. ``shared`` also computes the start and the context once for all classes. The ``error`` columns are
relative to the plain way; errors in float64 show that both are exact. A precision counts as safe if the
context's gradient keeps its direction: cosine above 0.99. The encoder has random weights, which does not
change its time.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.bench.result import about_this_run
from pipeline.clip_model import EncoderConfig, LoadedClip, load_clip_model
from pipeline.device import choose_device
from trainer.prompts import TextTower

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
SAFE_COSINE = 0.99
Branch = Callable[[torch.Tensor], torch.Tensor]


def full_branch(clip: LoadedClip, length: int, *, weights_learn: bool) -> Branch:
    """Return open_clip's own encode_text over all positions, with the context instead of dummy words.

    Args:
        clip: The CLIP model.
        length: M, the number of prompt vectors.
        weights_learn: Whether the model's weights require gradients.
    """
    model = clip.model.requires_grad_(weights_learn)
    device = model.positional_embedding.device
    tokens = clip.tokenize([" ".join(["x"] * length + [name]) for name in CLASSES]).to(device)

    def forward(context_MW: torch.Tensor) -> torch.Tensor:
        def put(_module: nn.Module, _given: Any, embedded: torch.Tensor) -> torch.Tensor:
            context = context_MW.expand(len(CLASSES), -1, -1)
            return torch.cat([embedded[:, :1], context, embedded[:, 1 + length :]], dim=1)

        handle = model.token_embedding.register_forward_hook(put)
        features: torch.Tensor = model.encode_text(tokens, normalize=True)
        handle.remove()
        return features

    return forward


def step(branch: Branch, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return class features, and the gradient of a fixed sum of them for the context, as in a step."""
    features = branch(context)
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(0)).to(features)
    (gradient,) = torch.autograd.grad((features * weights).sum(), context)
    return features.detach(), gradient


def seconds(branch: Branch, context: torch.Tensor) -> float:
    """Return the seconds of one step, with the device's work."""
    began = time.perf_counter()
    _, gradient = step(branch, context)
    gradient.sum().item()  # waits for the device
    return time.perf_counter() - began


def relative(value: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the norm of the difference divided by the norm of the truth."""
    return float((value.double() - truth.double()).norm() / truth.double().norm())


def measure(clip: LoadedClip, length: int, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Return a row per way; all are timed in turns, and the best of the repeats counts.

    Args:
        clip: The CLIP model.
        length: M, the number of prompt vectors.
        device: Device of the text encoder.
        repeats: Number of timed steps of each way.
    """
    tower = TextTower(clip, CLASSES, length).to(device)
    start = 0.02 * torch.randn(length, tower.width, generator=torch.Generator().manual_seed(1))
    context = start.to(device).requires_grad_()
    num_classes = len(CLASSES)
    low = deepcopy(tower).to(torch.bfloat16)
    ways: dict[str, Branch] = {
        "77 tokens, float32, weights that learn": full_branch(clip, length, weights_learn=True),
        "77 tokens, float32, frozen": full_branch(clip, length, weights_learn=False),
        "cut, float32": lambda c: tower(c.expand(num_classes, -1, -1)),
        "cut, bfloat16": lambda c: low(c.expand(num_classes, -1, -1)),
        "shared, float32": tower,
        "shared, bfloat16": low,
    }
    if device.type == "cuda":
        half = deepcopy(tower).to(torch.float16)
        ways["shared, float16"] = half
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, branch in ways.items():
            clip.model.requires_grad_("learn" in name)
            took[name].append(seconds(branch, context))
    best = {name: min(times[1:]) for name, times in took.items()}
    plain = min(time for name, time in best.items() if name.startswith("77"))
    features, gradient = step(ways["77 tokens, float32, frozen"], context)
    rows = []
    for name, branch in ways.items():
        own_features, own_gradient = step(branch, context)
        cosine = float(nn.functional.cosine_similarity(own_gradient.flatten(), gradient.flatten(), dim=0))
        rows.append(
            {
                "length": length,
                "way": name,
                "seconds": best[name],
                "times_faster": plain / best[name],
                "feature_error": relative(own_features, features),
                "gradient_error": relative(own_gradient, gradient),
                "gradient_cosine": cosine,
                "safe": cosine > SAFE_COSINE,
            }
        )
    return rows


def exactness(clip: LoadedClip, length: int) -> dict[str, Any]:
    """Return the errors of both shortened ways in float64 on the CPU, where rounding errors are small."""
    exact = replace(clip, model=deepcopy(clip.model).cpu().double())
    tower = TextTower(exact, CLASSES, length)
    start = 0.02 * torch.randn(length, tower.width, generator=torch.Generator().manual_seed(1))
    context = start.double().requires_grad_()
    features, gradient = step(full_branch(exact, length, weights_learn=False), context)
    row: dict[str, Any] = {"length": length}
    for name, branch in (("cut", lambda c: tower(c.expand(len(CLASSES), -1, -1))), ("shared", tower)):
        own_features, own_gradient = step(branch, context)
        row[f"{name}_feature_error"] = relative(own_features, features)
        row[f"{name}_gradient_error"] = relative(own_gradient, gradient)
    return row


def main() -> None:
    """Load the model, measure and write the result."""
    parser = argparse.ArgumentParser(description="The text branch of a training step, plain, cut and shared.")
    parser.add_argument("--length", type=int, action="append", help="M, prompt vectors; may be repeated")
    parser.add_argument("--encoder", default="ViT-L-14-quickgelu")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--note", default="", help="note on the machine for readers of the result")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    clip = load_clip_model(EncoderConfig(name=args.encoder, weights="random", seed=0))
    clip.model.visual = nn.Identity()  # only the text encoder is measured
    gc.collect()
    options = {
        "encoder": args.encoder,
        "device": str(device),
        "threads": args.threads,
        "repeats": args.repeats,
    }
    about = about_this_run({}, {**options, "classes": len(CLASSES), "note": args.note})
    lengths = args.length or [16, 64]
    exact = [exactness(clip, length) for length in lengths]
    clip.model.to(device)
    rows = [row for length in lengths for row in measure(clip, length, device, args.repeats)]
    args.out.write_text(json.dumps({**about, "exactness": exact, "rows": rows}, indent=2) + "\n")
    for row in [*exact, *rows]:
        shown = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values())
        sys.stdout.write("  ".join(shown) + "\n")


if __name__ == "__main__":
    main()

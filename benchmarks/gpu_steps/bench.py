"""Step `bench`: the goals of `cli.py bench` on this device, as ratios to its own speeds."""

import json

from benchmarks.gpu_steps.cli import run_command
from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import MOBILENET, manifest_of

_PARTS, _PARTS_TINY = "encode,decode,detect,write,pipeline", "decode,write"
_NUM_CLIPS, _IMAGES = 192, 2048
BENCH = "bench.json"


def run(context: Context) -> None:
    """Run the parts that need no second process, and record each goal with its number."""
    options = context.options
    out = options.out / BENCH
    parts = context.size(_PARTS, _PARTS_TINY)
    weights = "random" if options.detector_weights is None else options.detector_weights
    done = run_command(
        "bench", "--device", options.device, "--clips", manifest_of(options).parent, "--only", parts,
        "--detector", MOBILENET, "--detector-weights", weights, "--encoder", options.encoder_name,
        "--num-clips", context.size(_NUM_CLIPS, 2), "--repeats", context.size(2, 1),
        "--encode-pictures", context.size(_IMAGES, 4), "--out", out,
        *context.size([], ["--set", "frames.num_frames=2", "--set", "features.batch_pictures=4"]),
    )  # fmt: skip
    document = json.loads(out.read_text())
    context.results.numbers("run", {"seconds": done.seconds}, parts=parts)
    for goal in document["goals"]:
        limit = {key: goal[key] for key in ("at_least", "below", "aim") if key in goal}
        context.results.numbers(
            "goal", {"value": goal["value"], "met": goal["met"]}, what=goal["what"], **limit
        )

"""Step `bench`: the goals of `cli.py bench` on this device, as ratios to its own speeds."""

import json

from benchmarks.gpu_steps.cli import run_command
from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import MOBILENET, manifest_of

_PARTS, _NUM_CLIPS, _IMAGES = "encode,decode,detect,write,pipeline", 192, 2048
BENCH = "bench.json"


def run(context: Context) -> None:
    """Run the parts that need no second process, and record each goal."""
    options = context.options
    out = options.out / BENCH
    weights = "random" if options.detector_weights is None else options.detector_weights
    done = run_command(
        "bench", "--device", options.device, "--clips", manifest_of(options).parent, "--only", _PARTS,
        "--detector", MOBILENET, "--detector-weights", weights, "--encoder", options.encoder_name,
        "--num-clips", context.size(_NUM_CLIPS, 2), "--repeats", context.size(2, 1),
        "--encode-pictures", context.size(_IMAGES, 4), "--out", out,
        *context.size([], ["--set", "frames.num_frames=2", "--set", "features.batch_pictures=4"]),
    )  # fmt: skip
    document = json.loads(out.read_text())
    context.results.numbers("run", {"seconds": done.seconds}, parts=_PARTS)
    for goal in document["goals"]:
        limit = {key: goal[key] for key in ("at_least", "below", "aim") if key in goal}
        context.results.numbers(
            "goal", {"value": goal["value"], "met": goal["met"]}, what=goal["what"], **limit
        )

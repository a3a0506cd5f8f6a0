"""Steps of a run: order, time limits, and the decision for which each step is measured."""

from dataclasses import dataclass

_PACKAGE = "benchmarks.gpu_steps"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a run.

    Attributes:
        name: Name of the step.
        function: ``module:function``, called with a Context.
        seconds: Time limit of its process.
        decides: Decision for which it is measured.
        is_required: Whether later steps need it.
    """

    name: str
    function: str
    seconds: float
    decides: str
    is_required: bool = False


def _step(name: str, seconds: float, decides: str, *, is_required: bool = False) -> Step:
    module = name.replace("-", "_")
    function = f"{_PACKAGE}.{module}:run"
    return Step(name=name, function=function, seconds=seconds, decides=decides, is_required=is_required)


STEPS = (
    _step("setup", 120, "clips, machine, versions: every number is published with them", is_required=True),
    _step("environment", 60, "product and copy speeds: the ceilings; whether small copies block the queue"),
    _step("gpu-tests", 180, "whether the tests marked gpu pass on this card"),
    _step("encoder", 120, "the default batch size and precision; how far the encoder is from the ceiling"),
    _step("extraction", 240, "which change of the extraction to build; how idle the GPU is"),
    _step("detector", 90, "whether the detector is limited by launches; its batch size and precision"),
    _step("agreement", 90, "whether features equal the CPU's within the precision, whatever the batch"),
    _step("training", 180, "the default of optim.graphed; whether Adam should be fused"),
    _step("decoding", 60, "how many decoding children a GPU needs, and whether the cores suffice"),
    _step("encoder-changes", 180, "attention backend, CUDA graph, compilation, fp8, class token alone"),
    _step("command-line", 150, "whether extract and cache verify work on this card, end to end"),
    _step("sweep", 240, "the time of a table of ablate, with and without graphs"),
    _step("bench", 240, "the goals of `cli.py bench`, as ratios on this card"),
)
"""Steps in order of importance, because a run with too little time skips the last ones."""

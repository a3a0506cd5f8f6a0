"""Choice of the executor of `extract` by GPUs, workers and scheduler."""

from dataclasses import dataclass

from pipeline.config import require_range
from pipeline.executor.choice import WorkerOptions, executor_for
from pipeline.process import CLIP_SECONDS, ExtractConfig
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.worker import BlockWorkerSetup


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions(WorkerOptions):
    """Options of the executor of blocks.

    Attributes:
        decoders: Number of decoding processes per worker; None to choose by the cores.
        clip_seconds: Limit for the decoding of a clip; None for 300 s.
    """

    decoders: int | None = None
    clip_seconds: float | None = None

    def __post_init__(self) -> None:
        WorkerOptions.__post_init__(self)
        if self.decoders is not None:
            require_range("--decoders", self.decoders, 1)
        if self.clip_seconds is not None:
            require_range("--clip-seconds", self.clip_seconds, 1)


def make_executor(
    config: ExtractConfig, options: ExecutorOptions, *, for_timing: bool = False
) -> BlockExecutor:
    """Make the executor of blocks, which the caller closes. Its models are loaded when they are needed.

    Args:
        config: The settings of all steps.
        options: The user's choice.
        for_timing: See `BlockWorkerSetup`.

    Raises:
        ConfigError: This machine has fewer GPUs.
        OusError: The cluster does not answer.
    """
    setup = BlockWorkerSetup(
        config=config,
        device=options.device,
        decoders=options.decoders,
        clip_seconds=options.clip_seconds or CLIP_SECONDS,
        for_timing=for_timing,
    )
    return executor_for(setup, options)

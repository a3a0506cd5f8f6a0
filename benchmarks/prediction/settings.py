"""Settings that the measurements share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pipeline.config import override
from pipeline.executor.machine import available_cores, decoders_for
from pipeline.process import DecodePool, ExtractConfig, Models, load_models
from pipeline.process.windows import PartDecoder, WindowPlan, plan_windows, scan_source
from pipeline.types import SourceScan

CPU = torch.device("cpu")
HAAR, RETINAFACE = "haar", "retinaface-mobilenet0.25"
ENCODER = "ViT-S-32"
WINDOW_SECONDS, STRIDE_SECONDS = 2.0, 0.5


def small_config(detector: str = HAAR, weights: Path | None = None, encoder: str = ENCODER) -> ExtractConfig:
    """Return the default settings with an encoder of random weights and a detector."""
    given = [f"detector.weights={weights}"] if detector == RETINAFACE else []
    return override(
        ExtractConfig(),
        [
            f"encoder.name={encoder}",
            "encoder.weights=random",
            "features.precision=fp32",
            f"detector.name={detector}",
            *given,
        ],
    )


def small_models(detector: str = HAAR, weights: Path | None = None, encoder: str = ENCODER) -> Models:
    """Load detector and encoder of `small_config`."""
    return load_models(small_config(detector, weights, encoder), CPU)


@contextmanager
def decoders() -> Iterator[PartDecoder]:
    """Yield decoding processes, as many as `predict` starts here."""
    with DecodePool(decoders_for(CPU, len(available_cores()))) as pool:
        yield pool


def planned(
    path: Path,
    config: ExtractConfig,
    decoder: PartDecoder,
    *,
    window_seconds: float = WINDOW_SECONDS,
    stride_seconds: float = STRIDE_SECONDS,
    end_seconds: float | None = None,
) -> tuple[SourceScan, WindowPlan]:
    """Scan a video with a search for cuts, and plan its windows, up to a time if one is given."""
    scan = scan_source(path, cuts=config.shots, decoder=decoder)
    plan = plan_windows(
        scan.seconds_N,
        scan.end_seconds,
        scan.cuts or (),
        config,
        window_seconds=window_seconds,
        stride_seconds=stride_seconds,
        end=end_seconds,
    )
    return scan, plan

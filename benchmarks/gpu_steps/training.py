"""Step `training`: a training step in the paper's setting, without and with single changes.

The rows decide the default of ``optim.graphed``, and whether Adam should be fused. `launch_share` is the
fraction of a step in which the device runs no kernel.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.gpu_steps.compiling import compile_backend
from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import load_encoder
from benchmarks.gpu_steps.kernels import PROFILE, kernel_times
from benchmarks.steps import endless, timed
from pipeline.bench.load import synthetic_cache
from pipeline.config import override
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from trainer import optim
from trainer.batches import ClipData
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig
from trainer.model import FeatureShape, OusModel
from trainer.presets import paper, smoke
from trainer.prompts import ClassPrompts, load_text_tower
from trainer.steps import TrainState, steps_of

_NUM_CLIPS, _NUM_CLIPS_TINY = 2_560, 70
_TRAINING_CLIPS_OF_DFEW, _EPOCHS_OF_TABLE_3 = 9_356, 90
_PROFILED = 10

Change = Callable[[TrainState], TrainState]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Clips and base settings of all ways."""

    meta: CacheMeta
    data: ClipData
    base: TrainConfig


def run(context: Context) -> None:
    """Load a cache, then take steps in every way."""
    material = _loaded(context)
    way = partial(_measured, context, material)
    graphed, cuda = ["optim.graphed=true"], context.unless_cuda
    way("plain", [])
    way("graphed", graphed, unless=cuda)
    way("plain, fused Adam", [], inside=fused_adam)
    way("graphed, fused Adam", graphed, inside=fused_adam, unless=cuda)
    way("plain, batch 32", ["optim.batch_size=32"])
    way("graphed, batch 32", [*graphed, "optim.batch_size=32"], unless=cuda)
    way("graphed, 16 prompt vectors", [*graphed, "prompts.length=16"], unless=cuda)
    way("plain, model compiled", [], change=partial(_compiled, context))


def training_cache(context: Context) -> Path:
    """Return a cache of random features for training, for the run's encoder and size.

    It is written when it is missing or was not completed.
    """
    num_clips = context.size(_NUM_CLIPS, _NUM_CLIPS_TINY)
    encoder = context.options.encoder_name.replace("/", "_")
    path = context.options.work / f"training-{encoder}-{num_clips}.zarr"
    complete = path.with_suffix(".complete")
    if not complete.exists():
        shutil.rmtree(path, ignore_errors=True)  # of a step that was ended while it wrote
        began = time.perf_counter()
        synthetic_cache(path, num_clips, load_encoder(context))
        numbers = {"clips": num_clips, "seconds": time.perf_counter() - began}
        context.results.numbers("writing a cache of random features", numbers)
        complete.touch()
    return path


def _loaded(context: Context) -> Material:
    base = context.size(paper(), override(smoke(), ["optim.batch_size=4", "model.tfe_blocks=1"]))
    with FeatureCache.open(training_cache(context)) as cache:
        began = time.perf_counter()
        data = load_clips(cache, np.arange(cache.meta.num_clips), base, context.device)
        context.wait()
        seconds = time.perf_counter() - began
        meta = cache.meta
    numbers = {"clips_per_second": meta.num_clips / seconds, "residence": data.residence}
    context.results.numbers("loading a cache", numbers, clips=meta.num_clips)
    return Material(meta=meta, data=data, base=base)


def _measured(
    context: Context,
    material: Material,
    name: str,
    settings: Sequence[str],
    *,
    inside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    change: Change | None = None,
    unless: str = "",
) -> None:
    """Record one way.

    Args:
        context: Context of the step.
        material: Clips and base settings.
        name: Name of the way.
        settings: Changes of the settings, as ``section.key=value``.
        inside: Change of a module during the measurement.
        change: Change of the train state; None for none.
        unless: Reason to skip the way; empty to measure it.
    """

    def numbers() -> Mapping[str, Any]:
        with inside():
            return _numbers(context, material, name, settings, change)

    changed = {"set": " ".join(settings)} if settings else {}
    context.results.measure("training step", numbers, unless=unless, way=name, **changed)


def _numbers(
    context: Context, material: Material, name: str, settings: Sequence[str], change: Change | None
) -> Mapping[str, Any]:
    config = override(material.base, list(settings))
    if context.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    state = _state(context, material.meta, config)
    take = steps_of(state if change is None else change(state), context.device)
    batches = endless(material.data, config.optim.batch_size)
    began = time.perf_counter()
    timed(take, batches, context.size(6, 1), config.optim.lr)
    warm_up = time.perf_counter() - began
    several = range(context.size(3, 1))
    seconds = min(timed(take, batches, context.size(60, 1), config.optim.lr) for _ in several)
    steps = -(-_TRAINING_CLIPS_OF_DFEW // config.optim.batch_size)
    found = {
        "step_ms": 1e3 * seconds,
        "warm_up_seconds": warm_up,
        "epoch_of_9356_clips_seconds": steps * seconds,
        "table_3_minutes": _EPOCHS_OF_TABLE_3 * steps * seconds / 60,
    }
    if context.is_cuda:
        found |= _on_the_device(
            context, partial(timed, take, batches, _PROFILED, config.optim.lr), name, seconds
        )
    return found


def _on_the_device(context: Context, take: Callable[[], object], name: str, seconds: float) -> dict[str, Any]:
    """Measure the kernels of a step, the fraction of a step without one, and the largest memory."""
    kernels = kernel_times(take, context.options.out / PROFILE, f"{_PROFILED} training steps, {name}")
    peak_gb = 1e-9 * torch.cuda.max_memory_allocated()
    idle = 1 - kernels.seconds / _PROFILED / seconds
    return {**kernels.numbers(_PROFILED), "launch_share": idle, "peak_gb": peak_gb}


def _state(context: Context, meta: CacheMeta, config: TrainConfig) -> TrainState:
    torch.manual_seed(0)
    model = OusModel(config, FeatureShape.of(meta)).to(context.device).train()
    tower = load_text_tower(meta, config.prompts, context.device)
    prompts = ClassPrompts(config.prompts, len(meta.class_names), tower.width).to(context.device)
    return TrainState.of(config, model, prompts, tower)


@contextmanager
def fused_adam() -> Iterator[None]:
    """Let the trainer build Adam in torch's fused form. Raises RuntimeError if it builds none."""
    plain, num_built = torch.optim.Adam, 0

    def build(*arguments: Any, **values: Any) -> torch.optim.Adam:
        nonlocal num_built
        num_built += 1
        return plain(*arguments, **{**values, "fused": True})

    with patch.object(optim.torch.optim, "Adam", build):
        yield
    if not num_built:
        msg = "the trainer built no torch.optim.Adam: the change had no effect"
        raise RuntimeError(msg)


def _compiled(context: Context, state: TrainState) -> TrainState:
    """Return the state with its model compiled."""
    model: Any = torch.compile(state.model, dynamic=False, backend=compile_backend(context))
    return replace(state, model=model)

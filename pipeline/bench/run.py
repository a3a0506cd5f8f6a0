"""Measurement of all requested parts, on the same clips."""

import dataclasses
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from pipeline.bench import cluster, encoding, end_to_end, prediction, steps
from pipeline.bench.clips import prepared_clips
from pipeline.bench.load import load
from pipeline.bench.models import load_bench_models
from pipeline.bench.options import PARTS, BenchOptions
from pipeline.bench.result import BenchResult, Measured, about_this_run
from pipeline.device import choose_device
from pipeline.errors import first_line
from pipeline.process import Models
from pipeline.scratch import ScratchDirectory
from pipeline.types import DatasetIndex

_SHORT_REPEATS = 3
"""Repeats of decoding and detection, which take seconds."""
_DETECT = frozenset({"detect", "write", "predict"})
"""Parts that detect faces with the models of this process."""
_CLIPS_TO_DECODE, _CLIPS_TO_DETECT = 64, 2


def run_bench(options: BenchOptions, on_part: Callable[[str], None] | None = None) -> BenchResult:
    """Measure all requested parts. If one fails, the result contains the reason, and the others still run.

    Args:
        options: The parts and their sizes.
        on_part: Called with the name of each part before it begins.
    """
    shown = {
        field.name: str(value) if isinstance(value, Path) else value
        for field in dataclasses.fields(options)
        if field.name != "config" and (value := getattr(options, field.name)) is not None
    }
    about = about_this_run(options.config.to_stored(), shown)
    began = time.perf_counter()
    measured, failed = {}, {}
    with ScratchDirectory("bench") as folder:
        shared = _Shared(options, folder)
        for name in PARTS:
            if name in options.only:
                if on_part is not None:
                    on_part(name)
                try:
                    measured[name] = shared.part(name)
                except Exception as error:  # noqa: BLE001 - keeps the results of the other parts
                    failed[name] = f"{type(error).__name__}: {first_line(error)}"
    if {"pipeline", "dask"} <= measured.keys():
        measured["dask"] = _beside_the_pipeline(measured["dask"], measured["pipeline"], options)
    about["seconds"] = time.perf_counter() - began
    return BenchResult(about=about, parts=measured, failed=failed, notes=shared.notes)


class _Shared:
    """Models and clips of several parts, made when the first part needs them."""

    def __init__(self, options: BenchOptions, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self.notes: tuple[str, ...] = ()

    @cached_property
    def models(self) -> Models:
        return load_bench_models(
            self._options.config,
            choose_device(self._options.device),
            needs_detector=bool(_DETECT & set(self._options.only)),
        )

    @cached_property
    def index(self) -> DatasetIndex:
        assert self._options.clips is not None, "BenchOptions rejects that"
        index = prepared_clips(self._options.clips, self._options.num_clips, self._folder)
        self.notes = index.notes
        return index

    def part(self, name: str) -> Measured:
        """Measure one part."""
        options, config = self._options, self._options.config
        match name:
            case "encode":
                return encoding.encode(self.models, options.repeats, options.encode_pictures)
            case "decode":
                return steps.decode(_first(self.index, _CLIPS_TO_DECODE), config, _SHORT_REPEATS)
            case "seek":
                return steps.seek(options.seek_folder or self.index.root, config)
            case "detect":
                frames, _ = steps.decoded_clips(_first(self.index, _CLIPS_TO_DETECT), config)
                return steps.detect(self.models, frames, _SHORT_REPEATS)
            case "write":
                return steps.write(self.models, self.index, options.repeats)
            case "pipeline":
                return end_to_end.pipeline(
                    self.index, config, options.device, options.repeats, other_backbone=True
                )
            case "predict":
                assert options.clips is not None, "BenchOptions rejects that"
                return prediction.predict(options.clips, self.models, self._folder, options.repeats)
            case "baseline":
                return end_to_end.baseline(self.index, config, options.device, options.baseline_clips)
            case "load":
                return load(options.cache_clips, options.repeats)
            case "dask":
                return cluster.dask(options.dask_blocks)
            case "workers":
                assert options.clips is not None, "BenchOptions rejects that"
                return cluster.workers(options.clips, config, options.small_encoder)
        raise AssertionError(name)


def _beside_the_pipeline(dask: Measured, pipeline: Measured, options: BenchOptions) -> Measured:
    """Return the part `dask` with the goal that depends on this device's speed."""
    clips_per_second = pipeline.numbers[options.config.detector.name]["clips_per_second"]
    goal = cluster.dask_goal(dask.numbers["ms_per_block"], clips_per_second)
    return dataclasses.replace(dask, goals=(goal, *dask.goals))


def _first(index: DatasetIndex, num_clips: int) -> DatasetIndex:
    return dataclasses.replace(index, clips=index.clips[:num_clips])

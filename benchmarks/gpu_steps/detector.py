"""Step `detector`: RetinaFace by network, precision and batch size, and its time in Python and launches.

If `launch_ms` is as long as `finish_ms`, the host cannot launch kernels faster than the device runs them, and
a CUDA graph per image size would be faster by the ratio of `finish_ms` to `graph_ms`.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.graphs import capture_graph
from benchmarks.gpu_steps.inputs import MOBILENET, RESNET, detector_config, extract_config, frames_of_a_clip
from pipeline.bench.models import load_bench_detector
from pipeline.clip_model import CLIP_MEAN
from pipeline.device import exact_float32
from pipeline.faces.retinaface import untrained_retinaface
from pipeline.streams import fill_colour, make_streams
from pipeline.types import FaceTrack

_PRECISIONS, _BATCHES = ("bf16", "fp32"), (16, 32, 64)
_SIDE_PX, _FILL_RGB = 224, fill_colour(CLIP_MEAN)
_LAUNCHES = 8


def run(context: Context) -> None:
    """Measure both networks, the launches of each, and the streams of a clip."""
    frames_UHWC = frames_of_a_clip(context)
    measure = context.results.measure
    precisions = context.size(_PRECISIONS if context.is_cuda else ("fp32",), ("fp32",))
    shape = list(frames_UHWC.shape[1:3])
    for name in (MOBILENET, RESNET):
        for precision, batch in product(precisions, context.size(_BATCHES, (2,))):
            measure(
                "detect", partial(_speed, context, name, precision, batch, frames_UHWC),
                network=name, precision=precision, batch=batch, frame=shape,
            )  # fmt: skip
        frames_BHWC = _repeated(frames_UHWC, context.size(16, 2))
        for what, work in (
            ("launches of a pass", _launches), ("pass with cudnn.benchmark", _with_cudnn_benchmark)
        ):  # fmt: skip
            measure(
                what, partial(work, context, name, frames_BHWC),
                unless=context.unless_cuda, network=name, precision="bf16", batch=len(frames_BHWC),
            )  # fmt: skip
    measure("streams of a clip", partial(_streams, context, frames_UHWC), frames=len(frames_UHWC))


def _speed(
    context: Context, name: str, precision: str, batch: int, frames_UHWC: torch.Tensor
) -> Mapping[str, Any]:
    """Measure one pass: the whole call, and the network alone."""
    detector = load_bench_detector(
        detector_config(context, name, precision=precision, batch=batch), context.device
    )
    frames_BHWC = _repeated(frames_UHWC, batch)
    whole = context.seconds(lambda: detector.detect(frames_BHWC))
    alone = context.seconds(_network_pass(detector, frames_BHWC))
    return {
        "frames_per_second": batch / whole,
        "network_alone_frames_per_second": batch / alone,
        "beside_the_network_ms": 1e3 * (whole - alone),
    }


def _launches(context: Context, name: str, frames_BHWC: torch.Tensor) -> Mapping[str, Any]:
    """Measure the median milliseconds until a pass is launched and until it is finished, and of its graph."""
    detector = untrained_retinaface(detector_config(context, name, precision="bf16"), context.device)
    network = _network_pass(detector, frames_BHWC)
    context.seconds(network, repeats=3)
    launches, finishes = [], []
    for _ in range(_LAUNCHES):
        context.wait()
        began = time.perf_counter()
        network()
        launches.append(time.perf_counter() - began)
        context.wait()
        finishes.append(time.perf_counter() - began)
    launch, finish = statistics.median(launches), statistics.median(finishes)
    replay, _ = capture_graph(network)
    graph = context.seconds(replay, repeats=_LAUNCHES)
    return {"launch_ms": 1e3 * launch, "finish_ms": 1e3 * finish, "graph_ms": 1e3 * graph}


def _with_cudnn_benchmark(context: Context, name: str, frames_BHWC: torch.Tensor) -> Mapping[str, Any]:
    """Compare the network's speed with the algorithms that cuDNN finds by benchmark and by heuristics."""
    detector = untrained_retinaface(detector_config(context, name, precision="bf16"), context.device)
    network = _network_pass(detector, frames_BHWC)
    plain = context.seconds(network)
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        by_trial = context.seconds(network, warm_up=5)
    finally:
        torch.backends.cudnn.benchmark = before
    return {"network_alone_frames_per_second": len(frames_BHWC) / by_trial, "times_faster": plain / by_trial}


def _network_pass(detector: Any, frames_BHWC: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Return a call of the detector's network, in the product's float32, which prepares the frames."""
    pictures_B3HW = frames_BHWC.permute(0, 3, 1, 2).float()

    def call() -> torch.Tensor:
        with torch.inference_mode(), exact_float32():
            offsets: torch.Tensor = detector._network(detector._prepared(pictures_B3HW))[0]
            return offsets

    return call


def _streams(context: Context, frames_UHWC: torch.Tensor) -> Mapping[str, Any]:
    """Measure cropping, masking and scaling of one clip with a face that moves."""
    track, config = _moving_face(*frames_UHWC.shape[:3]), extract_config(context).streams
    seconds = context.seconds(
        lambda: make_streams(frames_UHWC, track, config, side_px=_SIDE_PX, fill_rgb=_FILL_RGB), repeats=10
    )
    return {"ms": 1e3 * seconds}


def _moving_face(num_frames: int, height: int, width: int) -> FaceTrack:
    """Return the track of a face of half the height that moves to the right."""
    left_U = np.linspace(0.1, 0.3, num_frames) * width
    side = 0.5 * height
    top_U = np.full(num_frames, 0.2 * height)
    box_U4 = np.stack([left_U, top_U, left_U + side, top_U + side], axis=1).astype(np.float32)
    return FaceTrack.of_one_person(
        box_xyxy_px=box_U4, score=np.ones(num_frames, np.float32), found=np.ones(num_frames, np.bool_)
    )


def _repeated(frames_UHWC: torch.Tensor, count: int) -> torch.Tensor:
    """Return `count` frames, which are the clip's, repeated."""
    return frames_UHWC.repeat(-(-count // len(frames_UHWC)), 1, 1, 1)[:count]

"""Step `agreement`: the same clips on the CPU in float32 and on the device in every precision.

It is an error if features differ too much from the CPU's, or depend on the other images of their batch. The
numbers are recorded first.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cosine_similarity

from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import extract_config, load_encoder, read_clips, relative_difference
from pipeline.bench.models import load_bench_detector
from pipeline.clip_model import LoadedClip
from pipeline.features import Encoded, Encoder, FeatureConfig
from pipeline.process import ImageFormat, MeteredLock, Models, PreparedClip, prepare_clip

_CPU = torch.device("cpu")
_BATCH_ON_CPU, _BATCH = 8, 32
LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.99, "bf16": 0.99}
"""Least cosine of an embedding on the device with the CPU's in float32."""


def run(context: Context) -> None:
    """Compare stream images, then features."""
    clip = load_encoder(context)
    here, there = _prepared(context, clip, _CPU), _prepared(context, clip, context.device)
    measure = context.results.measure
    measure("stream images", partial(_image_differences, here, there))
    images = torch.cat([torch.cat([item.streams.face_U3SS, item.streams.scene_U3SS]) for item in here])
    images = images[: context.size(_BATCH, 4)]
    config = FeatureConfig(precision="fp32", batch_pictures=_BATCH_ON_CPU)
    expected = Encoder(clip, config, _CPU, rounded=torch.float32).encode(images, early=True)
    for precision in ("fp32", "fp16", "bf16") if context.is_cuda else ("fp32",):
        found: dict[str, Any] = {}

        def differences(precision: str = precision, found: dict[str, Any] = found) -> Mapping[str, Any]:
            found |= _feature_differences(context, clip, images, expected, precision)
            return found

        if measure("features", differences, precision=precision):
            measure("features agree", partial(check_features, found, precision), precision=precision)
    measure("batch", partial(_independence, context, clip, images))


def _prepared(context: Context, clip: LoadedClip, device: torch.device) -> list[PreparedClip]:
    """Return the first two clips up to their stream images, detected in the device's default precision."""
    config, lock = extract_config(context), MeteredLock()
    models = Models(
        config=config,
        device=device,
        device_lock=lock,
        face_detector=load_bench_detector(config.detector, device),
        images=ImageFormat(side_px=clip.picture_side_px, mean=clip.mean),
    )
    index = read_clips(context, 2)
    return [prepare_clip(index.root, one, models)[0] for one in index.clips]


def _image_differences(here: list[PreparedClip], there: list[PreparedClip]) -> Mapping[str, Any]:
    """Return the largest difference of a value in grey levels, and of an edge of a box in pixels."""
    levels, pixels = 0, 0.0
    for a, b in zip(here, there, strict=True):
        for name in ("face_U3SS", "scene_U3SS"):
            one, other = getattr(a.streams, name).int(), getattr(b.streams, name).cpu().int()
            levels = max(levels, int((one - other).abs().max()))
        if a.track.has_boxes and b.track.has_boxes:
            pixels = max(pixels, float(abs(a.track.box_xyxy_px - b.track.box_xyxy_px).max()))
    boxes = sum(item.track.has_boxes for item in there)
    return {"levels_apart": levels, "boxes_px_apart": pixels, "clips_with_boxes": boxes}


def check_features(found: Mapping[str, Any], precision: str) -> Mapping[str, Any]:
    """Return the limit of features. Raises RuntimeError if they are not finite or differ more."""
    cosine, limit = found["least_cosine"], LEAST_COSINE[precision]
    if not found["is_finite"]:
        msg = f"features in {precision} have values that are not finite"
        raise RuntimeError(msg)
    if not cosine >= limit:
        msg = f"features in {precision} differ from the CPU's: cosine {cosine:.6f}, at least {limit} expected"
        raise RuntimeError(msg)
    return {"least_cosine_allowed": limit}


def _feature_differences(
    context: Context, clip: LoadedClip, images: torch.Tensor, expected: Encoded, precision: str
) -> Mapping[str, Any]:
    """Return the differences of the device's features in a precision from the CPU's in float32."""
    config = FeatureConfig(precision=precision, batch_pictures=_BATCH)
    found = Encoder(clip, config, context.device, rounded=torch.float32).encode(images, early=True)
    assert found.early_N43D is not None
    assert expected.early_N43D is not None
    return {
        "embedding_difference": relative_difference(found.embedding_NF, expected.embedding_NF),
        "early_difference": relative_difference(found.early_N43D, expected.early_N43D),
        "least_cosine": float(cosine_similarity(found.embedding_NF, expected.embedding_NF).min()),
        "is_finite": bool(found.embedding_NF.isfinite().all() and found.early_N43D.isfinite().all()),
        "largest_early_value": float(found.early_N43D.abs().max()),
    }


def _independence(context: Context, clip: LoadedClip, images: torch.Tensor) -> Mapping[str, Any]:
    """Compare features to the bit: computed alone, in a larger batch, and a second time.

    Raises RuntimeError if they depend on the batch.
    """
    encoder = Encoder(clip, FeatureConfig(batch_pictures=_BATCH), context.device)
    full, alone, again = (encoder.encode(x, early=True) for x in (images, images[:3], images))
    assert full.early_N43D is not None
    assert alone.early_N43D is not None
    same = torch.equal(full.embedding_NF[:3], alone.embedding_NF)
    same = same and torch.equal(full.early_N43D[:3], alone.early_N43D)
    if not same:
        msg = "the features of three images differ with the other images of their batch"
        raise RuntimeError(msg)
    return {"is_independent": same, "is_repeatable": torch.equal(full.embedding_NF, again.embedding_NF)}

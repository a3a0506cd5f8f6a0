"""Clips and models that several steps share. `setup` writes the clips, the others read them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.options import GpuOptions
from pipeline.bench.clips import link_or_copy, prepared_clips, videos_of
from pipeline.clip_model import EncoderConfig, LoadedClip, load_clip_model
from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic
from pipeline.faces import DetectorConfig
from pipeline.fingerprint import sha256_file, sha256_json
from pipeline.process import ExtractConfig, InlineDecoder, make_decode_job
from pipeline.store.meta import RANDOM_WEIGHTS
from pipeline.types import ClipFailed, DatasetIndex

MOBILENET, RESNET = "retinaface-mobilenet0.25", "retinaface-resnet50"
NUM_CLIPS, NUM_SOURCES = 4096, 32
_DRAWN = SyntheticConfig(num_clips=8, num_frames=75, fps=25, height=360, width=640)
_DRAWN_TINY = SyntheticConfig(num_clips=4, num_frames=8, height=240, width=320)
_MANIFEST = "manifest.csv"
_HASH_DIGITS = 16


def input_hashes(context: Context) -> dict[str, str]:
    """Return hexadecimal hashes of the user's inputs, by which other files of the same name are detected.

    ``clips_names_and_sizes`` is the hash of the videos' relative names and sizes, ``detector_weights_sha256``
    that of the file. An input that is not given has no entry.
    """
    clips, weights = context.options.clips, context.options.detector_weights
    found = {}
    if clips is not None:
        videos = videos_of(clips)[: _num_sources(context)]
        listing = [[str(path.relative_to(clips)), _num_bytes(path)] for path in videos]
        found["clips_names_and_sizes"] = sha256_json(listing)[:_HASH_DIGITS]
    if weights is not None:
        found["detector_weights_sha256"] = sha256_file(weights)[:_HASH_DIGITS]
    return found


def _num_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0  # a link may be dangling


def _num_sources(context: Context) -> int:
    return context.size(NUM_SOURCES, 4)


def write_clips(context: Context) -> DatasetIndex:
    """Write the clips of the run, scaled to 360p, and a manifest: the sources, repeated as links or copies.

    The sources are the first 32 videos of ``--clips``, or drawn clips of 640 x 360 pixels and 75 frames.
    Notes of the result name videos that do not decode. Raises ConfigError if none decodes.
    """
    options = context.options
    source, num_sources = options.clips, _num_sources(context)
    if source is None:
        drawn = context.size(_DRAWN, _DRAWN_TINY)
        source, num_sources = options.work / "drawn", drawn.num_clips
        write_synthetic(source, drawn)
    into, originals = _clips_of(options), options.work / "originals"
    for folder in (into, originals):
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.iterdir():
            left_over.unlink()
    prepared = prepared_clips(source, num_sources, originals)
    files = sorted(originals.glob("original-*.mp4"))
    lines = ["path,label,split"]
    for number in range(context.size(NUM_CLIPS, 4)):
        name = f"clip{number:04d}.mp4"
        link_or_copy(files[number % len(files)], into / name)
        lines.append(f"{name},{('happiness', 'fear')[number % 2]},{'test' if number % 4 == 3 else 'train'}")
    (into / _MANIFEST).write_text("\n".join(lines) + "\n")
    index = read_dataset("manifest", into / _MANIFEST)
    return replace(index, notes=prepared.notes)


def read_clips(context: Context, num_clips: int) -> DatasetIndex:
    """Return the first clips that `write_clips` wrote."""
    index = read_dataset("manifest", manifest_of(context.options))
    return replace(index, clips=index.clips[:num_clips])


def manifest_of(options: GpuOptions) -> Path:
    """Return the path of the clips' manifest."""
    return _clips_of(options) / _MANIFEST


def _clips_of(options: GpuOptions) -> Path:
    return options.work / "clips"


def detector_config(
    context: Context, name: str, *, precision: str = "auto", batch: int = 0
) -> DetectorConfig:
    """Return the settings of a RetinaFace: MobileNet with the run's weights, ResNet-50 with random ones.

    Args:
        context: Context of the step.
        name: Name of the detector.
        precision: fp32, bf16 or ``auto``.
        batch: Frames per batch; 0 chooses by device.
    """
    file = context.options.detector_weights if name == MOBILENET else None
    weights = RANDOM_WEIGHTS if file is None else str(file)
    return DetectorConfig(name=name, weights=weights, precision=precision, batch_frames=batch)


def extract_config(context: Context, detector: str = MOBILENET) -> ExtractConfig:
    """Return the settings of an extraction: the defaults, an encoder of random weights, this detector."""
    values = {"encoder": {"name": context.options.encoder_name, "weights": RANDOM_WEIGHTS}}
    if context.options.is_tiny:
        values["frames"] = {"num_frames": 2}  # type: ignore[dict-item]
    config = from_dict(ExtractConfig, values)
    return replace(config, detector=detector_config(context, detector))


def load_encoder(context: Context) -> LoadedClip:
    """Load the CLIP model of the run with random weights, on the CPU."""
    return load_clip_model(EncoderConfig(name=context.options.encoder_name, weights=RANDOM_WEIGHTS))


def random_images(clip: LoadedClip, count: int, device: torch.device) -> torch.Tensor:
    """Return random images for the encoder, which are the same at each call.

    Args:
        clip: The CLIP model.
        count: Number of images.
        device: Device of the images.

    Returns:
        Images, uint8 [count, 3, S, S].
    """
    shape = (count, 3, clip.picture_side_px, clip.picture_side_px)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)


def frames_of_a_clip(context: Context) -> torch.Tensor:
    """Return the sampled frames [U, H, W, 3] of the first clip, on the device."""
    index = read_clips(context, 1)
    jobs = [make_decode_job(index.root, index.clips[0], extract_config(context))]
    ((_, answer),) = InlineDecoder().stream(jobs)
    assert not isinstance(answer, ClipFailed), answer
    return torch.from_numpy(np.ascontiguousarray(answer.frames.rgb_UHWC)).to(context.device)


def relative_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the norm of the difference divided by the norm of `expected`, on the CPU in float32."""
    found, expected = found.float().cpu(), expected.float().cpu()
    return float((found - expected).norm() / expected.norm())

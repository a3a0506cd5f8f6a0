"""Clips and weights that all programs get."""

import csv
from dataclasses import dataclass
from pathlib import Path

import av
import safetensors.torch
import torch

from pipeline.bench.clips import link_or_copy, videos_of
from pipeline.clip_model import EncoderConfig, load_clip_model
from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic
from pipeline.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Clips:
    """The same clips in the form that each program reads."""

    videos: tuple[Path, ...]
    manifest: Path
    """List for this program."""
    paths: Path
    """Text file with one path per line for the others."""
    num_frames: tuple[int, ...]
    """Frames of each clip."""
    sizes: tuple[str, ...]
    """Sizes of frames, such as 640x360, each once."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One random model in both forms of file."""

    safetensors: Path
    pickle: Path


def draw_clips(folder: Path, num_clips: int, num_frames: int, size: tuple[int, int]) -> list[Path]:
    """Draw clips of people with faces, and return their files.

    Args:
        folder: Directory of the set, new or with this set.
        num_clips: Number of clips, at least 4.
        num_frames: Frames of each clip.
        size: Width and height in pixels.
    """
    width, height = size
    config = SyntheticConfig(num_clips=num_clips, num_frames=num_frames, fps=25, width=width, height=height)
    write_synthetic(folder, config)
    return videos_of(folder)


def given_clips(folder: Path, num_clips: int) -> list[Path]:
    """Return the first videos of a directory. Raises ConfigError if there are fewer."""
    found = videos_of(folder)
    if len(found) < num_clips:
        msg = f"'{folder}' has {len(found)} videos, {num_clips} are needed; choose --num-clips {len(found)}."
        raise ConfigError(msg)
    return found[:num_clips]


def list_clips(videos: list[Path], into: Path) -> Clips:
    """Link videos into a new directory, with names without blanks, and write the lists of all programs."""
    into.mkdir(parents=True)
    linked = []
    for number, video in enumerate(videos):
        linked.append(into / f"clip-{number:04d}{video.suffix.lower()}")
        link_or_copy(video.resolve(), linked[-1])
    manifest, paths = into / "manifest.csv", into / "paths.txt"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split"])
        rows.writerows([video.name, "neutral", "train"] for video in linked)
    paths.write_text("".join(f"{video}\n" for video in linked), encoding="utf-8")
    found = [_frames_and_size(video) for video in linked]
    return Clips(
        videos=tuple(linked),
        manifest=manifest,
        paths=paths,
        num_frames=tuple(count for count, _ in found),
        sizes=tuple(sorted({size for _, size in found})),
    )


def write_weights(folder: Path, encoder: str) -> Weights:
    """Write the values of a model with random weights, once for every program."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = load_clip_model(EncoderConfig(name=encoder, weights="random", seed=0))
    values = {name: value.contiguous() for name, value in clip.model.state_dict().items()}
    weights = Weights(safetensors=folder / "weights.safetensors", pickle=folder / "weights.pt")
    safetensors.torch.save_file(values, weights.safetensors)
    torch.save(values, weights.pickle)
    return weights


def _frames_and_size(path: Path) -> tuple[int, str]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sum(1 for _ in container.decode(stream)), f"{stream.width}x{stream.height}"

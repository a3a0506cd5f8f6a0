"""Clips for all parts: a given number of videos of a directory, no larger than 360p."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av

from pipeline.errors import ConfigError
from pipeline.pictures import VIDEO_SUFFIXES
from pipeline.types import ClipRef, DatasetIndex, Split

_LONG_SIDE, _SHORT_SIDE = 640, 360
_MOST_FRAMES = 120
"""Typical length of clips in in-the-wild datasets."""


def videos_of(folder: Path) -> list[Path]:
    """Return the video files below a directory, sorted. Raises ConfigError if there are none."""
    named = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    found = [path for path in named if path.is_file()]
    if not found:
        msg = f"'{folder}' has no videos; known are files ending in {', '.join(sorted(VIDEO_SUFFIXES))}."
        raise ConfigError(msg)
    return found


def prepared_clips(folder: Path, num_clips: int, into: Path, most_frames: int = _MOST_FRAMES) -> DatasetIndex:
    """Write a dataset of 360p clips, made from the videos of a directory.

    Each video is encoded again in H.264. If there are fewer videos than clips, they are repeated. A video
    that does not decode is left out, and a note of the dataset names it.

    Args:
        folder: Directory of videos, searched recursively.
        num_clips: Number of clips.
        into: Directory for the clips.
        most_frames: Number of frames after which each video is cut.

    Raises:
        ConfigError: There is no video, or none decodes.
    """
    originals: list[Path] = []
    notes: list[str] = []
    for video in videos_of(folder)[:num_clips]:
        target = into / f"original-{len(originals):03d}.mp4"
        if scaled_video(video, target, most_frames):
            originals.append(target)
        else:
            notes.append(f"'{video.relative_to(folder)}' does not decode and is left out")
    if not originals:
        msg = f"None of the videos in '{folder}' decodes."
        raise ConfigError(msg)
    clips = []
    for number in range(num_clips):
        name = f"clip-{number:04d}.mp4"
        link_or_copy(originals[number % len(originals)], into / name)
        clips.append(ClipRef(clip_id=name, path=name, label=0, splits=(Split.TRAIN,)))
    return DatasetIndex(
        name="bench",
        root=into,
        class_names=("any",),
        fold_names=("1",),
        clips=tuple(clips),
        notes=tuple(notes),
    )


def link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link to a file, or a copy if the file system has no links."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def scaled_video(source: Path, target: Path, most_frames: int) -> bool:
    """Write frames of `source`, scaled to fit 640 x 360, to `target`, and return whether there were any."""
    count = 0
    try:
        with av.open(str(source)) as original, av.open(str(target), "w") as written:
            video = original.streams.video[0]
            rate = Fraction(video.average_rate or 25)
            factor = min(1.0, _LONG_SIDE / max(video.width, video.height))
            factor = min(factor, _SHORT_SIDE / min(video.width, video.height))
            stream = written.add_stream("libx264", rate=rate)
            stream.width, stream.height = (2 * round(n * factor / 2) for n in (video.width, video.height))
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "23", "preset": "veryfast"}
            for frame in original.decode(video):
                if count == most_frames:
                    break
                picture = frame.reformat(stream.width, stream.height, "yuv420p")
                picture.pts, picture.time_base = count, 1 / rate
                written.mux(stream.encode(picture))
                count += 1
            written.mux(stream.encode())
    except (av.FFmpegError, IndexError, ValueError):
        count = 0
    if not count:
        target.unlink(missing_ok=True)
    return bool(count)

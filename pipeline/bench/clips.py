"""The clips that all parts share: videos of a folder, no larger than 360p, as many as are asked for."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av

from pipeline.datasets.folder import VIDEO_SUFFIXES
from pipeline.errors import ConfigError
from pipeline.types import ClipRef, DatasetIndex, Split

_LONG_SIDE, _SHORT_SIDE = 640, 360
_MOST_FRAMES = 120
"""As long as the clips of in-the-wild data sets are."""


def videos_of(folder: Path) -> list[Path]:
    """The video files under the folder, in order. Raises ConfigError when there are none."""
    named = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    found = [path for path in named if path.is_file()]
    if not found:
        msg = f"'{folder}' has no videos; known are files ending in {', '.join(sorted(VIDEO_SUFFIXES))}."
        raise ConfigError(msg)
    return found


def prepared_clips(folder: Path, num_clips: int, into: Path, most_frames: int = _MOST_FRAMES) -> DatasetIndex:
    """A data set of so many clips of 360p under `into`: the folder's, one after the other, repeated.

    Each is encoded again in H.264 with one group of pictures, its first `most_frames` frames only. A video
    that does not decode is left out, and `notes` names it. Raises ConfigError where none decodes.
    """
    originals: list[Path] = []
    notes: list[str] = []
    for video in videos_of(folder)[:num_clips]:
        target = into / f"original-{len(originals):03d}.mp4"
        if _scaled(video, target, most_frames):
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
    """Make a file under a second name: as a hard link, or as a copy where the file system has no links."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _scaled(source: Path, target: Path, most_frames: int) -> bool:
    """Whether frames of `source` were written to `target`, with a picture inside 640 x 360."""
    count = 0
    try:
        with av.open(str(source)) as given, av.open(str(target), "w") as written:
            video = given.streams.video[0]
            rate = Fraction(video.average_rate or 25)
            factor = min(1.0, _LONG_SIDE / max(video.width, video.height))
            factor = min(factor, _SHORT_SIDE / min(video.width, video.height))
            stream = written.add_stream("libx264", rate=rate)
            stream.width, stream.height = (2 * round(n * factor / 2) for n in (video.width, video.height))
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "23", "preset": "veryfast"}
            for frame in given.decode(video):
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

"""The sampled frames of a clip that is a folder of pictures: no rate, no times, pictures in natural order.

Which pictures decode is known only when all are decoded, and of 847 a clip takes 16. So a picture
counts when its header can be read, which costs little beside the hash of its bytes, and the sampled
ones are decoded. When one of these does not decode, all are, once, and the indices are spread over
those that do, as for a video that holds less than it claims. A broken picture that no view asks for
stays counted: to find it would cost every sound clip fifty times its sampled frames.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av

from pipeline.errors import ClipError, counted
from pipeline.frames.frame_buffer import Pictures
from pipeline.frames.picture import read_upright, upright_size
from pipeline.frames.sampling import FrameConfig, wanted_frames
from pipeline.pictures import PICTURE_SUFFIXES, PictureFolder, numbers_of, shown
from pipeline.types import Frames, Note, NoteKind

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class FolderClip:
    """A folder's sampled frames. numbers: in the names of the pictures that count, by frame."""

    frames: Frames
    numbers: tuple[int | str, ...]


def decode_folder(folder: PictureFolder, config: FrameConfig) -> FolderClip:
    """Decode the sampled pictures of a folder; their times are NaN.

    Raises ClipError (stage ``open`` or ``decode``) for a folder without a picture that decodes, with names
    that give no order (`numbers_of`), or with more pixels than allowed, and MemoryError where those allowed
    do not fit.
    """
    if not folder.names:
        left = f"; it holds {shown(folder.others)}" if folder.others else ""
        raise ClipError("open", f"no picture in the folder ({' '.join(sorted(PICTURE_SUFFIXES))}){left}")
    number_of = numbers_of(folder.names, "pictures")
    sizes = {name: size for name in folder.names if (size := upright_size(folder.path / name)) is not None}
    pictures = _decode(folder.path, sizes, config)
    if pictures is None:
        sizes = {name: size for name, size in sizes.items() if read_upright(folder.path / name) is not None}
        pictures = _decode(folder.path, sizes, config)
    names = tuple(sizes)
    if not names or pictures is None:
        raise ClipError("decode", f"no picture of {len(folder.names)} decodes ({shown(folder.names)})")
    frames = pictures.frames(len(names), config, _notes(folder, names))
    return FolderClip(frames=frames, numbers=tuple(number_of[name] for name in names))


def _decode(folder: Path, sizes: Mapping[str, Size], config: FrameConfig) -> Pictures | None:
    """The sampled ones of these pictures; None where there are none, or one of them does not decode."""
    if not sizes:
        return None
    wanted = wanted_frames(len(sizes), config)
    pictures = Pictures(len(wanted), aspect_of=lambda _: 1.0)
    pictures.set_size(*next(iter(sizes.values())))
    names = tuple(sizes)
    for place in sorted(wanted):
        rgb = read_upright(folder / names[place])
        if rgb is None:
            return None
        pictures.add(place, math.nan, av.VideoFrame.from_ndarray(rgb, format="rgb24"))
    return pictures


def _notes(folder: PictureFolder, names: tuple[str, ...]) -> list[Note]:
    sound, notes = set(names), []
    if broken := [name for name in folder.names if name not in sound]:
        text = f"{counted(len(broken), 'picture')} did not decode: {shown(broken)}"
        notes.append(Note(NoteKind.DAMAGE, text))
    if folder.others:
        text = f"{counted(len(folder.others), 'other file')} left alone: {shown(folder.others)}"
        notes.append(Note(NoteKind.OTHER, text))
    return notes

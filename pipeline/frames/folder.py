"""Sampled frames of a clip that is a directory of images: no rate, no times, images in natural order.

A full check would decode all images, for example 847, of which a clip samples 16. Therefore an image counts
as a frame if its header is readable, which is cheap beside the hash of its bytes, and only the sampled ones
are decoded. If one of these does not decode, all images are decoded once, and the indices are spaced over
the decodable ones, as for a video with fewer frames than its container states. A broken image that is not
sampled stays counted, because a search for it would take fifty times as long as the sampled frames.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from pipeline.errors import ClipError, counted
from pipeline.frames.cuts import CutFinder, ShotConfig
from pipeline.frames.frame_buffer import Pictures
from pipeline.frames.picture import read_upright, upright_size
from pipeline.frames.sampling import FrameConfig, step_of, wanted_frames
from pipeline.pictures import PICTURE_SUFFIXES, PictureFolder, numbers_of, shown
from pipeline.types import Frames, Note, NoteKind

Size = tuple[int, int]

FOLDER_RATE = 25.0
"""Frames per second that images of a directory count as, because they have no times."""


@dataclass(frozen=True, kw_only=True)
class FolderClip:
    """Sampled frames of a directory.

    Attributes:
        frames: The sampled frames.
        numbers: Number in the name of each image that counts as a frame.
    """

    frames: Frames
    numbers: tuple[int | str, ...]


def decode_folder(
    folder: PictureFolder, config: FrameConfig, *, cuts: ShotConfig | None = None, rate: float = 0.0
) -> FolderClip:
    """Decode the sampled images of a directory; their times are NaN.

    A search for cuts decodes every image, for example 847 instead of 16, and takes as many times as long.
    Therefore it needs the setting ``all``. It takes the images for 25 frames/s, and changes nothing else.

    Args:
        folder: The directory.
        config: Settings of the sampling.
        cuts: Settings of the search for cuts; None, or a search other than ``all``, for no search.
        rate: Images per second, at 25 images/s, that are decoded besides the sampled ones; 0 for none.

    Raises:
        ClipError: (stage ``open`` or ``decode``) No image decodes, names have no order (`numbers_of`), or the
            images have too many pixels.
        MemoryError: The images do not fit into memory.
    """
    number_of, sizes = named_images(folder)
    step = step_of(FOLDER_RATE, rate)
    pictures = _decode(folder.path, sizes, config, step)
    if pictures is None:
        sizes = {name: size for name, size in sizes.items() if read_upright(folder.path / name) is not None}
        pictures = _decode(folder.path, sizes, config, step)
    names = tuple(sizes)
    if not names or pictures is None:
        raise ClipError("decode", f"no image of {len(folder.names)} decodes ({shown(folder.names)})")
    shots = _cuts(folder.path, names, cuts) if cuts is not None and cuts.search == "all" else None
    frames = pictures.frames(len(names), config, note_images(folder, names), cuts=shots, step=step)
    return FolderClip(frames=frames, numbers=tuple(number_of[name] for name in names))


def named_images(folder: PictureFolder) -> tuple[dict[str, int | str], dict[str, Size]]:
    """Return the number in every image's name, and the size of every image whose header is readable.

    Raises ClipError (stage ``open``) if there is no image, or if names have no order (`numbers_of`).
    """
    if not folder.names:
        found = f"; found {shown(folder.others)}" if folder.others else ""
        raise ClipError("open", f"no image in the directory ({' '.join(sorted(PICTURE_SUFFIXES))}){found}")
    number_of = numbers_of(folder.names, "images")
    sizes = {name: size for name in folder.names if (size := upright_size(folder.path / name)) is not None}
    return number_of, sizes


def _decode(folder: Path, sizes: Mapping[str, Size], config: FrameConfig, step: int) -> Pictures | None:
    """Decode the wanted ones of these images; None if there are none, or one of them does not decode."""
    if not sizes:
        return None
    wanted = wanted_frames(len(sizes), config, step)
    pictures = Pictures(len(wanted), aspect_of=lambda _: 1.0)
    pictures.set_size(*next(iter(sizes.values())))
    names = tuple(sizes)
    for place in sorted(wanted):
        rgb = read_upright(folder / names[place])
        if rgb is None:
            return None
        pictures.add(place, math.nan, av.VideoFrame.from_ndarray(rgb, format="rgb24"))
    return pictures


def _cuts(folder: Path, names: Sequence[str], config: ShotConfig) -> tuple[int, ...]:
    """Return the first images of new shots; an image that does not decode repeats the one before."""
    finder = CutFinder(config, FOLDER_RATE)
    for name in names:
        rgb = read_upright(folder / name)
        finder.add(None if rgb is None else av.VideoFrame.from_ndarray(rgb, format="rgb24"))
    return finder.cuts()


def note_images(folder: PictureFolder, names: Sequence[str]) -> list[Note]:
    """Return notes on images that are not among the decodable `names`, and on other files."""
    readable, notes = set(names), []
    if broken := [name for name in folder.names if name not in readable]:
        text = f"{counted(len(broken), 'image')} did not decode: {shown(broken)}"
        notes.append(Note(NoteKind.DAMAGE, text))
    if folder.others:
        text = f"{counted(len(folder.others), 'other file')} ignored: {shown(folder.others)}"
        notes.append(Note(NoteKind.OTHER, text))
    return notes

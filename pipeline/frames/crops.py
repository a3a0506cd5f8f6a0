"""Face crops of the dataset for a clip's sampled frames, found by the numbers in their file names.

If the frames are image files, frame and crop have the same number (`pipeline.pictures.numbers_of`). Frames of
a video have no names, therefore there must be one crop for each frame, numbered from 0 or from 1.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import ClipError, counted
from pipeline.frames import frame_buffer
from pipeline.frames.picture import read_upright, upright_size
from pipeline.pictures import PictureFolder, numbers_of, shown
from pipeline.types import Bytes, Crops, Frames, Note, NoteKind


def find_crops(folder: PictureFolder, frames: Frames, frame_numbers: Sequence[int | str] | None) -> Crops:
    """Find the crop of every sampled frame, or else the nearest crop in time that decodes.

    If no crop both belongs to a frame and decodes, no frame has one.

    Args:
        folder: Directory of the crops.
        frames: Sampled frames.
        frame_numbers: Numbers in the names of all frames of the clip; None for a video.

    Raises:
        ClipError: Names do not determine which crop belongs to which frame, or the crops have too many
            pixels.
    """
    by_frame, strangers = _by_frame(folder.names, frames.meta.num_decoded, frame_numbers)
    reader = _Reader(folder.path)
    name_U = [_nearest(int(frame), by_frame, reader) for frame in frames.meta.index_U]
    pictures = {name: reader.pixels[name] for name in dict.fromkeys(name_U) if name is not None}
    places = {name: place for place, name in enumerate(pictures)}
    own_U = [by_frame.get(int(frame)) for frame in frames.meta.index_U]
    found = [name is not None and name == own for name, own in zip(name_U, own_U, strict=True)]
    notes = _notes(folder, len(found) - sum(found), list(reader.broken), strangers)
    return Crops(
        pictures=tuple(pictures.values()),
        place_U=np.array([-1 if name is None else places[name] for name in name_U], dtype=np.int64),
        found_U=np.array(found, dtype=np.bool_),
        notes=tuple(notes),
    )


def _notes(
    folder: PictureFolder, num_borrowed: int, broken: Sequence[str], strangers: Sequence[str]
) -> list[Note]:
    notes = []
    if not folder.names:
        notes.append(Note(NoteKind.OTHER, "no face crop in its directory"))
    elif num_borrowed:
        text = f"{counted(num_borrowed, 'sampled frame')} without a face crop of its own"
        notes.append(Note(NoteKind.OTHER, text))
    if broken:
        text = f"{counted(len(broken), 'face crop')} did not decode: {shown(broken)}"
        notes.append(Note(NoteKind.DAMAGE, text))
    if strangers:
        text = f"{counted(len(strangers), 'face crop')} of no frame: {shown(strangers)}"
        notes.append(Note(NoteKind.OTHER, text))
    return notes


def _by_frame(
    names: Sequence[str], num_frames: int, frame_numbers: Sequence[int | str] | None
) -> tuple[dict[int, str], list[str]]:
    """Return the crop of each frame that has one, and the crops that belong to no frame."""
    crops = {number: name for name, number in numbers_of(names, "face crops").items()}
    if frame_numbers is None:
        return _of_video(crops, num_frames), []
    frames = {number: place for place, number in enumerate(frame_numbers)}
    matched = {frames[number]: name for number, name in crops.items() if number in frames}
    return matched, [name for number, name in crops.items() if number not in frames]


def _of_video(crops: dict[int | str, str], num_frames: int) -> dict[int, str]:
    """Return a video's crops by frame. Raises ClipError unless there is one per frame, or none at all."""
    for first in (0, 1):
        if crops.keys() == set(range(first, first + num_frames)):
            return {int(number) - first: name for number, name in crops.items()}
    if not crops:
        return {}
    there, wanted = counted(len(crops), "face crop"), counted(num_frames, "frame")
    raise ClipError(
        "decode",
        f"{there} ({shown(list(crops.values()))}) for {wanted} of a video; crops of a video are found by "
        "number, so there must be one per frame, numbered from 0 or from 1. Give the frames as images with "
        "the same numbers, or give --faces detector",
    )


def _nearest(frame: int, by_frame: dict[int, str], reader: "_Reader") -> str | None:
    """Return the decodable crop nearest to a frame; of two equally near ones the earlier."""
    for place in sorted(by_frame, key=lambda place: (abs(place - frame), place)):
        if reader.decodes(by_frame[place]):
            return by_frame[place]
    return None


class _Reader:
    """Reader of crops, which decodes each one once and limits the bytes of all of them."""

    def __init__(self, folder: Path) -> None:
        self.pixels: dict[str, Bytes] = {}
        self.broken: dict[str, None] = {}
        self._folder = folder
        self._num_bytes = 0

    def decodes(self, name: str) -> bool:
        """Decode a crop into `pixels`, and return whether that succeeded."""
        if name in self.pixels:
            return True
        if name in self.broken:
            return False
        size = upright_size(self._folder / name)
        if size is not None:
            self._refuse_too_many(3 * size[0] * size[1])
        pixels = None if size is None else read_upright(self._folder / name)
        if pixels is None:
            self.broken[name] = None
            return False
        self._num_bytes += pixels.nbytes
        self.pixels[name] = np.ascontiguousarray(pixels)
        return True

    def _refuse_too_many(self, more_bytes: int) -> None:
        if self._num_bytes + more_bytes > frame_buffer.MAX_RGB_BYTES:
            allowed = frame_buffer.MAX_RGB_BYTES >> 20
            raise ClipError(
                "decode",
                f"face crops of more than {allowed} MiB of pixels, the most allowed. Scale them down",
            )

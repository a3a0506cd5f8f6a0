"""Facts about a clip's file besides its frames, for checks of a dataset.

Use it only for clips that a decoding process has decoded before, because a file can crash the decoder.
"""

from pathlib import Path

import av

from pipeline.errors import ClipError
from pipeline.frames.container import open_video
from pipeline.frames.picture import upright_size
from pipeline.pictures import PictureFolder

_QUARTER = 90


def quarter_turns(path: Path) -> int:
    """Return by how many quarter turns, 0 to 3, a video is stored turned; 0 if the file has no rotation."""
    try:
        container, stream = open_video(path)
        with container:
            frame = next(container.decode(stream), None)
    except (av.error.FFmpegError, ClipError):
        return 0
    return 0 if frame is None else round(frame.rotation / _QUARTER) % 4


def picture_sizes(folder: Path) -> set[tuple[int, int]]:
    """Return every width and height of the images of a directory, by their headers."""
    sizes = (upright_size(folder / name) for name in PictureFolder.at(folder, folder.parent).names)
    return {size for size in sizes if size is not None}

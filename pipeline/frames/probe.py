"""What a clip's file says of itself, for those who look and do not extract.

Only for clips that have decoded, in a process of their own: what crashes a decoder is known by then.
"""

from pathlib import Path

import av

from pipeline.errors import ClipError
from pipeline.frames.container import open_video
from pipeline.frames.picture import upright_size
from pipeline.pictures import PictureFolder

_QUARTER = 90


def quarter_turns(path: Path) -> int:
    """By how many quarter turns, 0 to 3, a video is stored turned; 0 where it does not say."""
    try:
        container, stream = open_video(path)
        with container:
            frame = next(container.decode(stream), None)
    except (av.error.FFmpegError, ClipError):
        return 0
    return 0 if frame is None else round(frame.rotation / _QUARTER) % 4


def picture_sizes(folder: Path) -> set[tuple[int, int]]:
    """Every width and height that pictures of a folder have, by their headers."""
    sizes = (upright_size(folder / name) for name in PictureFolder.at(folder, folder.parent).names)
    return {size for size in sizes if size is not None}

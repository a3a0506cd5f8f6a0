"""Folders of small pictures whose every picture tells its number, and of face crops in plain colours."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.tiny_videos import HEIGHT, WIDTH, grey

BROKEN = b"\x89PNG\r\n\x1a\nno picture"


def picture(number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """One grey level, as frame `number` of a tiny video has it."""
    return np.full((size[1], size[0], 3), grey(number), np.uint8)


def write_folder(folder: Path, pictures: Iterable[np.ndarray] | Mapping[str, np.ndarray] | int) -> Path:
    """Write pictures by name, or as 1.png, 2.png and so on; a number stands for so many grey ones."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(pictures, int):
        pictures = [picture(number) for number in range(pictures)]
    if not isinstance(pictures, Mapping):
        pictures = {f"{number}.png": pixels for number, pixels in enumerate(pictures, start=1)}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    return folder


def cut_short(path: Path) -> Path:
    """Take the end of a picture's file away: its header reads, its pixels do not."""
    whole = path.read_bytes()
    path.write_bytes(whole[: max(45, len(whole) // 2)])
    return path

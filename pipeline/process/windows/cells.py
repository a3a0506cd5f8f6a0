"""Cells of a grid over scene images, and the scenes without one of them.

Letters: T frames per view; S side of an image.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch

from pipeline.process.models import Models
from pipeline.process.windows.pictures import encodings_of, features_of
from pipeline.streams import Rectangle
from pipeline.types import Features

GRID = 4
"""Cells per side of the grid."""


def grid_cells(area: Rectangle) -> list[Rectangle]:
    """Return the cells of a grid over a part of an image, row by row: left, top, right and bottom each.

    Args:
        area: The part, in whole pixels. Cells of a part that is smaller than the grid may be empty.
    """
    left, top, right, bottom = area
    xs = [left + (right - left) * n // GRID for n in range(GRID + 1)]
    ys = [top + (bottom - top) * n // GRID for n in range(GRID + 1)]
    return [(xs[x], ys[y], xs[x + 1], ys[y + 1]) for y, x in product(range(GRID), repeat=2)]


def with_filled(scene_T3SS: torch.Tensor, cell: Rectangle, fill_3: torch.Tensor) -> torch.Tensor:
    """Return scene images with one cell in a colour, uint8 [T, 3, S, S].

    Args:
        scene_T3SS: The images.
        cell: The cell.
        fill_3: The colour, uint8 [3].
    """
    left, top, right, bottom = cell
    filled = scene_T3SS.clone()
    filled[:, :, top:bottom, left:right] = fill_3.to(filled.device)[None, :, None, None]
    return filled


def encode_scenes(
    scenes: Sequence[torch.Tensor],
    features: Features,
    models: Models,
    on_batch: Callable[[int], None] | None = None,
) -> list[Features]:
    """Return the features of a person in a window behind each of several scenes.

    Args:
        scenes: Images of each scene, uint8 [N, 3, S, S], one number N from 1 to T for all of them; the last
            image is repeated.
        features: The features of the person in the window, one view of T frames.
        models: The encoder.
        on_batch: Called with the number of images after each batch.

    Raises:
        ClipError: A feature is beyond the range of float16.
    """
    count = len(scenes[0])
    order = np.minimum(np.arange(features.face_embedding.shape[1]), count - 1).tolist()
    encoded = encodings_of(models.encoder.encode(torch.cat(list(scenes)), early=True, on_batch=on_batch))
    found = []
    for start in range(0, len(encoded), count):
        part = [encoded[start + n] for n in order]
        scene = features_of(part, part)
        found.append(
            replace(
                features,
                scene_embedding=scene.scene_embedding,
                scene_early=scene.scene_early,
                scene_tokens=scene.scene_tokens,
            )
        )
    return found

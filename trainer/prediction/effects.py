"""Changes of an answer's probability when one frame, or one cell of the scene, is taken away.

Letters: T frames per view; C classes; G cells per side of the grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from pipeline.process import Models
from pipeline.process.windows import GRID, WindowAgain, encode_scenes, grid_cells, with_filled
from pipeline.types import Features
from trainer.prediction.answers import HeadInput, predict_inputs
from trainer.runs import Run

_FEWEST_FRAMES = 2
Changes = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Changes of the answer's probability: negative where the taken part supports the answer.

    Attributes:
        frame_T: Without each frame; NaN for repeated frames, and if there is only one.
        cell_GG: Without each cell of the scene; None if the model does not see the scene.
    """

    frame_T: Changes
    cell_GG: Changes | None


def without_frame(one: HeadInput, frame: int) -> HeadInput:
    """Return an input without a valid frame: later ones move up, and the last valid one is repeated.

    Args:
        one: The input, with two valid frames or more.
        frame: Place of the frame among the valid ones.
    """
    num_frames, num_valid = len(one.valid_T), int(one.valid_T.sum())
    kept = [n for n in range(num_valid) if n != frame]
    order = kept + [kept[-1]] * (num_frames - len(kept))
    valid_T = np.arange(num_frames) < len(kept)
    in_view_T = one.in_view_T[order] & valid_T
    return HeadInput(
        features=_at(one.features, order),
        valid_T=valid_T,
        in_view_T=in_view_T if in_view_T.any() else valid_T,
    )


def frame_effects(run: Run, one: HeadInput, answer: int) -> Changes:
    """Return the change of an answer's probability without each frame, [T]: leave one frame out.

    Args:
        run: The run.
        one: Features of a person in a window.
        answer: Number of the class.
    """
    num_valid = int(one.valid_T.sum())
    change_T = np.full(len(one.valid_T), np.nan)
    if num_valid < _FEWEST_FRAMES:
        return change_T
    inputs = [one, *(without_frame(one, frame) for frame in range(num_valid))]
    before, *after = [found.class_C[answer] for found in predict_inputs(run, inputs)]
    change_T[:num_valid] = np.array(after) - before
    return change_T


def cell_effects(
    run: Run,
    models: Models,
    one: HeadInput,
    images: WindowAgain,
    answer: int,
    on_batch: Callable[[int], None] | None = None,
) -> Changes:
    """Return the change of an answer's probability without each cell of the scene, [G, G]: occlusion.

    A cell is filled on all frames with the encoder's mean colour, and the scenes are encoded again.

    Args:
        run: The run, whose model sees the scene.
        models: The encoder.
        one: Features of a person in a window.
        images: The images that they were computed from.
        answer: Number of the class.
        on_batch: Called with the number of images after each batch.

    Raises:
        ClipError: A feature is beyond the range of float16.
    """
    scene_T3SS = images.streams.scene_U3SS
    fill_3 = torch.tensor(models.images.fill_rgb, dtype=torch.uint8)
    scenes = [with_filled(scene_T3SS, cell, fill_3) for cell in grid_cells(images.area)]
    before = predict_inputs(run, [one])[0].class_C[answer]
    after = [found[answer] for found in probabilities_behind(run, models, one, scenes, on_batch)]
    change_GG: Changes = (np.array(after) - before).reshape(GRID, GRID)
    return change_GG


def probabilities_behind(
    run: Run,
    models: Models,
    one: HeadInput,
    scenes: Sequence[torch.Tensor],
    on_batch: Callable[[int], None] | None = None,
) -> list[npt.NDArray[np.float64]]:
    """Return the probabilities [C] of a person in a window behind each of several scenes.

    Args:
        run: The run.
        models: The encoder.
        one: Features of the person in the window.
        scenes: Scene images, uint8 [T, 3, S, S] each. Only those of valid frames are encoded.
        on_batch: Called with the number of images after each batch.

    Raises:
        ClipError: A feature is beyond the range of float16.
    """
    num_valid = int(one.valid_T.sum())
    behind = encode_scenes([scene[:num_valid] for scene in scenes], one.features, models, on_batch)
    inputs = [replace(one, features=features) for features in behind]
    return [found.class_C for found in predict_inputs(run, inputs)]


def _at(features: Features, order: Sequence[int]) -> Features:
    """Return features with the frames of both streams in another order."""
    face_tokens, scene_tokens = features.face_tokens, features.scene_tokens
    return Features(
        face_embedding=features.face_embedding[:, order],
        scene_embedding=features.scene_embedding[:, order],
        scene_early=features.scene_early[:, order],
        face_tokens=None if face_tokens is None else face_tokens[:, order],
        scene_tokens=None if scene_tokens is None else scene_tokens[:, order],
    )

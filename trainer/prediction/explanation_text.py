"""The sentences of an explanation, which name the methods."""

from collections.abc import Mapping

import numpy as np

from trainer.prediction.effects import Effects
from trainer.prediction.results import WindowAnswer

_MOST_CLASSES = 2
CAPTION = "Below each face: change of the probability of '{answer}' without this frame (leave one frame out)."
LARGER_PERCENT, MEASURED_CLIPS = 70, 54
"""Result of the deletion test, benchmarks/results/explanations.json (decision 0029)."""

CELLS_CAPTION = (
    "The scene is grey so that the colours can be seen; the face in it is filled, as the model sees it. "
    "Colours: change with this cell of the scene filled on all frames (occlusion, 4 x 4 cells); red cells "
    "support the answer. On drawn clips, the cell with the largest change mattered more than a random one in "
    f"{LARGER_PERCENT}% of {MEASURED_CLIPS} clips, measured by showing another scene there. The colours show "
    "how this run's answer depends on its input, not why."
)


def sentence_of(answer: WindowAnswer, effects: Effects, when: Mapping[int, str], *, sees_scene: bool) -> str:
    """Return the text of an explanation.

    Args:
        answer: The answer for the window.
        effects: Measured changes.
        when: Time or number of each of the T frames, such as "1.20 s", by place.
        sees_scene: Whether the model of the run sees the scene.
    """
    assert answer.answer is not None, "windows with an answer are explained"
    assert answer.probability is not None
    name, probability = answer.answer, answer.probability[answer.answer]
    parts = []
    if answer.face_run is not None:
        parts.append(f"Face-only run: {_largest(answer.face_run)}.")
    if sees_scene:
        others = answer.with_other_scenes
        shown = "" if others is None else f" (with other scenes: {_with(others, name)})"
        parts.append(f"With the scene: {name} {probability:.2f}{shown}.")
    else:
        parts.append(f"This run is face-only: {name} {probability:.2f}.")
    if np.isfinite(effects.frame_T).any():
        place = int(np.nanargmax(np.abs(effects.frame_T)))
        without = probability + float(effects.frame_T[place])
        parts.append(f"Leave one frame out: {name} {without:.2f} without the frame at {when[place]}.")
    if effects.cell_GG is not None:
        row, column = np.unravel_index(int(effects.cell_GG.argmin()), effects.cell_GG.shape)
        change = float(effects.cell_GG[row, column])
        if change < 0:
            parts.append(
                f"Occlusion: {name} {probability + change:.2f} with the cell in row {row + 1}, column "
                f"{column + 1} of the scene filled."
            )
        else:
            parts.append(f"Occlusion: no cell of the scene lowers {name} when it is filled.")
    return " ".join(parts)


def _largest(probability: Mapping[str, float]) -> str:
    """Return the classes with the largest probabilities."""
    ranked = sorted(probability, key=lambda name: -probability[name])[:_MOST_CLASSES]
    return ", ".join(f"{name} {probability[name]:.2f}" for name in ranked)


def _with(probability: Mapping[str, float], answer: str) -> str:
    """Return the probability of the answer, after that of the most probable class if this is another one."""
    best = max(probability, key=lambda name: probability[name])
    names = [answer] if best == answer else [best, answer]
    return ", ".join(f"{name} {probability[name]:.2f}" for name in names)

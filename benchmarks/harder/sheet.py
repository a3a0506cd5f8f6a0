"""An image of the cues."""

from pathlib import Path

import cv2
import numpy as np

from benchmarks.harder.design import CONFIG, cues_of, kind_of
from pipeline.datasets.synthetic import PlannedClip, plan_clips
from pipeline.datasets.synthetic.compose import (
    Foreground,
    Performance,
    draw_frames,
    render_foreground,
    scene_of,
)
from pipeline.datasets.synthetic.cues import KINDS
from pipeline.sheet import tile, write_png
from pipeline.types import Bytes

_WIDTH_PX = 144


def draw_sheet(path: Path) -> None:
    """Draw two clips of one face for each kind of cue: a frame of the first half above one of the second."""
    clips = plan_clips(CONFIG)
    cells = []
    for kind in KINDS:
        first = next(clip for clip in clips if kind_of(clip) == kind and cues_of(clip).bystander)
        front = render_foreground(Performance.of(CONFIG, first), CONFIG)
        twins = [clip for clip in clips if clip.performance == first.performance]
        columns = [_captioned(kind, clip, front) for clip in twins[:2]]
        cells.append(np.hstack(columns))
    write_png(tile(cells, columns=3), path)


def _captioned(kind: str, clip: PlannedClip, front: Foreground) -> Bytes:
    """Return two frames of a clip, one above the other, below its cue and its label."""
    frames = list(draw_frames(front, scene_of(CONFIG, clip), CONFIG.fps))
    objects = cues_of(clip).objects
    start = round(objects[0].during[0] * len(frames)) if objects else 0
    chosen = (frames[start + 1], frames[(start + 9) % len(frames)])
    size = (_WIDTH_PX, round(_WIDTH_PX * CONFIG.height / CONFIG.width))
    rows = [np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8) for frame in chosen]
    line = np.full((18, _WIDTH_PX, 3), 24, np.uint8)
    cv2.putText(line, f"{kind}: {clip.label}", (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1)
    return np.vstack([line, *rows])

"""The measurement of box quality: which frames are looked at, and how boxes are compared."""

import numpy as np
import pytest

from benchmarks.box_quality import compared, overlap, spread_frames, track_of
from pipeline.types import Faces


def face(x: float) -> Faces:
    return Faces(
        box_xyxy_px=np.array([[x, 0, x + 10, 10]], np.float32),
        score=np.ones(1, np.float32),
        landmark_xy_px=np.zeros((1, 5, 2), np.float32),
    )


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("num_frames", [1, 2, 5, 16])
def test_the_frames_looked_at_are_spread_and_hold_both_ends(num_frames: int, every: int) -> None:
    places = spread_frames(num_frames, every)
    assert places[0] == 0
    assert places[-1] == num_frames - 1
    assert len(places) == max(min(2, num_frames), -(-num_frames // every))
    assert max(np.diff(places), default=0) <= every + 1


def test_overlap_by_hand() -> None:
    one = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 1, 1]], np.float32)
    other = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [2, 2, 3, 3]], np.float32)
    np.testing.assert_allclose(overlap(one, other), [1, 1 / 3, 0], rtol=1e-6)


def test_a_face_that_moves_steadily_needs_no_look_at_every_frame() -> None:
    faces = [face(n) for n in range(8)]
    found = compared([track_of(faces, 2)], [track_of(faces, 1)])
    assert found["iou_min"] > 0.99
    assert found["clips_that_agree"] == 1

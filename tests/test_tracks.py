"""One subject's track from boxes per frame: linking, choice of the subject, gaps, smoothing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.faces import DetectorConfig, load_detector
from pipeline.frames import FrameConfig, decode_clip
from pipeline.tracks import TrackConfig, nearest_track
from pipeline.tracks.boxes import interpolated, smoothed
from pipeline.types import Faces, FaceTrack, Floats

nearest = partial(TrackConfig, method="nearest")
RAW = nearest(smooth=0)


def faces(*boxes: Sequence[float], scores: Sequence[float] | None = None) -> Faces:
    k = len(boxes)
    return Faces(
        box_xyxy_px=np.array(boxes, dtype=np.float32).reshape(k, 4),
        score=np.array(scores if scores is not None else [1.0] * k, dtype=np.float32),
        landmark_xy_px=np.full((k, 5, 2), np.nan, dtype=np.float32),
    )


def square(x: float, y: float, side: float) -> tuple[float, float, float, float]:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def sides(track: FaceTrack) -> Floats:
    return np.round(track.box_xyxy_px[:, 2] - track.box_xyxy_px[:, 0], 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_gap": -1}, r"track.max_gap is -1; allowed: 0 or more"),
        ({"max_jump": -0.1}, r"track.max_jump is -0.1; allowed: 0 or more"),
        ({"max_growth": 0.5}, r"track.max_growth is 0.5; allowed: 1 or more"),
        ({"smooth": 0.5}, r"track.smooth is 0.5; allowed: 0 to 0.333"),
        ({"max_shift": -1.0}, r"track.max_shift is -1.0; allowed: 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        nearest(**change)


def test_no_face_at_all_is_nan_everywhere() -> None:
    track = nearest_track([faces(), faces(), faces()], nearest())
    assert not track.has_face
    assert np.isnan(track.box_xyxy_px).all()
    np.testing.assert_array_equal(track.score, [0, 0, 0])


def test_gaps_are_interpolated_and_ends_held_by_hand() -> None:
    seen = {1: square(100, 100, 40), 4: square(130, 100, 46)}
    track = nearest_track([faces(seen[i], scores=[0.9]) if i in seen else faces() for i in range(6)], RAW)
    expected = (
        [square(100, 100, 40)] * 2 + [square(110, 100, 42), square(120, 100, 44)] + [square(130, 100, 46)] * 2
    )
    np.testing.assert_allclose(track.box_xyxy_px, expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(track.found, [False, True, False, False, True, False])
    np.testing.assert_allclose(track.score, [0, 0.9, 0, 0, 0.9, 0], rtol=0, atol=1e-6)


def test_interpolation_keeps_the_frames_given() -> None:
    box = np.array([[0, 0, 10, 10], [9, 3, 19, 13]], dtype=np.float32)
    whole = interpolated(box, [0, 3], np.arange(4))
    np.testing.assert_allclose(whole[1:3], [[3, 1, 13, 11], [6, 2, 16, 12]], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(whole[[0, 3]], box)


def test_smoothing_by_hand() -> None:
    box = np.array([square(x, 50, 100) for x in (50, 54, 50, 50)], dtype=np.float32)
    smooth = smoothed(box, nearest(smooth=0.25, max_shift=1))
    np.testing.assert_allclose(smooth[:, 0], [0, 2, 1, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(smooth[:, 2], [100, 102, 101, 100], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(smooth[:, [1, 3]], box[:, [1, 3]])


def test_smoothing_moves_an_edge_by_no_more_than_its_limit() -> None:
    box = np.array([square(x, 50, 100) for x in (50, 250, 50)], dtype=np.float32)
    smooth = smoothed(box, nearest(smooth=0.25, max_shift=0.05))
    np.testing.assert_allclose(smooth[1], [195, 0, 295, 100], rtol=0, atol=1e-4)


def test_a_steady_motion_is_not_delayed() -> None:
    box = np.array([square(50 + 8 * t, 50 - 4 * t, 32 + 2 * t) for t in range(8)], dtype=np.float32)
    np.testing.assert_allclose(smoothed(box, nearest()), box, rtol=0, atol=1e-4)


def test_the_larger_of_two_people_is_the_subject_though_their_order_changes() -> None:
    large, small = square(100, 100, 60), square(220, 100, 50)
    frames = [faces(large, small) if t % 2 else faces(small, large) for t in range(8)]
    np.testing.assert_array_equal(
        nearest_track(frames, nearest()).box_xyxy_px, np.tile(np.float32(large), (8, 1))
    )


def test_a_face_seen_longer_outweighs_a_somewhat_larger_one() -> None:
    frames = [faces(square(100, 100, 50)) for _ in range(10)]
    frames[3] = frames[4] = faces(square(100, 100, 50), square(300, 100, 90))
    assert (sides(nearest_track(frames, nearest())) == 50).all()


def test_one_large_false_find_does_not_steal_a_long_track() -> None:
    frames = [faces(square(100, 100, 40)) for _ in range(16)]
    frames[7] = faces(square(110, 110, 200), square(100, 100, 40), scores=[0.9, 0.7])
    track = nearest_track(frames, nearest())
    assert (sides(track) == 40).all()
    assert track.found.all()


def test_unsure_finds_weigh_less() -> None:
    frames = [faces(square(100, 100, 50), square(300, 100, 60), scores=[0.99, 0.55])] * 8
    assert (sides(nearest_track(frames, nearest())) == 50).all()


def test_a_face_lost_for_longer_than_the_gap_begins_a_new_track() -> None:
    here = [faces(square(100, 100, 50))]
    for gap, found in ((2, 5), (3, 3)):
        frames = here * 3 + [faces()] * gap + here * 2
        assert nearest_track(frames, nearest(max_gap=2)).found.sum() == found


def test_a_jump_or_growth_beyond_the_limits_is_another_face() -> None:
    start = [faces(square(100, 100, 50))] * 3
    for after, found in (
        (square(149, 100, 50), 4),
        (square(151, 100, 50), 3),
        (square(100, 100, 99), 4),
        (square(100, 100, 101), 3),
    ):
        track = nearest_track([*start, faces(after)], nearest(max_jump=1.0, max_growth=2.0))
        assert track.found.sum() == found


def test_two_people_who_move_keep_their_own_tracks() -> None:
    left = [square(60 + 10 * t, 100, 60) for t in range(8)]
    right = [square(220 - 6 * t, 104, 50) for t in range(8)]
    track = nearest_track([faces(r, le) for le, r in zip(left, right, strict=True)], RAW)
    np.testing.assert_allclose(track.box_xyxy_px, left, rtol=0, atol=1e-4)


def test_a_detection_continues_one_track_only() -> None:
    """Two faces become one: the nearer track takes it, the other goes on as a gap."""
    a, b = square(100, 100, 50), square(140, 100, 50)
    frames = [faces(a, b), faces(square(103, 100, 50)), faces(a, b)]
    track = nearest_track(frames, RAW)
    assert track.found.all()
    np.testing.assert_allclose(track.box_xyxy_px[1], square(103, 100, 50), rtol=0, atol=1e-4)


place = st.floats(0, 400, width=32)
boxes = st.tuples(place, place, st.floats(8, 200, width=32)).map(lambda xys: square(*xys))


@given(box=boxes, seen=st.lists(st.booleans(), min_size=1, max_size=12).filter(any))
def test_a_constant_track_is_itself(box: tuple[float, float, float, float], seen: list[bool]) -> None:
    frames = [faces(box, scores=[0.8]) if here else faces() for here in seen]
    frames_apart = nearest(max_gap=len(seen))
    track = nearest_track(frames, frames_apart)
    np.testing.assert_array_equal(track.box_xyxy_px, np.tile(np.float32(box), (len(seen), 1)))
    np.testing.assert_array_equal(track.found, seen)
    np.testing.assert_array_equal(track.score, np.float32(0.8) * np.array(seen))


@given(
    frames=st.lists(st.lists(boxes, max_size=3), min_size=1, max_size=10),
    smooth=st.floats(0, 1 / 3),
    max_shift=st.floats(0, 2),
)
def test_any_detections_make_a_track_inside_them(
    frames: list[list[tuple[float, float, float, float]]], smooth: float, max_shift: float
) -> None:
    detections = [faces(*found) for found in frames]
    track = nearest_track(detections, nearest(smooth=smooth, max_shift=max_shift))
    raw = nearest_track(detections, RAW)
    assert track.has_face == any(frames)
    np.testing.assert_array_equal(track.found, raw.found)
    np.testing.assert_array_equal(track.score > 0, track.found)
    for t in np.flatnonzero(track.found):
        assert (raw.box_xyxy_px[t] == detections[t].box_xyxy_px).all(axis=1).any()
    if track.has_face:
        subject = raw.box_xyxy_px[raw.found]
        assert (track.box_xyxy_px >= subject.min(axis=0)).all()
        assert (track.box_xyxy_px <= subject.max(axis=0)).all()


@given(
    large=st.floats(40, 80, width=32),
    small_share=st.floats(0.3, 0.95),
    lost=st.sets(st.integers(0, 9), max_size=6),
)
def test_the_larger_and_longer_wins(large: float, small_share: float, lost: set[int]) -> None:
    """Two people 200 px apart; the larger is on every frame, the smaller misses some."""
    big, little = square(100, 100, large), square(300, 100, large * small_share)
    frames = [faces(big) if t in lost else faces(little, big) for t in range(10)]
    track = nearest_track(frames, nearest())
    np.testing.assert_array_equal(track.box_xyxy_px, np.tile(np.float32(big), (10, 1)))


@pytest.mark.data
def test_false_finds_on_a_real_clip_do_not_take_the_track(test_data: Path) -> None:
    """Haar also finds faces in the shoes and, once, in half of the body."""
    frames = decode_clip(test_data / "videos" / "people" / "s13.mp4", FrameConfig())
    found = load_detector(DetectorConfig(name="haar"), torch.device("cpu")).detect(
        torch.from_numpy(frames.rgb_UHWC)
    )
    assert sum(len(one.score) > 1 for one in found) >= 5
    track = nearest_track(found, nearest())
    assert track.found.all()
    assert (track.box_xyxy_px[:, 3] < 250).all()
    assert (sides(track) < 130).all()


@pytest.mark.data
def test_a_clip_that_loses_its_face_holds_the_last_box(test_data: Path) -> None:
    frames = decode_clip(test_data / "videos" / "people" / "face_noface.mov", FrameConfig())
    found = load_detector(DetectorConfig(name="haar"), torch.device("cpu")).detect(
        torch.from_numpy(frames.rgb_UHWC)
    )
    track = nearest_track(found, nearest())
    np.testing.assert_array_equal(track.found, [True] * 7 + [False] * 9)
    np.testing.assert_array_equal(track.box_xyxy_px[7:], np.tile(track.box_xyxy_px[7], (9, 1)))

"""Measures of tracks against cases worked by hand, and the truth of trial clips.

The measures were also compared once with TrackEval 1.3.0 in a throwaway environment, on the tracks of version
1 in 49 trial clips and on random clips. IDTP, IDFP, IDFN, IDP, IDR and IDF1 are equal in all of them (49 and
2985). Switches are equal in the trial clips and in the 2000 random clips with a person and a box on every
frame; on a frame without either, TrackEval keeps the pairs of the frame before. Fragmentations are equal in
the 1000 random clips whose people are always visible; elsewhere TrackEval also counts people who were hidden.
"""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tracking.measures import (
    NOT_FOUND,
    ON_NOBODY,
    Counts,
    Pairing,
    check_subject,
    count_tracks,
    pairings,
)
from benchmarks.tracking.truth import Truth, intersection_over_union, read_truth
from pipeline.types import Faces, FaceTrack, Floats

BOX_A, BOX_B, BOX_ELSEWHERE = (0, 0, 10, 10), (100, 0, 110, 10), (300, 300, 310, 310)


def frame(people: list[int], tracks: list[int], similarity: list[list[float]]) -> Pairing:
    return Pairing(
        people=np.array(people, np.int64),
        tracks=np.array(tracks, np.int64),
        similarity_PK=np.array(similarity, np.float32).reshape(len(people), len(tracks)),
    )


def on_own(*tracks: int | None) -> list[Pairing]:
    """Person 0 in view on every frame, under one track or none."""
    return [frame([0], [], [[]]) if t is None else frame([0], [t], [[1.0]]) for t in tracks]


def faces(*boxes: tuple[float, ...]) -> Faces:
    return Faces(
        box_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
        score=np.ones(len(boxes), np.float32),
        landmark_xy_px=np.zeros((len(boxes), 5, 2), np.float32),
    )


def truth_of(
    *frames: tuple[tuple[float, ...] | None, ...], hidden: tuple[tuple[int, int], ...] = ()
) -> Truth:
    box_UP4 = np.array([[b or (np.nan,) * 4 for b in people] for people in frames], np.float32)
    visible_UP = np.isfinite(box_UP4).all(axis=2)
    for place in hidden:
        visible_UP[place] = False
    return Truth(
        people=("a", "b")[: box_UP4.shape[1]],
        box_UP4=box_UP4,
        visible_UP=visible_UP,
        is_cut_U=np.zeros(len(box_UP4), np.bool_),
        boxes_are_faces=True,
    )


def track(boxes: list[tuple[float, ...]], found: list[bool]) -> FaceTrack:
    return FaceTrack.of_one_person(
        box_xyxy_px=np.array(boxes, np.float32),
        score=np.array(found, np.float32),
        found=np.array(found, np.bool_),
    )


def test_one_person_under_two_tracks() -> None:
    # 6 of 10 boxes are of the longer track: IDTP 6, IDFP 4, IDFN 4, IDF1 = 12 / (12 + 4 + 4) = 0.6.
    counts = count_tracks(on_own(1, 1, 1, 1, 1, 1, 2, 2, 2, 2))
    assert counts == Counts(id_true=6, boxes=10, visible=10, switches=1, fragmentations=0)
    assert counts.idf1 == counts.idp == counts.idr == 0.6


def test_two_people_whose_tracks_change_places() -> None:
    # Each track is 5 frames on one person and 3 on the other: IDTP 5 + 5 of 16, IDF1 = 20 / 32 = 0.625.
    straight, crossed = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]
    counts = count_tracks([frame([0, 1], [7, 8], straight)] * 5 + [frame([0, 1], [7, 8], crossed)] * 3)
    assert counts == Counts(id_true=10, boxes=16, visible=16, switches=2, fragmentations=0)
    assert counts.idf1 == 0.625


def test_missed_frames_and_a_box_on_nobody() -> None:
    # Found on 4 of 6 frames, and one false box: IDP = 4 / 5, IDR = 4 / 6, IDF1 = 8 / (5 + 6).
    frames = [*on_own(1, 1, None), frame([0], [2], [[0.0]]), *on_own(1, 1)]
    counts = count_tracks(frames)
    assert counts == Counts(id_true=4, boxes=5, visible=6, switches=0, fragmentations=1)
    assert (counts.idp, counts.idr, counts.idf1) == (4 / 5, 4 / 6, 8 / 11)


def test_tracks_are_assigned_over_the_whole_clip_and_not_one_after_the_other() -> None:
    # Person 0 has track 1 on 5 frames and track 2 on 4; person 1 has track 1 on 4. Person 0 with track 1
    # first gives 5; person 0 with track 2 and person 1 with track 1 gives 4 + 4 = 8.
    frames = [frame([0], [1], [[1.0]])] * 5 + [frame([0, 1], [2, 1], [[1.0, 0.0], [0.0, 1.0]])] * 4
    counts = count_tracks(frames)
    assert counts.id_true == 8
    # Person 0 goes from track 1 to track 2.
    assert counts.switches == 1


def test_a_better_box_of_another_track_is_no_switch_while_the_track_goes_on() -> None:
    counts = count_tracks([frame([0], [1], [[0.9]]), frame([0], [1, 2], [[0.6, 0.9]])])
    assert (counts.switches, counts.id_true, counts.boxes) == (0, 2, 3)


def test_a_switch_counts_across_frames_without_a_match() -> None:
    counts = count_tracks(on_own(1, None, 2, 2, None, 2))
    assert (counts.switches, counts.fragmentations) == (1, 2)


@pytest.mark.parametrize(("similarity", "id_true"), [(0.5, 1), (0.4999, 0)])
def test_a_box_fits_from_one_half(similarity: float, id_true: int) -> None:
    assert count_tracks([frame([0], [1], [[similarity]])]).id_true == id_true


def test_counts_of_clips_are_added() -> None:
    # 6 of 10 and 2 of 2: IDF1 = 2 * 8 / (12 + 12).
    both = count_tracks(on_own(1, 1, 1, 1, 1, 1, 2, 2, 2, 2)) + count_tracks(on_own(3, 3))
    assert both.idf1 == 16 / 24


def test_nobody_and_no_box_is_no_mistake() -> None:
    assert count_tracks([frame([], [], [])]).idf1 == 1


def test_overlap_by_hand() -> None:
    one = np.array([[0, 0, 10, 10], [np.nan] * 4], np.float32)
    other = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    # Half of each is shared: 50 / (100 + 100 - 50).
    np.testing.assert_allclose(intersection_over_union(one, other), [[1, 1 / 3, 0], [0, 0, 0]], rtol=1e-6)


def test_a_box_on_a_hidden_person_is_neither_right_nor_wrong() -> None:
    truth = truth_of((BOX_A, BOX_B), (BOX_A, BOX_B), hidden=((1, 1),))
    both = faces(BOX_A, BOX_B)
    counts = count_tracks(pairings(truth, [both, both], [[1, 2], [1, 2]]))
    assert counts == Counts(id_true=3, boxes=3, visible=3)


def test_detections_without_a_track_are_left_out_and_false_boxes_stay() -> None:
    found = faces(BOX_A, BOX_B, BOX_ELSEWHERE)
    counts = count_tracks(pairings(truth_of((BOX_A, BOX_B)), [found], [[1, -1, 3]]))
    assert counts == Counts(id_true=1, boxes=2, visible=2)


def test_the_subjects_person_on_every_frame() -> None:
    truth = truth_of(*[(BOX_A, BOX_B)] * 5)
    check = check_subject(
        truth,
        track([BOX_A, BOX_A, BOX_ELSEWHERE, BOX_ELSEWHERE, BOX_B], [True, True, True, False, True]),
    )
    assert check.person_U == (0, 0, ON_NOBODY, NOT_FOUND, 1)
    assert (check.num_people, check.num_changes, check.frames_on_nobody) == (2, 1, (2,))
    assert (check.num_followed, check.num_visible) == (2, 5)
    assert (check.num_covered, check.num_with_anyone) == (3, 5)


def test_a_subject_that_stays_on_the_largest_face() -> None:
    large = (0, 0, 40, 40)
    truth = truth_of((large, BOX_B), (large, BOX_B))
    assert check_subject(truth, track([large, large], [True, True])).is_largest
    other = check_subject(truth, track([BOX_B, BOX_B], [True, True]))
    assert not other.is_largest
    assert other.num_people == 1


def test_a_visible_person_comes_before_a_hidden_one_who_fits_better() -> None:
    near: tuple[float, ...] = (1, 0, 11, 10)
    truth = truth_of((BOX_A, near), hidden=((0, 0),))
    assert check_subject(truth, track([BOX_A], [True])).person_U == (1,)


def test_a_track_without_a_found_frame_is_on_nobody() -> None:
    check = check_subject(truth_of((BOX_A,)), track([(np.nan,) * 4], [False]))
    assert (check.person_U, check.num_people, check.is_largest, check.num_covered) == (
        (NOT_FOUND,),
        0,
        False,
        0,
    )


def written(directory: Path, *lines: str) -> Path:
    file = directory / "truth.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_truth_of_faces(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "clip,frame,person,x0,y0,x1,y1,visible,cut",
        "c.mp4,0,a,1,2,3,4,1,0",
        "c.mp4,0,b,5,6,7,8,0,0",
        "c.mp4,1,,,,,,,1",
        "c.mp4,2,b,5,6,7,8,1,0",
    )
    truth = read_truth(file, {"c.mp4": 3})["c.mp4"]
    assert truth.people == ("a", "b")
    assert truth.visible_UP.tolist() == [[True, False], [False, False], [False, True]]
    assert truth.box_UP4[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert np.isnan(truth.box_UP4[1]).all()
    assert truth.shot_U.tolist() == [0, 1, 1]
    # Frame 1 has the cut; without it, the cut is between frames 0 and 2.
    assert truth.at([0, 2]).is_cut_U.tolist() == [False, True]


def test_truth_of_heads_by_hand(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "clip,frame,person,centre_x,centre_y,side,front",
        "c.mp4,0,a,200,180,100,1",
        "c.mp4,0,b,400,180,100,0",
        "c.mp4,1,a,200,180,100,1",
        "c.mp4,1,b,210,180,100,0",
        "c.mp4,2,a,0,180,100,1",
        "c.mp4,2,b,-100,180,100,0",
    )
    truth = read_truth(file, {"c.mp4": 3})["c.mp4"]
    np.testing.assert_allclose(truth.box_UP4[0, 0], [172.5, 143, 227.5, 220], rtol=1e-6)
    # Of b's face, 182.5 to 237.5 wide, a's ellipse reaches to 240 at its middle: most of it is covered.
    assert truth.visible_UP.tolist() == [[True, True], [True, False], [True, False]]
    # On frame 2, half of a's face is outside the frame, and b is outside altogether.
    np.testing.assert_allclose(truth.box_UP4[2, 0], [0, 143, 27.5, 220], rtol=1e-6)
    assert np.isnan(truth.box_UP4[2, 1]).all()
    assert not truth.is_cut_U.any()


def test_truth_of_squares_with_their_cuts(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "clip,frame,person,x0,y0,side",
        "c.mp4,1,a,0,0,100",
        "c.mp4,2,a,0,0,100",
        "c.mp4,2,b,200,0,100",
        "c.mp4,3,a,50,0,40",
    )
    truth = read_truth(file, {"c.mp4": 5})["c.mp4"]
    # Frame 1 follows frame 0 without anybody; on frame 2, b comes; on frame 3, a has another square.
    assert truth.is_cut_U.tolist() == [False, True, False, True, True]
    boxes: Floats = np.array([[80, 80, 110, 110], [90, 90, 120, 120]], np.float32)
    assert truth.similarity(2, boxes).tolist() == [[1, 0], [0, 0]]


def test_other_columns_and_clips_without_truth_are_rejected(tmp_path: Path) -> None:
    file = written(tmp_path, "clip,frame,person", "c.mp4,0,a")
    with pytest.raises(ValueError, match="columns clip, frame, person, of none of the three known forms"):
        read_truth(file, {"c.mp4": 1})
    with pytest.raises(ValueError, match=r"has no rows of d\.mp4"):
        read_truth(file, {"d.mp4": 1})

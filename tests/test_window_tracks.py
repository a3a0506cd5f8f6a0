"""Names and people of tracklets, and their state in parts."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import from_dict
from pipeline.looks import LOOK_WIDTH
from pipeline.process import ExtractConfig
from pipeline.process.windows.tracks import LEAST_DETECTIONS, TrackTable
from pipeline.types import Faces

CONFIG = from_dict(ExtractConfig, {"detector": {"name": "haar"}})
LOOKS = np.eye(4, LOOK_WIDTH, dtype=np.float32)


def faces(*lefts):
    box = np.array([(left, 10, left + 40, 50) for left in lefts], np.float32).reshape(-1, 4)
    return Faces(
        box_xyxy_px=box,
        score=np.full(len(lefts), 0.9, np.float32),
        landmark_xy_px=np.zeros((len(lefts), 5, 2), np.float32),
    )


def add(table, frame, people, shot=0):
    """Add a frame with people, each at its own place; return their tracklets."""
    found = faces(*(100.0 * person for person in people))
    held = table.add(frame, frame / 10, shot, found, LOOKS[list(people)])
    return [tracklet for tracklet, _ in sorted(held.items(), key=lambda pair: pair[1])]


def filled(frames=8, cut=None):
    """A table with persons 0 and 1; person 1 comes at frame 2; all are named as windows would."""
    table = TrackTable(CONFIG)
    for frame in range(frames):
        shot = int(cut is not None and frame >= cut)
        for tracklet in add(table, frame, [0] if frame < 2 else [0, 1], shot):
            table.name(tracklet, frame)
    return table


def test_a_tracklet_has_a_name_from_its_third_detection_on():
    table = TrackTable(CONFIG)
    for frame in range(LEAST_DETECTIONS):
        (tracklet,) = add(table, frame, [0])
    assert table.name(tracklet, LEAST_DETECTIONS - 2) == ""
    assert table.num_unfollowed() == 0, "it has enough detections, and may still be named"
    assert table.name(tracklet, LEAST_DETECTIONS - 1) == "s00p1"
    assert table.given_name(tracklet, LEAST_DETECTIONS - 2) == ""
    assert table.given_name(tracklet, LEAST_DETECTIONS - 1) == "s00p1"


def test_fewer_detections_suffice_if_a_window_says_so():
    table = TrackTable(CONFIG)
    (tracklet,) = add(table, 0, [0])
    assert table.num_unfollowed() == 1
    assert table.name(tracklet, 0, least=1) == "s00p1"
    assert table.num_unfollowed() == 0


def test_names_are_in_the_order_in_which_windows_ask_and_begin_again_in_each_shot():
    table = filled(16, cut=8)
    assert [table.given_name(n, 99) for n in range(4)] == ["s00p1", "s00p2", "s01p1", "s01p2"]
    people = table.people()
    assert [tracks for _, tracks, _ in people] == [("s00p1", "s01p1"), ("s00p2", "s01p2")]
    assert [may_be_another for _, _, may_be_another in people] == [False, False]


def test_people_who_look_alike_and_never_meet_may_be_one():
    table = TrackTable(CONFIG)
    for frame in range(12):
        shot, look = (0, LOOKS[0]) if frame < 6 else (1, LOOKS[0] + 0.35 * LOOKS[1])
        held = table.add(frame, frame / 10, shot, faces(0.0), look[None])
        for tracklet in held:
            table.name(tracklet, frame)
    found = table.people()
    assert sum(len(tracks) for _, tracks, _ in found) == 2
    assert len(found) == 1 or found[1][2], "joined, or marked"


def test_weight_and_doubt_are_of_the_frames_up_to_a_window():
    table = filled(10)
    assert 0 < table.weight(0, 3) < table.weight(0, 9)
    assert table.weight(0, 9) > table.weight(1, 9), "it came earlier"
    assert not table.is_doubtful(0, 0, 10)
    table._tracks[0].margin[5] = 0.01
    assert table.is_doubtful(0, 5, 6)
    assert not table.is_doubtful(0, 0, 5)
    assert not table.is_doubtful(0, 6, 10)


def require_same(one, other):
    assert one._named == other._named
    assert {n: vars(track) for n, track in one._tracks.items()} == {
        n: vars(track) for n, track in other._tracks.items()
    }
    assert [(tracks, doubt) for _, tracks, doubt in one.people()] == [
        (tracks, doubt) for _, tracks, doubt in other.people()
    ]


@pytest.mark.parametrize("every", [1, 3, 7])
def test_a_table_restored_from_parts_is_the_same(every):
    table, parts = TrackTable(CONFIG), []
    for frame in range(16):
        for tracklet in add(table, frame, [0] if frame < 2 else [0, 1], int(frame >= 8)):
            table.name(tracklet, frame)
        if frame % every == 0:
            parts += table.take_parts()
    parts += table.take_parts()
    assert table.take_parts() == ()
    assert sum(len(part.frame_N) for part in parts) == 30
    assert {part.tracklet for part in parts if part.look_D is not None} == {0, 1}
    require_same(TrackTable.restored(table.to_arrays(), parts, CONFIG), table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts[1:], "tracklets"),
        (lambda parts: [*parts, parts[0]], "does not continue"),
        (
            lambda parts: [replace(parts[0], shot=4), *parts[1:], replace(parts[0], shot=3)],
            "does not continue",
        ),
        (lambda parts: [replace(parts[0], look_D=LOOKS[0]), *parts[1:]], "tracklets"),
        (lambda parts: [replace(part, tracklet=part.tracklet + 5) for part in parts], "tracklets"),
    ],
)
def test_parts_of_another_state_are_refused(change, message):
    table = filled()
    parts = list(table.take_parts())
    with pytest.raises(ValueError, match=message):
        TrackTable.restored(table.to_arrays(), change(parts), CONFIG)

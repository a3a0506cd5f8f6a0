"""The person that a dataset names: by number, or by the box of its face at a time."""

import math

import numpy as np
import pytest

from pipeline.errors import ClipError
from pipeline.tracks import TrackConfig, find_named, subject_track
from pipeline.types import Absence, FrameMeta, NamedSubject
from tests.test_subject import OTHER, centres, person, tracklet


def frames(num_frames=8, step=0.2, start=0.0, seconds=None) -> FrameMeta:
    """Sampled frames of 400x200 pixels, a frame in three."""
    times = start + step * np.arange(num_frames) if seconds is None else np.array(seconds)
    return FrameMeta(
        index_U=3 * np.arange(num_frames),
        seconds_U=times.astype(np.float32),
        position_VT=np.arange(num_frames)[None],
        valid_VT=np.ones((1, num_frames), bool),
        flip_V=(False,),
        num_decoded=3 * num_frames,
        height_px=200,
        width_px=400,
    )


ANNA = person(tracklet([0, 1, 2, 3]), tracklet([6, 7], shot=2), margin=5.0)
BERT = person(tracklet([0, 1, 2], x=300), tracklet([4, 5], shot=1, x=200, look=OTHER), margin=3.0)
CARA = person(tracklet([5], x=310, shot=1, side=40))
PEOPLE = (ANNA, BERT, CARA)
SHOTS = np.array([0, 0, 0, 0, 1, 1, 2, 2])


def at(x, seconds, side=50.0, **more) -> NamedSubject:
    return NamedSubject(
        box_xyxy=(x - side / 2, 100 - side / 2, x + side / 2, 100 + side / 2), seconds=seconds, **more
    )


def follow(subject, across_shots="look", people=PEOPLE):
    return subject_track(
        people,
        0.2 * np.arange(8),
        SHOTS,
        lambda _u, _box: OTHER,
        TrackConfig(smooth=0, across_shots=across_shots),
        find_named(people, subject, frames()),
    )


@pytest.mark.parametrize(("number", "expected"), list(enumerate(PEOPLE, 1)))
def test_a_number_is_a_place_among_the_people(number, expected):
    assert find_named(PEOPLE, NamedSubject(person=number), frames()).person is expected


@pytest.mark.parametrize(
    ("people", "number", "message"),
    [
        (
            PEOPLE,
            4,
            r"^track: the named subject is person 4, and the clip has 3 people; allowed: 1 to 3\. Corr",
        ),
        (
            PEOPLE[:1],
            2,
            "is person 2, and the clip has 1 person; allowed: 1 to 1. .* `faces --draw` shows the",
        ),
        ((), 1, "is person 1, and the clip has 0 people; allowed: none"),
    ],
)
def test_a_number_beyond_the_people_fails_the_clip(people, number, message):
    with pytest.raises(ClipError, match=message):
        find_named(people, NamedSubject(person=number), frames())


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (at(100, 0.2), ANNA),
        (at(300, 0.2), BERT),
        (at(200, 0.8), BERT),
        (at(305, 1.0, side=60), CARA),
        (at(300, 0.49), BERT),  # the nearest frame is the third one, which Bert is on, and not the fourth
        (at(100, 1.7), ANNA),  # after the last sampled frame
        (NamedSubject(box_xyxy=(0.6875, 0.375, 0.8125, 0.625), seconds=0.2, is_relative=True), BERT),
    ],
)
def test_a_box_is_of_the_person_whose_box_it_overlaps_most_at_its_time(subject, expected):
    chosen = find_named(PEOPLE, subject, frames())
    assert chosen.person is expected
    assert any(chosen.tracklet is one for one in expected.tracklets)


def test_the_largest_overlap_counts_and_the_least_is_three_tenths():
    near, far = person(tracklet([0], x=100)), person(tracklet([0], x=125))
    assert find_named((near, far), at(115, 0), frames()).person is far
    assert find_named((near, far), at(110, 0), frames()).person is near
    inner = person(tracklet([0], x=100, side=30))
    assert find_named((inner, person(tracklet([0], x=110))), at(100, 0), frames()).person is not inner
    assert find_named((near,), at(126.9, 0), frames()).person is near, "23.1 of 76.9 pixels are shared"
    with pytest.raises(ClipError, match=r"an intersection over union of 0\.30; expected: 0\.3 or more"):
        find_named((near,), at(127.1, 0), frames())


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (
            at(250, 0.21),
            r"^track: no face at the named subject's box 225, 75, 275, 125 \(in pixels\) at 0\.21 s: of 2 "
            r"people on the nearest sampled frame, 3 at 0\.20 s, the nearest has box 275, 75, 325, 125 \(in "
            r"pixels of 400x200\), with an intersection over union of 0\.00; expected: 0\.3 or more\. Cor",
        ),
        (at(300, 0.6), r"of 1 person on the nearest sampled frame, 9 at 0\.60 s, the nearest has box 75, 75"),
        (at(100, 1.81), None),
        (
            at(100, 2.0),
            r"by a box at 2 s, and the sampled frames are from 0\.00 to 1\.40 s\. Correct subject_seconds in",
        ),
        (
            NamedSubject(box_xyxy=(0.1, 0.2, 0.3, 0.4), seconds=0.2, is_relative=True),
            r"box 0\.1, 0\.2, 0\.3, 0\.4 \(in fractions\) at 0\.2 s",
        ),
    ],
)
def test_a_box_without_a_face_fails_the_clip_and_names_the_nearest(subject, message):
    if message is None:
        assert find_named(PEOPLE, subject, frames()).person is ANNA
        return
    with pytest.raises(ClipError, match=message):
        find_named(PEOPLE, subject, frames())


def test_a_box_on_a_frame_without_people_fails_the_clip():
    with pytest.raises(
        ClipError, match=r"nobody is followed on the nearest sampled frame, 6 at 0\.40 s\. Give"
    ):
        find_named((person(tracklet([0, 1, 5])),), at(100, 0.4), frames())


def test_sampled_frames_far_apart_are_near_to_any_time_between_them():
    assert find_named((person(tracklet([1])),), at(100, 2.1), frames(seconds=[0, 3, 6, 9, 12, 15, 18, 21]))
    with pytest.raises(ClipError, match="frames are from 0.00 to 21.00 s"):
        find_named((person(tracklet([7])),), at(100, 24.1), frames(seconds=[0, 3, 6, 9, 12, 15, 18, 21]))


def test_images_of_a_directory_have_no_time_for_a_box_but_numbers():
    timeless = frames(seconds=[math.nan] * 8)
    with pytest.raises(
        ClipError, match=r"box at 0\.2 s, and images of a directory have no times\. Name the per"
    ):
        find_named(PEOPLE, at(100, 0.2), timeless)
    assert find_named(PEOPLE, NamedSubject(person=2), timeless).person is BERT


@pytest.mark.parametrize("subject", [NamedSubject(person=2), at(300, 0.2), at(200, 0.8)])
def test_the_named_person_is_followed_over_all_its_shots(subject):
    track = follow(subject)
    assert np.flatnonzero(track.found).tolist() == [0, 1, 2, 4, 5]
    assert centres(track) == [300, 300, 300, 300, 200, 200, 200, 200]
    assert track.absence_U[[6, 7]].tolist() == [Absence.OTHER_SHOT] * 2
    assert (track.margin, track.num_people) == (3.0, 2)


def test_naming_the_person_of_largest_weight_changes_nothing():
    named = follow(NamedSubject(person=1))
    plain = subject_track(
        PEOPLE, 0.2 * np.arange(8), SHOTS, lambda _u, _box: OTHER, TrackConfig(smooth=0), None
    )
    np.testing.assert_array_equal(named.box_xyxy_px, plain.box_xyxy_px)
    np.testing.assert_array_equal(named.absence_U, plain.absence_U)
    assert named.margin == plain.margin == 5.0


def test_the_margins_of_links_remain():
    doubtful = person(tracklet([0, 1], x=300, margin=1.5))
    assert follow(NamedSubject(person=2), people=(ANNA, doubtful)).margin == 1.5


@pytest.mark.parametrize(
    ("subject", "across_shots", "found", "centre"),
    [
        (NamedSubject(person=2), "each", [0, 1, 2, 4, 5, 6, 7], [300, 300, 300, 300, 200, 200, 100, 100]),
        (at(310, 1.0, side=40), "each", [0, 1, 2, 3, 5, 6, 7], [100, 100, 100, 100, 310, 310, 100, 100]),
        (NamedSubject(person=2), "best", [0, 1, 2], [300] * 8),
        (at(200, 0.8), "best", [4, 5], [200] * 8),
        (NamedSubject(person=3), "best", [5], [310] * 8),
    ],
)
def test_readings_of_several_shots_prefer_the_named_person(subject, across_shots, found, centre):
    track = follow(subject, across_shots)
    assert np.flatnonzero(track.found).tolist() == found
    assert centres(track) == centre

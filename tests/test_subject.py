"""The subject's track: who it is over all shots, where it is not in view, and what the streams show there."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.streams import StreamConfig, make_streams
from pipeline.tracks import TrackConfig, subject_track
from pipeline.types import Absence, FaceTrack, Person, Tracklet

SAME, OTHER = np.zeros(2, np.float32), np.ones(2, np.float32)
RAW = TrackConfig(smooth=0)


def tracklet(frames, *, x=100.0, shot=0, look=SAME, side=50.0, margin=math.inf):
    n = len(frames)
    box = (x - side / 2, 100 - side / 2, x + side / 2, 100 + side / 2)
    return Tracklet(
        shot=shot,
        frame_N=np.array(frames),
        face_N=np.zeros(n, int),
        box_N4=np.tile(np.float32(box), (n, 1)),
        score_N=np.ones(n, np.float32),
        margin_N=np.full(n, margin, np.float32),
        look_D=look,
    )


def person(*tracklets, margin=math.inf):
    return Person(tracklets=tracklets, number=1, margin=margin)


def follow(*people, num_frames=8, shots=None, look=SAME, config=RAW, rate=5.0):
    shot_U = np.zeros(num_frames, int) if shots is None else np.array(shots)
    seconds_U = np.arange(num_frames) / rate
    ordered = sorted(people, key=lambda one: one.weight, reverse=True)
    return subject_track(ordered, seconds_U, shot_U, lambda _u, _box: look, config)


def centres(track: FaceTrack) -> list[float]:
    return ((track.box_xyxy_px[:, 0] + track.box_xyxy_px[:, 2]) / 2).tolist()


def test_without_people_there_is_no_track():
    track = follow(num_frames=3)
    assert not track.has_face
    assert np.isnan(track.box_xyxy_px).all()
    assert track.absence_U.tolist() == [Absence.NOT_DETECTED] * 3


def test_the_subject_is_followed_over_its_shots_and_marked_in_others():
    subject = person(tracklet([0, 1]), tracklet([4, 5], x=300, shot=2), margin=3.5)
    other = person(tracklet([2, 3], x=200, shot=1, look=OTHER))
    track = follow(subject, other, shots=[0, 0, 1, 1, 2, 2, 3, 3])
    assert track.found.tolist() == [True, True, False, False, True, True, False, False]
    assert track.absence_U.tolist() == [0, 0, 3, 3, 0, 0, 3, 3]
    assert centres(track) == [100, 100, 100, 300, 300, 300, 300, 300]
    assert track.score.tolist() == [1, 1, 0, 0, 1, 1, 0, 0]
    assert (track.margin, track.num_people) == (3.5, 2)


def test_boxes_are_smoothed_over_the_sampled_frames_and_interpolated_by_time():
    """A face that moves steadily, 100 px per second; frames between the sampled ones are unevenly spaced."""
    seconds_U = np.array([0, 0.9, 1, 1.6, 2, 2.1, 3])
    sampled_U = np.array([0, 2, 4, 6])
    seen = np.array([0, 1, 3, 4, 5, 6])
    box = np.array([(x - 25, 75, x + 25, 125) for x in 100 + 100 * seconds_U[seen]], np.float32)
    moving = dataclasses.replace(tracklet(seen), box_N4=box)

    def x_of(places, sampled_U=None):
        kept = moving.at(places)
        config = TrackConfig(max_shift=1.0)
        track = subject_track(
            [person(kept)],
            seconds_U[places],
            np.zeros(len(places), int),
            lambda _u, _box: SAME,
            config,
            sampled_U=sampled_U,
        )
        return centres(track)

    np.testing.assert_allclose(x_of(np.arange(7), sampled_U), 100 + 100 * seconds_U, atol=1e-3)
    np.testing.assert_allclose(x_of(sampled_U), [100, 200, 300, 400], atol=1e-3)


@pytest.mark.parametrize(
    ("across_shots", "found", "margin"),
    [("look", [0, 1, 4, 5], 3.5), ("each", [0, 1, 2, 3, 4, 5], math.inf), ("best", [4, 5], math.inf)],
)
def test_readings_of_the_subject_of_several_shots(across_shots, found, margin):
    subject = person(tracklet([0, 1]), tracklet([4, 5], shot=2, side=60), margin=3.5)
    other = person(tracklet([2, 3], shot=1, look=OTHER))
    track = follow(
        subject,
        other,
        shots=[0, 0, 1, 1, 2, 2, 3, 3],
        config=TrackConfig(smooth=0, across_shots=across_shots),
    )
    assert np.flatnonzero(track.found).tolist() == found
    assert track.margin == margin


def test_boxes_are_interpolated_within_a_shot_alone():
    track = follow(
        person(tracklet([0], x=100), tracklet([2], x=200), tracklet([4, 7], x=400, shot=1)),
        shots=[0] * 4 + [1] * 4,
    )
    assert centres(track) == [100, 150, 200, 200, 400, 400, 400, 400]


def test_boxes_are_smoothed_within_a_shot_alone():
    track = follow(
        person(tracklet([0, 1, 2, 3], x=100), tracklet([4, 5, 6, 7], x=400, shot=1)),
        shots=[0] * 4 + [1] * 4,
        config=TrackConfig(),
    )
    assert centres(track) == [100] * 4 + [400] * 4


def test_a_face_that_is_missed_for_a_moment_is_in_view_and_one_that_is_long_away_is_not():
    """At 5 frames/s, `hold` is two frames; between detections of one tracklet it does not count."""
    track = follow(person(tracklet([3, 9])), num_frames=14, rate=5.0)
    out, missed = Absence.OUT_OF_VIEW, Absence.NOT_DETECTED
    assert track.absence_U.tolist() == [out, *2 * [missed], 0, *5 * [missed], 0, *2 * [missed], *2 * [out]]
    assert track.in_view_U.sum() == 11


def test_a_place_that_does_not_look_like_the_subject_is_out_of_view():
    missed = follow(person(tracklet([0, 4])), num_frames=5)
    assert missed.absence_U.tolist() == [0, 1, 1, 1, 0]
    hidden = follow(person(tracklet([0, 4])), num_frames=5, look=OTHER)
    assert hidden.absence_U.tolist() == [0, 2, 2, 2, 0]
    assert centres(hidden) == [100] * 5


def test_the_least_certain_detection_gives_the_margin():
    track = follow(person(tracklet([0, 1], margin=9.0), tracklet([2, 3], margin=2.5), margin=4.0))
    assert track.margin == 2.5


def test_people_on_one_frame_alone_are_not_counted():
    track = follow(person(tracklet([0, 1, 2])), person(tracklet([3], look=OTHER)))
    assert track.num_people == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "sort"}, "track.method"),
        ({"across_shots": "all"}, "track.across_shots"),
        ({"hold": -1.0}, "track.hold is -1.0; allowed: 0 or more"),
        (
            {"max_gap": 3},
            "track.max_gap is 3, and track.method=nearest alone uses it; add --set track.method",
        ),
        ({"method": "nearest", "hold": 1.0}, "track.hold is 1.0, and track.method=motion alone uses it"),
    ],
)
def test_settings_that_are_wrong_or_of_the_other_method_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        TrackConfig(**change)


# Streams


@pytest.fixture
def frames():
    return torch.arange(4, dtype=torch.uint8).mul(40)[:, None, None, None].expand(4, 200, 400, 3).contiguous()


def streams(frames, **settings):
    track = FaceTrack(
        box_xyxy_px=np.tile(np.float32([50, 50, 150, 150]), (4, 1)),
        score=np.ones(4, np.float32),
        found=np.array([True, False, False, True]),
        absence_U=np.array([0, 2, 3, 0], np.uint8),
    )
    config = StreamConfig(face_margin=1.0, **settings)
    return make_streams(frames, track, config, side_px=32, fill_rgb=(255, 255, 255))


def test_where_the_subject_is_not_in_view_the_nearest_crop_stands_and_the_scene_is_whole(frames):
    made = streams(frames)
    assert made.face_U3SS[:, 0, 16, 16].tolist() == [0, 0, 120, 120]
    assert made.scene_U3SS[:, 0, 16, 8].tolist() == [255, 40, 80, 255]


def test_the_earlier_readings_keep_place_and_mask(frames):
    made = streams(frames, absent_face="hold", absent_scene="masked")
    assert made.face_U3SS[:, 0, 16, 16].tolist() == [0, 40, 80, 120]
    assert made.scene_U3SS[:, 0, 16, 8].tolist() == [255] * 4


@pytest.mark.parametrize("name", ["absent_face", "absent_scene"])
def test_an_unknown_reading_of_absence_is_refused(name):
    with pytest.raises(ConfigError, match=f"streams.{name}"):
        StreamConfig(**{name: "x"})

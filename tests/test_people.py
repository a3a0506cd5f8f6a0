"""People of a clip: detections linked by movement and look, tracklets joined over absences and shots."""

import math

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.people import PeopleConfig, find_people
from pipeline.people.joins import join
from pipeline.types import Faces, Tracklet

LOOKS = {"a": np.array([0.8, 0, 0], np.float32), "b": np.array([0, 0.8, 0], np.float32)}
"""Two people, as far apart as two people are."""


def square(x, y=100.0, side=50.0):
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def clip(*people, scores=None, rate=5.0, shots=None, noise=0.0):
    """Return the arguments of `find_people`, from each person's look and box by frame; None: not detected."""
    generator = np.random.default_rng(0)
    faces, looks = [], []
    for u in range(max(len(boxes) for _, boxes in people)):
        shown = [(name, boxes[u]) for name, boxes in people if u < len(boxes) and boxes[u] is not None]
        k = len(shown)
        score = [1.0 if scores is None else scores[u]] * k
        faces.append(
            Faces(
                box_xyxy_px=np.array([box for _, box in shown], np.float32).reshape(k, 4),
                score=np.array(score, np.float32),
                landmark_xy_px=np.full((k, 5, 2), np.nan, np.float32),
            )
        )
        known = np.array([LOOKS[name] for name, _ in shown], np.float32).reshape(k, 3)
        looks.append((known + generator.normal(0, noise, known.shape)).astype(np.float32))
    times = np.arange(len(faces)) / rate
    return faces, looks, times, np.zeros(len(faces), int) if shots is None else np.array(shots)


def paths(people):
    """Return the centre's x by frame, of each person."""
    return [
        {
            int(frame): float((box[0] + box[2]) / 2)
            for tracklet in person.tracklets
            for frame, box in zip(tracklet.frame_N, tracklet.box_N4, strict=True)
        }
        for person in people
    ]


def test_people_who_cross_keep_their_identity():
    right = [square(100 + 20 * u, side=60) for u in range(16)]
    left = [square(400 - 20 * u) for u in range(16)]
    people = find_people(*clip(("a", right), ("b", left)), PeopleConfig())
    assert paths(people) == [
        {u: 100.0 + 20 * u for u in range(16)},
        {u: 400.0 - 20 * u for u in range(16)},
    ]
    margins = [tracklet.margin_N.min() for person in people for tracklet in person.tracklets]
    assert all(2 < margin < math.inf for margin in margins)


def test_people_who_meet_and_turn_back_are_distinguished_by_look():
    step = [0, 30, 60, 90, 110, 118, 120, 118, 110, 90, 60, 30, 0]
    one, other = [square(100 + x, side=60) for x in step], [square(380 - x, side=60) for x in step]
    found = paths(find_people(*clip(("a", one), ("b", other)), PeopleConfig()))
    assert sorted(path[12] for path in found) == [100, 380]
    for path in found:
        assert path[0] == path[12]


def test_without_a_difference_in_looks_a_crossing_after_an_absence_is_doubtful():
    """Both vanish while they could turn back or pass: movement and look cannot decide."""
    gap = [None] * 3
    right = [square(100 + 15 * u) for u in range(6)] + gap + [square(230)]
    left = [square(350 - 15 * u) for u in range(6)] + gap + [square(215)]
    doubtful = find_people(*clip(("a", right), ("a", left), rate=10), PeopleConfig())
    certain = find_people(*clip(("a", right), ("b", left), rate=10), PeopleConfig())

    def least(people):
        return min(tracklet.margin_N.min() for person in people for tracklet in person.tracklets)

    assert least(doubtful) < 1
    assert least(certain) > least(doubtful) + 3


@pytest.mark.parametrize("rate", [2.7, 5.0, 25.0])
def test_the_same_person_is_found_at_every_rate(rate):
    """A walk of one side per second over 4 s, with a second without detection."""
    times = np.arange(0, 4, 1 / rate)
    boxes = [None if 1.5 < t < 2.5 else square(100 + 50 * t) for t in times]
    (person,) = find_people(*clip(("a", boxes), rate=rate), PeopleConfig())
    assert len(person.tracklets) == 1
    assert person.num_detections == sum(box is not None for box in boxes)


def test_an_absence_longer_than_the_limit_ends_a_tracklet_and_the_look_joins_it():
    boxes = [square(100)] * 5 + [None] * 15 + [square(300)] * 5
    (person,) = find_people(*clip(("a", boxes)), PeopleConfig(max_gap=2.0))
    assert [tracklet.frame_N.tolist() for tracklet in person.tracklets] == [
        list(range(5)),
        list(range(20, 25)),
    ]
    assert person.margin == pytest.approx(0.6**2 / (2 * 0.25**2), rel=1e-4)
    one, other = find_people(*clip(("a", boxes[:5]), ("b", [None] * 20 + boxes[20:])), PeopleConfig())
    assert one.num_detections == other.num_detections == 5


def test_successive_frames_are_linked_however_far_apart_they_are():
    """Sampled frames of a clip of 40 s, with two people whose looks alone could not be joined."""
    generator = np.random.default_rng(1)
    faces, looks, seconds, shots = clip(
        ("a", [square(100, side=60)] * 16), ("a", [square(300)] * 16), rate=0.4
    )
    looks = [look + generator.normal(0, 0.05, look.shape).astype(np.float32) for look in looks]
    people = find_people(faces, looks, seconds, shots, PeopleConfig(max_gap=2.0))
    assert [len(person.tracklets) for person in people] == [1, 1]
    assert [set(path.values()) for path in paths(people)] == [{100.0}, {300.0}]


def test_a_face_is_not_missed_on_frames_that_were_not_searched():
    boxes = [square(100) if u % 4 == 0 else None for u in range(17)]
    faces, looks, seconds, shots = clip(("a", boxes), rate=1.6)
    searched = range(0, 17, 4)
    (person,) = find_people(faces, looks, seconds, shots, PeopleConfig(), searched_U=searched)
    assert [tracklet.frame_N.tolist() for tracklet in person.tracklets] == [list(searched)]
    (person,) = find_people(faces, looks, seconds, shots, PeopleConfig())
    assert len(person.tracklets) == 5


def test_a_cut_ends_every_tracklet():
    boxes = [square(100)] * 8
    (person,) = find_people(*clip(("a", boxes), shots=[0] * 4 + [1] * 4), PeopleConfig())
    assert [(tracklet.shot, tracklet.frame_N.tolist()) for tracklet in person.tracklets] == [
        (0, [0, 1, 2, 3]),
        (1, [4, 5, 6, 7]),
    ]
    one, other = find_people(
        *clip(("a", boxes[:4]), ("b", [None] * 4 + boxes[4:]), shots=[0] * 4 + [1] * 4), PeopleConfig()
    )
    assert {one.tracklets[0].shot, other.tracklets[0].shot} == {0, 1}


def test_a_weak_detection_continues_a_tracklet_and_starts_none():
    boxes = [square(100)] * 6
    scores = [0.9, 0.9, 0.3, 0.3, 0.9, 0.3]
    (person,) = find_people(*clip(("a", boxes), scores=scores), PeopleConfig(), start_score=0.5)
    assert person.num_detections == 6
    assert find_people(*clip(("a", boxes), scores=[0.3] * 6), PeopleConfig(), start_score=0.5) == ()


def test_a_strong_detection_goes_before_a_weak_one():
    faces, looks, seconds, shots = clip(("a", [square(100)] * 3), ("a", [None, square(101), None]))
    faces[1].score[:] = [0.3, 0.9]
    (person,) = find_people(faces, looks, seconds, shots, PeopleConfig(), start_score=0.5)
    assert person.tracklets[0].score_N.tolist() == pytest.approx([1, 0.9, 1])


def test_no_faces_are_no_people():
    assert find_people(*clip(("a", [None, None])), PeopleConfig()) == ()


def tracklet(look, frames, *, shot=0, side=50.0, score=1.0):
    n = len(frames)
    return Tracklet(
        shot=shot,
        frame_N=np.array(frames),
        face_N=np.zeros(n, int),
        box_N4=np.tile(np.float32(square(100, side=side)), (n, 1)),
        score_N=np.full(n, score, np.float32),
        margin_N=np.full(n, np.inf, np.float32),
        look_D=np.array(look, np.float32),
    )


def test_people_are_ordered_by_score_times_side_over_all_shots():
    small = [tracklet([0, 0], range(3), side=40), tracklet([0, 0.1], range(4, 8), shot=1, side=40)]
    large = tracklet([5, 5], range(3), side=90)
    first, second = join([small[0], large, small[1]], PeopleConfig())
    assert (first.num_detections, second.num_detections) == (7, 3)
    assert (first.weight, second.weight) == (pytest.approx(7 * 40), pytest.approx(3 * 90))


def test_tracklets_of_one_frame_are_two_people_however_alike():
    assert len(join([tracklet([0, 0], [0, 1]), tracklet([0, 0], [1, 2])], PeopleConfig())) == 2


def test_a_join_needs_a_smaller_distance_than_to_a_person_beside():
    before = tracklet([0.0, 0], [0, 1])
    one, other = tracklet([0.30, 0], [5, 6], shot=1), tracklet([0.35, 0], [5, 6], shot=1)
    assert len(join([before, one, other], PeopleConfig(join_margin=0.1))) == 3
    joined = join([before, one, other], PeopleConfig(join_margin=0.01))
    assert sorted(person.num_detections for person in joined) == [2, 4]


def test_looks_beyond_the_limit_are_not_joined():
    pair = [tracklet([0, 0], [0]), tracklet([0.44, 0], [3], shot=1)]
    assert len(join(pair, PeopleConfig())) == 1
    assert len(join(pair, PeopleConfig(join_distance=0.43))) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_gap": -1.0}, "people.max_gap is -1.0; allowed: 0 or more"),
        ({"look_distance": 0.0}, "people.look_distance is 0.0; allowed: 0.01 or more"),
        ({"overlap": 1.5}, "people.overlap is 1.5; allowed: 0 to 1"),
        ({"weak_score": 2.0}, "people.weak_score is 2.0; allowed: 0 to 1"),
        ({"join_distance": -0.1}, "people.join_distance is -0.1; allowed: 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        PeopleConfig(**change)


def test_frames_of_one_time_are_linked_without_a_movement():
    faces, looks, _, shots = clip(("a", [square(100)] * 4))
    (person,) = find_people(faces, looks, np.zeros(4), shots, PeopleConfig())
    assert person.num_detections == 4


def test_people_keep_their_numbers_on_fewer_frames():
    walker, passer = ("a", [square(100, side=60)] * 6), ("b", [None, square(300)] + [None] * 4)
    one, other = find_people(*clip(walker, passer), PeopleConfig())
    assert (one.number, other.number) == (1, 2)
    kept = one.at(np.array([0, 2, 5]))
    assert kept.number == 1
    assert kept.tracklets[0].frame_N.tolist() == [0, 1, 2]
    assert other.at(np.array([0, 2, 5])) is None

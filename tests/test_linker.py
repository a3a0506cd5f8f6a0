"""The linker continues from its stored state as if nothing had happened, and keeps no frames."""

import io

import numpy as np
import pytest

from pipeline.faces import no_faces
from pipeline.people.config import PeopleConfig
from pipeline.people.link import link
from pipeline.people.linker import Linker
from pipeline.types import Faces

CONFIG = PeopleConfig()


def scene(num_frames=60, seed=0):
    """Faces of up to three people who come and go, with looks; two shots."""
    random = np.random.default_rng(seed)
    looks = random.normal(size=(3, 8)).astype(np.float32)
    frames = []
    for number in range(num_frames):
        shown = [p for p in range(3) if random.random() < (0.9, 0.7, 0.3)[p]]
        corners = np.array([(20 + 90 * p + number, 30 + 2 * random.normal()) for p in shown], np.float32)
        corners = corners.reshape(-1, 2)
        faces = Faces(
            box_xyxy_px=np.concatenate([corners, corners + 40], axis=1),
            score=random.uniform(0.3, 1, len(shown)).astype(np.float32),
            landmark_xy_px=np.zeros((len(shown), 5, 2), np.float32),
        )
        noise = random.normal(scale=0.02, size=(len(shown), 8)).astype(np.float32)
        frames.append((number / 8, number // 40, faces, looks[shown] + noise))
    return frames


def stored(linker, closed):
    """Return a linker that continues from arrays; `closed` collects the looks of tracklets that ended."""
    closed.update(linker.take_closed())
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **linker.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    return Linker.from_arrays(values, closed, CONFIG, start_score=0.5)


@pytest.mark.parametrize("seed", range(4))
def test_a_state_continues_to_the_bit_wherever_it_is_stored(seed):
    frames = scene(seed=seed)
    plain, moved = Linker(CONFIG, start_score=0.5), Linker(CONFIG, start_score=0.5)
    numbers, closed = set(), {}
    for frame in frames:
        moved = stored(moved, closed)
        expected = plain.add(*frame)
        assert moved.add(*frame) == expected
        numbers |= {one.tracklet for one in expected}
    assert len(numbers) > 3
    assert closed
    for number in numbers:
        assert np.array_equal(plain.look_of(number), moved.look_of(number))
    for name, value in plain.to_arrays().items():
        assert np.array_equal(value, moved.to_arrays()[name]), name


def test_a_linker_without_a_face_has_a_state():
    moved = stored(Linker(CONFIG, start_score=0.5), {})
    nothing = no_faces()
    assert moved.add(0.0, 0, nothing, np.empty((0, 8), np.float32)) == []
    assert stored(moved, {}).add(0.1, 0, nothing, np.empty((0, 8), np.float32)) == []


def test_frame_by_frame_is_the_whole_clip_at_once():
    frames = scene()
    linker = Linker(CONFIG, start_score=0.5)
    found = {}
    for number, frame in enumerate(frames):
        for one in linker.add(*frame):
            found.setdefault(one.tracklet, []).append((number, one.face))
    whole = link(
        [frame[2] for frame in frames],
        [frame[3] for frame in frames],
        np.array([frame[0] for frame in frames]),
        np.array([frame[1] for frame in frames]),
        CONFIG,
        start_score=0.5,
    )
    pairs = [list(zip(t.frame_N.tolist(), t.face_N.tolist(), strict=True)) for t in whole]
    assert pairs == [found[number] for number in sorted(found)]


def test_the_state_has_no_tracklet_that_ended():
    linker, closed, sizes = Linker(CONFIG, start_score=0.5), {}, []
    for number, (_, _, faces, look_KD) in enumerate(scene(60)):
        linker.add(number / 8, number // 3, faces, look_KD)  # a shot every three frames
        closed |= linker.take_closed()
        sizes.append(len(linker.to_arrays()["number"]))
    assert len(closed) > 30
    assert max(sizes) <= 6
    assert linker.take_closed() == {}


def test_open_tracklets_keep_a_few_detections_however_long_they_are():
    linker = Linker(CONFIG, start_score=0.5)
    look = np.ones((1, 8), np.float32)
    box = np.array([[10, 10, 50, 50]], np.float32)
    faces = Faces(
        box_xyxy_px=box, score=np.ones(1, np.float32), landmark_xy_px=np.zeros((1, 5, 2), np.float32)
    )
    sizes = []
    for number in range(500):
        linker.add(number / 25, 0, faces, look)
        sizes.append(sum(value.nbytes for value in linker.to_arrays().values()))
    assert max(sizes[100:]) == max(sizes[:100])

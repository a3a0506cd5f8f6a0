"""Looks of faces: far for two people, near for one, in colour and in black and white."""

import numpy as np
import pytest

from pipeline.looks import look_of
from pipeline.people import PeopleConfig


def faces_of(seed: int, colour: tuple[int, int, int]) -> list[np.ndarray]:
    """Return two images of one drawn face, uint8 [48, 48, 3]: blocks of light, with noise."""
    drawing = np.random.default_rng(seed)
    light = drawing.uniform(0.5, 1.2, (8, 8)).repeat(6, axis=0).repeat(6, axis=1)[..., None]
    noise = [drawing.normal(0, 6, light.shape) for _ in range(2)]
    return [np.clip(light * colour + each, 0, 255).astype(np.uint8) for each in noise]


@pytest.mark.parametrize("seed", range(5))
def test_two_people_in_black_and_white_are_not_joined(seed):
    one, again = (look_of(face) for face in faces_of(2 * seed, (130, 130, 130)))
    other, _ = (look_of(face) for face in faces_of(2 * seed + 1, (130, 130, 130)))
    assert np.linalg.norm(one - again) < PeopleConfig.join_distance < np.linalg.norm(one - other)


def test_colours_distinguish_people_with_one_pattern():
    (one, again), (other, _) = faces_of(0, (200, 150, 130)), faces_of(0, (110, 80, 60))
    assert np.linalg.norm(look_of(one) - look_of(again)) < PeopleConfig.join_distance
    assert np.linalg.norm(look_of(one) - look_of(other)) > PeopleConfig.join_distance


def test_a_small_shift_of_flat_colours_changes_a_look_little():
    """Flat colours at the edge of a bin: one level of red more must not look like another person."""

    def face(red):
        picture = np.full((48, 48, 3), (red, 150, 130), np.uint8)
        picture[16:22, 10:40] = (40, 30, 30)
        return picture

    looks = [look_of(face(red)) for red in range(190, 215)]
    steps = [float(np.linalg.norm(one - other)) for one, other in zip(looks, looks[1:], strict=False)]
    assert max(steps) < PeopleConfig.join_distance
    assert np.linalg.norm(looks[0] - looks[-1]) > PeopleConfig.join_distance

import pytest

from pipeline.datasets.lone_classes import lone_classes
from pipeline.types import ClipRef, Split

PEOPLE = ("anna", "bert", "carla", "dan")


def clips(*labels):
    return [
        ClipRef(clip_id=str(n), path=f"{n}.mp4", label=label, splits=(Split.TRAIN,))
        for n, label in enumerate(labels)
    ]


@pytest.mark.parametrize("labels", [(0, 1, 2, 3), (0, 0, 1, 2, 3), (0, 1, 2, 3, -1, -1)])
def test_classes_of_one_clip_are_warned_of(labels):
    what = lone_classes(PEOPLE, clips(*labels))
    assert " of 4 classes have one clip (" in what
    assert what.endswith("these look like names of clips or people")


@pytest.mark.parametrize("labels", [(0, 0, 1, 1, 2, 3), (0, 1), (0, 1, -1), (-1, -1, -1)])
def test_half_of_the_classes_or_two_alone_are_no_case(labels):
    assert lone_classes(PEOPLE, clips(*labels)) == ""


def test_one_clip_of_each_emotion_is_no_case():
    assert lone_classes(("fear", "happy", "sad", "bored"), clips(0, 1, 2, 3)) == ""

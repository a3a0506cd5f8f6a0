from pathlib import Path

import pytest

from pipeline.datasets.other_names import under_names
from pipeline.types import ClipRef, DatasetIndex, Split


def index_of(class_names, fold_names=("1",), *, label=0, splits=None, votes=None) -> DatasetIndex:
    clip = ClipRef(
        clip_id="a", path="a", label=label, splits=splits or (Split.TRAIN,) * len(fold_names), votes=votes
    )
    return DatasetIndex(
        name="manifest", root=Path("x"), class_names=class_names, fold_names=fold_names, clips=(clip,)
    )


def test_the_same_names_leave_the_index_as_it_is():
    index = index_of(("fear", "joy"))
    found, notes = under_names(index, ("fear", "joy"), ("1",))
    assert found is index
    assert notes == ()


def test_other_spellings_take_the_names_and_the_order_that_are_there():
    index = index_of(
        ("fear", "happiness", "sad"), ("1", "2"), label=1, splits=(Split.TRAIN, Split.TEST), votes=(1, 2, 3)
    )
    found, notes = under_names(index, ("Happy", "fear", "sad"), ("2.0", "1.0"))
    assert (found.class_names, found.fold_names) == (("Happy", "fear", "sad"), ("2.0", "1.0"))
    (clip,) = found.clips
    assert (clip.label, clip.splits, clip.votes) == (0, (Split.TEST, Split.TRAIN), (2, 1, 3))
    assert notes == (
        "the cache keeps its class names: 'happiness' is 'Happy' there",
        "the cache keeps its fold names: '2' is '2.0' there, '1' is '1.0' there",
    )


def test_a_clip_without_a_label_keeps_none():
    found, _ = under_names(index_of(("joy",), label=-1), ("Happy",), ("1",))
    assert found.clips[0].label == -1


@pytest.mark.parametrize("there", [("fear",), ("fear", "joy", "sad"), ("fear", "calm"), ("Fear", "fear"), ()])
def test_other_classes_leave_the_index_as_it_is(there):
    index = index_of(("fear", "joy"))
    assert under_names(index, there, ("1",)) == (index, ())


def test_other_folds_leave_the_index_as_it_is():
    index = index_of(("fear", "joy"))
    assert under_names(index, ("Fear", "joy"), ("2",)) == (index, ())

import numpy as np
import pytest

from pipeline.store.sources import SourceChanges, compare_sources
from pipeline.types import Status

IDS = ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]
DONE = [Status.DONE, Status.DONE_WITHOUT_FACE]


def changes(here: list[int], there: list[int], status: list[Status]) -> SourceChanges:
    ids = IDS[: len(here)]
    return compare_sources(ids, np.array(here), np.array(there), np.array(status, dtype=np.uint8))


@pytest.mark.parametrize("status", DONE)
def test_files_as_they_were_say_nothing(status):
    assert changes([5, 6], [5, 6], [status, status]) == SourceChanges()


@pytest.mark.parametrize("status", DONE)
def test_a_vanished_file_keeps_its_features_and_is_told(status):
    told = "1 clips with features have no file any more (b.mp4); the features stay, unchecked"
    assert changes([5, -1], [5, 7], [status, status]) == SourceChanges(notes=(told,))


def test_a_vanished_file_that_is_still_to_do_will_fail():
    told = "1 clips to do have no file (a.mp4); they will be recorded as failed"
    assert changes([-1, 7], [-1, -1], [Status.PENDING, Status.PENDING]) == SourceChanges(notes=(told,))


@pytest.mark.parametrize("here", [-1, 8])
def test_the_file_of_a_failed_clip_may_come_go_and_change(here):
    assert changes([here], [-1], [Status.FAILED]) == SourceChanges()


@pytest.mark.parametrize("status", DONE)
def test_another_size_is_a_difference_once_there_are_features(status):
    found = changes([5, 8, 9], [5, 7, 7], [status] * 3)
    assert found.difference == (
        "the file of 2 clips is another than its features come from, first 'b.mp4': 8 bytes here, 7 there"
    )
    assert found.notes == ()
    assert changes([8], [-1], [Status.PENDING]) == SourceChanges()


def test_three_clips_are_named():
    found = changes([-1] * 5, [5] * 5, [Status.DONE] * 5)
    assert found.notes[0].startswith(
        "5 clips with features have no file any more (a.mp4, b.mp4, c.mp4, ...);"
    )

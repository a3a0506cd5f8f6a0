import numpy as np
import pytest

from pipeline.store.sources import SourceChanges, compare_sources
from pipeline.types import Status

IDS = ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]


def changes(here: list[int], there: list[int], status: list[Status]) -> SourceChanges:
    ids = IDS[: len(here)]
    return compare_sources(ids, np.array(here), np.array(there), np.array(status, dtype=np.uint8))


@pytest.mark.parametrize("status", Status)
def test_files_as_they_were_say_nothing(status):
    assert changes([5, -1], [5, -1], [status, status]) == SourceChanges()


@pytest.mark.parametrize("status", [Status.DONE, Status.DONE_WITHOUT_FACE])
def test_a_vanished_file_keeps_its_features_and_is_told(status):
    told = "1 clips with features have no file any more (b.mp4); the features stay, unchecked"
    assert changes([5, -1], [5, 7], [status, status]) == SourceChanges(notes=(told,))


def test_a_vanished_file_that_is_still_to_do_will_fail():
    told = "1 clips to do have no file any more (a.mp4); they will be recorded as failed"
    assert changes([-1, 7], [5, 7], [Status.PENDING, Status.PENDING]) == SourceChanges(notes=(told,))


def test_failed_clips_tell_whether_a_retry_helps():
    found = changes([-1, 7], [5, -1], [Status.FAILED, Status.FAILED])
    assert found.notes == (
        "1 clips that failed have no file any more (a.mp4); they will fail again",
        "1 clips that failed had no file when the cache was made, and have one now (b.mp4); "
        "--retry-failed takes them up",
    )
    assert found.difference == ""


def test_a_file_that_came_before_its_turn_is_nothing_to_tell():
    assert changes([5], [-1], [Status.PENDING]) == SourceChanges()


@pytest.mark.parametrize("status", Status)
def test_another_size_is_a_difference_whatever_has_become_of_the_clip(status):
    found = changes([5, 8, 9], [5, 7, 7], [status] * 3)
    assert found.difference == "source_bytes of 2 clips, first 'b.mp4': 8 here, 7 there"
    assert found.notes == ()


def test_three_clips_are_named():
    found = changes([-1] * 5, [5] * 5, [Status.DONE] * 5)
    assert found.notes[0].startswith(
        "5 clips with features have no file any more (a.mp4, b.mp4, c.mp4, ...);"
    )

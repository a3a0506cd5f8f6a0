import numpy as np
import pytest

from pipeline.file_status import FileStatus
from pipeline.store.sources import SourceChanges, compare_sources, is_missing, size_of
from pipeline.types import ClipRef, Split, Status

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
    told = "1 clip with features has no file any more (b.mp4); the features stay, unchecked"
    assert changes([5, -1], [5, 7], [status, status]) == SourceChanges(notes=(told,))


def test_a_file_that_is_still_to_do_may_be_missing():
    assert changes([-1, 7], [-1, -1], [Status.PENDING, Status.PENDING]) == SourceChanges()


def test_a_clip_is_missing_without_a_file_or_with_a_folder_of_no_picture(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    for name in ("frames/1.jpg", "video.mp4"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    there = [name for name in ("frames", "video.mp4") if not is_missing(FileStatus(tmp_path), clip(name))]
    gone = ["empty", "none.mp4", "video.mp4/none.mp4", "dangling.mp4"]
    assert there == ["frames", "video.mp4"]
    assert [is_missing(FileStatus(tmp_path), clip(name)) for name in gone] == [True] * 4
    assert not is_missing(FileStatus(tmp_path), clip("x" * 5000))  # it fails, with the system's reason


@pytest.mark.parametrize("here", [-1, 8])
def test_the_file_of_a_failed_clip_may_come_go_and_change(here):
    assert changes([here], [-1], [Status.FAILED]) == SourceChanges()


@pytest.mark.parametrize("status", DONE)
def test_another_size_is_a_difference_once_there_are_features(status):
    found = changes([5, 8, 9], [5, 7, 7], [status] * 3)
    assert found.difference == (
        "the files of 2 clips have another size than at extraction, first 'b.mp4': 8 bytes here, 7 there"
    )
    assert found.notes == ()
    assert changes([8], [-1], [Status.PENDING]) == SourceChanges()


def test_three_clips_are_named():
    found = changes([-1] * 5, [5] * 5, [Status.DONE] * 5)
    assert found.notes[0].startswith(
        "5 clips with features have no file any more (a.mp4, b.mp4, c.mp4 and 2 more);"
    )


def clip(path, face_path=None):
    return ClipRef(clip_id=path, path=path, label=-1, splits=(Split.TRAIN,), face_path=face_path)


def test_the_size_of_a_clip_is_that_of_its_file_or_of_its_pictures_with_its_crops_where_they_are_used(
    tmp_path,
):
    (tmp_path / "a.mp4").write_bytes(b"12345")
    for name, size in (
        ("frames/1.jpg", 10),
        ("frames/2.png", 20),
        ("faces/1.jpg", 3),
        ("frames/a.txt", 1000),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "empty").mkdir()
    for of, size, with_crops in [
        (clip("a.mp4"), 5, 5),
        (clip("a.mp4", "faces"), 5, 8),
        (clip("frames"), 30, 30),
        (clip("frames", "faces"), 30, 33),
        (clip("faces", "faces"), 3, 3),
        (clip("frames", "gone"), 30, 30),
        (clip("frames", "empty"), 30, 30),
        (clip("frames", "a.mp4"), 30, 30),
        (clip("gone", "faces"), -1, -1),
        (clip("empty"), -1, -1),
    ]:
        assert size_of(FileStatus(tmp_path), of, with_crops=False) == size, of
        assert size_of(FileStatus(tmp_path), of, with_crops=True) == with_crops, of

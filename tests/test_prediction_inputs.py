"""Paths that a user names, as sources with unique names."""

import pytest

from pipeline.errors import ConfigError
from trainer.prediction.inputs import find_inputs


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def named(inputs):
    return {one.path.name: one.name for one in inputs}


def test_one_video_is_no_collection_and_any_suffix_is_read(tmp_path):
    inputs, is_collection = find_inputs([touch(tmp_path / "talk.unknown")])
    assert (named(inputs), is_collection) == ({"talk.unknown": "talk"}, False)


def test_a_directory_is_searched_recursively_in_sorted_order(tmp_path):
    for name in ("b/2.MP4", "a.mkv", "b/1.mp4", "notes.txt", ".hidden.mp4"):
        touch(tmp_path / name)
    inputs, is_collection = find_inputs([tmp_path])
    assert [one.name for one in inputs] == ["a", "b/1", "b/2"]
    assert is_collection


def test_equal_names_keep_their_suffix_and_get_a_number(tmp_path):
    same = [touch(tmp_path / "x/a.mp4"), touch(tmp_path / "x/a.avi"), touch(tmp_path / "y/a.mp4")]
    inputs, is_collection = find_inputs(same)
    assert is_collection
    assert [one.name for one in inputs] == ["a.mp4-1", "a.avi", "a.mp4-2"]


def test_a_directory_of_images_is_one_source(tmp_path):
    for number in range(3):
        touch(tmp_path / "frames" / f"{number}.png")
    inputs, is_collection = find_inputs([tmp_path / "frames"])
    assert ([one.name for one in inputs], is_collection) == (["frames"], False)


def test_a_directory_with_one_video_is_a_collection(tmp_path):
    touch(tmp_path / "a.mp4")
    assert find_inputs([tmp_path])[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.mp4", "Nothing is at '.*missing.mp4'; give a video"),
        ("empty", "neither videos .* nor images"),
    ],
)
def test_what_is_no_source_is_rejected(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=message):
        find_inputs([tmp_path / name])


def test_annotated_videos_of_predictions_are_no_sources(tmp_path):
    touch(tmp_path / "talk.mp4")
    touch(tmp_path / "mine" / "annotated.mp4")
    for name in ("annotated.mp4", "progress.npz"):
        touch(tmp_path / "predictions" / "talk" / name)
    inputs, _ = find_inputs([tmp_path])
    assert [one.name for one in inputs] == ["talk", "mine/annotated"]


def test_numbered_names_are_unique_too(tmp_path):
    one, two = (touch(tmp_path / name / "a.mp4") for name in ("x", "y"))
    third = touch(tmp_path / "a.mp4-1.mkv")
    inputs, _ = find_inputs([one, two, third])
    assert [item.name for item in inputs] == ["a.mp4-2", "a.mp4-3", "a.mp4-1"]

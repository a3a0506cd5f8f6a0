"""Paths that a user names, as sources with unique names."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from trainer.prediction import inputs as inputs_module
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


def apart(names):
    """Whether no name is another one or a directory of its path."""
    parts = [tuple(name.split("/")) for name in names]
    return not any(
        one == other[: len(one)] for n, one in enumerate(parts) for m, other in enumerate(parts) if n != m
    )


def test_no_output_is_inside_that_of_another_video(tmp_path):
    for name in ("a.mp4", "a/b.mp4", "a/explain.mp4", "a/b/c.mp4", "d.mp4"):
        touch(tmp_path / name)
    names = {str(one.path.relative_to(tmp_path)): one.name for one in find_inputs([tmp_path])[0]}
    assert names == {
        "a.mp4": "a.mp4",
        "a/b.mp4": "a/b.mp4",
        "a/explain.mp4": "a/explain",
        "a/b/c.mp4": "a/b/c",
        "d.mp4": "d",
    }


def test_names_with_a_suffix_that_is_a_directory_too_get_a_number(tmp_path):
    for name in ("a.mp4.mkv", "x/a.mp4", "x/a/b.mp4", "x/a.mp4-1/c.mp4"):
        touch(tmp_path / name)
    one = touch(tmp_path / "y" / "a.mp4")
    deep = touch(tmp_path / "z" / "a.mp4" / "b.mp4")
    names = [
        item.name
        for item in find_inputs([tmp_path / "x", tmp_path / "a.mp4.mkv", one, deep.parent.parent])[0]
    ]
    assert apart(names)
    assert len(set(names)) == len(names) == 6


def test_names_of_files_above_all_predictions_are_not_taken(tmp_path):
    for name in ("index.html.mp4", "labels.json.mp4", "x/index.html.mp4"):
        touch(tmp_path / name)
    names = [one.name for one in find_inputs([tmp_path])[0]]
    assert names == ["index.html.mp4", "labels.json.mp4", "x/index.html"]


def test_names_of_any_set_of_paths_are_apart(tmp_path):
    random = np.random.default_rng(0)
    parts = ["a", "b", "a.mp4", "a.mp4-1", "explain"]
    for _ in range(60):
        found = []
        for number in range(8):
            below = "/".join(random.choice(parts, size=random.integers(1, 4)))
            found.append((tmp_path / str(number), Path(f"{below}.{random.choice(['mp4', 'mkv'])}")))
        assert apart([one.name for one in inputs_module._named(found)]), found

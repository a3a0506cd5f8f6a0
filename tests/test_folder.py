import os
from pathlib import Path

import pytest

from pipeline.datasets.folder import VIDEO_SUFFIXES, read
from pipeline.errors import DatasetError
from pipeline.types import Polarity, Split


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_sub_folders_are_classes(tmp_path):
    index = read(touch(tmp_path, "sad/2.mp4", "happy/2.mp4", "happy/10.avi"))
    assert (index.name, index.root, index.fold_names) == ("folder", tmp_path, ("1",))
    assert index.class_names == ("happy", "sad")
    assert [clip.clip_id for clip in index.clips] == ["happy/10.avi", "happy/2.mp4", "sad/2.mp4"]
    assert [clip.path for clip in index.clips] == [clip.clip_id for clip in index.clips]
    assert [clip.label for clip in index.clips] == [0, 0, 1]
    assert {clip.splits for clip in index.clips} == {(Split.TRAIN,)}
    assert [clip.polarity for clip in index.clips] == [
        Polarity.POSITIVE,
        Polarity.POSITIVE,
        Polarity.NEGATIVE,
    ]


def test_the_same_stem_in_two_classes_or_with_two_suffixes_keeps_all(tmp_path):
    index = read(touch(tmp_path, "happy/1.mp4", "sad/1.mp4", "sad/1.mkv"))
    assert [clip.clip_id for clip in index.clips] == ["happy/1.mp4", "sad/1.mkv", "sad/1.mp4"]


def test_in_a_flat_folder_the_stem_is_the_class(tmp_path):
    index = read(touch(tmp_path, "fear.mp4", "angry.mov", "angry.mp4"))
    assert index.class_names == ("angry", "fear")
    assert [(clip.clip_id, clip.label) for clip in index.clips] == [
        ("angry.mov", 0),
        ("angry.mp4", 0),
        ("fear.mp4", 1),
    ]


def test_suffixes_may_be_in_capitals(tmp_path):
    assert [clip.path for clip in read(touch(tmp_path, "happy/1.MP4", "happy/2.Mov")).clips] == [
        "happy/1.MP4",
        "happy/2.Mov",
    ]


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_every_known_suffix_is_a_video(tmp_path, suffix):
    assert len(read(touch(tmp_path, f"happy/1{suffix}")).clips) == 1


def test_other_files_hidden_ones_and_empty_folders_are_left_alone(tmp_path):
    touch(tmp_path, "happy/1.mp4", "happy/notes.txt", "readme.md", "happy/.2.mp4", ".3.mp4", ".trash/4.mp4")
    (tmp_path / "sad").mkdir()
    (tmp_path / "happy/folder.mp4").mkdir()
    index = read(tmp_path)
    assert [clip.path for clip in index.clips] == ["happy/1.mp4"]
    assert index.class_names == ("happy",)
    assert index.notes == ("2 files without a video's suffix are left alone: happy/notes.txt, readme.md",)


def test_a_hidden_root_is_read(tmp_path):
    assert len(read(touch(tmp_path / ".data", "happy/1.mp4")).clips) == 1


def test_an_unknown_class_has_no_polarity(tmp_path):
    assert read(touch(tmp_path, "bored/1.mp4")).clips[0].polarity is Polarity.UNKNOWN


def test_a_mixed_folder_is_refused(tmp_path):
    message = r"holds videos both directly \('happy.mp4'\) and in sub-folders \('sad/1.mp4'\); keep one kind"
    with pytest.raises(DatasetError, match=message):
        read(touch(tmp_path, "happy.mp4", "sad/1.mp4"))


@pytest.mark.parametrize("names", [(), ("readme.txt",), ("train/happy/1.mp4",)])
def test_a_folder_without_videos_is_refused(tmp_path, names):
    with pytest.raises(
        DatasetError, match=r"holds no videos; allowed: class/\*.mp4 or CLASS.mp4 \(.3gp .avi"
    ):
        read(touch(tmp_path, *names))


@pytest.mark.parametrize("name", ["gone", "file.mp4"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    touch(tmp_path, "file.mp4")
    with pytest.raises(
        DatasetError, match=rf"--root '.*{name}' is not a folder; --dataset folder needs one of"
    ):
        read(tmp_path / name)


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", b"two\nlines.mp4"])
def test_a_name_that_no_report_can_show_is_refused(tmp_path, name):
    (tmp_path / os.fsdecode(name)).touch()
    with pytest.raises(DatasetError, match="has a name that is no plain text in UTF-8; rename it") as caught:
        read(tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.data
def test_the_labelled_videos_are_seven_classes(test_data):
    index = read(test_data / "videos/labelled")
    assert index.class_names == ("angry", "disgust", "fear", "happy", "neutral", "sadness", "surprise")
    assert [clip.label for clip in index.clips] == list(range(7))
    assert Polarity.UNKNOWN not in {clip.polarity for clip in index.clips}

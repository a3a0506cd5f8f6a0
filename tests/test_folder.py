import os
from itertools import takewhile
from pathlib import Path

import pytest

from pipeline.datasets.folder import VIDEO_SUFFIXES, read
from pipeline.datasets.folder.scan import find_clips
from pipeline.errors import DatasetError
from pipeline.types import Polarity, Split
from tests.folder_layouts import READ, REFUSED, touch

SPLITS = {
    Split.TRAIN: "train",
    Split.VALIDATION: "validation",
    Split.TEST: "test",
    Split.ABSENT: "",
}


def meaning(root):
    """Of every clip, its class and its split, empty without one."""
    index = read(root)
    names = (*index.class_names, "")
    return {clip.path: (names[clip.label], SPLITS[clip.splits[0]]) for clip in index.clips}


@pytest.mark.parametrize("layout", READ)
def test_a_plain_layout_is_read_with_its_classes_and_splits(tmp_path, layout):
    clips, others = READ[layout]
    touch(tmp_path, *clips, *others)
    expected = {
        Path(path).parent.as_posix() if path.endswith(".jpg") else path: of for path, of in clips.items()
    }
    assert meaning(tmp_path) == expected


def table(heading):
    """The rows of a table of docs/folders.md, by its first column's heading; cells without back ticks."""
    lines = (Path(__file__).parents[1] / "docs/folders.md").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = takewhile(lambda line: line.startswith("|"), lines[first + 2 :])
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]


def test_every_layout_of_the_page_is_tested():
    rows = table("layout")
    assert len(rows) > 10
    for layout, example, *expected in rows:
        assert list(READ[layout][0][example]) == [cell.replace("none", "") for cell in expected], layout
    assert {row[0] for row in table("rejected")} <= REFUSED.keys()


@pytest.mark.parametrize("layout", REFUSED)
def test_a_layout_with_two_meanings_is_refused_with_what_was_found_and_the_remedy(tmp_path, layout):
    names, message = REFUSED[layout]
    with pytest.raises(DatasetError, match=message) as caught:
        read(touch(tmp_path, *names))
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(f"'{tmp_path}': ")


def test_a_refusal_shows_every_level_with_examples_and_counts(tmp_path):
    touch(tmp_path, *(f"{name}/take{take}/{n}.mp4" for name in "0123" for take in (1, 2) for n in (1, 2)))
    with pytest.raises(DatasetError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"'{tmp_path}': no level of directories names classes: 'take1', 'take2' differ by a number "
        "alone, which means other classes in other datasets. Found, from the root: 4 directories ('0', '1', "
        "'2' and 1 more; numbered); then 2 directories ('take1', 'take2'; numbered); then 16 videos "
        "('0/take1/1.mp4'). Arrange the clips as class/clip, class/group/clip or split/class/clip, or list "
        "them in a manifest (--dataset manifest; columns path,label,split)."
    )


def test_sub_folders_are_classes(tmp_path):
    index = read(touch(tmp_path, "sad/2.mp4", "happy/2.mp4", "happy/10.avi"))
    assert (index.name, index.root, index.fold_names) == ("folder", tmp_path, ("1",))
    assert index.class_names == ("happy", "sad")
    assert [clip.clip_id for clip in index.clips] == ["happy/10.avi", "happy/2.mp4", "sad/2.mp4"]
    assert [clip.path for clip in index.clips] == [clip.clip_id for clip in index.clips]
    assert [clip.label for clip in index.clips] == [0, 0, 1]
    assert [clip.polarity for clip in index.clips] == [
        Polarity.POSITIVE,
        Polarity.POSITIVE,
        Polarity.NEGATIVE,
    ]
    assert (index.notes, index.warnings) == ((), ())


def test_a_note_names_the_level_that_was_the_class_and_what_the_others_are(tmp_path):
    names = [f"train/Actor_{n:02}/{name}/1.mp4" for n in range(1, 6) for name in ("fear", "happy")]
    assert read(touch(tmp_path, *names)).notes == (
        "read as split/group/class/clip; 'Actor_01', 'Actor_02', 'Actor_03' and 2 more group the clips and "
        "are neither class nor split: clips of one group are not independent, so a holdout takes whole "
        "groups",
    )


def test_spellings_of_one_emotion_are_one_class_and_a_note(tmp_path):
    index = read(touch(tmp_path, "train/Happy/1.mp4", "train/fear/1.mp4", "test/happiness/1.mp4"))
    assert len(index.class_names) == 2
    assert len({clip.label for clip in index.clips if "app" in clip.path}) == 1
    assert any("spellings of one class are read as one" in note for note in index.notes)


def test_the_same_stem_in_two_classes_or_with_two_suffixes_keeps_all(tmp_path):
    index = read(touch(tmp_path, "happy/1.mp4", "sad/1.mp4", "sad/1.mkv"))
    assert [clip.clip_id for clip in index.clips] == ["happy/1.mp4", "sad/1.mkv", "sad/1.mp4"]


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_every_known_suffix_is_a_video(tmp_path, suffix, change):
    assert len(read(touch(tmp_path, f"happy/1{change(suffix)}")).clips) == 1


def test_clips_without_a_label_are_read_and_a_note_shows_the_remedy(tmp_path):
    index = read(touch(tmp_path, "b.mp4", "a.mp4", "1001_DFA_HAP_XX.mp4"))
    assert (index.class_names, [clip.label for clip in index.clips]) == ((), [-1, -1, -1])
    assert index.notes == (
        "3 clips without a label, because their names are not emotions and no directory names a class: "
        "'1001_DFA_HAP_XX.mp4', 'a.mp4', 'b.mp4'. For labels, arrange the clips as class/clip or list them "
        "in a manifest",
    )


def test_other_files_and_empty_directories_are_noted_and_litter_is_skipped(tmp_path):
    touch(tmp_path, "happy/1.mp4", "happy/notes.txt", "happy/1.wav", "happy/1.jpg", "readme.md")
    touch(tmp_path, "happy/.2.mp4", ".3.mp4", ".trash/4.mp4", "happy/._1.mp4", "happy/.DS_Store")
    touch(tmp_path, "__MACOSX/happy/1.mp4", "Thumbs.db", "happy/desktop.ini", "happy/@eaDir/1.mp4")
    (tmp_path / "sad").mkdir()
    (tmp_path / "happy/folder.mp4").mkdir()
    (tmp_path / "happy/gone.mp4").symlink_to(tmp_path / "happy/none.mp4")
    index = read(tmp_path)
    assert [clip.path for clip in index.clips] == ["happy/1.mp4"]
    assert index.class_names == ("happy",)
    assert index.notes == (
        "5 files among the clips are ignored, because their names are not those of clips: readme.md, "
        "happy/._1.mp4, happy/1.jpg and 2 more",
        "1 link or placeholder of a file that is not there left alone; fetch it to have it read: "
        "happy/gone.mp4",
        "2 directories without a clip: happy/folder.mp4, sad",
    )


def test_lock_and_unfinished_files_are_no_clips_and_noted(tmp_path):
    litter = ("~$1.mp4", "1.lnk", "1.mp4.part", "1.mp4.crdownload", "._1.mp4")
    touch(tmp_path, "happy/1.mp4", "sad/a/1.jpg", *(f"happy/{name}" for name in litter), "sad/a/~$1.jpg")
    found = find_clips(tmp_path)
    assert (found.videos, found.frames) == (["happy/1.mp4"], ["sad/a"])
    assert set(found.others) == {*(f"happy/{name}" for name in litter), "sad/a/~$1.jpg"}


def test_what_a_cloud_keeps_in_place_of_a_file_is_noted_as_not_there(tmp_path):
    touch(tmp_path, "happy/1.mp4", "happy/.2.mp4.icloud")
    (tmp_path / "happy/3.mp4").symlink_to("gone.mp4")
    assert read(tmp_path).notes == (
        "2 links or placeholders of files that are not there left alone; fetch them to have them read: "
        "happy/.2.mp4.icloud, happy/3.mp4",
    )


@pytest.mark.parametrize(("videos", "frames", "kind"), [(2, 1, "video"), (1, 1, "video"), (1, 2, "frames")])
def test_of_videos_and_picture_folders_those_are_read_of_which_there_are_more(tmp_path, videos, frames, kind):
    touch(tmp_path, *(f"happy/v{n}.mp4" for n in range(videos)))
    touch(tmp_path, *(f"happy/f{n}/{k}.png" for n in range(frames) for k in (1, 2)))
    index = read(tmp_path)
    assert len(index.clips) == (videos if kind == "video" else frames)
    (note,) = index.notes
    assert note.startswith("clips are read as " + ("videos; " if kind == "video" else "image folders; "))
    assert ("image folder" if kind == "video" else "video") in note.split(";")[1]


def test_a_hidden_root_is_read(tmp_path):
    assert len(read(touch(tmp_path / ".data", "happy/1.mp4")).clips) == 1


def test_an_unknown_class_has_no_polarity(tmp_path):
    assert read(touch(tmp_path, "bored/1.mp4")).clips[0].polarity is Polarity.UNKNOWN


@pytest.mark.parametrize("names", [(), ("readme.txt",), ("happy/1.wav",), ("1.jpg",)])
def test_a_folder_without_clips_is_refused_with_what_is_there(tmp_path, names):
    with pytest.raises(
        DatasetError, match=r"holds no clip: no video \(.3gp .avi .*no directory of images"
    ) as caught:
        read(touch(tmp_path, *names))
    assert f"found: {names[0] if names else 'nothing'}" in str(caught.value)


@pytest.mark.parametrize("name", ["gone", "file.mp4"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    touch(tmp_path, "file.mp4")
    with pytest.raises(
        DatasetError,
        match=rf"--root '.*{name}' is not a directory; --dataset folder needs one that holds class/",
    ):
        read(tmp_path / name)


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", b"two\nlines.mp4", b"caf\xe9/1.jpg"])
def test_a_name_that_no_report_can_show_is_refused(tmp_path, name):
    touch(tmp_path, os.fsdecode(name))
    with pytest.raises(DatasetError, match="has a name that is not plain text in UTF-8; rename it") as caught:
        read(tmp_path)
    assert str(caught.value).isprintable()


def test_links_inside_are_followed_and_those_that_leave_or_turn_back_are_refused(tmp_path):
    root = touch(tmp_path / "set", "all/1.mp4", "happy/2.mp4")
    (root / "happy/1.mp4").symlink_to(root / "all/1.mp4")
    assert len(read(root).clips) == 3
    (root / "happy/again").symlink_to(root / "happy")
    with pytest.raises(DatasetError, match=r"^'happy/again' is a link to a directory that holds it; remove"):
        read(root)
    (root / "happy/again").unlink()
    (root / "sad").symlink_to(touch(tmp_path / "elsewhere", "1.mp4"))
    with pytest.raises(DatasetError, match=r"sad' is a link out of '.*set', to '.*elsewhere'; copy"):
        read(root)


def test_a_tree_that_goes_too_deep_is_refused(tmp_path):
    touch(tmp_path, "/".join("abcdefghi") + "/1.mp4")
    with pytest.raises(DatasetError, match="is more than 8 directories below .*; give a --root further down"):
        read(tmp_path)


@pytest.mark.data
def test_the_labelled_videos_are_seven_classes(test_data):
    index = read(test_data / "videos/labelled")
    assert index.class_names == ("angry", "disgust", "fear", "happy", "neutral", "sadness", "surprise")
    assert [clip.label for clip in index.clips] == list(range(7))
    assert Polarity.UNKNOWN not in {clip.polarity for clip in index.clips}
    assert (index.notes, index.warnings) == ((), ())


@pytest.mark.parametrize(
    ("paths", "groups"),
    [
        (("anna/happy/1.mp4", "anna/sad/1.mp4", "bert/sad/1.mp4"), ("anna", "anna", "bert")),
        (("happy/S01/1.mp4", "happy/S01/2.mp4", "sad/S02/1.mp4"), ("S01", "S01", "S02")),
        (("test/anna/happy/1.mp4", "train/anna/sad/1.mp4", "train/bert/sad/1.mp4", "train/bert/sad/2.mp4"),
         ("anna", "anna", "bert", "bert")),
        (("S1/session_1/happy/1.mp4", "S1/session_2/happy/1.mp4", "S2/session_1/sad/1.mp4"),
         ("S1", "S1", "S2")),
        (("happy/clip1/video.mp4", "sad/clip1/video.mp4"), ("", "")),
        (("clips/happy/1.mp4", "clips/sad/1.mp4"), ("", "")),
        (("happy/1.mp4", "sad/1.mp4"), ("", "")),
    ],
)  # fmt: skip
def test_a_level_of_actors_gives_groups_and_one_of_single_clips_gives_none(tmp_path, paths, groups):
    touch(tmp_path, *paths)
    index = read(tmp_path)
    assert tuple(clip.group for clip in index.clips) == groups
    noted = any("clips of one group are not independent" in note for note in index.notes)
    assert noted == any(groups)

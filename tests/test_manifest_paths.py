"""Paths as other systems write them; each manifest lies in `root`, with clips below."""

import unicodedata
from pathlib import Path

import pytest

from pipeline.datasets.manifest import read
from pipeline.errors import DatasetError, printable
from pipeline.types import ClipRef, DatasetIndex, Split
from tests.manifests import HEADER, manifest

NFC, NFD = (unicodedata.normalize(form, "gl\u00fccklich.mp4") for form in ("NFC", "NFD"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "clips"
    for name in ("anna/1.mp4", "anna/2.mp4", "a.mp4"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    return place


def read_paths(root: Path, *paths: str) -> DatasetIndex:
    rows = "".join(f'"{path}",joy,train\n' for path in paths)
    return read(manifest(root, f"{HEADER}\n{rows}"))


def one_clip(root: Path, path: str) -> tuple[ClipRef, tuple[str, ...]]:
    index = read_paths(root, path)
    return index.clips[0], index.notes


@pytest.mark.parametrize("text", ["anna\\1.mp4", ".\\anna\\1.mp4", "anna\\\\1.mp4", "anna/.\\1.mp4"])
def test_backslashes_separate_folders(root, text):
    clip, notes = one_clip(root, text)
    assert (clip.path, clip.clip_id) == ("anna/1.mp4", "anna/1.mp4")
    assert notes == (f"1 path read with '/' for '\\': '{text}'",)


def test_a_backslash_in_the_name_of_a_file_that_is_there_stays(root):
    (root / "anna\\1.mp4").touch()
    assert one_clip(root, "anna\\1.mp4") == (read_paths(root, "anna\\1.mp4").clips[0], ())
    assert read_paths(root, "anna\\1.mp4").clips[0].path == "anna\\1.mp4"


def test_an_absolute_path_in_the_folder_is_made_relative(root):
    clip, notes = one_clip(root, f"{root}//anna/./1.mp4")
    assert (clip.path, clip.clip_id) == ("anna/1.mp4", "anna/1.mp4")
    assert notes == (f"1 path read relative to the manifest's directory: '{root}//anna/./1.mp4'",)


def test_an_absolute_path_in_a_linked_folder_is_relative_to_either_name(tmp_path, root):
    (tmp_path / "link").symlink_to(root)
    for place in (tmp_path / "link", root):
        text = f"{HEADER}\n{place}/anna/1.mp4,joy,train\n"
        assert read(manifest(tmp_path / "link", text)).clips[0].path == "anna/1.mp4"


@pytest.mark.parametrize(
    ("start", "between"),
    [("C:", "\\"), ("d:", "/"), ("\\\\server\\share", "\\"), ("/mnt/old", "/"), ("", "\\")],
)
def test_a_path_of_another_place_is_read_by_its_end(root, start, between):
    paths = [between.join([start, "data", "anna", name]) for name in ("1.mp4", "2.mp4")]
    index = read_paths(root, *paths)
    assert [clip.path for clip in index.clips] == ["anna/1.mp4", "anna/2.mp4"]
    assert [clip.clip_id for clip in index.clips] == ["anna/1.mp4", "anna/2.mp4"]
    assert any(
        "2 paths read without the '" in note and "' of another place: " in note for note in index.notes
    )


def test_drives_are_the_same_in_any_case(root):
    index = read_paths(root, "C:\\Data\\anna\\1.mp4", "c:\\data\\anna\\2.mp4")
    assert [clip.path for clip in index.clips] == ["anna/1.mp4", "anna/2.mp4"]


def test_each_column_has_a_start_of_its_own(root):
    (root / "b.csv").write_text("frame,x0,y0,x1,y1\n0,10,20,30,40\n")
    (clip,) = read(manifest(root, f"{HEADER},boxes\nC:\\clips\\a.mp4,joy,train,D:\\b.csv\n")).clips
    assert clip.path == "a.mp4"
    assert clip.provided_boxes is not None


def test_absolute_paths_that_start_from_two_places_are_refused(root):
    with pytest.raises(
        DatasetError, match=r"path is '/x/anna/1.mp4'; allowed: a path inside .* none is there"
    ):
        read_paths(root, "/x/anna/1.mp4", "/y/anna/2.mp4")


def test_an_absolute_path_with_two_ends_that_are_there_is_refused(root):
    (root / "1.mp4").touch()
    with pytest.raises(DatasetError, match=r"'anna/1.mp4' and '1.mp4' are there, so write it relative"):
        read_paths(root, "C:\\anna\\1.mp4")
    index = read_paths(root, "C:\\anna\\1.mp4", "C:\\anna\\2.mp4")
    assert [clip.path for clip in index.clips] == ["anna/1.mp4", "anna/2.mp4"], "the others decide"


def test_a_missing_file_of_another_place_keeps_its_end(root):
    index = read_paths(root, "C:\\data\\anna\\1.mp4", "C:\\data\\anna\\gone.mp4")
    assert [clip.path for clip in index.clips] == ["anna/1.mp4", "anna/gone.mp4"]
    with pytest.raises(DatasetError, match=r"another start than those of the list \(c:/data\)"):
        read_paths(root, "C:\\data\\anna\\1.mp4", "D:\\gone.mp4")


@pytest.mark.parametrize(("there", "listed"), [(NFC, NFD), (NFD, NFC)])
def test_another_unicode_form_of_a_name_is_found(root, there, listed):
    (root / there).touch()
    clip, notes = one_clip(root, listed)
    assert (clip.path, clip.clip_id) == (there, listed), "the id does not depend on the disk"
    assert notes == (f"1 path read in another Unicode form: '{listed}'",)


@pytest.mark.parametrize("listed", ["A.MP4", "a.mp4\u200b", "\ufeffa.mp4"])
def test_another_case_of_a_name_is_found_where_one_fits(root, listed):
    clip, notes = one_clip(root, listed)
    assert (clip.path, clip.clip_id) == ("a.mp4", listed)
    assert notes == (f"1 path read in another case or with invisible characters: '{printable(listed)}'",)


def test_folders_are_found_in_another_case_too(root):
    assert one_clip(root, "ANNA\\1.MP4")[0].path == "anna/1.mp4"


def test_a_name_as_written_goes_before_one_in_another_case(root):
    (root / "A.mp4").touch()
    index = read_paths(root, "A.mp4", "a.mp4")
    assert [clip.path for clip in index.clips] == ["A.mp4", "a.mp4"]
    assert index.notes == ()


def test_two_names_in_another_case_are_not_chosen_from(root):
    (root / "a.MP4").touch()
    clip, (note,) = one_clip(root, "A.MP4")
    assert clip.path == "A.MP4"
    assert note.startswith("nothing is at 1 of 1 path ('A.MP4'); tried in ")


def test_paths_that_name_nothing_are_noted_with_what_was_tried(root):
    index = read_paths(root, "anna/1.mp4", "anna\\3.mp4", "b.mp4")
    assert index.notes == (
        "1 path read with '/' for '\\': 'anna\\3.mp4'",
        f"nothing is at 2 of 3 paths ('anna\\3.mp4', 'b.mp4'); tried in '{root}': as written, with '/' for "
        "'\\', in another case and Unicode form where one name fits",
    )


@pytest.mark.parametrize("start", ["", "C:\\"])
def test_a_missing_path_of_many_directories_is_noted_or_refused_like_any_other(root, start):
    deep = "a/" * 1500 + "b.mp4"
    if start:
        with pytest.raises(DatasetError, match=r"allowed: a path inside .* none is there"):
            read_paths(root, start + deep)
    else:
        clip, (note,) = one_clip(root, deep)
        assert clip.path == deep
        assert note.startswith("nothing is at 1 of 1 path ")


def test_a_path_that_no_system_opens_is_refused(root):
    longest = "a/" * 2047 + "b"
    assert one_clip(root, longest)[0].path == longest
    for text in (longest + "b", "C:\\" + longest):
        with pytest.raises(
            DatasetError, match=rf"path is '[^']*'; allowed: .*, of at most 4095 .*; it has {len(text)}\.$"
        ) as caught:
            read_paths(root, text)
        assert len(str(caught.value)) < 600


def test_faces_and_boxes_are_found_in_the_same_ways(root):
    (root / "faces").mkdir()
    (root / "boxes.csv").write_text("frame,x0,y0,x1,y1\n0,10,20,30,40\n")
    text = f"{HEADER},faces,boxes\na.mp4,joy,train,FACES,{root}/boxes.csv\n"
    (clip,) = read(manifest(root, text)).clips
    assert clip.face_path == "faces"
    assert clip.provided_boxes is not None


# One file under several paths


@pytest.mark.parametrize("path", ["./a.mp4", ".//a.mp4", "A.MP4"])
def test_one_file_under_two_paths_is_one_clip(root, path):
    text = f"{HEADER},fold\n{path},joy,train,1\na.mp4,joy,test,2\n"
    index = read(manifest(root, text))
    (clip,) = index.clips
    assert (clip.clip_id, clip.path, clip.splits) == ("a.mp4", "a.mp4", (Split.TRAIN, Split.TEST))
    assert f"spellings of one path are read as one clip: '{min(path, 'a.mp4')}', " in index.notes[-1]


def test_one_file_under_two_paths_is_not_in_training_and_test(root):
    with pytest.raises(DatasetError, match=r"line 3: clip 'a.mp4' is listed twice in fold 1; once per fold"):
        read(manifest(root, f"{HEADER}\n./a.mp4,joy,train\na.mp4,joy,test\n"))
    with pytest.raises(DatasetError, match=r"line 3: clip 'a.mp4' has label 'fear', but 'joy' at .* line 2"):
        read(manifest(root, f"{HEADER},fold\n.\\a.mp4,joy,train,1\na.mp4,fear,test,2\n"))


def test_a_path_that_is_written_in_one_way_is_the_id_as_written(root):
    clip = one_clip(root, "./anna//1.mp4")[0]
    assert (clip.clip_id, clip.path) == ("./anna//1.mp4", "anna/1.mp4"), "caches hold such ids"


def test_parts_of_one_file_under_two_paths_keep_their_windows(root):
    text = f"{HEADER},start_seconds,end_seconds\n./a.mp4,joy,train,0,1\na.mp4,joy,test,1,2\n"
    assert [clip.clip_id for clip in read(manifest(root, text)).clips] == ["./a.mp4#0-1", "a.mp4#1-2"]


def test_nothing_outside_the_folder_is_listed(tmp_path, root):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.mp4").touch()
    (root / "there").symlink_to(tmp_path / "outside")
    with pytest.raises(
        DatasetError, match="allowed: a file inside the manifest's directory, but this is a link"
    ):
        read_paths(root, "there/X.mp4")

import os
from pathlib import Path

import pytest

from pipeline.datasets import folder, limits, manifest, provided_boxes
from pipeline.datasets.folder import scan
from pipeline.errors import DatasetError
from tests.manifests import HEADER
from tests.manifests import manifest as written


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the data set's, with a video and a boxes file."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "a.mp4").write_bytes(b"private")
    (place / "b.csv").write_text("secret\n")
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    (place / "joy").mkdir(parents=True)
    return place


# Links


def test_a_link_to_a_file_outside_is_refused(root, outside):
    (root / "a.mp4").symlink_to(outside / "a.mp4")
    message = (
        r"line 2: path is 'a.mp4'; allowed: a file inside the manifest's directory, but this is a link to "
        rf"'{outside.resolve()}/a.mp4'; move the manifest to a directory that holds both\.$"
    )
    with pytest.raises(DatasetError, match=message):
        manifest.read(written(root, f"{HEADER}\na.mp4,joy,train\n"))


def test_a_file_in_a_linked_folder_outside_is_refused_whether_or_not_it_is_there(root, outside):
    (root / "there").symlink_to(outside)
    for name in ("there/a.mp4", "there/none.mp4"):
        with pytest.raises(DatasetError, match=f"path is '{name}'; allowed: a file inside"):
            manifest.read(written(root, f"{HEADER}\n{name},joy,train\n"))


def test_a_boxes_file_that_is_a_link_outside_is_not_read(root, outside):
    (root / "b.csv").symlink_to(outside / "b.csv")
    with pytest.raises(DatasetError, match=r"boxes is 'b.csv'; allowed: a file inside") as caught:
        manifest.read(written(root, f"{HEADER},boxes\na.mp4,joy,train,b.csv\n"))
    assert "secret" not in str(caught.value)


def test_a_chain_of_links_counts_by_its_end(root, outside):
    (root / "far").symlink_to(root / "near")
    (root / "near").symlink_to(outside / "a.mp4")
    assert limits.Folder(root).way_out("far") == str(outside.resolve() / "a.mp4")
    (root / "near").unlink()
    (root / "near").symlink_to("joy/a.mp4")
    assert limits.Folder(root).way_out("far") is None


def test_a_loop_of_links_stays_inside(root):
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    assert limits.Folder(root).way_out("a") is None


def test_links_inside_and_a_linked_root_are_fine(tmp_path, root):
    (root / "joy" / "a.mp4").touch()
    (root / "again.mp4").symlink_to("joy/a.mp4")
    (root / "glad").symlink_to("joy")
    (tmp_path / "link").symlink_to(root)
    text = f"{HEADER}\nagain.mp4,joy,train\nglad/a.mp4,joy,test\n"
    index = manifest.read(written(tmp_path / "link", text))
    assert [clip.path for clip in index.clips] == ["again.mp4", "glad/a.mp4"]


def test_a_folder_beside_with_a_longer_name_is_outside(tmp_path, root):
    (tmp_path / "root2").mkdir()
    (root / "a.mp4").symlink_to(tmp_path / "root2" / "a.mp4")
    assert limits.Folder(root).way_out("a.mp4") == str(tmp_path.resolve() / "root2" / "a.mp4")


def test_everything_lies_inside_the_topmost_folder():
    assert limits.Folder(Path("/")).way_out("etc/hostname") is None


@pytest.mark.parametrize("linked", ["joy/a.mp4", "fear"])
def test_a_plain_folder_of_videos_is_not_left_either(root, outside, linked):
    (root / linked).symlink_to(outside / "a.mp4" if linked.endswith("mp4") else outside)
    with pytest.raises(DatasetError, match=rf"{linked}' is a link out of '.*root', to '{outside.resolve()}"):
        folder.read(root)


# Numbers


def test_too_many_classes_or_folds_are_refused(root, monkeypatch):
    monkeypatch.setattr(limits, "MAX_NAMES", 2)
    rows = "".join(f"{i}.mp4,{'abc'[i]},train\n" for i in range(3))
    with pytest.raises(DatasetError, match=r"has 3 classes \(a, b, c\); allowed: 2\. Group them\.$"):
        manifest.read(written(root, f"{HEADER}\n{rows}"))
    rows = "".join(f"{i}.mp4,a,train,{i}\n" for i in range(3))
    with pytest.raises(DatasetError, match=r"has 3 folds \(0, 1, 2\); allowed: 2\. Group them\.$"):
        manifest.read(written(root, f"{HEADER},fold\n{rows}"))
    for name in "abc":
        (root / name).mkdir()
        (root / name / "1.mp4").touch()
    with pytest.raises(DatasetError, match=r"root' has 3 classes \(a, b, c\); allowed: 2"):
        folder.read(root)


def test_a_name_that_no_table_can_show_is_refused(root):
    with pytest.raises(
        DatasetError, match=r"of the names of classes, 'x{50}\.\.\.', has 2000 characters; al"
    ):
        limits.require_few_names("classes", ["joy", "x" * 2000], root)
    limits.require_few_names("classes", ["joy", "x" * 1000], root)
    limits.require_few_names("folds", [], root)


def test_too_many_rows_are_refused_without_reading_on(root, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_ROWS", 2)
    rows = "".join(f"{i}.mp4,joy,train\n" for i in range(3))
    with pytest.raises(DatasetError, match=r"manifest.csv' has more than 2 rows, the most that is allowed"):
        manifest.read(written(root, f"{HEADER}\n{rows}a row that nobody reads\n"))


def test_too_many_boxes_are_refused(root, monkeypatch):
    written(root, "frame,x0,y0,x1,y1\n0,1,2,3,4\n1,1,2,3,4\n", "b.csv")
    text = f"{HEADER},boxes\n" + "".join(f"{i}.mp4,joy,train,b.csv\n" for i in range(3))
    monkeypatch.setattr(limits, "_MAX_BOXES", 5)
    with pytest.raises(DatasetError, match=r"names more than 5 face boxes in all, the most allowed"):
        manifest.read(written(root, text))
    monkeypatch.setattr(provided_boxes, "MAX_BOX_ROWS", 1)
    with pytest.raises(DatasetError, match=r"b.csv' has more than 1 rows"):
        manifest.read(written(root, text))


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.jsonl"])
def test_a_line_without_an_end_is_not_read_to_its_end(root, name):
    with (root / name).open("wb") as file:
        file.truncate(400 << 20)
    with pytest.raises(DatasetError, match="can be read: a line has more than 1048576 characters"):
        manifest.read(root)


def test_a_manifest_beyond_all_measure_is_not_opened(root):
    with (root / "manifest.csv").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DatasetError, match=r"manifest.csv' has 1048576 MiB; allowed: 512 MiB, enough for"):
        manifest.read(root)


def test_more_clips_than_allowed_below_a_directory_are_refused(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f"{number}.mp4").touch()
    monkeypatch.setattr(scan, "MAX_ROWS", 3)
    assert len(folder.read(tmp_path).clips) == 3
    monkeypatch.setattr(scan, "MAX_ROWS", 2)
    with pytest.raises(DatasetError, match="holds more than 2 clips, the most allowed; split it"):
        folder.read(tmp_path)


def test_a_folder_is_listed_by_name_and_one_that_cannot_be_is_an_error(root):
    (root / "in").mkdir()
    for name in ("b", "a"):
        (root / "in" / name).touch()
    assert [entry.name for entry in limits.Folder(root).entries("in")] == ["a", "b"]
    with pytest.raises(DatasetError, match=r"root/none' cannot be listed: .*No such file"):
        limits.Folder(root).entries("none")


def test_a_list_is_decided_upon_once_it_is_open(tmp_path, monkeypatch):
    """Whatever took its place since its size was looked at."""
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(DatasetError, match="list.csv' is a pipe"), limits.open_list(tmp_path / "list.csv"):
        pass
    monkeypatch.setattr(limits, "_MAX_LIST_BYTES", 10)
    path = tmp_path / "grows.csv"
    path.write_text("a,b\n")

    def read_while_it_grows():
        with limits.open_text(path, "utf-8") as file:
            path.write_text("a,b\n" * 100)
            return file.read()

    with pytest.raises(DatasetError, match="It grew while .* has 11 bytes; allowed: 10\\."):
        read_while_it_grows()

import os

import pytest

from pipeline.file_status import FileStatus


def test_the_status_is_that_of_the_file_behind_a_link(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"abc")
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    (tmp_path / "none.mp4").symlink_to("gone")
    files = FileStatus(tmp_path)
    assert [files.of(name).st_size for name in ("a.mp4", "link.mp4", str(tmp_path / "a.mp4"))] == [3] * 3
    assert [files.of(name) for name in ("none.mp4", "b.mp4", "a.mp4/b", "x/y/z.mp4", "/no/where")] == [
        None
    ] * 5


def test_files_of_a_missing_directory_are_not_looked_up_one_by_one(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "9.mp4").touch()
    asked = []
    plain = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **rest: asked.append(str(path)) or plain(path, **rest))
    files = FileStatus(tmp_path)
    for folder in ("gone", "there"):
        found = [files.of(f"{folder}/{number}.mp4") is not None for number in range(10)]
        assert found == [folder == "there" and number == 9 for number in range(10)]
    assert sum("gone" in path for path in asked) == 2  # the first file, then its directory
    assert sum("there" in path for path in asked) == 11


def test_a_file_that_may_exist_is_no_missing_file(tmp_path):
    files = FileStatus(tmp_path)
    with pytest.raises(OSError, match="too long"):
        files.of("x" * 5000)
    with pytest.raises(ValueError, match="null"):
        files.of("a\0b")

import os

import pytest

from pipeline import pictures
from pipeline.errors import ClipError
from pipeline.pictures import PictureFolder, natural_key, num_bytes_of, numbers_of, shown


def touched(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"xy")
    return folder


def test_numbers_are_sorted_by_value_and_names_by_how_they_are_written(tmp_path):
    names = ["1.jpg", "2.jpg", "03.jpg", "3.jpg", "10.jpg", "a2b10.png", "a10b2.png"]
    assert sorted(reversed(names), key=natural_key) == names
    assert PictureFolder.at(touched(tmp_path / "a", *reversed(names))).names == tuple(names)
    assert sorted(["9" * 200, "1", "²", "x"], key=natural_key) == ["1", "9" * 200, "x", "²"]


def test_what_is_no_picture_is_left_alone_and_named(tmp_path):
    folder = touched(
        tmp_path / "a", "1.JPG", "2.jpeg", "3.Png", "4.bmp", "5.webp", ".6.jpg", "7.txt", "8.gif"
    )
    (folder / "9.jpg").mkdir()
    os.mkfifo(folder / "10.jpg")
    (folder / "11.jpg").symlink_to("nowhere.jpg")
    found = PictureFolder.at(folder)
    assert found.names == ("1.JPG", "2.jpeg", "3.Png", "4.bmp", "5.webp")
    assert set(found.others) == {".6.jpg", "7.txt", "8.gif", "9.jpg", "10.jpg", "11.jpg"}
    assert num_bytes_of(folder) == 10


def test_links_may_lead_to_files_of_the_data_set_alone(tmp_path):
    root = tmp_path / "set"
    store, clip = touched(root, "x") and touched(root / "store", "a.jpg"), touched(root / "clip", "2.jpg")
    (clip / "1.jpg").symlink_to(store / "a.jpg")
    assert PictureFolder.at(clip, root).names == ("1.jpg", "2.jpg")
    for inside in (None, clip, root / "sto"):
        with pytest.raises(
            ClipError, match=r"^open: '1\.jpg' is a link out of the dataset, to '.*a\.jpg'; copy"
        ):
            PictureFolder.at(clip, inside)


def test_too_many_files_are_refused_whatever_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_FILES", 3)
    folder = touched(tmp_path / "a", "1.jpg", "2.jpg", "3.txt")
    assert len(PictureFolder.at(folder).names) == 2
    touched(folder, "4.txt")
    with pytest.raises(
        ClipError, match="^open: more than 3 files in the directory, the most that is allowed$"
    ):
        PictureFolder.at(folder)


def test_what_cannot_be_listed_is_refused(tmp_path):
    with pytest.raises(ClipError, match="^open: cannot be read: No such file or directory$"):
        PictureFolder.at(tmp_path / "gone")
    with pytest.raises(OSError, match="No such file"):
        num_bytes_of(tmp_path / "gone")


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["00012.jpg", "13.png"], [12, 13]),
        (["00001_00012.jpg", "00001_00013.jpg"], [12, 13]),
        (["IMG_1.JPG", "img_2.jpg"], [1, 2]),
        (["0012_face0.jpg", "0013_face0.jpg"], [12, 13]),
        (["f12.7z.jpg"], [7]),
        (["frame_1_0.04.png", "frame_2_0.08.png", "frame_3_1.08.png"], [1, 2, 3]),
        (["smile.jpg", "frown.png"], ["smile", "frown"]),
        ([], []),
    ],
)
def test_the_number_of_a_picture_is_the_last_one_that_differs_in_every_name(names, numbers):
    assert numbers_of(names, "frames") == dict(zip(names, numbers, strict=True))


@pytest.mark.parametrize(
    "names",
    [["1.jpg", "001.png"], ["01.jpg", "1.jpg"], ["0012_face0.jpg", "0012_face00.jpg"], ["a.jpg", "a.png"]],
)
def test_two_pictures_of_one_number_are_refused(names):
    message = (
        rf"^open: two frames are number \w+: {names[0]}, {names[1]}; each number is expected once. Keep one"
    )
    with pytest.raises(ClipError, match=message):
        numbers_of(names, "frames")


@pytest.mark.parametrize(
    "other", ["mask_001.png", "img_002 (1).jpg", "img_003_flow.png", "cover.jpg", "img_003 - Copy.jpg"]
)
def test_a_second_series_of_names_is_refused(other):
    with pytest.raises(ClipError) as caught:
        numbers_of(["img_001.jpg", "img_002.jpg", other], "frames")
    assert str(caught.value) == (
        f"open: frames of 2 series of names, such as img_001.jpg, {other}; one series is expected, in which "
        "a number differs. Move masks, flow and copies to a directory of their own"
    )


def test_names_are_shown_on_one_line():
    assert shown(["a\n", "b\x1b[31m", "\udcff", "d"]) == "a?, b?[31m, ? and 1 more"

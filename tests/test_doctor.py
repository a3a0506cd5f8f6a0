import json
import os
import shutil

import pytest

from pipeline.datasets import dfew, ferv39k, mafw
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.doctor import CheckOptions, check
from pipeline.doctor.finding_kinds import KINDS, Severity
from pipeline.errors import ConfigError, DatasetError
from pipeline.types import ReadOptions
from tests.official_trees import (
    SHEET_HEADER,
    lay_clips,
    mafw_labels,
    real_mafw_tree,
    votes_rows,
    write_lines,
    write_sheet,
)
from tests.sick_trees import (
    DFEW_LABELS,
    FIRST,
    edit,
    examined,
    healthy_dfew,
    healthy_ferv39k,
    kinds,
    own_pictures,
    own_stub,
)

OWNER = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
ALPHABETICAL = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def first(root, split="train", fold="1"):
    return root / FIRST.format(split, fold)


def ferv_list(root, split="train"):
    return root / f"4_setups/All_scenes/{split}_All.csv"


def clip(root, number):
    return root / f"Clip/original/{number}.mp4"


def replace(old, new):
    return lambda lines: [new if line == old else line for line in lines]


def swap_label(root, number, label):
    """Give a clip another label in every list that holds it."""
    for path in root.glob("EmoLabel_DataSplit/*/*.csv"):
        edit(
            path,
            lambda lines: [
                f"{number},{label}" if line.split(",")[0] == str(number) else line for line in lines
            ],
        )


def test_trees_in_order_give_no_finding(tmp_path):
    assert kinds("dfew", healthy_dfew(tmp_path / "dfew")) == set()
    assert kinds("ferv39k", healthy_ferv39k(tmp_path / "ferv")) == set()
    assert kinds("dfew", healthy_dfew(tmp_path / "beside", forms=("video", "frames", "crops"))) == set()
    assert kinds("ferv39k", healthy_ferv39k(tmp_path / "frames", forms=("frames",))) == set()


def lose_list(root):
    first(root, "test", "2").unlink()


def lose_fold(root):
    first(root, "test", "2").unlink()
    first(root, "train", "2").unlink()


def lose_line(root):
    edit(first(root), lambda lines: lines[:-1])


def one_of_another_class(root):
    swap_label(root, 1, 5)


def count_alphabetically(root):
    """All lists in the alphabetical order, each a clip short: no order gives the published counts."""
    for path in root.glob("EmoLabel_DataSplit/*/*.csv"):
        edit(path, lambda lines: [lines[0], *(_alphabetical(line) for line in lines[1:-1])])


def _alphabetical(line):
    number, label = line.split(",")
    return f"{number},{ALPHABETICAL.index(OWNER[int(label) - 1]) + 1}"


def name_no_clip(root):
    edit(first(root), lambda lines: [*lines[:-1], f"scene 7,{lines[-1].split(',')[1]}"])


def label_no_class(root):
    edit(first(root), lambda lines: [*lines[:-1], f"{lines[-1].split(',')[0]},9"])


def label_otherwise_in_one_fold(root):
    edit(first(root), lambda lines: [*lines[:-1], f"{lines[-1].split(',')[0]},1"])


def list_twice(root):
    edit(first(root), lambda lines: [*lines, lines[-1]])


def leak(root):
    """A clip of fold 1's training takes the place of one of its class in the test set."""
    train = [line.split(",") for line in first(root).read_text().splitlines()[1:]]
    edit(first(root, "test"), lambda lines: _with_one_of(lines, train))


def _with_one_of(lines, train):
    number, label = lines[-1].split(",")
    return [*lines[:-1], next(f"{other},{label}" for other, its in train if its == label)]


def pad_one(root):
    edit(
        first(root),
        lambda lines: [lines[0], f"{int(lines[1].split(',')[0]):05d},{lines[1].split(',')[1]}", *lines[2:]],
    )


def lose_header(root):
    edit(first(root), lambda lines: lines[1:])


def end_like_windows(root):
    path = first(root)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def lose_clip(root):
    clip(root, 3).unlink()


def bring_clip(root):
    clip(root, 900).write_bytes(b"a new one, of a size of its own, which no other has, it may be hoped here")


def empty_clip(root):
    clip(root, 3).write_bytes(b"")


def pipe(root):
    clip(root, 3).unlink()
    os.mkfifo(clip(root, 3))


def link_to_nothing(root):
    clip(root, 3).unlink()
    clip(root, 3).symlink_to("gone.mp4")


def name_twice(root):
    shutil.copy(clip(root, 3), root / "Clip/original/00003.mp4")


def name_oddly(root):
    (root / "Clip/original/notes.docx").write_text("remember the milk")


def copy_within_training(root):
    """Two clips that are together in training, or in test, of every fold."""
    shutil.copy(clip(root, 1), clip(root, 2))


def copy_into_test(root):
    shutil.copy(clip(root, 1), clip(root, 30))


def cut_the_table(root):
    _edit_votes(root, lambda rows: rows[:-1])


def lose_a_vote(root):
    _edit_votes(root, lambda rows: [rows[0], [rows[1][0] - 1, *rows[1][1:]], *rows[2:]])


def shift_the_votes(root):
    _edit_votes(root, lambda rows: [[*row[6:7], *row[:6], *row[7:]] for row in rows])


def _edit_votes(root, change):
    rows = votes_rows({clip_id: OWNER.index(name) + 1 for clip_id, name in DFEW_LABELS.items()})
    write_sheet(root / "Annotation/annotation.xlsx", [SHEET_HEADER, *change(rows)])


PLANTED = {
    lose_list: {"list-missing"},
    lose_fold: {"fold-missing"},
    lose_line: {"split-count"},
    one_of_another_class: {"votes-label", "class-count"},
    count_alphabetically: {"label-order", "split-count", "test-gap", "clip-unlisted"},
    name_no_clip: {"clip-unknown"},
    label_no_class: {"label-unknown"},
    label_otherwise_in_one_fold: {"two-labels", "class-count"},
    list_twice: {"listed-twice"},
    leak: {"leak", "test-overlap", "test-gap"},
    pad_one: {"padding-mixed"},
    lose_header: {"header-mixed"},
    end_like_windows: {"crlf"},
    lose_clip: {"clip-missing"},
    bring_clip: {"clip-unlisted"},
    empty_clip: {"file-empty"},
    pipe: {"not-a-file", "name-unknown"},
    link_to_nothing: {"link-dangling", "name-unknown"},
    name_twice: {"name-twice", "padding-mixed"},
    name_oddly: {"name-unknown"},
    copy_within_training: {"duplicate"},
    copy_into_test: {"leak-content"},
    cut_the_table: {"votes-missing"},
    lose_a_vote: {"votes-sum"},
    shift_the_votes: {"votes-label"},
}
"""What is done to DFEW's tree, and all that is found then."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_and_nothing_else(plant, tmp_path):
    root = healthy_dfew(tmp_path)
    plant(root)
    assert kinds("dfew", root) == PLANTED[plant]


def lose_first_line(root):
    edit(ferv_list(root), lambda lines: lines[1:])


def contradict_folder(root):
    edit(ferv_list(root), lambda lines: [f"{lines[0].split()[0]} Sad", *lines[1:]])


def count_one_list_alphabetically(root):
    """Integers that the folder names contradict, all but in one order, which is not the one asked for."""
    for split in ("train", "test"):
        edit(
            ferv_list(root, split),
            lambda lines: [f"{line.split()[0]} 20 {ALPHABETICAL.index(_folder_of(line))}" for line in lines],
        )


def _folder_of(line):
    return {
        "Happy": "happiness", "Sad": "sadness", "Neutral": "neutral", "Angry": "anger",
        "Surprise": "surprise", "Disgust": "disgust", "Fear": "fear",
    }[line.split("/")[1]]  # fmt: skip


def claim_other_numbers(root):
    count_one_list_alphabetically(root)
    edit(ferv_list(root), lambda lines: [lines[0].replace(" 20 ", " 50 "), *lines[1:]])


def folder(root, place):
    return next(path for path in sorted((root / place).glob("*/*/*")))


def lose_pictures(root):
    folder(root, "3_ClipsforScenImages").joinpath("7.jpg").unlink()


def empty_folder(root):
    for path in folder(root, "3_ClipsforScenImages").iterdir():
        path.unlink()


def cut_short(root):
    for number in range(11, 21):
        folder(root, "3_ClipsforScenImages").joinpath(f"{number}.jpg").unlink()


def lose_crop(root):
    folder(root, "2_ClipsforFaceCrop").joinpath("20.jpg").unlink()


def add_copy(root):
    """A picture twice, under two spellings of its number."""
    shutil.copy(
        folder(root, "3_ClipsforScenImages") / "2.jpg", folder(root, "3_ClipsforScenImages") / "02.jpg"
    )


def add_masks(root):
    """A second series of names beside the frames, and beside the face crops."""
    for place in ("3_ClipsforScenImages", "2_ClipsforFaceCrop"):
        for number in range(1, 21):
            (folder(root, place) / f"mask_{number}.jpg").write_bytes(b"x")


def copy_folder(root):
    """Two folders of one content; by their numbers, one is in training and one in test."""
    paths = sorted((root / "3_ClipsforScenImages").glob("*/*/*"), key=lambda path: path.name)
    shutil.rmtree(paths[-1])
    shutil.copytree(paths[0], paths[-1])


PLANTED_IN_FRAMES = {
    lose_first_line: {"first-line-lost", "clip-unlisted"},
    contradict_folder: {"folder-label", "class-count"},
    count_one_list_alphabetically: set(),
    claim_other_numbers: {"claimed-count"},
    lose_pictures: {"frame-gaps", "crops-count"},
    empty_folder: {"folder-empty"},
    cut_short: {"short", "crops-count"},
    lose_crop: {"crops-count"},
    add_copy: {"frames-unclear"},
    add_masks: {"frames-unclear"},
}
"""What is done to FERV39k's tree of frames beside crops, and all that is found then."""


@pytest.mark.parametrize("plant", PLANTED_IN_FRAMES, ids=lambda plant: plant.__name__)
def test_a_fault_planted_among_frames_is_found_and_nothing_else(plant, tmp_path):
    root = healthy_ferv39k(tmp_path, forms=("frames", "crops"))
    plant(root)
    assert kinds("ferv39k", root) == PLANTED_IN_FRAMES[plant]


def test_a_folder_whose_names_give_no_order_is_named_with_its_pictures(tmp_path):
    root = healthy_ferv39k(tmp_path, forms=("frames", "crops"))
    add_masks(root)
    (finding,) = examined("ferv39k", root).findings
    assert finding.severity is Severity.ERROR
    assert len(finding.cases) == 2
    assert "': images of 2 series of names, such as 1.jpg, mask_1.jpg; one series" in finding.cases[0]
    assert finding.cases[1].startswith("the crops of '")


def test_folders_of_one_content_are_found(tmp_path):
    root = healthy_ferv39k(tmp_path, forms=("frames",))
    copy_folder(root)
    assert kinds("ferv39k", root) <= {"leak-content", "duplicate"}


def test_an_order_that_was_asked_for_and_is_not_the_lists_is_named(tmp_path):
    root = healthy_ferv39k(tmp_path)
    count_one_list_alphabetically(root)
    (finding, *_) = examined("ferv39k", root, label_order="dfew").findings
    assert finding.kind == "label-order"
    assert finding.what == (
        "2 lists, each of which is not in the label order 'dfew': the names of the directories determine "
        "'alphabetical' from 0"
    )
    assert finding.cases == ("'4_setups/All_scenes/train_All.csv'", "'4_setups/All_scenes/test_All.csv'")


def test_labels_that_fit_no_order_are_counted_by_integer(tmp_path):
    root = healthy_dfew(tmp_path)
    for path in root.glob("EmoLabel_DataSplit/*/*.csv"):
        edit(path, lambda lines: ["path,id", *(line.split(",")[0] + ",3" for line in lines[1:-1]), "36,0"])
    report = examined("dfew", root)
    found = {finding.kind: finding for finding in report.findings}
    assert "label-unknown" not in found
    assert found["label-order"].what == (
        "6 lists, each of which has integers, and no known order fits the published class counts (dfew, "
        "alphabetical)"
    )
    assert (
        found["label-order"]
        .cases[0]
        .startswith("'EmoLabel_DataSplit/train(single-labeled)/set_1.csv' (nearest: ")
    )
    assert {tuple(count.labels) for count in report.counts} == {("0", "3")}
    assert {count.classes for count in report.counts} == {None}
    assert not any("happiness" in line for line in lines(report))
    assert to_json_values(report)["counts"][0]["labels"] == {"0": 1, "3": 23}


@pytest.mark.data
@pytest.mark.slow
def test_mafws_lists_in_an_order_that_is_not_known_are_shown_by_integer(tmp_path, test_data):
    root = real_mafw_tree(tmp_path / "mafw", test_data, video=own_stub)
    names = sorted(mafw.SET.published.class_names, key=len)
    for split in ("train", "test"):
        labels = mafw_labels(root, [split])
        rows = [f"{clip_id},{names.index(label)}" for clip_id, label in labels.items()]
        write_lines(tmp_path / f"l/set_1/{split}.csv", ["video_name,labels", *rows])
    options = CheckOptions(reading=ReadOptions(lists=(str(tmp_path / "l"),)))
    report = check("mafw", root, options, lambda what, total: lambda: None)
    assert [finding.kind for finding in report.findings if finding.severity is Severity.ERROR] == [
        "label-order"
    ]
    shown = lines(report)
    assert not any(name in line for line in shown for name in ("anger", "happiness"))
    assert "labels as written, because their order is not known:" in shown
    assert report.counts[0].labels["0"] == 500  # of fear, which is the shortest name


def test_a_partly_unpacked_set_counts_missing_clips_once(tmp_path):
    root = healthy_dfew(tmp_path)
    for number in range(5, 37):
        clip(root, number).unlink()
    report = examined("dfew", root)
    assert [finding.kind for finding in report.findings] == ["clip-missing"]
    text = "\n".join(lines(report)).replace(str(root), "ROOT")
    assert text.count("32") == 1
    assert "clips       4 of 36 there, as videos" in text
    assert "32 of 36 clips not on disk, the first looked for at 'Clip/original/5.mp4'" in text


def test_the_lists_order_is_said(tmp_path):
    root = healthy_ferv39k(tmp_path)
    count_one_list_alphabetically(root)
    assert any(
        "in the label order 'alphabetical', counted from 0" in line
        for line in examined("ferv39k", root).facts
    )


def test_a_list_that_cannot_be_read_does_not_hide_the_others(tmp_path):
    root = healthy_dfew(tmp_path)
    first(root).write_bytes(b"\xff\xfe\x00")
    first(root, "test", "2").write_text(first(root, "test", "2").read_text() + "scene 7,1\n")
    report = examined("dfew", root)
    assert {finding.kind for finding in report.findings} == {
        "not-read",
        "list-missing",
        "clip-unknown",
        "split-count",
    }
    assert "is not UTF-16-LE text" in next(f.what for f in report.findings if f.kind == "not-read")


def test_a_workbook_that_cannot_be_read_is_a_finding_beside_all_others(tmp_path):
    root = healthy_dfew(tmp_path, forms=("frames",))
    (root / "Annotation/annotation.xlsx").write_bytes(b"no workbook")
    assert kinds("dfew", root) == {"not-read"}
    shutil.rmtree(root / "Clip/original/00001")
    assert kinds("dfew", root) == {"not-read", "clip-missing"}


def test_face_crops_that_are_not_there_are_named(tmp_path):
    for number in (1, 2, 3):
        own_stub(tmp_path / f"{number}.mp4")
    own_pictures(tmp_path / "faces/1")
    (tmp_path / "faces/2").mkdir()
    rows = [
        f"{number}.mp4,joy,{split},faces/{number}"
        for number, split in enumerate(("train", "test", "test"), 1)
    ]
    write_lines(tmp_path / "manifest.csv", ["path,label,split,faces", *rows])
    (finding,) = examined("manifest", tmp_path).findings
    assert (finding.kind, finding.cases) == ("crops-missing", ("'2.mp4'", "'3.mp4'"))


def test_the_data_stay_as_they_are(tmp_path):
    root = healthy_dfew(tmp_path, forms=("video", "crops"))
    for plant in (lose_clip, empty_clip, leak, name_twice):
        plant(root)
    before = state(root)
    examined("dfew", root, is_deep=True)
    assert state(root) == before


def state(root):
    return {
        path.relative_to(root): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (root, *root.rglob("*"))
    }


def test_what_is_no_data_set_is_a_known_error(tmp_path):
    with pytest.raises(DatasetError, match="No dataset at"):
        examined("dfew", tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="No DFEW at"):
        examined("dfew", tmp_path)
    with pytest.raises(ConfigError, match="--dataset is 'affectnet'"):
        examined("affectnet", tmp_path)
    with pytest.raises(ConfigError, match="--lists does not apply"):
        examined("folder", tmp_path, lists=("x",))
    with pytest.raises(ConfigError, match="--frames is 0"):
        examined("folder", tmp_path, num_frames=0)


def test_the_report_is_readable_and_complete(tmp_path):
    root = healthy_dfew(tmp_path)
    for number in range(1, 9):
        clip(root, number).unlink()
    report = examined("dfew", root)
    shown = lines(report)
    assert shown[-1] == "1 error, 0 warnings"
    assert max(map(len, shown)) <= 120
    assert any("8 of 36 clips not on disk" in line and "and 4 more" in " ".join(shown) for line in shown)
    (finding,) = to_json_values(report)["findings"]
    assert len(finding["cases"]) == 8
    assert finding["do"] == KINDS["clip-missing"].remedy
    json.dumps(to_json_values(report))
    assert report.is_wrong
    assert not examined("dfew", healthy_dfew(tmp_path / "b")).is_wrong


def test_a_note_alone_is_nothing_wrong(tmp_path):
    root = healthy_dfew(tmp_path)
    lose_fold(root)
    report = examined("dfew", root)
    assert [finding.severity for finding in report.findings] == [Severity.NOTE]
    assert not report.is_wrong


@pytest.mark.data
@pytest.mark.slow
def test_the_owners_lists_are_in_order(test_data, tmp_path):
    given = test_data / "annotations"
    shutil.copytree(given / "dfew/EmoLabel_DataSplit", tmp_path / "dfew/EmoLabel_DataSplit")
    lay_clips(tmp_path / "dfew", dfew.SET, [f"{number:05d}" for number in range(1, 16_373)], video=own_stub)
    shutil.copytree(given / "ferv39k/4_setups", tmp_path / "ferv39k/4_setups")
    lists = (tmp_path / "ferv39k/4_setups/All_scenes").glob("*.csv")
    names = [line.split()[0] for path in lists for line in path.read_text().splitlines()]
    lay_clips(tmp_path / "ferv39k", ferv39k.SET, names, video=own_stub)
    for name, expected in (("dfew", {"fold-missing"}), ("ferv39k", set())):
        report = check(name, tmp_path / name, CheckOptions(), lambda what, total: lambda: None)
        assert {finding.kind for finding in report.findings} == expected
        assert all(count.num_clips == count.published for count in report.counts)

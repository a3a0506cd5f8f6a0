"""The published sets from their owners' trees: folds, forms, votes, and what is refused."""

import os
import re
import shutil
import zipfile
from collections import Counter

import pytest

from pipeline.datasets import read_dataset
from pipeline.datasets.build_index import NO_SCENE
from pipeline.datasets.dfew import SET as DFEW
from pipeline.datasets.ferv39k import SET as FERV39K
from pipeline.datasets.mafw import SET as MAFW
from pipeline.errors import DatasetError
from pipeline.types import ReadOptions, Split
from tests.official_trees import (
    SHEET_HEADER,
    dfew_tree,
    ferv39k_tree,
    invented,
    mafw_tree,
    real_dfew_tree,
    real_ferv39k_tree,
    real_mafw_tree,
    stub,
    stub_pictures,
    thirds,
    votes_rows,
    write_lines,
    write_sheet,
)

TREES = {"dfew": (dfew_tree, DFEW), "ferv39k": (ferv39k_tree, FERV39K), "mafw": (mafw_tree, MAFW)}


def refused(name, root, options=ReadOptions(), match=""):  # noqa: B008
    with pytest.raises(DatasetError, match=match) as caught:
        read_dataset(name, root, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TREES)
def test_a_tree_gives_clips_classes_and_every_fold_that_is_there(tmp_path, name):
    lay, official = TREES[name]
    index = read_dataset(name, lay(tmp_path))
    labels = invented(official)
    assert {clip.clip_id: index.class_names[clip.label] for clip in index.clips} == labels
    assert all((tmp_path / clip.path).is_file() for clip in index.clips)
    assert index.class_names == official.published.class_names
    assert (index.warnings, index.name) == ((), name)
    for fold, (train, test) in thirds(labels, index.fold_names).items():
        place = index.fold_names.index(fold)
        found = {clip.clip_id: clip.splits[place] for clip in index.clips}
        assert found == dict.fromkeys(train, Split.TRAIN) | dict.fromkeys(test, Split.TEST)


def test_folds_are_those_whose_lists_are_there(tmp_path):
    assert read_dataset("dfew", dfew_tree(tmp_path / "a", folds=("1", "2", "5"))).fold_names == (
        "1",
        "2",
        "5",
    )
    assert read_dataset("ferv39k", ferv39k_tree(tmp_path / "b")).fold_names == ("1",)


def test_a_clip_that_a_fold_does_not_list_is_absent_there(tmp_path):
    splits = {"1": (["00001"], ["00002"]), "2": (["00002"], ["00003"])}
    labels = {"00001": "happiness", "00002": "fear", "00003": "anger"}
    index = read_dataset("dfew", dfew_tree(tmp_path, labels, splits=splits))
    assert [clip.splits for clip in index.clips] == [(1, 0), (3, 1), (0, 3)]


@pytest.mark.parametrize("padded", [False, True])
def test_names_in_lists_and_files_may_be_padded_or_not(tmp_path, padded):
    dfew_tree(tmp_path, padded=padded)
    stub(tmp_path / "Clip/original/00022.avi")
    index = read_dataset("dfew", tmp_path, ReadOptions(all_clips=True))
    assert (index.clips[0].clip_id, index.clips[0].path) == ("00001", "Clip/original/1.mp4")
    assert (index.clips[-1].clip_id, index.clips[-1].path) == ("00022", "Clip/original/00022.avi")


@pytest.mark.parametrize("name", TREES)
def test_frames_are_read_where_there_are_no_videos(tmp_path, name):
    lay, official = TREES[name]
    index = read_dataset(name, lay(tmp_path, forms=("frames",)))
    assert [clip.path for clip in index.clips] == [official.path_of("frames", c.clip_id) for c in index.clips]


@pytest.mark.parametrize("name", TREES)
def test_videos_go_before_frames_unless_asked_and_it_is_said(tmp_path, name):
    lay, official = TREES[name]
    lay(tmp_path, forms=("video", "frames"))
    index = read_dataset(name, tmp_path)
    assert index.clips[0].path == official.path_of("video", index.clips[0].clip_id)
    assert any(note.startswith("clips are read as video: videos of") for note in index.notes)
    index = read_dataset(name, tmp_path, ReadOptions(source="frames"))
    assert index.clips[0].path == official.path_of("frames", index.clips[0].clip_id)


@pytest.mark.parametrize("name", TREES)
def test_face_crops_beside_whole_frames_come_along(tmp_path, name):
    lay, official = TREES[name]
    lay(tmp_path, forms=("video", "crops"))
    index = read_dataset(name, tmp_path)
    assert index.clips[0].face_path == official.path_of("crops", index.clips[0].clip_id)
    assert index.warnings == ()


@pytest.mark.parametrize("name", TREES)
def test_crops_alone_are_read_only_when_asked_for_and_warned_of(tmp_path, name):
    lay, official = TREES[name]
    lay(tmp_path, forms=("crops",))
    refused(name, tmp_path, match=r"^No clip of .*'s lists is at .*--source crops \(aligned faces, without a")
    index = read_dataset(name, tmp_path, ReadOptions(source="crops"))
    assert index.clips[0].path == official.path_of("crops", index.clips[0].clip_id)
    assert (index.warnings, index.clips[0].face_path) == ((NO_SCENE,), index.clips[0].path)


def test_sixteen_aligned_pictures_do_not_stand_beside_a_video(tmp_path):
    dfew_tree(tmp_path)
    stub_pictures(tmp_path / "Clip/clip_224x224_16f/00001")
    stub(tmp_path / "Clip/clip_224x224_avi/00002.avi")
    index = read_dataset("dfew", tmp_path)
    assert {clip.face_path for clip in index.clips} == {None}
    assert any("cannot be used beside whole frames" in note for note in index.notes)
    index = read_dataset("dfew", tmp_path, ReadOptions(source="crops"))
    assert [clip.path for clip in index.clips[:2]] == [
        "Clip/clip_224x224_16f/00001",
        "Clip/clip_224x224_avi/00002.avi",
    ]


def test_a_listed_clip_that_is_not_there_stays_and_is_told(tmp_path):
    dfew_tree(tmp_path)
    (tmp_path / "Clip/original/3.mp4").unlink()
    index = read_dataset("dfew", tmp_path)
    assert (index.clips[2].clip_id, index.clips[2].path) == ("00003", "Clip/original/3.mp4")
    assert "1 of 21 listed clips not found, to be recorded as failed: 00003" in index.notes


def test_a_clip_beyond_the_number_of_clips_is_a_clip(tmp_path):
    for name, (lay, official) in {"dfew": TREES["dfew"], "mafw": TREES["mafw"]}.items():
        labels = {"20098": "anger", "99999": "fear"}
        index = read_dataset(name, lay(tmp_path / name, labels, splits={"1": (["20098"], ["99999"])}))
        assert [clip.clip_id for clip in index.clips] == list(labels)
        assert all((tmp_path / name / clip.path).is_file() for clip in index.clips)
        assert official.published.num_clips < 20_098


def test_what_is_no_clip_by_its_name_is_told(tmp_path):
    ferv39k_tree(tmp_path)
    stub(tmp_path / "0_7_LabelClips/Action/Happy/notes.txt")
    stub(tmp_path / "0_7_LabelClips/Action/.DS_Store")
    notes = read_dataset("ferv39k", tmp_path).notes
    told = (
        "1 file or directory among the clips is ignored, because its name is not that of a clip: "
        "0_7_LabelClips/Action/Happy/notes.txt"
    )
    assert notes == (told,)


@pytest.mark.parametrize("header", [SHEET_HEADER, (*SHEET_HEADER[:-2], "clip_name", "annotation")])
def test_votes_come_from_the_workbook_with_labels_of_unlisted_clips(tmp_path, header):
    dfew_tree(tmp_path)
    for number in (22, 23, 24):
        stub(tmp_path / f"Clip/original/{number}.mp4")
    rows = votes_rows({"00001": 1, "00022": 7, "00023": 0, "00030": 3})
    write_sheet(tmp_path / "Annotation/annotation.xlsx", [header, *rows])
    index = read_dataset("dfew", tmp_path)
    assert len(index.clips) == 21
    assert (index.clips[0].votes, index.clips[1].votes) == ((8, 2, 0, 0, 0, 0, 0), None)
    index = read_dataset("dfew", tmp_path, ReadOptions(all_clips=True))
    extra = {clip.clip_id: clip for clip in index.clips if clip.clip_id > "00021"}
    assert {clip_id: clip.label for clip_id, clip in extra.items()} == {"00022": 6, "00023": -1, "00024": -1}
    assert {clip.splits for clip in extra.values()} == {(Split.ABSENT,) * 3}
    assert extra["00022"].votes == (2, 0, 0, 0, 0, 0, 8)
    assert "3 clips in no list, 2 of them without a label" in index.notes


def test_a_missing_workbook_is_a_note(tmp_path):
    missing = "no votes of the annotators: there is no Annotation/annotation.xlsx"
    assert missing in read_dataset("dfew", dfew_tree(tmp_path)).notes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["a", "b"]], "has the columns 'a, b'; needed: one per class"),
        (
            [("1angry", "2disgust", "3fear", "4happy", "5neutral", "6sad", "7surprise", "order", "label")],
            "counts classes in another order: its column '4happy' is happiness, which is number 1 here",
        ),
        ([SHEET_HEADER, [0, 0, 0, 0, 0, 0, 0, "x", 1]], "row 2: 'x' is not a clip"),
        ([SHEET_HEADER, *votes_rows({"1": 1}), *votes_rows({"00001": 2})], "row 3: '1' is in row 2 too"),
        (
            [SHEET_HEADER, [1.5, 0, 0, 0, 0, 0, 0, 1, 1]],
            "row 2: the number of votes is '1.5'; allowed: 0 to 1000",
        ),
        ([SHEET_HEADER, [10, 0, 0, 0, 0, 0, 0, 1, 8]], "row 2: the label is '8.0'; allowed: 0 to 7"),
    ],
)
def test_a_workbook_of_something_else_is_refused(tmp_path, rows, message):
    write_sheet(dfew_tree(tmp_path) / "Annotation/annotation.xlsx", rows)
    refused("dfew", tmp_path, match=re.escape(message))


def test_a_damaged_workbook_is_refused_in_one_line(tmp_path):
    path = write_sheet(
        dfew_tree(tmp_path) / "Annotation/annotation.xlsx", [SHEET_HEADER, *votes_rows({"1": 1})]
    )
    whole = path.read_bytes()
    for content in (b"", b"no zip", whole[:200], whole[:-30]):
        path.write_bytes(content)
        refused("dfew", tmp_path, match="is not a workbook")


def test_a_cell_far_out_is_refused_before_the_memory_is_full(tmp_path):
    path = dfew_tree(tmp_path) / "Annotation/annotation.xlsx"
    write_sheet(path, [SHEET_HEADER, *([] for _ in range(99_998)), [1, 2]])
    refused("dfew", tmp_path, match="has a cell A100000; allowed: up to column Z, row 99999")
    write_sheet(path, [[*SHEET_HEADER, *([""] * 17)], [*([0] * 26), 1]])
    refused("dfew", tmp_path, match="has a cell AA2; allowed: up to column Z, row 99999")


def test_a_long_text_that_many_cells_share_is_refused_before_the_memory_is_full(tmp_path):
    path = write_sheet(dfew_tree(tmp_path) / "Annotation/annotation.xlsx", [SHEET_HEADER, *([[1]] * 500)])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/sharedStrings.xml", f"<sst><si><t>{'a' * (1 << 20)}</t></si></sst>")
    refused("dfew", tmp_path, match="has a text of 1048.* bytes, too long for the number of its cells")


def lists_of(root, train, test):
    write_lines(root / "EmoLabel_DataSplit/train(single-labeled)/set_1.csv", ["video_name,label", *train])
    write_lines(root / "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", ["video_name,label", *test])
    for number in range(1, 8):
        stub(root / f"Clip/original/{number}.mp4")
    return root


def test_a_clip_in_train_and_test_of_a_fold_is_refused(tmp_path):
    lists_of(tmp_path, ["1,1", "2,7"], ["3,7", "2,7"])
    message = r"set_1.csv, line 3: clip '00002' is in test here, and in train of the same fold 1 at "
    refused("dfew", tmp_path, match=message)


def test_a_repeated_line_is_a_note_and_another_label_is_refused(tmp_path):
    lists_of(tmp_path, ["1,1", "2,7", "00002,7"], ["3,7"])
    assert "1 line repeats a clip of the same split and class: 00002" in read_dataset("dfew", tmp_path).notes
    lists_of(tmp_path, ["1,1", "2,7", "00002,6"], ["3,7"])
    refused(
        "dfew",
        tmp_path,
        match=r"line 4: clip '00002' is disgust here, but fear at .*line 3; a clip has one class",
    )


def test_a_clip_of_two_classes_in_two_folds_is_refused(tmp_path):
    dfew_tree(tmp_path)
    write_lines(tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_3.csv", ["video_name,label", "15,7"])
    refused("dfew", tmp_path, match=r"set_3.csv, line 2: clip '00015' is fear here, but happiness at")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "x.mp4,1",
            "line 4: 'x.mp4' is not a clip of DFEW; its clips have names like Clip/original/<number>.mp4",
        ),
        ("5,9", "line 4: label '9' is none of DFEW's classes; allowed: happiness"),
        ("5,bored", "line 4: label 'bored' is none of DFEW's classes"),
        ("5,0", "label 7 at .*line 3, label 0 at .*line 4, of 7 classes"),
        ("5", "line 4: '5' has 1 cell; allowed: a clip and its label"),
        ("5,1,\x00", "line 4: .* holds control characters"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    lists_of(tmp_path, ["1,1", "2,7", line], ["3,7"])
    refused("dfew", tmp_path, match=message)


@pytest.mark.parametrize("name", TREES)
def test_a_root_one_level_off_is_told_with_the_right_one(tmp_path, name):
    lay, _ = TREES[name]
    root = lay(tmp_path / "above" / "set")
    refused(
        name,
        root.parent,
        match=r"^No .* at '.*above': looked for .*; there: set. Give --root '.*above/set'\.$",
    )
    below = {"dfew": "Clip", "ferv39k": "4_setups", "mafw": "data"}[name]
    refused(name, root / below, match=rf"^No .* at '.*/{below}': .*Give --root '.*above/set'\.$")
    (tmp_path / "none").mkdir()
    refused(name, tmp_path / "none", match=r"there: nothing\. Give --root the directory that holds them\.$")
    refused(name, write_lines(tmp_path / "x", []), match="is not a directory")


def test_no_lists_and_no_clips_are_one_line_each(tmp_path):
    dfew_tree(tmp_path)
    shutil.rmtree(tmp_path / "Clip")
    refused(
        "dfew", tmp_path, match=r"looked for Clip/original/<number>.mp4 and Clip/original/<number>/. Put them"
    )
    refused(
        "dfew",
        tmp_path,
        ReadOptions(source="frames"),
        match="looked for Clip/original/<number>/. Put them there",
    )
    shutil.rmtree(tmp_path / "EmoLabel_DataSplit")
    (tmp_path / "Clip/original").mkdir(parents=True)
    refused(
        "dfew",
        tmp_path,
        match=r"^No lists of DFEW at .*looked for EmoLabel_DataSplit/.* or name lists by --lists",
    )


def test_a_fold_without_test_list_is_told(tmp_path):
    dfew_tree(tmp_path)
    (tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_3.csv").unlink()
    assert "fold 3 has no test list" in read_dataset("dfew", tmp_path).notes


def test_two_files_of_one_clip_are_refused(tmp_path):
    stub(dfew_tree(tmp_path) / "Clip/original/00001.mp4")
    refused(
        "dfew",
        tmp_path,
        match=r"^Clip '00001' exists twice, as '.*00001.mp4' and as '.*/1.mp4'; remove one",
    )


def test_links_stay_inside_but_the_root_may_be_one(tmp_path):
    root = dfew_tree(tmp_path / "set")
    (tmp_path / "link").symlink_to(root)
    assert len(read_dataset("dfew", tmp_path / "link").clips) == 21
    inside = root / "Clip/original/1.mp4"
    inside.rename(root / "Clip/moved.mp4")
    inside.symlink_to("../moved.mp4")
    assert not any("not found" in note for note in read_dataset("dfew", root).notes)
    stub(tmp_path / "elsewhere.mp4")
    inside.unlink()
    inside.symlink_to(tmp_path / "elsewhere.mp4")
    refused(
        "dfew",
        root,
        match=r"original/1.mp4' is a link out of '.*', to '.*elsewhere.mp4'; only the root itself",
    )
    shutil.move(root / "Clip", tmp_path / "other-disk")
    (root / "Clip").symlink_to(tmp_path / "other-disk")
    refused("dfew", root, match="is a link out of")


def test_a_pipe_named_like_a_clip_is_none(tmp_path):
    dfew_tree(tmp_path)
    os.mkfifo(tmp_path / "Clip/original/99.mp4")
    index = read_dataset("dfew", tmp_path, ReadOptions(all_clips=True))
    assert "00099" not in {clip.clip_id for clip in index.clips}


@pytest.mark.slow
@pytest.mark.data
def test_the_real_lists_of_dfew(tmp_path, test_data):
    root = real_dfew_tree(tmp_path, test_data)
    index = read_dataset("dfew", root)
    assert (len(index.clips), index.fold_names) == (11_697, ("1", "2"))
    for fold in (0, 1):
        for split, many, classes in (
            (Split.TRAIN, 9356, [1956, 1515, 2135, 1738, 1175, 116, 721]),
            (Split.TEST, 2341, [489, 379, 534, 435, 294, 29, 181]),
        ):
            counts = Counter(clip.label for clip in index.clips if clip.splits[fold] is split)
            assert (sum(counts.values()), [counts[label] for label in range(7)]) == (many, classes)
    assert not any("not found" in note for note in index.notes)
    everything = read_dataset("dfew", root, ReadOptions(all_clips=True))
    assert (len(everything.clips), sum(clip.label < 0 for clip in everything.clips)) == (16_372, 4_675)


@pytest.mark.slow
@pytest.mark.data
def test_the_real_lists_of_mafw(tmp_path, test_data):
    index = read_dataset("mafw", real_mafw_tree(tmp_path, test_data))
    assert (len(index.clips), index.clips[-1].clip_id, index.fold_names) == (9172, "20098", ("1",))
    for split in (Split.TRAIN, Split.TEST):
        counts = Counter(clip.label for clip in index.clips if clip.splits[0] is split)
        expected = MAFW.published.classes["1", split.name.lower()]
        assert tuple(counts[label] for label in range(11)) == tuple(expected)
    assert index.notes == ()


@pytest.mark.slow
@pytest.mark.data
def test_the_real_lists_of_ferv39k(tmp_path, test_data):
    index = read_dataset("ferv39k", real_ferv39k_tree(tmp_path, test_data))
    assert len({clip.clip_id for clip in index.clips}) == 38_935
    for split, classes in FERV39K.published.classes.items():
        counts = Counter(c.label for c in index.clips if c.splits[0].name.lower() == split[1])
        assert [counts[label] for label in range(7)] == list(classes)
    assert Counter(clip.splits[0] for clip in index.clips) == {Split.TRAIN: 31_088, Split.TEST: 7_847}
    assert index.notes == ()

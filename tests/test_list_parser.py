"""Lists that circulate: recognised by what they hold, with the order of their integers."""

import re
import shutil

import pytest

from pipeline.datasets import read_dataset
from pipeline.datasets.dfew import SET as DFEW
from pipeline.datasets.ferv39k import SET as FERV39K
from pipeline.datasets.list_parser import read_list
from pipeline.datasets.mafw import SET as MAFW
from pipeline.datasets.official_reader import read_lists
from pipeline.errors import ConfigError, DatasetError
from pipeline.types import ReadOptions, Split
from tests.official_trees import (
    FOLDERS,
    dfew_tree,
    ferv39k_tree,
    invented,
    mafw_labels,
    mafw_tree,
    real_dfew_tree,
    real_ferv39k_tree,
    thirds,
    write_lines,
)

ALPHABETICAL = DFEW.published.orders["alphabetical"]
DFER_CLIP = MAFW.published.orders["dfer-clip"]
DFEW_LINES = ["00001", "00002", "00003"]


def seen(official, path, **options):
    """What a list says: class name by clip id."""
    lists, _ = read_lists(official, path.parent.parent, ReadOptions(lists=(str(path),), **options))
    return {entry.clip_id: entry.class_name for one in lists for entry in one.entries}


def refused(official, path, match, kind=DatasetError, **options):
    with pytest.raises(kind, match=match) as caught:
        seen(official, path, **options)
    assert "\n" not in str(caught.value)


@pytest.fixture
def dfew(tmp_path):
    """A tree of DFEW; lists lie beside it in set_1."""
    (tmp_path / "set_1").mkdir()
    (tmp_path / "Clip/original").mkdir(parents=True)
    return tmp_path / "set_1/train.txt"


FORMS = {
    "authors' CSV": ["video_name,label", "1,7", "2,1"],
    "CSV padded": ["video_name,label", "00001,7", "00002,1"],
    "path and id": ["path,id", "/a/00001.mp4,7", "/a/00002.mp4,1"],
    "no header": ["/a/00001.mp4,7", "/a/00002.mp4,1"],
    "blanks": ["00001 7", "00002   1"],
    "tabs": ["00001\t7", "00002\t1"],
    "semicolons": ["00001;7", "00002;1"],
    "frames": ["/my clips/DFEW_Frame_Face/00001 144 7", "/my clips/DFEW_Frame_Face/00002 70 1"],
    "frames below a header": ["path frames label", "00001 144 7", "00002 70 1"],
    "more columns": ["idx,video_name,label,num_frames", "0,1,7,144", "1,2,1,70"],
    "quoted": ['"video_name","label"', '"1","7"', '"2","1"'],
    "backslashes": ["D:\\DFEW\\00001.avi,7", "D:\\DFEW\\00002.avi,1"],
    "plural header": ["video_name,labels", "00001,7", "00002,1"],
    "spaced header": ["Video Name , Label ID", "1 , 7", "2 , 1"],
    "floats": ["video_name,label,num_frames", "1.0,7.0,144.0", "2.0,1.0,70.0"],
    "folders of frames": ["/x/frames/00001/ 7", "/x/frames/00002/ 1"],
    "quoted with blanks": ['"/x/1.mp4" , "7"', '"/x/2.mp4" , "1"'],
    "quotes between blanks": ["'/my clips/1.mp4' '7'", "'/my clips/2.mp4' '1'"],
    "separator named": ["sep=;", "video_name;label", "1;7", "2;1"],
    "words beside integers": ["video_name,label,emotion", "1,3,Fear", "2,3,Happy"],
    "words": ["1 fear", "2 happy"],
    "other words": ["1,Fearful", "2,JOY"],
    "words below a header": ["video,emotion", "1.mp4,Fear", "2.mp4,Happiness"],
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(dfew, form, end):
    write_lines(dfew, FORMS[form], end)
    options = {} if "words" in form else {"label_order": "dfew"}
    assert seen(DFEW, dfew, **options) == {"00001": "fear", "00002": "happiness"}
    ((one,), _) = read_lists(DFEW, dfew.parent.parent, ReadOptions(lists=(str(dfew),), **options))
    assert (one.has_crlf, one.split, one.fold) == (end == "\r\n", Split.TRAIN, "1")
    assert one.has_header == ("1" not in FORMS[form][0])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_lists_in_other_encodings_of_spreadsheets(dfew, encoding):
    dfew.write_bytes("video_name\tlabel\r\n1\tFear\r\n2\tHappy\r\n".encode(encoding))
    assert seen(DFEW, dfew) == {"00001": "fear", "00002": "happiness"}


def test_a_byte_order_mark_and_blank_lines_do_not_matter(dfew):
    dfew.write_bytes("\ufeff1 fear\r\n\r\n  \n2 happy\n\n".encode())
    assert seen(DFEW, dfew) == {"00001": "fear", "00002": "happiness"}
    lines = read_list(dfew, DFEW.clip_id_of).lines
    assert [(line.number, line.clip, line.clip_id, line.label) for line in lines] == [
        (1, "1", "00001", "fear"),
        (4, "2", "00002", "happy"),
    ]


def test_frames_are_read_and_a_format_is_said(dfew):
    write_lines(dfew, FORMS["frames"])
    ((one,), _) = read_lists(DFEW, dfew.parent.parent, ReadOptions(lists=(str(dfew),), label_order="dfew"))
    assert [entry.num_frames for entry in one.entries] == [144, 70]
    assert one.kind == "clip, frames, label, separated by blanks, without a header"
    assert one.entries[0].written == "/my clips/DFEW_Frame_Face/00001"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "lists no clips; lines of `path label`"),
        (["video_name,label"], r"holds a header \(video_name, label\) and no clips"),
        (
            ["name_of_it,label", "1,2"],
            "line 1: 'name_of_it, label' names no clip .* no column for the clip; allowed:",
        ),
        (["video_name,feeling", "1,2"], "no column for the label; allowed: label, emotion"),
        (["1,2", "2"], "line 2: '2' has 1 cell; allowed: a clip and its label"),
        (["1,2,3,4", "2,3,4,5"], "line 1: '1 2 3 4' has 4 cells"),
        (["1,x,3", "2,y,3"], "line 1: number of frames is 'x'; allowed: a whole number"),
        (["1,2", '2,"3'], "line 2: .* is not a line of CSV"),
        (["1 fear", "2 \x1b[31mfear"], "line 2: .* holds control characters"),
    ],
)
def test_what_is_no_list_is_told_with_its_line(dfew, lines, message):
    refused(DFEW, write_lines(dfew, lines), message, label_order="dfew")


def test_a_message_shows_a_long_value_in_part(dfew):
    dfew_tree(dfew.parent.parent, {"00001": "fear"}, splits={})
    for line in (f"{'x' * 5000} fear", f"1 {'x' * 5000}", f"{'x' * 5000}"):
        write_lines(dfew, ["1 fear", line])
        with pytest.raises(DatasetError) as caught:
            read_dataset("dfew", dfew.parent.parent, ReadOptions(lists=(str(dfew),)))
        assert len(str(caught.value)) < 600


def test_bytes_that_are_no_text_and_what_is_no_file_are_refused(dfew):
    dfew.write_bytes(b"\xc31 fear")
    refused(DFEW, dfew, "train.txt, line 1 is not UTF-8 text: .*; save it in UTF-8")
    refused(DFEW, dfew.with_name("test.txt"), "is neither a file nor a directory")
    dfew.write_text("1" * 2_000_000 + " fear")
    refused(DFEW, dfew, "a line has more than")


def numbered(labels, order, first, start=""):
    return [f"{start}{clip_id} 16 {order.index(name) + first}" for clip_id, name in labels.items()]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("order", ["dfew", "alphabetical"])
def test_folder_names_tell_the_order(tmp_path, order, first):
    labels = invented(FERV39K)
    ferv39k_tree(tmp_path / "tree")
    for split in ("train", "test"):
        part = dict(list(labels.items())[:14] if split == "train" else list(labels.items())[14:])
        lines = numbered(part, FERV39K.published.orders[order], first, "/data/FERV39K/2_ClipsforFaceCrop/")
        write_lines(tmp_path / f"lists/FERV39K_{split}.txt", lines)
    index = read_dataset("ferv39k", tmp_path / "tree", ReadOptions(lists=(str(tmp_path / "lists"),)))
    assert {clip.clip_id: index.class_names[clip.label] for clip in index.clips} == labels
    assert index.notes == (
        f"integers in 2 of 2 lists are in the label order '{order}', counted from {first}: determined by "
        "the names of the directories",
    )


def test_folder_names_that_contradict_an_order_are_refused(tmp_path):
    ferv39k_tree(tmp_path)
    lines = numbered(invented(FERV39K), ALPHABETICAL, 0)
    path = write_lines(tmp_path / "x/train.txt", lines)
    message = (
        r"train.txt' is not in the label order 'dfew': the names of the directories determine 'alphabetical' "
        r"from 0. Give --label-order alphabetical, or none\.$"
    )
    refused(FERV39K, path, message, label_order="dfew")
    write_lines(path, [f"{line.rsplit(None, 1)[0]} 3" for line in lines] + ["Action/Fear/0900 16 0"])
    refused(
        FERV39K,
        path,
        r"names of its clips' directories contradict in every known order; in the nearest, 'dfew' "
        r"from 0, at 19 of 22 lines \(line 1: label 3 means anger, the clip is 'Action/Happy/0001'\)",
    )


def test_one_line_against_its_folder_is_refused_with_its_number(tmp_path):
    ferv39k_tree(tmp_path)
    lines = numbered(invented(FERV39K), ALPHABETICAL, 0)
    path = write_lines(tmp_path / "x/train.txt", [*lines[:4], "Action/Fear/0900 16 3", *lines[4:]])
    with pytest.raises(
        DatasetError, match=r"line 5: label '3' means happiness, but the clip is 'Action/Fear/09"
    ):
        read_dataset("ferv39k", tmp_path, ReadOptions(lists=(str(path),)))


def test_words_are_held_against_folder_names(tmp_path):
    write_lines(ferv39k_tree(tmp_path) / "4_setups/All_scenes/test_All.csv", ["Action/Happy/0001 Sad"])
    with pytest.raises(
        DatasetError, match=r"test_All.csv, line 1: label 'Sad' means sadness, but the clip is 'Action/H"
    ):
        read_dataset("ferv39k", tmp_path)


def test_nothing_tells_the_order_so_it_is_asked_for(dfew):
    write_lines(dfew, ["00001 0", "00002 6"])
    refused(DFEW, dfew, r"has integers whose order neither directory names nor class counts determine\. Give "
            r"--label-order NAME, or a list of class names; known: dfew \(happiness, .*\); "
            r"alphabetical \(anger, .*, surprise\)\.$")  # fmt: skip
    assert seen(DFEW, dfew, label_order="dfew") == {"00001": "happiness", "00002": "fear"}
    assert seen(DFEW, dfew, label_order="alphabetical") == {"00001": "anger", "00002": "surprise"}
    refused(
        DFEW,
        dfew,
        "--label-order is 'owner'; allowed for DFEW: dfew, alphabetical",
        ConfigError,
        label_order="owner",
    )


def test_from_0_or_1_has_to_be_clear(dfew):
    write_lines(dfew, ["00001 1", "00002 6"])
    refused(DFEW, dfew, "that may count from 0 or from 1: neither 0 nor 7 occurs", label_order="dfew")
    write_lines(dfew, ["00001 0", "00002 7"])
    refused(
        DFEW,
        dfew,
        "count neither from 0 nor from 1: label 7 at .*line 2, label 0 at .*line 1, of 7 classes. Correct",
        label_order="dfew",
    )
    write_lines(dfew, ["00001 1", "00002 6"])
    other = write_lines(dfew.with_name("test.txt"), ["00003 7"])
    both = ReadOptions(lists=(str(dfew), str(other)), label_order="dfew")
    (first, _), _ = read_lists(DFEW, dfew.parent.parent, both)
    assert (first.first, [entry.class_name for entry in first.entries]) == (1, ["happiness", "disgust"])


def test_the_owners_form_tells_the_owners_order(dfew):
    write_lines(dfew, ["video_name,label", "1,1", "2,7"])
    assert seen(DFEW, dfew) == {"00001": "happiness", "00002": "fear"}
    write_lines(dfew, ["video_name,label", "1,0", "2,6"])
    refused(DFEW, dfew, "neither directory names nor class counts determine")


def test_an_order_that_means_nothing_is_told(dfew):
    dfew_tree(dfew.parent.parent, {"00001": "fear"}, splits={})
    write_lines(dfew, ["1 fear"])
    index = read_dataset("dfew", dfew.parent.parent, ReadOptions(lists=(str(dfew),), label_order="dfew"))
    assert "--label-order does not apply: the lists name their classes" in index.notes


def test_mafws_two_orders_go_by_name(tmp_path):
    labels = invented(MAFW)
    mafw_tree(tmp_path)
    for fold, both in thirds(labels, "12").items():
        for split, ids in zip(("train", "test"), both, strict=True):
            part = {clip_id: labels[clip_id] for clip_id in ids}
            path = tmp_path / f"annotation/MAFW_set_{fold}_{split}.txt"
            write_lines(path, numbered(part, DFER_CLIP, 0, "/data/MAFW/data/faces/"))
    options = ReadOptions(lists=(str(tmp_path / "annotation"),), label_order="dfer-clip")
    index = read_dataset("mafw", tmp_path, options)
    assert {clip.clip_id: index.class_names[clip.label] for clip in index.clips} == labels
    assert index.fold_names == ("1", "2")
    theirs = read_dataset("mafw", tmp_path)
    assert [(c.clip_id, c.label, c.splits) for c in theirs.clips] == [
        (c.clip_id, c.label, c.splits) for c in index.clips
    ]


def test_lists_of_another_set_are_left_alone_in_a_folder_and_refused_by_name(tmp_path):
    dfew_tree(tmp_path)
    labels = invented(DFEW)
    ours = numbered(labels, DFEW.published.orders["dfew"], 0, "/data/DFEW/DFEW_Frame_Face/")
    write_lines(tmp_path / "l/DFEW_set_1_train.txt", ours)
    other = write_lines(tmp_path / "l/MAFW_set_1_train.txt", ["/data/MAFW/data/faces/00025 47 3"])
    write_lines(tmp_path / "l/readme.txt", ["hello"])
    index = read_dataset("dfew", tmp_path, ReadOptions(lists=(str(tmp_path / "l"),), label_order="dfew"))
    assert "1 list of MAFW in --lists left alone: MAFW_set_1_train.txt" in index.notes
    assert "files in --lists left alone: readme.txt (no train or test in the name)" in index.notes
    refused(
        DFEW,
        other,
        r"line 1: '/data/MAFW/data/faces/00025' is a clip of MAFW; give lists of DFEW",
        label_order="dfew",
    )


def test_files_of_a_folder_that_name_no_fold_are_left_alone(tmp_path):
    dfew_tree(tmp_path)
    for name in ("set_1_train.txt", "FERV39K_train.txt", "set_6_test.txt", "train.csv", "labels.txt"):
        write_lines(tmp_path / "l" / name, ["1 fear"])
    index = read_dataset("dfew", tmp_path, ReadOptions(lists=(str(tmp_path / "l"),)))
    assert (
        "files in --lists left alone: FERV39K_train.txt, train.csv (no fold in the name), labels.txt (no "
        "train or test in the name), set_6_test.txt (fold 6 in the name, which is not published)"
    ) in index.notes
    (tmp_path / "l/set_1_train.txt").unlink()
    with pytest.raises(
        DatasetError, match="no list there is read: .*2 train and 0 test lists there.*labels.txt"
    ):
        read_lists(DFEW, tmp_path, ReadOptions(lists=(str(tmp_path / "l"),)))


@pytest.mark.parametrize(
    ("name", "fold", "split"),
    [
        ("DFEW_set_3_train.txt", "3", Split.TRAIN),
        ("DFEW_set_2_test(single-labeled).txt", "2", Split.TEST),
        ("split04/train.csv", "4", Split.TRAIN),
        ("test(single-labeled)/set_5.csv", "5", Split.TEST),
        ("fold-1/val.csv", "1", Split.VALIDATION),
    ],
)
def test_fold_and_split_are_in_the_names(tmp_path, name, fold, split):
    dfew_tree(tmp_path)
    path = write_lines(tmp_path / "lists" / name, ["1 fear"])
    ((one,), _) = read_lists(DFEW, tmp_path, ReadOptions(lists=(str(path),)))
    assert (one.fold, one.split) == (fold, split)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("set_1/all.csv", "no train or test in the name. Name the split"),
        ("a/train.csv", "no fold in the name, and 1 train and 0 test lists there. Name"),
        ("set_6/train.csv", "fold 6 in the name, which is not published. Name the split and the fold"),
        ("set_1/train_test.csv", "no train or test in the name. Name the split"),
    ],
)
def test_names_that_do_not_tell_are_refused(tmp_path, name, message):
    (tmp_path / "Clip/original").mkdir(parents=True)
    path = write_lines(tmp_path / "b/c" / name, ["1 fear"])
    with pytest.raises(DatasetError, match=re.escape(message)):
        read_lists(DFEW, tmp_path, ReadOptions(lists=(str(path),)))


def test_a_folder_without_lists_is_refused(tmp_path):
    dfew_tree(tmp_path)
    with pytest.raises(DatasetError, match="no list there is read: no files. Name the split and the fold"):
        read_lists(DFEW, tmp_path, ReadOptions(lists=(str(tmp_path / "Clip"),)))


def test_paths_of_lists_are_kept_whole_for_whoever_reads_again(tmp_path, monkeypatch):
    dfew_tree(tmp_path)
    write_lines(tmp_path / "l/set_1_train.txt", ["1 happy"])
    monkeypatch.chdir(tmp_path)
    index = read_dataset("dfew", tmp_path, ReadOptions(lists=("l",)))
    assert index.options.lists == (str(tmp_path / "l"),)
    monkeypatch.chdir(tmp_path / "l")
    ((one,), _) = read_lists(DFEW, tmp_path, ReadOptions(lists=("set_1_train.txt",)))
    assert (one.fold, one.split) == ("1", Split.TRAIN)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("first", [0, 1])
def test_an_alphabetical_ferv39k_list_is_recognised_and_ends_with_the_same_classes(
    tmp_path, test_data, first
):
    root = real_ferv39k_tree(tmp_path / "tree", test_data)
    for name in ("train", "test"):
        lines = (root / f"4_setups/All_scenes/{name}_All.csv").read_text().split("\n")[:-1]
        places = {folder: ALPHABETICAL.index(word) + first for word, folder in FOLDERS.items()}
        write_lines(tmp_path / f"l/{name}.csv", [f"{a},{places[b]}" for a, b in map(str.split, lines)])
    theirs, index = (
        read_dataset("ferv39k", root),
        read_dataset("ferv39k", root, ReadOptions(lists=(str(tmp_path / "l"),))),
    )
    assert index.clips == theirs.clips
    assert "'alphabetical'" in index.notes[0]


@pytest.mark.data
@pytest.mark.parametrize(("order", "first"), [("dfew", 0), ("alphabetical", 0), ("alphabetical", 1)])
def test_class_counts_tell_the_order_of_dfews_lists(tmp_path, test_data, order, first):
    root = real_dfew_tree(tmp_path, test_data, num_clips=1)
    places = [DFEW.published.orders[order].index(name) + first for name in DFEW.published.class_names]
    for split in ("train", "test"):
        lines = (root / f"EmoLabel_DataSplit/{split}(single-labeled)/set_1.csv").read_text().split()[1:]
        pairs = [line.split(",") for line in lines]
        text = [f"/data/DFEW_Frame_Face/{int(a):05d} 144 {places[int(b) - 1]}" for a, b in pairs]
        write_lines(tmp_path / f"l/DFEW_set_1_{split}.txt", text)
    lists, _ = read_lists(DFEW, root, ReadOptions(lists=(str(tmp_path / "l"),)))
    assert [(one.order, one.first, one.evidence) for one in lists] == [
        (order, first, "the published class counts")
    ] * 2
    of_owner, _ = read_lists(DFEW, root, ReadOptions())
    theirs = {e.clip_id: e.class_name for one in of_owner for e in one.entries}
    assert {e.clip_id: e.class_name for one in lists for e in one.entries} == theirs
    other = "alphabetical" if order == "dfew" else "dfew"
    with pytest.raises(
        DatasetError,
        match=f"not in the label order '{other}': the published class counts determine '{order}' from",
    ):
        read_lists(DFEW, root, ReadOptions(lists=(str(tmp_path / "l"),), label_order=other))


DIALECTS = {
    "dfer-clip": ("MAFW_set_1_{}.txt", "", "/data/MAFW/data/faces/{} 50 {}"),
    "alphabetical": ("set_1/{}.csv", "video_name,labels", "{},{}"),
    "mafw": ("split01/{}.csv", "", "/mnt/MAFW/data/frames/{} {}"),
}
"""How lists of MAFW are written that count the classes in an order: file, header and line."""


@pytest.mark.data
@pytest.mark.parametrize("order", DIALECTS)
def test_lists_of_mafw_that_circulate_have_the_owners_labels(tmp_path, test_data, order):
    shutil.copytree(test_data / "annotations/mafw", tmp_path / "tree")
    name, header, line = DIALECTS[order]
    names = MAFW.published.orders[order]
    for split in ("train", "test"):
        labels = mafw_labels(tmp_path / "tree", [split])
        rows = [line.format(clip_id, names.index(label)) for clip_id, label in labels.items()]
        write_lines(tmp_path / "l" / name.format(split), [header, *rows])
    lists, _ = read_lists(MAFW, tmp_path / "tree", ReadOptions(lists=(str(tmp_path / "l"),)))
    assert [(one.order, one.first, one.evidence) for one in lists] == [
        (order, 0, "the published class counts")
    ] * 2
    found = {entry.clip_id: entry.class_name for one in lists for entry in one.entries}
    assert found == mafw_labels(tmp_path / "tree")

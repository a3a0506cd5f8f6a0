import gc

import numpy as np
import pytest

from pipeline.datasets.manifest import read
from pipeline.errors import DatasetError
from pipeline.types import NamedSubject, Polarity, Split
from tests.manifests import HEADER, jsonl, manifest

# What is read


def test_three_columns_are_enough(tmp_path):
    index = read(manifest(tmp_path, f"{HEADER}\nb/2.mp4,sad,test\na/1.mp4,happy,train\nc.mp4,,val\n"))
    assert (index.name, index.root) == ("manifest", tmp_path)
    assert index.class_names == ("happy", "sad")
    assert index.fold_names == ("1",)
    assert [clip.clip_id for clip in index.clips] == ["a/1.mp4", "b/2.mp4", "c.mp4"]
    assert [clip.path for clip in index.clips] == ["a/1.mp4", "b/2.mp4", "c.mp4"]
    assert [clip.label for clip in index.clips] == [0, 1, -1]
    assert [clip.splits for clip in index.clips] == [(Split.TRAIN,), (Split.TEST,), (Split.VALIDATION,)]
    assert [clip.polarity for clip in index.clips] == [Polarity.POSITIVE, Polarity.NEGATIVE, Polarity.UNKNOWN]
    first = index.clips[0]
    assert (first.start_seconds, first.end_seconds, first.provided_boxes) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "splits"),
    [
        ("path\na.mp4\nb.mp4\n", [Split.ABSENT, Split.ABSENT]),
        ("path,label\na.mp4,\nb.mp4, \n", [Split.ABSENT, Split.ABSENT]),
        ("path,lab,site\na.mp4,2,oulu\nb.mp4,1,turku\n", [Split.ABSENT, Split.ABSENT]),
        ("path,label,split\na.mp4,,\nb.mp4,,test\n", [Split.ABSENT, Split.TEST]),
        ("path,split\na.mp4,train\nb.mp4,\n", [Split.TRAIN, Split.ABSENT]),
    ],
)
def test_clips_without_a_label_need_no_split(tmp_path, text, splits):
    index = read(manifest(tmp_path, text))
    assert (index.class_names, index.fold_names) == ((), ("1",))
    assert [clip.label for clip in index.clips] == [-1, -1]
    assert [clip.splits[0] for clip in index.clips] == splits


def test_labelled_and_unlabelled_clips_stand_in_one_manifest(tmp_path):
    text = "path,label,split,fold\na.mp4,joy,train,1\na.mp4,joy,test,2\nb.mp4,,,\nc.mp4,,,2\n"
    index = read(manifest(tmp_path, text))
    assert (index.class_names, index.fold_names) == (("joy",), ("1", "2"))
    assert [clip.splits for clip in index.clips] == [
        (Split.TRAIN, Split.TEST), (Split.ABSENT, Split.ABSENT), (Split.ABSENT, Split.ABSENT),
    ]  # fmt: skip
    rows = (
        {"path": "a.mp4", "label": "joy", "split": "train"},
        {"path": "b.mp4"},
        {"path": "c", "label": None},
    )
    (tmp_path / "manifest.csv").unlink()
    assert [clip.label for clip in read(jsonl(tmp_path, *rows)).clips] == [0, -1, -1]


def test_every_column_is_read(tmp_path):
    index = read(
        manifest(
            tmp_path,
            f"{HEADER},clip_id,fold,x0,y0,x1,y1,start_seconds,end_seconds,polarity\n"
            "a.mp4,joy,train,one,k1,10,20.5,110,220,1.5,3,negative\n",
        )
    )
    (clip,) = index.clips
    assert (clip.clip_id, clip.path, clip.label) == ("one", "a.mp4", 0)
    assert index.fold_names == ("k1",)
    assert (clip.start_seconds, clip.end_seconds) == (1.5, 3.0)
    assert clip.polarity is Polarity.NEGATIVE, "the column stands above the class"
    assert clip.provided_boxes is not None
    assert clip.provided_boxes.box_xyxy.tolist() == [[10, 20.5, 110, 220]]
    assert clip.provided_boxes.frame_index is None


SUBJECT = "subject_x0,subject_y0,subject_x1,subject_y1,subject_seconds"


@pytest.mark.parametrize("person", ["2", "P2", "p2", "02", "2.0"])
def test_a_subject_is_named_by_its_number(tmp_path, person):
    text = f"{HEADER},Subject person\na.mp4,joy,train,{person}\nb.mp4,joy,train,\n"
    one, other = read(manifest(tmp_path, text)).clips
    assert one.subject == NamedSubject(person=2)
    assert other.subject is None


def test_a_subject_is_named_by_a_box_at_a_time(tmp_path):
    names = f"{SUBJECT},box_units,start_seconds"
    text = (
        f"{HEADER},{names}\na.mp4,joy,train,10,20.5,110,220,1.5,,1.5\n"
        "b.mp4,joy,train,0.25,0.5,0.75,1,0,relative,\n"
    )
    one, other = (clip.subject for clip in read(manifest(tmp_path, text)).clips)
    assert one == NamedSubject(box_xyxy=(10, 20.5, 110, 220), seconds=1.5)
    assert other == NamedSubject(box_xyxy=(0.25, 0.5, 0.75, 1), seconds=0, is_relative=True)
    assert one.boxes.box_xyxy.tolist() == [[10, 20.5, 110, 220]]
    assert not read(manifest(tmp_path, text)).clips[0].provided_boxes


def test_a_subject_with_decimal_commas(tmp_path):
    text = f"{HEADER},{SUBJECT}\na.mp4,joy,train,10,20.5,110,220,1.5\n".replace(",", ";").replace(".5", ",5")
    (clip,) = read(manifest(tmp_path, text)).clips
    assert clip.subject == NamedSubject(box_xyxy=(10, 20.5, 110, 220), seconds=1.5)


def test_json_lines_name_subjects_too(tmp_path):
    row = {"path": "a.mp4", "label": "joy", "split": "train"}
    box = dict(zip(SUBJECT.split(","), (1, 2, 30, 40.5, 0.5), strict=True))
    rows = ({**row, "subject_person": 3}, {**row, "path": "b.mp4", **box}, {**row, "path": "c.mp4"})
    subjects = [clip.subject for clip in read(jsonl(tmp_path, *rows)).clips]
    assert subjects == [NamedSubject(person=3), NamedSubject(box_xyxy=(1, 2, 30, 40.5), seconds=0.5), None]


def test_a_column_of_subjects_is_still_a_hint_of_groups(tmp_path):
    index = read(manifest(tmp_path, f"{HEADER},subject\na.mp4,joy,train,2\n"))
    assert index.notes[0] == "columns of the manifest that are not read: subject (group?)"
    assert index.clips[0].subject is None


def test_empty_optional_cells_are_as_good_as_no_column(tmp_path):
    names = f"clip_id,fold,x0,y0,x1,y1,boxes,start_seconds,end_seconds,polarity,subject_person,{SUBJECT}"
    text = f"{HEADER},{names}\na.mp4,joy,train{',' * 16}\n"
    (clip,) = read(manifest(tmp_path, text)).clips
    assert clip == read(manifest(tmp_path, f"{HEADER}\na.mp4,joy,train\n")).clips[0]
    assert clip.provided_boxes is None


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", Split.TRAIN),
        ("val", Split.VALIDATION),
        ("valid", Split.VALIDATION),
        ("validation", Split.VALIDATION),
        ("TEST", Split.TEST),
    ],
)
def test_names_of_splits(tmp_path, split, expected):
    assert read(manifest(tmp_path, f"{HEADER}\na.mp4,joy,{split}\n")).clips[0].splits == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\r\na b.mp4,joy,train\r\n",
        f"\ufeff{HEADER}\na b.mp4,joy,train\n",
        " path , label ,split\n a b.mp4 , joy , train \n",
        f'{HEADER}\n"a b.mp4","joy","train"',
        f"{HEADER}\n\na b.mp4,joy,train\n\n",
        'split,label,path,remarks\ntrain,joy,a b.mp4,"two\nlines"\n',
    ],
)
def test_line_ends_marks_blanks_quotes_and_order_do_not_matter(tmp_path, text):
    index = read(manifest(tmp_path, text))
    assert [(clip.path, clip.clip_id) for clip in index.clips] == [("a b.mp4", "a b.mp4")]
    assert index.class_names == ("joy",)


def test_json_lines_say_the_same(tmp_path):
    box = {"x0": 1, "y0": 2.5, "x1": 3, "y1": 4}
    one = {
        "path": "ä .mp4",
        "label": "joy",
        "split": "train",
        "start_seconds": 1.5,
        **box,
    }
    two = {"path": "b.mp4", "label": None, "split": "test", "end_seconds": None}
    index = read(jsonl(tmp_path, one, two))
    assert [clip.clip_id for clip in index.clips] == ["b.mp4", "ä .mp4#1.5-"]
    assert [clip.label for clip in index.clips] == [-1, 0]
    assert index.clips[1].provided_boxes is not None
    assert index.clips[1].provided_boxes.box_xyxy.tolist() == [[1, 2.5, 3, 4]]


def test_json_lines_end_at_line_feeds_only(tmp_path):
    text = '\ufeff{"path": "a.mp4", "label": "joy", "split": "train", "remarks": "one\u2028two\x85"}\r\n\r\n'
    assert len(read(manifest(tmp_path, text, "manifest.jsonl")).clips) == 1


def test_a_clip_has_one_row_per_fold(tmp_path):
    text = (
        f"{HEADER},fold\n"
        "a.mp4,joy,train,2\na.mp4,joy,test,10\n"
        "b.mp4,fear,val,1\nb.mp4,fear,test,2\nc.mp4,joy,test,1\n"
    )
    index = read(manifest(tmp_path, text))
    assert index.fold_names == ("1", "2", "10"), "numbers are sorted as numbers"
    assert [clip.splits for clip in index.clips] == [
        (Split.ABSENT, Split.TRAIN, Split.TEST),
        (Split.VALIDATION, Split.TEST, Split.ABSENT),
        (Split.TEST, Split.ABSENT, Split.ABSENT),
    ]


def test_names_of_folds_have_one_order(tmp_path):
    folds = ["b", "1", "02", "a10", "a9", "9" * 1000, "\u00b3", "\u0664"]
    orders = set()
    for turn in range(len(folds)):
        rows = "".join(f"{i}.mp4,joy,train,{fold}\n" for i, fold in enumerate(folds[turn:] + folds[:turn]))
        orders.add(read(manifest(tmp_path, f"{HEADER},fold\n{rows}")).fold_names)
    assert len(orders) == 1
    order = orders.pop()
    assert [fold for fold in order if fold in ("02", "1", "a9", "a10")] == ["1", "02", "a9", "a10"]


def test_parts_of_one_file_are_clips_of_their_own(tmp_path):
    rows = "a.mp4,joy,train,0,2\na.mp4,fear,train,2,4.5\na.mp4,joy,test,4.5,\n"
    index = read(manifest(tmp_path, f"{HEADER},start_seconds,end_seconds\n{rows}"))
    assert [clip.clip_id for clip in index.clips] == ["a.mp4#0-2", "a.mp4#2-4.5", "a.mp4#4.5-"]
    assert [(clip.start_seconds, clip.end_seconds) for clip in index.clips] == [(0, 2), (2, 4.5), (4.5, None)]


def test_boxes_come_from_a_file_of_their_own(tmp_path):
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes/a.csv").write_bytes(
        b"\xef\xbb\xbfframe, x0,y0,x1,y1,who\r\n0,1,2,3,4,x\r\n7,-5,2,300,4.5,\r\n"
    )
    (clip,) = read(manifest(tmp_path, f"{HEADER},boxes\na.mp4,joy,train,boxes/a.csv\n")).clips
    assert clip.provided_boxes is not None
    assert clip.provided_boxes.box_xyxy.tolist() == [[1, 2, 3, 4], [-5, 2, 300, 4.5]]
    assert clip.provided_boxes.box_xyxy.dtype == np.float32
    assert clip.provided_boxes.frame_index is not None
    assert clip.provided_boxes.frame_index.tolist() == [0, 7]


def test_face_crops_lie_in_a_folder_of_their_own(tmp_path):
    rows = "a.mp4,joy,train,faces/a\nb,joy,train,\n"
    one, two = read(manifest(tmp_path, f"{HEADER},faces\n{rows}")).clips
    assert (one.face_path, two.face_path) == ("faces/a", None)


def test_an_empty_boxes_file_means_no_face(tmp_path):
    (tmp_path / "a.csv").write_text("frame,x0,y0,x1,y1\n")
    (clip,) = read(manifest(tmp_path, f"{HEADER},boxes\na.mp4,joy,train,a.csv\n")).clips
    assert clip.provided_boxes is not None
    assert clip.provided_boxes.box_xyxy.shape == (0, 4)


def test_a_folder_stands_for_the_one_manifest_in_it(tmp_path):
    path = manifest(tmp_path, f"{HEADER}\na.mp4,joy,train\n")
    assert read(tmp_path) == read(path)
    assert read(path.rename(tmp_path / "MINE.CSV")).clips[0].path == "a.mp4"


def test_unread_columns_are_noted(tmp_path):
    (tmp_path / "a.mp4").touch()
    odd = read(manifest(tmp_path, f"{HEADER},pollarity,fold\na.mp4,joy,train,x,1\n"))
    assert odd.notes == ("columns of the manifest that are not read: pollarity",)
    assert read(manifest(tmp_path, f"{HEADER}\na.mp4,joy,train\n")).notes == ()


# Texts that mean one thing


def test_spellings_of_one_class_are_one_class_with_a_note(tmp_path):
    labels = ["Happiness", "happiness ", "JOY\u200b", "happiness", "Fear", "fear\u00a0", "fear"]
    for n in range(len(labels)):
        (tmp_path / f"{n}.mp4").touch()
    rows = [f"{n}.mp4,{label},train\n" for n, label in enumerate(labels)]
    for turned in (rows, rows[::-1]):
        index = read(manifest(tmp_path, f"{HEADER}\n{''.join(turned)}"))
        assert index.class_names == ("fear", "happiness")
        assert [clip.label for clip in index.clips] == [1, 1, 1, 1, 0, 0, 0]
        assert {clip.polarity for clip in index.clips} == {Polarity.POSITIVE, Polarity.NEGATIVE}
        assert index.notes == (
            "spellings of one class are read as one: 'Fear' as 'fear', 'Happiness', 'JOY<U+200B>' as "
            "'happiness'",
        )


def test_a_clip_may_spell_its_label_in_two_ways(tmp_path):
    text = f"{HEADER},fold,polarity\na.mp4,Joy,train,1,Positive\na.mp4,happy,test,2,positive\n"
    assert len(read(manifest(tmp_path, text)).clips) == 1


def test_names_that_look_alike_are_two_classes_and_noted_by_code_point(tmp_path):
    index = read(manifest(tmp_path, f"{HEADER}\na.mp4,calm,train\nb.mp4,c\u0430lm,train\n"))
    assert index.class_names == ("calm", "c\u0430lm")
    assert "(with U+0430 CYRILLIC SMALL LETTER A) are 2 class names" in index.notes[0]


def test_an_invisible_label_is_none(tmp_path):
    index = read(manifest(tmp_path, f"{HEADER}\na.mp4,\u200b,train\nb.mp4,joy,train\n"))
    assert (index.class_names, [clip.label for clip in index.clips]) == (("joy",), [-1, 0])


def test_folds_of_a_column_of_floats_are_whole_numbers(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.mp4").touch()
    text = f"{HEADER},fold\na.mp4,joy,train,1.0\na.mp4,joy,test,2.0\nb.mp4,joy,train,1\nb.mp4,joy,train,02\n"
    index = read(manifest(tmp_path, text))
    assert index.fold_names == ("1", "2")
    assert index.notes == (
        "folds read as whole numbers: '1.0' as '1', '2.0' as '2'",
        "spellings of one fold are read as one: '02' as '2'",
    )
    assert [clip.splits for clip in index.clips] == [(Split.TRAIN, Split.TEST), (Split.TRAIN, Split.TRAIN)]
    index = read(jsonl(tmp_path, {"path": "a", "label": "joy", "split": "test", "fold": 3.0}))
    assert index.fold_names == ("3",)


def test_a_row_without_a_fold_is_of_fold_1(tmp_path):
    text = f"{HEADER},fold\na.mp4,joy,train,1.0\nb.mp4,joy,test,\n"
    assert read(manifest(tmp_path, text)).fold_names == ("1",)


def test_words_for_splits_that_other_fields_use_are_noted(tmp_path):
    (tmp_path / "a.mp4").touch()
    rows = "".join(
        f"a.mp4,joy,{word},{n}\n" for n, word in enumerate(["Training", "dev", "TESTING", "Train"])
    )
    index = read(manifest(tmp_path, f"{HEADER},fold\n{rows}"))
    assert index.clips[0].splits == (Split.TRAIN, Split.VALIDATION, Split.TEST, Split.TRAIN)
    assert index.notes == (
        "splits read in other words: 'TESTING' as test, 'Training' as train, 'dev' as validation",
    )


# Boxes in fractions


def test_relative_boxes_are_read_where_the_manifest_states_them(tmp_path):
    (tmp_path / "b.csv").write_text("frame,x0,y0,x1,y1\n0,-0.1,0.2,0.5,1.05\n")
    text = (
        f"{HEADER},x0,y0,x1,y1,boxes,box_units\n"
        "a.mp4,joy,train,0.25,0.5,0.75,1,,Relative\nb.mp4,joy,train,,,,,b.csv,relative\n"
        "c.mp4,joy,train,1,2,30,40,,pixels\nd.mp4,joy,train,1,2,30,40,,\n"
    )
    a, b, c, d = (clip.provided_boxes for clip in read(manifest(tmp_path, text)).clips)
    assert (a.is_relative, b.is_relative, c.is_relative, d.is_relative) == (True, True, False, False)
    assert a.box_xyxy_px(100, 200).tolist() == [[50, 50, 150, 100]]
    np.testing.assert_allclose(b.box_xyxy_px(100, 200), [[-20, 20, 100, 105]], rtol=1e-6)
    assert c.sha256() == d.sha256()


def test_a_file_of_boxes_may_hold_a_tiny_one(tmp_path):
    (tmp_path / "b.csv").write_text("frame,x0,y0,x1,y1\n0,0,0,1,1\n1,0,0,30,40\n")
    (clip,) = read(manifest(tmp_path, f"{HEADER},boxes\na.mp4,joy,train,b.csv\n")).clips
    assert clip.provided_boxes is not None


# Groups


def test_groups_are_read_under_one_spelling(tmp_path):
    text = (
        "path,label,split,Group\na.mp4,joy,train,anna\nb.mp4,joy,train,Anna \nc.mp4,joy,train,7.0\n"
        "d.mp4,joy,test,7\ne.mp4,joy,test,\nf.mp4,joy,test,anna\n"
    )
    index = read(manifest(tmp_path, text))
    assert [clip.group for clip in index.clips] == ["anna", "anna", "7", "7", "", "anna"]
    assert "spellings of one group are read as one: 'Anna' as 'anna'" in index.notes


def test_a_clip_without_the_column_has_no_group(tmp_path):
    index = read(manifest(tmp_path, f"{HEADER},subject\na.mp4,joy,train,anna\n"))
    assert index.clips[0].group == ""
    assert "columns of the manifest that are not read: subject (group?)" in index.notes


@pytest.mark.parametrize("text", ["nan", "None", "NULL", "n/a"])
def test_a_missing_value_is_no_group(tmp_path, text):
    path = manifest(tmp_path, f"{HEADER},group\na.mp4,joy,train,{text}\n")
    with pytest.raises(
        DatasetError, match="line 2: group is .*; allowed: the name of a source video, subject"
    ):
        read(path)


def test_one_clip_has_one_group(tmp_path):
    path = manifest(tmp_path, f"{HEADER},fold,group\na.mp4,joy,train,1,anna\na.mp4,joy,test,2,bert\n")
    with pytest.raises(DatasetError, match="clip 'a.mp4' has group 'bert', but 'anna' at .*line 2"):
        read(path)


def test_one_list_with_every_oddity(tmp_path):
    for name in ("a/1.mp4", "a/2.mp4", "B/3.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.mp4").symlink_to("a/2.mp4")
    text = (
        "Path;label;split;fold;group;clip id;start seconds;end_seconds;x0;y0;x1;y1;subject_person;note\n"
        "a/1.mp4;joy;train;1;anna;;;;;;;;;\n"
        "a\\1.mp4;Joy;test;fold 2;ANNA;;;;;;;;;\n"
        "a/2.mp4;sad;val;01;;two;0,5;2;;;;;P2;\n"
        "a/2.mp4;sad;val;1.0;;;1;;;;;;;\n"
        "b/3.MP4;;;;;;;;1,5;2;30;40;;x\n"
        "link.mp4;sad;Testing;1;1.0;;;;;;;;;\n"
        "gone/4.mp4;joy;train;2;;;;;;;;;;\n"
    )
    index = read(manifest(tmp_path, text))
    absent, train, validation, test = Split
    found = {
        clip.clip_id: (clip.path, clip.label, clip.splits, clip.group, clip.start_seconds, clip.end_seconds)
        for clip in index.clips
    }
    assert (index.class_names, index.fold_names) == (("joy", "sad"), ("1", "2"))
    assert found == {
        "a/1.mp4": ("a/1.mp4", 0, (train, test), "anna", None, None),
        "a/2.mp4#1-": ("a/2.mp4", 1, (validation, absent), "", 1.0, None),
        "b/3.MP4": ("B/3.mp4", -1, (absent, absent), "", None, None),
        "gone/4.mp4": ("gone/4.mp4", 0, (absent, train), "", None, None),
        "link.mp4": ("link.mp4", 1, (test, absent), "1", None, None),
        "two": ("a/2.mp4", 1, (validation, absent), "", 0.5, 2.0),
    }
    assert list(found) == sorted(found)
    by_id = {clip.clip_id: clip for clip in index.clips}
    assert [clip_id for clip_id, clip in by_id.items() if clip.provided_boxes] == ["b/3.MP4"]
    assert by_id["b/3.MP4"].provided_boxes.box_xyxy.tolist() == [[1.5, 2, 30, 40]]
    assert by_id["two"].subject == NamedSubject(person=2)
    assert "columns of the manifest that are not read: note" in index.notes
    assert any(note.startswith("nothing is at 1 of 6 paths ('gone/4.mp4')") for note in index.notes)


def test_a_list_is_read_without_the_collector_which_is_on_afterwards(tmp_path):
    read(manifest(tmp_path, f"{HEADER}\na.mp4,joy,train\n"))
    assert gc.isenabled()
    with pytest.raises(DatasetError):
        read(manifest(tmp_path, f"{HEADER}\na.mp4,joy,nowhere\n"))
    assert gc.isenabled()

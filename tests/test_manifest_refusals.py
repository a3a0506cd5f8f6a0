import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.datasets.manifest import read
from pipeline.errors import DatasetError
from tests.manifests import HEADER, jsonl, manifest

# What is refused

SUBJECT = "subject_x0,subject_y0,subject_x1,subject_y1,subject_seconds"

BAD_TABLES = {
    "no clips": (
        f"{HEADER}\n",
        r"manifest.csv' lists no clips; one row per clip is needed, with columns path, label",
    ),
    "empty": ("", r"manifest.csv: no column path; columns there: none\."),
    "columns": ("label,split\na,b\n", r"no column path; columns there: label, split\."),
    "misspelt label": (
        "path,lable\na,b\n",
        r"manifest.csv' has no column label for all clips, but a column 'lable'; rename it to label",
    ),
    "another name of label": (
        "path,emotion,split\na,b,train\n",
        r"has no column label for all clips, but a column 'emotion'; rename it to label, or remove it\.",
    ),
    "another name of split": (
        "path,label,subset\na,b,train\n",
        r"has no column split for all clips, but a column 'subset'; rename it to split, or remove it\.",
    ),
    "no split column": (
        "path,label\na.mp4,joy\n",
        r"line 2: split is ''; allowed: train, .*, test, testing; only a clip without a label needs none\.",
    ),
    "twice without a label": (
        "path,fold\na.mp4,1\na.mp4,1\n",
        r"line 3: clip 'a.mp4' is listed twice in fold 1; once per fold is allowed\.",
    ),
    "twice": ("path,label,split,label\na,b,train,c\n", r"column label occurs twice; once is allowed\."),
    "box columns": (
        f"{HEADER},x0,y1\na,b,train,1,2\n",
        r"of the box columns only x0, y1; all of x0, y0, x1, y1",
    ),
    "few cells": (
        f"{HEADER}\na.mp4,joy\n",
        r"line 2: the row has more or fewer cells than the 3 of the header\.",
    ),
    "many cells": (
        f"{HEADER}\na.mp4,joy,train,9\n",
        r"line 2: the row has more or fewer cells than the 3 of",
    ),
    "split": (
        f"{HEADER}\na.mp4,joy,PrivateTest\n",
        r"line 2: split is 'PrivateTest'; allowed: train, training, val, valid, validation, dev, devel, dev",
    ),
    "no split": (f"{HEADER}\na.mp4,joy,\n", r"line 2: split is ''; allowed: train, training"),
    "number": (
        f"{HEADER}\na.mp4,3,train\n",
        r"label is '3'; allowed: a class name, because numbers mean other",
    ),
    "no path": (
        f"{HEADER}\n,joy,train\n",
        r"path is ''; allowed: a path inside the manifest's directory, without",
    ),
    "absolute": (f"{HEADER}\n/etc/a.mp4,joy,train\n", r"path is '/etc/a.mp4'; allowed: a path inside"),
    "outside": (f"{HEADER}\nb/../../a.mp4,joy,train\n", r"path is 'b/../../a.mp4'; allowed: a path inside"),
    "decimal number": (
        f"{HEADER}\na.mp4,3.0,train\n",
        r"label is '3.0'; allowed: a class name, because numbers",
    ),
    "no value": (f"{HEADER}\na.mp4,NaN,train\n", r"label is 'NaN'; allowed: a class name; .* leave it empty"),
    "true": (
        f"{HEADER}\na.mp4,TRUE,train\n",
        r"label is 'TRUE'; allowed: a class name, because this is a value",
    ),
    "fold nan": (
        f"{HEADER},fold\na.mp4,joy,train,nan\n",
        r"fold is 'nan'; allowed: a fold's name; for a list without folds leave it empty",
    ),
    "renamed": (
        "video_path,Emotion,set\na,b,c\n",
        r"no column path; .* Rename 'video_path' to 'path' and 'Emotion' to 'label' and 'set'",
    ),
    "no header": ("a.mp4,joy,train\n", r"columns there: a.mp4, joy, train\. The first line needs to name"),
    "drive outside": (
        f"{HEADER}\nC:\\else\\a.mp4,joy,train\n",
        r"path is 'C:.*a.mp4'; allowed: a path inside .*; the ends of this path were tried, none is there",
    ),
    "outside with backslashes": (
        f"{HEADER}\nb\\..\\..\\a.mp4,joy,train\n",
        r"a path inside .* without '\.\.'",
    ),
    "fractions": (
        f"{HEADER},x0,y0,x1,y1\na.mp4,joy,train,0.31,0.2,0.7,0.75\n",
        r"line 2: box 0.31, 0.2, 0.7, 0.75 is in fractions .*; allowed: pixels\. .* add a column box_units",
    ),
    "pixels as fractions": (
        f"{HEADER},x0,y0,x1,y1,box_units\na.mp4,joy,train,31,20,70,75,relative\n",
        r"line 2: box 31, 20, 70, 75 is not in fractions .* allowed: -2 to 2\. For boxes in pixels leave b",
    ),
    "unknown units": (
        f"{HEADER},x0,y0,x1,y1,box_units\na.mp4,joy,train,31,20,70,75,percent\n",
        r"box_units is 'percent'; allowed: empty, pixels, relative",
    ),
    "units without boxes": (
        f"{HEADER},box_units\na.mp4,joy,train,pixels\n",
        r"box_units is 'pixels'; allowed: none w",
    ),
    "zero byte": (f"{HEADER}\na\0.mp4,joy,train\n", r"path is 'a\\x00.mp4'; allowed: text of one line"),
    "line end": (
        f'{HEADER}\na.mp4,"jo\ny",train\n',
        r"line 2: label is 'jo\\ny'; allowed: text of one line, without",
    ),
    "polarity": (
        f"{HEADER},polarity\na.mp4,joy,train,good\n",
        r"polarity is 'good'; allowed: negative, neutral, pos",
    ),
    "start": (
        f"{HEADER},start_seconds\na.mp4,joy,train,1s\n",
        r"start_seconds is '1s'; allowed: a number, 1e\+09 at",
    ),
    "negative": (
        f"{HEADER},start_seconds\na.mp4,joy,train,-1\n",
        r"start_seconds is '-1'; allowed: seconds, 0 or mor",
    ),
    "nan": (f"{HEADER},end_seconds\na.mp4,joy,train,nan\n", r"end_seconds is 'nan'; allowed: a number"),
    "huge": (
        f"{HEADER},end_seconds\na.mp4,joy,train,1e300\n",
        r"end_seconds is '1e300'; allowed: a number, 1e\+09",
    ),
    "end first": (
        f"{HEADER},start_seconds,end_seconds\na.mp4,joy,train,3,3\n",
        r"end_seconds is '3'; allowed: more than start_seconds \(3\)\.",
    ),
    "end at 0": (
        f"{HEADER},end_seconds\na.mp4,joy,train,0\n",
        r"end_seconds is '0'; allowed: more than start_seconds \(0\)",
    ),
    "half a box": (
        f"{HEADER},x0,y0,x1,y1\na.mp4,joy,train,1,2,3,\n",
        r"y1 is ''; allowed: a number, 1e\+06 at most\.",
    ),
    "empty box": (
        f"{HEADER},x0,y0,x1,y1\na.mp4,joy,train,5,2,5,9\n",
        r"box 5, 2, 5, 9 is empty; x0 < x1 and y0 < y1 are needed\. Are these x, y, width and height\?",
    ),
    "box that is empty as corner and size too": (
        f"{HEADER},x0,y0,x1,y1\na.mp4,joy,train,5,2,0,9\n",
        r"box 5, 2, 0, 9 is empty; x0 < x1 and y0 < y1 are needed\.$",
    ),
    "endless box": (
        f"{HEADER},x0,y0,x1,y1\na.mp4,joy,train,1,2,inf,9\n",
        r"x1 is 'inf'; allowed: a number, 1e\+06",
    ),
    "box and boxes": (
        f"{HEADER},x0,y0,x1,y1,boxes\na.mp4,joy,train,1,2,3,4,b.csv\n",
        r"both a box and a boxes file \('b.csv'\); give one of them\.",
    ),
    "person and box": (
        f"{HEADER},{SUBJECT},subject_person\na.mp4,joy,train,1,2,30,40,1,2\n",
        r"line 2: subject_person is '2'; allowed: empty with a box \(subject_x0, .*subject_y1\), because one",
    ),
    "person 0": (
        f"{HEADER},subject_person\na.mp4,joy,train,P0\n",
        r"line 2: subject_person is 'P0'; allowed: a person's number, 1 or more, as `faces --draw` shows it,",
    ),
    "person below 0": (
        f"{HEADER},subject_person\na.mp4,joy,train,-1\n",
        r"subject_person is '-1'; allowed: a",
    ),
    "person and a half": (
        f"{HEADER},subject_person\na.mp4,joy,train,1.5\n",
        r"subject_person is '1.5'; allo",
    ),
    "person by name": (
        f"{HEADER},subject_person\na.mp4,joy,train,anna\n",
        r"subject_person is 'anna'; allow",
    ),
    "subject without a time": (
        f"{HEADER},{SUBJECT}\na.mp4,joy,train,1,2,30,40,\n",
        r"line 2: subject_seconds is ''; allowed: the time of the subject's box, in seconds from the file's",
    ),
    "time without a subject": (
        f"{HEADER},subject_seconds\na.mp4,joy,train,1\n",
        r"line 2: subject_seconds is '1'; allowed: empty without a box \(subject_x0, subject_y0, subject_x1,",
    ),
    "time of a person": (
        f"{HEADER},subject_person,subject_seconds\na.mp4,joy,train,2,1\n",
        r"line 2: subject_seconds is '1'; allowed: empty without a box",
    ),
    "subject before the window": (
        f"{HEADER},{SUBJECT},start_seconds,end_seconds\na.mp4,joy,train,1,2,30,40,0.9,1,3\n",
        r"seconds is '0.9'; allowed: start_seconds \(1\) or more and less than end_seconds \(3\), in seconds",
    ),
    "subject at the end of the window": (
        f"{HEADER},{SUBJECT},end_seconds\na.mp4,joy,train,1,2,30,40,3,3\n",
        r"subject_seconds is '3'; allowed: 0 or more and less than end_seconds \(3\), in seconds from the fi",
    ),
    "subject before the file": (
        f"{HEADER},{SUBJECT}\na.mp4,joy,train,1,2,30,40,-1\n",
        r"subject_seconds is '-1'; allowed: 0 or more, in seconds from the file's start",
    ),
    "subject at no time": (
        f"{HEADER},{SUBJECT}\na.mp4,joy,train,1,2,30,40,nan\n",
        r"subject_seconds is 'nan'; allowed: a number, 1e\+09 at most",
    ),
    "half a subject": (
        f"{HEADER},{SUBJECT}\na.mp4,joy,train,1,2,30,,1\n",
        r"subject_y1 is ''; allowed: a numbe",
    ),
    "empty subject": (
        f"{HEADER},{SUBJECT}\na.mp4,joy,train,5,2,5,9,1\n",
        r"line 2: box 5, 2, 5, 9 is empty; subject_x0 < subject_x1 and subject_y0 < subject_y1 are needed",
    ),
    "subject in fractions": (
        f"{HEADER},{SUBJECT}\na.mp4,joy,train,0.1,0.2,0.3,0.4,1\n",
        r"line 2: box 0.1, 0.2, 0.3, 0.4 is in fractions .* add a column box_units",
    ),
    "subject in pixels as fractions": (
        f"{HEADER},{SUBJECT},box_units\na.mp4,joy,train,1,2,30,40,1,relative\n",
        r"line 2: box 1, 2, 30, 40 is not in fractions",
    ),
    "columns of a subject": (
        f"{HEADER},subject_x0,subject_y0\na.mp4,joy,train,1,2\n",
        r"of the box columns only subject_x0, subject_y0; all of subject_x0, subject_y0, subject_x1, subject",
    ),
    "two subjects of one clip": (
        f"{HEADER},fold,subject_person\na.mp4,joy,train,1,P1\na.mp4,joy,test,2,P2\n",
        r"line 3: clip 'a.mp4' has subject_person 'P2', but 'P1' at .*line 2; one clip_id is one clip\.",
    ),
    "no boxes file": (
        f"{HEADER},boxes\na.mp4,joy,train,b.csv\n",
        r"boxes is 'b.csv'; allowed: a CSV file of frame, x0",
    ),
    "faces outside": (
        f"{HEADER},faces\na.mp4,joy,train,../faces\n",
        r"faces is '../faces'; allowed: a path inside",
    ),
    "boxes outside": (
        f"{HEADER},boxes\na.mp4,joy,train,../b.csv\n",
        r"boxes is '../b.csv'; allowed: a path inside",
    ),
    "same fold twice": (
        f"{HEADER},fold\na.mp4,joy,train,1\na.mp4,joy,test,1\n",
        r"line 3: clip 'a.mp4' is listed twice in fold 1; once per fold is allowed\.",
    ),
    "two labels": (
        f"{HEADER},fold\na.mp4,joy,train,1\na.mp4,fear,test,2\n",
        r"line 3: clip 'a.mp4' has label 'fear', but 'joy' at .*line 2; one clip_id is one clip\.",
    ),
    "two paths": (
        f"{HEADER},clip_id,fold\na.mp4,joy,train,k,1\nb.mp4,joy,test,k,2\n",
        r"clip 'k' has path 'b.mp4', but 'a.mp4' at",
    ),
    "quotes": (
        f'{HEADER}\n"a"b.mp4,joy,train\n',
        r"line 2: not a row of a CSV file: ',' expected after",
    ),
    "long cell": (
        f"{HEADER}\n{'a' * 200_000},joy,train\n",
        r"line 2: not a row of a CSV file: field larger than field limit",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_in_one_line(tmp_path, case):
    text, message = BAD_TABLES[case]
    with pytest.raises(DatasetError, match=message) as caught:
        read(manifest(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 1


def test_bytes_that_are_no_utf8_are_refused_with_their_line(tmp_path):
    message = r"manifest.csv, line 3 is not UTF-8 text: invalid .*; save it in UTF-8 \(in Excel: 'CSV UTF-8'"
    with pytest.raises(DatasetError, match=message):
        read(manifest(tmp_path, f"{HEADER}\na.mp4,joy,train\n\xe4.mp4,joy,train\n".encode("cp1252")))
    (tmp_path / "manifest.csv").unlink()
    with pytest.raises(DatasetError, match=r"manifest.jsonl, line 1 is not UTF-8 text"):
        read(manifest(tmp_path, b'{"path": "\xe4"}', "manifest.jsonl"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_refused(tmp_path, encoding):
    with pytest.raises(DatasetError, match=r"looks like UTF-16 without a byte order mark; save it in UTF-8"):
        read(manifest(tmp_path, f"{HEADER}\na.mp4,joy,train\n".encode(encoding)))


BAD_LINES = {
    "no json": ("path,label", r"manifest.jsonl, line 2: not JSON: Expecting value"),
    "list": ("[1, 2]", r'line 2: one flat object per line is needed, such as \{"path": "a.mp4"'),
    "nested": (
        '{"path": "b", "label": ["joy"], "split": "test"}',
        r"line 2: one flat object per line is needed",
    ),
    "missing": (
        '{"label": "joy", "split": "test"}',
        r"line 2: no column path; columns there: label, split\.",
    ),
    "misspelt": (
        '{"path": "b.mp4", "labels": "joy", "split": "test"}',
        r"manifest.jsonl' has no column label for all clips, but a column 'labels'; rename it to label",
    ),
    "twice": (
        '{"path": "b", "path": "c", "label": "x", "split": "test"}',
        r"line 2: not JSON: a name occurs twice",
    ),
    "deep": ("[" * 100_000, r"line 2: not JSON: "),
    "long number": ('{"path": ' + "9" * 5000 + "}", r"line 2: not JSON: Exceeds the limit"),
    "half character": (
        '{"path": "\\ud800", "label": "x", "split": "test"}',
        r"path is '\\ud800'; allowed: text of",
    ),
    "infinite": (
        '{"path": "b", "label": "x", "split": "test", "end_seconds": 1e999}',
        r"end_seconds is 'inf'; allowed",
    ),
    "truth": (
        '{"path": "b", "label": "x", "split": "test", "end_seconds": true}',
        r"end_seconds is 'True'; allowed: a",
    ),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_of_json_is_refused_in_one_line(tmp_path, case):
    line, message = BAD_LINES[case]
    good = json.dumps({"path": "a.mp4", "label": "joy", "split": "train"})
    with pytest.raises(DatasetError, match=message) as caught:
        read(manifest(tmp_path, f"{good}\n{line}\n", "manifest.jsonl"))
    assert len(str(caught.value).splitlines()) == 1


BAD_BOXES = {
    "columns": ("frame,x0,y0,x1\n", r"b.csv: no column y1; columns there: frame, x0, y0, x1\."),
    "frame": (
        "frame,x0,y0,x1,y1\n1.5,1,2,3,4\n",
        r"b.csv, line 2: frame is '1.5'; allowed: a whole number, 0 or more",
    ),
    "negative": (
        "frame,x0,y0,x1,y1\n-1,1,2,3,4\n",
        r"line 2: frame is '-1'; allowed: a whole number, 0 or more",
    ),
    "huge": (
        "frame,x0,y0,x1,y1\n1e300,1,2,3,4\n",
        r"line 2: frame is '1e300'; allowed: a number, 1e\+09 at most",
    ),
    "short": ("frame,x0,y0,x1,y1\n1,1,2\n", r"b.csv, line 2: the row has more or fewer cells than the 5"),
    "empty": ("frame,x0,y0,x1,y1\n1,1,2,3,4\n2,9,2,3,4\n", r"b.csv, line 3: box 9, 2, 3, 4 is empty"),
    "text": ("frame,x0,y0,x1,y1\n1,left,2,3,4\n", r"b.csv, line 2: x0 is 'left'; allowed: a number"),
    "bytes": (b"frame,x0,y0,x1,y1\n1,\xff,2,3,4\n", r"b.csv, line 2 is not UTF-8 text: invalid start byte; "),
    "fractions": (
        "frame,x0,y0,x1,y1\n1,0,0.25,1,0.5\n2,-0.1,0.2,0.3,1.1\n",
        r"b.csv, line 2: box 0, 0.25, 1, 0.5 is in fractions of the frame's width and height, and so are the "
        r"other 1 of its file; allowed: pixels\. For fractions, add a column box_units with 'relative'",
    ),
}


@pytest.mark.parametrize("case", BAD_BOXES)
def test_a_bad_boxes_file_is_refused_in_one_line(tmp_path, case):
    content, message = BAD_BOXES[case]
    manifest(tmp_path, content, "b.csv")
    with pytest.raises(DatasetError, match=message):
        read(manifest(tmp_path, f"{HEADER},boxes\na.mp4,joy,train,b.csv\n"))


def test_a_place_without_one_manifest_is_refused(tmp_path):
    needed = (
        r"needs to be a manifest \(.csv, .tsv, .jsonl\), or a directory with one manifest.csv or "
        r"manifest.tsv or manifest.jsonl; found: "
    )
    with pytest.raises(DatasetError, match=needed + "none"):
        read(tmp_path)
    with pytest.raises(DatasetError, match=needed + "none"):
        read(tmp_path / "gone.csv")
    with pytest.raises(DatasetError, match=needed + ".*clips.txt"):
        read(manifest(tmp_path, HEADER, "clips.txt"))
    manifest(tmp_path, HEADER)
    jsonl(tmp_path, {})
    with pytest.raises(DatasetError, match=needed + ".*manifest.csv, .*manifest.jsonl"):
        read(tmp_path)


# Whatever it is given

CELLS = st.text() | st.sampled_from(
    ["", "a.mp4", "train", "test", "1", "2.5", "nan", "joy", "1e999", "-0", "b.csv"]
)
COLUMNS = (
    *HEADER.split(","),
    "clip_id",
    "fold",
    "x0",
    "y0",
    "x1",
    "y1",
    "boxes",
    "start_seconds",
    "end_seconds",
    "subject_person",
    *SUBJECT.split(","),
)


def outcome_of(path: Path) -> None:
    """Reading ends well, or in a DatasetError of one line that can be printed."""
    try:
        index = read(path)
    except DatasetError as error:
        message = str(error)
    else:
        message = " ".join([*index.class_names, *index.fold_names, *(clip.clip_id for clip in index.clips)])
    assert len(message.splitlines()) == 1
    message.encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text() | st.text().map(lambda rest: f"{HEADER}\n{rest}"), suffix=st.sampled_from(["csv", "jsonl"])
)
def test_random_text_ends_in_nothing_but_a_dataset_error(tmp_path, text, suffix):
    outcome_of(manifest(tmp_path, text.encode("utf-8", "surrogatepass"), f"random.{suffix}"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(), suffix=st.sampled_from(["csv", "jsonl"]))
def test_random_bytes_end_in_nothing_but_a_dataset_error(tmp_path, content, suffix):
    outcome_of(manifest(tmp_path, content, f"random.{suffix}"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(rows=st.lists(st.tuples(*[CELLS] * len(COLUMNS)), min_size=1, max_size=3), boxes=CELLS)
def test_random_cells_end_in_nothing_but_a_dataset_error(tmp_path, rows, boxes):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([COLUMNS, *rows])
    manifest(tmp_path, f"frame,x0,y0,x1,y1\n0,1,2,3,{boxes}\n", "b.csv")
    outcome_of(manifest(tmp_path, file.getvalue().encode("utf-8", "surrogatepass"), "cells.csv"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.dictionaries(
        st.sampled_from(COLUMNS) | st.text(),
        CELLS | st.none() | st.booleans() | st.floats() | st.integers() | st.lists(st.integers()),
    )
)
def test_random_objects_end_in_nothing_but_a_dataset_error(tmp_path, row):
    outcome_of(jsonl(tmp_path, {"path": "a.mp4", "label": "joy", "split": "test"} | row))

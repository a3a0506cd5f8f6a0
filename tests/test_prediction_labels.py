import pytest

from pipeline.errors import DatasetError
from trainer.prediction.inputs import Input
from trainer.prediction.labels import LabelRow, read_labels

CLASSES = ("happiness", "sadness", "neutral")


@pytest.fixture
def inputs(tmp_path):
    """Two videos of the same file name, and one of another, below the directory of the labels."""
    found = []
    for name in ("one/a.mp4", "two/a.mp4", "two/b.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        found.append(Input(path=path, name=name.removesuffix(".mp4")))
    return found


def read(tmp_path, inputs, text, name="labels.csv", classes=CLASSES):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(path, inputs, classes)


def test_a_row_has_a_video_a_class_a_span_and_a_person(tmp_path, inputs):
    labels = read(
        tmp_path,
        inputs,
        "path,label,start_seconds,end_seconds,person\none/a.mp4,Happy,1.5,3,Anna\ntwo/b.mp4,sad,,,\n",
    )
    assert labels.rows == (
        LabelRow(
            where=f"{tmp_path}/labels.csv, line 2", path="one/a.mp4", video="one/a", label="Happy",
            class_name="happiness", start_seconds=1.5, end_seconds=3.0, person="Anna",
        ),
        LabelRow(
            where=f"{tmp_path}/labels.csv, line 3", path="two/b.mp4", video="two/b", label="sad",
            class_name="sadness",
        ),
    )  # fmt: skip
    assert (labels.num_elsewhere, labels.notes) == (0, ())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("path\tlabel\tPerson\ntwo/b.mp4\tjoy\tP1\n", "labels.tsv"),
        ("Path;Label;person\ntwo/b.mp4;joy;P1\n", "labels.csv"),
        ('{"path": "two/b.mp4", "label": "joy", "person": "P1"}\n', "labels.jsonl"),
        ("\ufeffpath,label,person\ntwo/b.mp4,joy,P1\n", "labels.csv"),
    ],
)
def test_other_forms_of_a_list_are_read(tmp_path, inputs, text, name):
    (row,) = read(tmp_path, inputs, text, name).rows
    assert (row.video, row.class_name, row.person) == ("two/b", "happiness", "P1")


def test_a_path_is_relative_to_the_file_or_to_the_working_directory(tmp_path, inputs, monkeypatch):
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path / "two")
    texts = ["../one/a.mp4", "./a.mp4", str(tmp_path / "two/b.mp4")]
    labels = read(elsewhere, inputs, "path,label\n" + "".join(f"{text},joy\n" for text in texts))
    assert [row.video for row in labels.rows] == ["one/a", "two/a", "two/b"]


def test_the_end_of_a_path_or_the_name_of_the_output_is_enough_if_it_is_unique(tmp_path, inputs):
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    text = "path,label\nb.mp4,joy\none\\a.mp4,joy\nsomewhere/two/a.mp4,joy\n"
    with pytest.raises(DatasetError, match="line 4: path is 'somewhere/two/a.mp4'"):
        read(elsewhere, inputs, text)
    labels = read(elsewhere, inputs, "path,label\nb.mp4,joy\none\\a.mp4,joy\ntwo/a,joy\n")
    assert [row.video for row in labels.rows] == ["two/b", "one/a", "two/a"]


def test_names_in_another_unicode_form_are_the_same(tmp_path):
    path = tmp_path / "u\u0308ber.mp4"
    path.touch()
    inputs = [Input(path=path, name="u\u0308ber")]
    (row,) = read(tmp_path, inputs, "path,label\n\u00fcber.mp4,joy\n").rows
    assert row.video == "u\u0308ber"


def test_rows_of_videos_that_are_not_predicted_are_counted(tmp_path, inputs):
    labels = read(tmp_path, inputs[:2], "path,label\none/a.mp4,joy\ntwo/b.mp4,joy\n")
    assert ([row.video for row in labels.rows], labels.num_elsewhere) == (["one/a"], 1)
    with pytest.raises(DatasetError, match=r"has labels of other videos only \(1 rows\); name the videos"):
        read(tmp_path, inputs[:2], "path,label\ntwo/b.mp4,joy\n")


def test_labels_of_other_classes_are_kept_apart_and_never_guessed(tmp_path, inputs):
    text = "path,label\none/a.mp4,joy\ntwo/a.mp4,contempt\ntwo/b.mp4,happines\n"
    labels = read(tmp_path, inputs, text)
    assert [row.class_name for row in labels.rows] == ["happiness", None, None]
    assert labels.other_classes == {"contempt": 1, "happines": 1}
    assert labels.notes == ("'happines' is near 'happiness'; correct the labels if they are one class",)


def test_two_classes_of_one_meaning_have_only_labels_that_equal_their_name(tmp_path, inputs):
    text = "path,label\none/a.mp4,joy\ntwo/a.mp4,HAPPINESS\ntwo/b.mp4,happy\n"
    labels = read(tmp_path, inputs, text, classes=("joy", "happiness"))
    assert [row.class_name for row in labels.rows] == ["joy", "happiness", None]


def test_equal_rows_count_once_and_columns_that_are_not_read_are_named(tmp_path, inputs):
    text = "path,label,fold\none/a.mp4,joy,1\none/a.mp4,happy,2\n"
    labels = read(tmp_path, inputs, text)
    assert [row.label for row in labels.rows] == ["joy"]
    assert labels.notes == (
        "columns of the labels that are not read: fold",
        "repeated rows of the labels, each counted once: 1",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nc.mp4,joy\n", r", line 2: path is 'c.mp4'; allowed: a predicted video \(a.mp4, "
                                    r"b.mp4\), by its path or file name\."),
        ("path,label\n,joy\n", r", line 2: path is ''; allowed: a predicted video"),
        ("path,label\na.mp4,joy\n", r", line 2: path is 'a.mp4'; allowed: one video, and one/a, two/a have "
                                    r"this name; write a longer path\."),
        ("path,label\ntwo/b.mp4,joy\none/a.mp4,\n", r", line 3: label is ''; allowed: a class, such as "
                                                    r"happiness, sadness, neutral; remove the rows"),
        ("path,label\ntwo/b.mp4,NaN\n", r", line 2: label is 'NaN'; allowed: a class, such as"),
        ("path,label\ntwo/b.mp4,3\n", r", line 2: label is '3'; allowed: a class name, because numbers"),
        ("path,label,start_seconds,end_seconds\ntwo/b.mp4,joy,3,3\n",
         r", line 2: end_seconds is '3'; allowed: a time after start_seconds \(3\)"),
        ("path,label,start_seconds\ntwo/b.mp4,joy,-1\n",
         r", line 2: start_seconds is '-1'; allowed: seconds, 0 or more\."),
        ("path,label,start_seconds\ntwo/b.mp4,joy,0:30\n",
         r", line 2: start_seconds is '0:30'; allowed: a number"),
        ("path,label,persn\ntwo/b.mp4,joy,P1\n",
         r"' has no column person, but a column 'persn'; rename it to person, or remove it\."),
        ("path,label,start_ms\ntwo/b.mp4,joy,1\n",
         r"' has no column start_seconds, but a column 'start_ms'; rename it to start_seconds, with times in "
         r"seconds, or remove it\."),
        ("path,emotion\ntwo/b.mp4,joy\n", r"' has no column label, but a column 'emotion'; rename it"),
        ("path,colour\ntwo/b.mp4,joy\n", r"' has no column label; columns there: path, colour\. Add"),
        ("file,label\ntwo/b.mp4,joy\n", r": no column path; columns there: file, label\. Rename 'file'"),
        ("path,label\n", r"' has no labels; one row per clip is needed"),
        ("path,label\ntwo/b.mp4,contempt\n", r"' has no label of a class of the run: 'contempt'; the run's "
                                             r"classes are happiness, sadness, neutral\."),
        ("path,label\ntwo/b.mp4,joy\ntwo/b.mp4,sad\n",
         r", line 3: label is 'sad'; allowed: 'joy', as for the same clip at .*line 2; remove one"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_rejected_in_one_line(tmp_path, inputs, text, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read(tmp_path, inputs, text)
    assert str(caught.value).isprintable()
    assert "labels.csv" in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_rejected(tmp_path, inputs):
    with pytest.raises(DatasetError, match="none.csv' is not a file"):
        read_labels(tmp_path / "none.csv", inputs, CLASSES)
    with pytest.raises(DatasetError, match="not UTF-8 text"):
        read(tmp_path, inputs, b"path,label\ntwo/b.mp4,j\xffy\n")

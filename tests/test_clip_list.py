import pytest

from pipeline.config import from_dict
from pipeline.errors import ConfigError, DatasetError
from pipeline.process import ExtractConfig
from trainer.prediction.clip_list import is_clip_list, labels_of, read_clip_list, require_faces
from trainer.prediction.clip_session import notes_of
from trainer.prediction.labels import LabelRow

CLASSES = ("happiness", "sadness", "neutral")


@pytest.fixture
def folder(tmp_path):
    """A directory with two files in the place of videos."""
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    return tmp_path


def read(folder, text, name="clips.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_clip_list(path)


def test_every_row_is_a_clip_in_the_order_of_the_list(folder):
    clips = read(folder, "path,start_seconds,end_seconds\nb.mp4,,\na.mp4,0,2.5\na.mp4,2.5,\n")
    assert [row.clip.clip_id for row in clips.rows] == ["b.mp4", "a.mp4#0-2.5", "a.mp4#2.5-"]
    assert [(row.clip.start_seconds, row.clip.end_seconds) for row in clips.rows] == [
        (None, None), (0.0, 2.5), (2.5, None),
    ]  # fmt: skip
    assert (clips.root, clips.num_missing, clips.notes) == (folder, 0, ())
    assert labels_of(clips, CLASSES) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Path\tClip ID\tx0\ty0\tx1\ty1\na.mp4\tone\t5\t6\t50\t60\n", "clips.tsv"),
        ("\ufeffpath;clip_id;x0;y0;x1;y1\na.mp4;one;5,0;6;50;60\n", "clips.csv"),
        ('{"path": "a.mp4", "clip_id": "one", "x0": 5, "y0": 6, "x1": 50, "y1": 60}\n', "clips.jsonl"),
    ],
)
def test_the_forms_of_a_manifest_are_read(folder, text, name):
    (row,) = read(folder, text, name).rows
    assert (row.clip.clip_id, row.clip.path) == ("one", "a.mp4")
    assert row.clip.provided_boxes.box_xyxy.tolist() == [[5, 6, 50, 60]]


def test_a_manifest_of_folds_is_a_list_whose_rows_repeat_clips(folder):
    clips = read(
        folder,
        "path,label,split,fold,group,seen\na.mp4,joy,train,1,g,1\na.mp4,joy,test,2,g,1\nb.mp4,odd,other,1,g,1\n",
    )
    assert clips.counts == {"a.mp4": 2, "b.mp4": 1}
    assert clips.rows[0].clip == clips.rows[1].clip
    assert clips.notes == ("columns of the list that are not read: seen",)
    labels = labels_of(clips, CLASSES)
    assert labels.rows == (
        LabelRow(
            where=f"{folder}/clips.csv, line 2", path="a.mp4", video="a.mp4", label="joy",
            class_name="happiness", group="g",
        ),
        LabelRow(
            where=f"{folder}/clips.csv, line 4", path="b.mp4", video="b.mp4", label="odd",
            class_name=None, group="g",
        ),
    )  # fmt: skip
    assert {row.cluster for row in labels.rows} == {"g"}
    assert labels.other_classes == {"odd": 1}


def test_some_clips_have_a_label_and_one_is_missing(folder):
    clips = read(folder, "path,label\na.mp4,\nb.mp4,Sad\ngone.mp4,\n")
    (label,) = labels_of(clips, CLASSES).rows
    assert (label.path, label.class_name, label.cluster) == ("b.mp4", "sadness", "b.mp4")
    assert clips.num_missing == 1
    assert clips.notes[0].startswith("nothing is at 1 of 3 paths ('gone.mp4')")


def test_labels_do_not_determine_the_answers(folder):
    text = "path,label,split\na.mp4,{0},{1}\nb.mp4,,\n"
    hashes = {read(folder, text.format(*pair)).sha256() for pair in (("joy", "train"), ("", ""))}
    assert len(hashes) == 1
    others = ("path\nb.mp4\na.mp4\n", "path\na.mp4\n", "path,end_seconds\na.mp4,2\nb.mp4,\n")
    boxes = "path,x0,y0,x1,y1\na.mp4,1,2,30,40\nb.mp4,,,,\n"
    named = "path,subject_person\na.mp4,P2\nb.mp4,\n"
    hashes |= {read(folder, other).sha256() for other in (*others, boxes, named)}
    assert len(hashes) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column path"),
        ("path,label\n", "lists no clips; one row per clip is needed, with the column path"),
        ("video,label\na.mp4,joy\n", "no column path; .* Rename 'video' to 'path'"),
        ("path,start_seconds,end_seconds\na.mp4,3,1\n", r"line 2: end_seconds is '1'; allowed: more"),
        ("path,start_seconds\na.mp4,soon\n", "line 2: start_seconds is 'soon'; allowed: a number"),
        ("path,start,end\na.mp4,1,3\n", "no column start_seconds.*'start'; rename it to start_seconds"),
        ("path,emotion\na.mp4,joy\n", "no column label.* column 'emotion'; rename it to label"),
        ("path,label\na.mp4,3\n", "line 2: label is '3'; allowed: a class name"),
        ("path,label\na.mp4,nan\n", "line 2: label is 'nan'; allowed: a class name; .* leave it empty"),
        ("path\n../a.mp4\n", r"line 2: path is '\.\./a.mp4'; allowed: a path inside"),
        ("path,clip_id\na.mp4,x\nb.mp4,x\n", "clip 'x' has path 'b.mp4', but 'a.mp4'.*is one clip"),
        ("path,label\na.mp4,joy\na.mp4,sad\n", "clip 'a.mp4' has label 'sad', but 'joy'"),
        ("path,subject_person\na.mp4,P2\na.mp4,p2\n", "clip 'a.mp4' has subject_person 'p2', but 'P2'"),
        ("path,start_seconds,clip_id\na.mp4,1,x\na.mp4,1.0,x\n", "has start_seconds '1.0', but '1'"),
        ("path,x0,y0,x1,y1\na.mp4,9,1,5,8\n", "line 2: box 9, 1, 5, 8 is empty"),
        ("path,label\nvid\u00e9o.mp4,joy\n".encode("latin-1"), "line 2 is not UTF-8 text.*save it in UTF-8"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_rejected_in_one_line(folder, text, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read(folder, text)
    assert "\n" not in str(caught.value)


def test_a_list_is_recognised_by_its_suffix(folder):
    for name in ("clips.csv", "clips.TSV", "clips.jsonl", "absent.csv"):
        assert is_clip_list([folder / name])
    (folder / "videos.csv").mkdir()
    assert not is_clip_list([folder / "videos.csv"])
    assert not is_clip_list([folder / "a.mp4", folder / "b.mp4"])
    with pytest.raises(ConfigError, match=r"clips.csv' is a list of clips, and 2 paths are given"):
        is_clip_list([folder / "a.mp4", folder / "clips.csv"])
    with pytest.raises(DatasetError, match=r"Nothing is at '.*absent.csv'; give a list of clips"):
        read_clip_list(folder / "absent.csv")


def test_boxes_that_the_run_does_not_use_are_a_note(folder):
    boxed = read(folder, "path,x0,y0,x1,y1\na.mp4,1,2,30,40\n")
    plain = read(folder, "path\na.mp4\n")
    detected, given = ExtractConfig(), from_dict(ExtractConfig, {"faces": {"source": "boxes"}})
    assert notes_of(plain, detected) == notes_of(boxed, given) == ()
    (note,) = notes_of(boxed, detected)
    assert note.startswith("face boxes and crops of the list are not used")
    require_faces(plain, detected)
    require_faces(boxed, given)
    with pytest.raises(DatasetError, match=r"no clip of '.*' has a face box \(x0, y0, x1, y1 or boxes\)"):
        require_faces(plain, given)
    crops = from_dict(ExtractConfig, {"faces": {"source": "crops"}, "streams": {"scene": "full"}})
    with pytest.raises(DatasetError, match=r"no clip of '.*' has face crops \(column faces\)"):
        require_faces(boxed, crops)

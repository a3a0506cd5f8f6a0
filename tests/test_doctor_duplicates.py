import os
import shutil

import pytest

from pipeline.display.text import lines
from tests.official_trees import write_lines
from tests.sick_trees import examined, own_stub

HEADER = "path,label,split,clip_id,start_seconds,end_seconds,x0,y0,x1,y1"


def found(root, *rows, extra=""):
    """The findings of a manifest, each with its cases; clips of stubs 1.mp4, 2.mp4 and 3.mp4."""
    for number in (1, 2, 3):
        if not (root / f"{number}.mp4").exists():
            own_stub(root / f"{number}.mp4")
    write_lines(root / "manifest.csv", [HEADER + extra, *(row + "," * (9 - row.count(",")) for row in rows)])
    return {finding.kind: finding.cases for finding in examined("manifest", root).findings}


def copied(root):
    shutil.copy(root / "1.mp4", root / "4.mp4")
    return "4.mp4"


def hard(root):
    os.link(root / "1.mp4", root / "4.mp4")
    return "4.mp4"


def symbolic(root):
    (root / "4.mp4").symlink_to("1.mp4")
    return "4.mp4"


def dotted(_):
    return "./1.mp4"


def named_again(_):
    return "1.mp4"


SAME = (copied, hard, symbolic, dotted, named_again)


@pytest.mark.parametrize("other_name", SAME)
@pytest.mark.parametrize("split", ["test", "val"])
def test_one_file_in_two_splits_is_a_leak_whatever_its_names(tmp_path, other_name, split):
    own_stub(tmp_path / "1.mp4")
    second = other_name(tmp_path)
    assert found(tmp_path, "1.mp4,joy,train,a", f"{second},joy,{split},b", "2.mp4,joy,test") == {
        "leak-content": ("'a' = 'b' (fold 1)",)
    }


@pytest.mark.parametrize("other_name", SAME)
def test_one_file_twice_in_a_split_is_a_duplicate(tmp_path, other_name):
    own_stub(tmp_path / "1.mp4")
    second = other_name(tmp_path)
    assert found(tmp_path, "1.mp4,joy,train,a", f"{second},joy,train,b") == {"duplicate": ("'a' = 'b'",)}


@pytest.mark.parametrize("other_name", SAME)
def test_windows_leak_where_they_overlap_and_are_a_remark_where_they_do_not(tmp_path, other_name):
    own_stub(tmp_path / "1.mp4")
    second = other_name(tmp_path)
    assert found(tmp_path, "1.mp4,joy,train,a,0,2", f"{second},joy,test,b,1.5,4") == {
        "leak-content": ("'b' (test) with 'a' (train) (fold 1)",)
    }
    assert found(tmp_path, "1.mp4,joy,train,a,0,2", f"{second},joy,test,b,2,4") == {
        "same-recording": ("'1.mp4': 1 train, 1 test (fold 1)",)
    }
    assert found(tmp_path, "1.mp4,joy,train,a,0,2", f"{second},joy,train,b,2,4") == {}


def test_two_subjects_of_one_window_are_no_duplicates_but_leak_across_splits(tmp_path):
    rows = ("1.mp4,joy,train,a,0,2,1,1,9,9", "1.mp4,joy,{},b,0,2,20,1,29,9")
    assert found(tmp_path, rows[0], rows[1].format("train")) == {}
    assert found(tmp_path, rows[0], rows[1].format("test")) == {
        "leak-content": ("'b' (test) with 'a' (train) (fold 1)",)
    }


def test_a_leak_is_named_with_each_of_its_folds_and_in_no_other(tmp_path):
    for number in (1, 2):
        own_stub(tmp_path / f"{number}.mp4")
    shutil.copy(tmp_path / "1.mp4", tmp_path / "3.mp4")
    splits = {"1": ("train", "test"), "2": ("test", "train"), "3": ("train", "train")}
    rows = [
        f"{path},joy,{split},,,,,,,,{fold}"
        for fold, pair in splits.items()
        for path, split in zip(("1.mp4", "3.mp4"), pair, strict=True)
    ]
    assert found(tmp_path, *rows, extra=",fold") == {"leak-content": ("'1.mp4' = '3.mp4' (fold 1, 2)",)}


def test_clips_without_a_label_are_counted_and_leak_nothing(tmp_path):
    cases = found(tmp_path, "1.mp4,joy,train,a", "1.mp4,,test,b,,,1,1,9,9", "2.mp4,,,c", "3.mp4,joy,test")
    assert cases == {"unlabelled": ("'b'", "'c'")}
    (finding,) = examined("manifest", tmp_path).findings
    assert finding.what == "2 of 4 clips without a label, 1 of them in no fold"


def test_a_manifest_of_paths_alone_is_in_order(tmp_path):
    for number in (1, 2):
        own_stub(tmp_path / f"{number}.mp4")
    write_lines(tmp_path / "manifest.csv", ["path", "1.mp4", "2.mp4"])
    report = examined("manifest", tmp_path)
    assert ([finding.kind for finding in report.findings], report.is_wrong) == (["unlabelled"], False)
    assert not any(line.startswith("fold") for line in lines(report))


def test_a_group_in_two_splits_is_a_warning_with_its_counts(tmp_path):
    rows = ("1.mp4,joy,train,,,,,,,", "2.mp4,joy,test,,,,,,,", "3.mp4,fear,train,,,,,,,")
    split = found(
        tmp_path, *(f"{row},{name}" for row, name in zip(rows, ("a", "a", "b"), strict=True)), extra=",group"
    )
    assert split["group-split"] == ("'a': 1 train, 1 test (fold 1)",)
    apart = found(
        tmp_path, *(f"{row},{name}" for row, name in zip(rows, ("a", "b", "a"), strict=True)), extra=",group"
    )
    assert "group-split" not in apart


def test_a_set_of_many_equal_clips_is_shortened_in_the_text_alone(tmp_path):
    own_stub(tmp_path / "1.mp4")
    rows = [f"1.mp4,joy,{('train', 'test')[number % 2]},c{number:03d}" for number in range(500)]
    (case,) = found(tmp_path, *rows)["leak-content"]
    assert case == f"{' = '.join(repr(f'c{number:03d}') for number in range(500))} (fold 1)"
    text = " ".join(" ".join(lines(examined("manifest", tmp_path))).split())
    assert "'c000' = 'c001' = 'c002' = " in text
    assert " = ... = 'c498' = 'c499' (fold 1) do: " in text
    assert "'c100'" not in text

import pytest

from pipeline.datasets import read_dataset
from pipeline.datasets.missing_training import find_missing_training, missing_training_of_index
from pipeline.types import Split

TRAIN, VALIDATION, TEST, ABSENT = Split.TRAIN, Split.VALIDATION, Split.TEST, Split.ABSENT


def test_a_class_without_training_clips_is_found_with_its_fold():
    found = find_missing_training(
        [
            ("1", TRAIN, "happy"), ("1", TEST, "happy"), ("1", TEST, "sadd"), ("1", VALIDATION, "sadd"),
            ("2", TRAIN, "happy"), ("2", TRAIN, "sadd"), ("2", TEST, "fear"),
        ]
    )  # fmt: skip
    assert found.folds == ()
    assert found.classes == (
        "'sadd' in fold 1 (1 validation and 1 test clips)",
        "'fear' in fold 2 (1 test clip)",
    )
    (warning,) = found.warnings()
    assert warning.startswith("2 classes of a fold without training clips: 'sadd' in fold 1 (")
    assert "correct its name" in warning


def test_a_fold_without_training_clips_is_one_finding_and_its_classes_are_none():
    found = find_missing_training([("a", TRAIN, "happy"), ("b", TEST, "happy"), ("b", VALIDATION, "fear")])
    assert (found.folds, found.classes) == (("fold b (2 other clips)",), ())
    assert found.warnings()[0].startswith(
        "1 fold without training clips: fold b (2 other clips); nothing, if runs"
    )


@pytest.mark.parametrize(
    "labelled",
    [
        [],
        [("1", TRAIN, "happy"), ("1", TRAIN, "fear"), ("1", TEST, "fear")],
        [("1", TEST, ""), ("1", TRAIN, "happy"), ("1", ABSENT, "fear")],
        [("1", ABSENT, "fear")],
    ],
)
def test_trained_classes_unlabelled_clips_and_clips_of_no_split_are_none(labelled):
    assert find_missing_training(labelled).warnings() == []


def test_of_a_data_set_only_clips_with_a_label_count_in_every_fold(tmp_path):
    rows = (
        "1.mp4,joy,train,1",
        "1.mp4,joy,test,2",
        "2.mp4,fear,test,1",
        "2.mp4,fear,train,2",
        "3.mp4,,test,3",
    )
    (tmp_path / "manifest.csv").write_text("\n".join(("path,label,split,fold", *rows)))
    found = missing_training_of_index(read_dataset("manifest", tmp_path))
    assert found.classes == ("'fear' in fold 1 (1 test clip)", "'joy' in fold 2 (1 test clip)")
    assert found.folds == ()


@pytest.mark.parametrize(
    "names", [("1.mp4", "2.mp4"), ("happy.mp4", "sad.mp4"), ("joy/1.mp4", "unlabelled/2.mp4")]
)
def test_directories_without_splits_have_nothing_untrained(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert missing_training_of_index(read_dataset("folder", tmp_path)).warnings() == []

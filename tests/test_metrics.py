import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_recall

from trainer.metrics import Metrics, confusion_matrix, wilson

NAMES = ("happiness", "sadness", "neutral")


def metrics(rows):
    return Metrics(class_names=NAMES, confusion=np.array(rows))


def test_hand_counted_numbers():
    result = metrics([[8, 2, 0], [1, 1, 0], [0, 4, 4]])
    assert result.num_clips == 20
    assert result.war == 13 / 20
    assert result.recalls == (0.8, 0.5, 0.5)
    assert result.uar == pytest.approx(0.6)


def test_uar_averages_over_the_classes_present():
    result = metrics([[3, 1, 0], [0, 0, 0], [2, 0, 2]])
    assert result.recalls == (0.75, None, 0.5)
    assert result.uar == pytest.approx(0.625)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_numbers_equal_those_of_torchmetrics(pairs):
    label, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    confusion = confusion_matrix(label, predicted, 4)
    truth, answer = torch.from_numpy(label), torch.from_numpy(predicted)
    assert np.array_equal(confusion, multiclass_confusion_matrix(answer, truth, 4).numpy())
    result = Metrics(class_names=("a", "b", "c", "d"), confusion=confusion)
    recalls = multiclass_recall(answer, truth, 4, average="none")
    present = torch.bincount(truth, minlength=4) > 0
    assert result.uar == pytest.approx(float(recalls[present].mean()), abs=1e-6)
    assert result.war == pytest.approx(float(multiclass_recall(answer, truth, 4, average="micro")), abs=1e-6)


def test_uar_is_not_the_mean_of_its_batches():
    """The trap in published code: per-batch UAR, averaged."""
    label, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    whole = Metrics(class_names=("a", "b"), confusion=confusion_matrix(label, predicted, 2)).uar
    batches = [confusion_matrix(label[i : i + 2], predicted[i : i + 2], 2) for i in (0, 2)]
    by_batch = np.mean([Metrics(class_names=("a", "b"), confusion=batch).uar for batch in batches])
    assert whole == pytest.approx(5 / 6)
    assert by_batch == pytest.approx(0.75)


def test_wilson_interval_of_a_textbook_case():  # Newcombe 1998, example (a)
    low, high = wilson(81, 263)
    assert (low, high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))


@pytest.mark.parametrize("right", [0, 1, 5, 9, 10])
def test_wilson_interval_holds_the_share_and_stays_inside_0_1(right):
    low, high = wilson(right, 10)
    assert 0 <= low <= right / 10 <= high <= 1
    assert high - low > 0.2


def test_uar_interval_holds_uar_narrows_with_clips_and_has_width_at_the_ends():
    few, many = (
        metrics([[8, 2, 0], [1, 1, 0], [0, 4, 4]]),
        metrics([[800, 200, 0], [100, 100, 0], [0, 400, 400]]),
    )
    perfect = metrics([[5, 0, 0], [0, 5, 0], [0, 0, 5]])
    for result in (few, many, perfect):
        low, high = result.uar_interval()
        assert 0 <= low <= result.uar <= high <= 1
        assert (low, high) == result.uar_interval()
    assert np.diff(many.uar_interval()) < np.diff(few.uar_interval()) / 5
    assert np.diff(perfect.uar_interval()) > 0.05


def test_plain_values_name_the_classes_with_every_number():
    values = json.loads(json.dumps(metrics([[3, 1, 0], [0, 0, 0], [2, 0, 2]]).to_dict()))
    assert values["recall"] == {"happiness": 0.75, "sadness": None, "neutral": 0.5}
    assert values["class_names"] == list(NAMES)
    assert values["confusion"] == [[3, 1, 0], [0, 0, 0], [2, 0, 2]]


def test_an_empty_or_misshapen_matrix_is_refused():
    with pytest.raises(ValueError, match="one clip or more"):
        metrics(np.zeros((3, 3), dtype=int))
    with pytest.raises(ValueError, match="needs \\[3, 3\\] counts"):
        metrics([[1, 0], [0, 1]])

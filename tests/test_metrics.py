import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_recall

from pipeline.display.json_values import to_json_values
from pipeline.errors import ConfigError
from trainer.intervals import bootstrap, wilson
from trainer.metrics import Metrics, confusion_matrix, merged

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
    assert confusion.dtype == np.int64
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


def draws(right, support, count=200_000, seed=3):
    return bootstrap(np.array(right), np.array(support), count, np.random.default_rng(seed))


def test_bootstrap_of_two_clips_by_hand():
    """One right and one wrong clip, of two classes: both are drawn (1/2), or one of them twice (1/4 each)."""
    war, uar, recall = draws([1, 0], [1, 1])
    shares = [np.mean(uar == value) for value in (0.0, 0.5, 1.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.01)
    assert np.array_equal(war, uar)
    assert np.isnan(recall[:, 0]).mean() == pytest.approx(0.25, abs=0.01)  # class 0 was not drawn
    assert np.nanmin(recall[:, 0]) == 1.0
    assert np.nanmax(recall[:, 1]) == 0.0


def test_bootstrap_of_war_has_the_deviation_of_a_share():
    war, _, recall = draws([30, 10], [40, 60])
    assert war.mean() == pytest.approx(0.4, abs=1e-3)
    assert war.std() == pytest.approx(np.sqrt(0.4 * 0.6 / 100), rel=0.01)
    assert recall[:, 0].mean() == pytest.approx(0.75, abs=1e-3)


def test_bootstrap_is_clips_drawn_with_replacement():
    """The plain way, clip by clip, gives the same percentiles."""
    label = np.repeat([0, 1, 2], [50, 20, 16])
    right = np.concatenate([np.arange(50) < 40, np.arange(20) < 9, np.arange(16) < 4])
    drawn = np.random.default_rng(0).integers(len(label), size=(20_000, len(label)))
    recalls = [
        (right[drawn] & (label[drawn] == c)).sum(axis=1) / (label[drawn] == c).sum(axis=1) for c in range(3)
    ]
    war, uar, recall = draws([40, 9, 4], [50, 20, 16])
    for fast, plain in (
        (war, right[drawn].mean(axis=1)),
        (uar, np.mean(recalls, axis=0)),
        (recall[:, 1], recalls[1]),
    ):
        np.testing.assert_allclose(
            np.nanpercentile(fast, [2.5, 50, 97.5]), np.nanpercentile(plain, [2.5, 50, 97.5]), atol=0.012
        )


def test_intervals_are_seeded_hold_their_numbers_and_narrow_with_clips():
    few, many = (
        metrics([[8, 2, 0], [1, 1, 0], [0, 4, 4]]),
        metrics([[800, 200, 0], [100, 100, 0], [0, 400, 400]]),
    )
    for result in (few, many):
        assert result.intervals == replace(result).intervals
        assert result.intervals.war[0] < result.war < result.intervals.war[1]
        assert result.intervals.uar[0] < result.uar < result.intervals.uar[1]
        for (low, high), recall in zip(result.intervals.recalls, result.recalls, strict=True):
            assert low <= recall <= high
    for few_part, many_part in zip(few.intervals.recalls, many.intervals.recalls, strict=True):
        assert np.diff(many_part) < np.diff(few_part) / 5


def test_intervals_leave_out_2_5_percent_on_either_side():
    """Of 100,000 clips, a share's bootstrap is the normal distribution."""
    half = 1.96 * np.sqrt(0.4 * 0.6 / 100_000)
    two = Metrics(class_names=("a", "b"), confusion=np.array([[20_000, 30_000], [30_000, 20_000]]))
    assert two.intervals.war == pytest.approx((0.4 - half, 0.4 + half), abs=1.5e-4)
    assert two.intervals.uar == pytest.approx((0.4 - half, 0.4 + half), abs=1.5e-4)


def test_a_share_of_0_or_1_has_wilsons_interval_and_a_class_without_clips_none():
    result = metrics([[5, 0, 0], [0, 0, 7], [0, 0, 0]])
    assert result.intervals.recalls == (wilson(5, 5), wilson(0, 7), None)
    assert metrics([[5, 0, 0], [0, 5, 0], [0, 0, 5]]).intervals.war == wilson(15, 15)


def test_a_class_at_0_or_1_leaves_doubt_in_uar():
    perfect = metrics([[5, 0, 0], [0, 5, 0], [0, 0, 5]])
    low, high = perfect.intervals.uar
    assert (round(low, 1), high) == (0.8, 1.0)  # three draws of Beta(5.5, 0.5), mean 0.917, averaged
    # neutral is never right; drawn from Beta(0.5, 4.5), mean 0.1, it moves UAR up from 1/2
    never = metrics([[900, 0, 0], [500, 500, 0], [4, 0, 0]])
    resampled_high = (1 + 0.54 + 0) / 3
    assert never.intervals.uar[1] > resampled_high + 0.05
    assert never.intervals.uar[0] <= never.uar


def test_merged_counts_all_clips_together():
    one, other = metrics([[3, 1, 0], [0, 0, 0], [2, 0, 2]]), metrics([[1, 0, 0], [0, 2, 2], [0, 0, 0]])
    both = merged([one, other])
    assert both.confusion.tolist() == [[4, 1, 0], [0, 2, 2], [2, 0, 2]]
    assert both.war == 8 / 13
    assert both.uar == pytest.approx((4 / 5 + 2 / 4 + 2 / 4) / 3)


def test_other_classes_are_not_counted_together():
    other = Metrics(class_names=NAMES[::-1], confusion=np.eye(3, dtype=int))
    with pytest.raises(
        ConfigError, match="neutral, sadness, happiness cannot be counted together with happiness"
    ):
        merged([metrics(np.eye(3, dtype=int)), other])


def test_plain_values_name_the_classes_with_every_number():
    result = metrics([[3, 1, 0], [0, 0, 0], [2, 0, 2]])
    values = json.loads(json.dumps(to_json_values(result)))
    assert (values["num_clips"], values["war"], values["uar"]) == (8, result.war, result.uar)
    assert values["war_interval_95"] == list(result.intervals.war)
    assert values["uar_interval_95"] == list(result.intervals.uar)
    assert values["recall"] == {"happiness": 0.75, "sadness": None, "neutral": 0.5}
    assert values["recall_interval_95"]["sadness"] is None
    low, high = values["recall_interval_95"]["happiness"]
    assert low < 0.75 < high
    assert values["interval_method"].startswith("bootstrap over clips, 10000 draws, seed 0")
    assert values["class_names"] == list(NAMES)
    assert values["confusion"] == [[3, 1, 0], [0, 0, 0], [2, 0, 2]]


def test_an_empty_or_misshapen_matrix_is_refused():
    with pytest.raises(ValueError, match="one clip or more"):
        metrics(np.zeros((3, 3), dtype=int))
    with pytest.raises(ValueError, match="needs \\[3, 3\\] counts"):
        metrics([[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="confusion matrix of 3 classes"):
        metrics([[2, -1, 0], [0, 1, 0], [0, 0, 1]])

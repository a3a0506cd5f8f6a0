import numpy as np
import pytest

from trainer.class_balance import class_counts, class_weights, drawing_shares, log_prior

LABELS = np.array([0] * 16 + [1] * 4 + [2])
COUNTS = np.array([16.0, 4.0, 1.0])
ONE_HOT = np.eye(3)[LABELS]


@pytest.mark.parametrize(
    ("sampling", "of_class"),
    [
        ("natural", [16 / 21, 4 / 21, 1 / 21]),
        ("square_root", [4 / 7, 2 / 7, 1 / 7]),
        ("balanced", [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_classes_are_drawn_as_the_sampling_names(sampling, of_class):
    share_N = drawing_shares(LABELS, sampling)
    assert [share_N[label == LABELS].sum() for label in range(3)] == pytest.approx(of_class)
    assert all(len(np.unique(share_N[label == LABELS])) == 1 for label in range(3))
    assert class_counts(ONE_HOT, share_N) == pytest.approx(21 * np.array(of_class))


def test_a_class_that_no_training_clip_has_is_not_drawn_and_counts_as_one_clip():
    labels = LABELS[LABELS != 1]
    share_N = drawing_shares(labels, "balanced")
    assert [share_N[labels == label].sum() for label in (0, 2)] == pytest.approx([0.5, 0.5])
    assert class_counts(np.eye(3)[labels], drawing_shares(labels, "natural")).tolist() == [16, 1, 1]


def test_counts_of_votes_are_sums_of_votes():
    target_NC = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75], [0.25, 0.75]])
    assert class_counts(target_NC, np.full(4, 0.25)) == pytest.approx([2, 2])


def test_inverse_weights_have_equal_sums_by_class_and_a_mean_of_one_over_the_clips():
    weight_C = class_weights(COUNTS, "inverse", 0.0)
    assert weight_C * COUNTS == pytest.approx([7, 7, 7])


def test_effective_weights_follow_the_effective_numbers_of_clips():
    """Effective numbers of 16, 4 and 1 clips at beta 0.9 are 8.1470, 3.439 and 1."""
    weight_C = class_weights(COUNTS, "effective", 0.9)
    assert weight_C / weight_C[2] == pytest.approx([1 / 8.146980, 1 / 3.439, 1], rel=1e-5)
    assert (weight_C * COUNTS).sum() == pytest.approx(21)


def test_effective_weights_go_from_equal_to_inverse_with_beta():
    assert class_weights(COUNTS, "effective", 0.0) == pytest.approx([1, 1, 1])
    inverse_C = class_weights(COUNTS, "inverse", 0.0)
    assert class_weights(COUNTS, "effective", 0.999999) == pytest.approx(inverse_C, rel=1e-4)


def test_the_prior_is_the_share_of_a_class():
    assert np.exp(log_prior(COUNTS)) == pytest.approx(COUNTS / 21)

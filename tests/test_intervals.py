import json

import numpy as np
import pytest

from pipeline.display.json_values import to_json_values
from trainer.intervals import (
    GroupCounts,
    basis,
    bootstrap_groups,
    group_counts,
    intervals_over_clips,
    intervals_over_groups,
    method,
    wilson,
)
from trainer.metrics import Metrics, confusion_matrix, merged

NAMES = ("happiness", "sadness")


def metrics(label, predicted, group):
    label, predicted = np.array(label), np.array(predicted)
    groups = None if group is None else group_counts(np.array(group), label, predicted, 2)
    return Metrics(class_names=NAMES, confusion=confusion_matrix(label, predicted, 2), groups=groups)


def width(interval):
    return interval[1] - interval[0]


def test_twelve_clips_of_two_subjects_one_right_one_wrong_show_next_to_nothing():
    """The scenario of issue 13, point 7: over clips 25% to 75%, over the two subjects all is possible."""
    label, group = [0, 1] * 6, [1] * 6 + [2] * 6
    predicted = [0, 1] * 3 + [1, 0] * 3
    by_clip, by_group = metrics(label, predicted, None), metrics(label, predicted, group)
    assert by_clip.war == by_group.war == 0.5
    assert by_clip.intervals.war == (pytest.approx(0.25), pytest.approx(0.75))
    assert by_group.intervals.war == by_group.intervals.uar == (0.0, 1.0)
    assert by_group.intervals.recalls == ((0.0, 1.0), (0.0, 1.0))


def test_twelve_clips_of_two_subjects_all_right_are_two_trials():
    label, group = [0, 1] * 6, [1] * 6 + [2] * 6
    found = metrics(label, label, group).intervals
    assert found.war == wilson(2, 2)
    assert found.recalls == (wilson(2, 2), wilson(2, 2))
    assert width(found.uar) > 2 * width(metrics(label, label, None).intervals.uar)


def test_one_clip_a_group_gives_the_numbers_of_clips_to_the_bit():
    generator = np.random.default_rng(0)
    label, predicted = generator.integers(2, size=(2, 50))
    by_clip, by_group = metrics(label, predicted, None), metrics(label, predicted, np.arange(50)[::-1])
    assert by_group.intervals == by_clip.intervals
    assert to_json_values(by_group) == to_json_values(by_clip)
    assert to_json_values(by_clip)["num_groups"] is None
    assert by_clip.interval_basis == "95% intervals over clips"


def test_fewer_than_two_groups_have_no_interval_and_null_in_json():
    result = metrics([0, 1, 0, 1], [0, 1, 1, 1], [5, 5, 5, 5])
    values = json.loads(json.dumps(to_json_values(result), allow_nan=False))
    assert (values["war"], values["war_interval_95"], values["uar_interval_95"]) == (0.75, None, None)
    assert values["recall_interval_95"] == {"happiness": None, "sadness": None}
    assert values["num_groups"] == 1
    assert values["interval_method"] == "none: the clips are of 1 group, and 2 are needed"
    assert result.interval_basis == "no 95% intervals: all clips are of 1 group"


def test_a_class_of_one_group_has_no_interval_and_leaves_doubt_in_uar():
    label, group = [0] * 8 + [1] * 4, [1, 1, 2, 2, 3, 3, 4, 4, 1, 1, 1, 1]
    predicted = [0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]
    found = metrics(label, predicted, group).intervals
    assert found.recalls[0] is not None
    assert found.recalls[1] is None
    assert width(found.uar) > 0.5


def test_an_interval_over_groups_is_never_narrower_than_over_clips():
    label, group = [0] * 40, np.arange(40) // 10
    predicted = ([0] * 5 + [1] * 5) * 3 + [0] * 6 + [1] * 4  # 50%, 50%, 50%, 60%
    by_clip, by_group = metrics(label, predicted, None), metrics(label, predicted, group)
    assert by_group.intervals.war[0] <= by_clip.intervals.war[0]
    assert by_group.intervals.war[1] >= by_clip.intervals.war[1]


def test_groups_of_one_share_have_wilsons_interval_over_groups():
    found = metrics([0] * 12, [0, 0, 1] * 4, np.arange(12) // 3).intervals
    assert found.war == found.recalls[0] == pytest.approx(wilson(8 / 3, 4))
    assert found.recalls[1] is None


def test_the_bootstrap_draws_whole_groups_with_replacement():
    """The plain way, group by group, gives the same percentiles."""
    generator = np.random.default_rng(2)
    support = generator.integers(1, 9, size=(15, 2))
    right = generator.binomial(support, generator.beta(2, 1, size=(15, 1)))
    drawn = np.random.default_rng(0).integers(15, size=(20_000, 15))
    plain_right, plain_support = right[drawn].sum(axis=1), support[drawn].sum(axis=1)
    war, uar, recall = bootstrap_groups(right, support, 20_000, np.random.default_rng(1))
    for fast, plain in (
        (war, plain_right.sum(axis=1) / plain_support.sum(axis=1)),
        (uar, (plain_right / plain_support).mean(axis=1)),
        (recall[:, 1], plain_right[:, 1] / plain_support[:, 1]),
    ):
        np.testing.assert_allclose(
            np.percentile(fast, [2.5, 50, 97.5]), np.percentile(plain, [2.5, 50, 97.5]), atol=0.012
        )


def test_the_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    counts = group_counts(np.arange(90) // 3, np.arange(90) % 2, np.arange(90) % 3 % 2, 2)
    whole = bootstrap_groups(counts.right_GC, counts.support_GC, 100, np.random.default_rng(0))
    monkeypatch.setattr("trainer.intervals._MOST_COUNTS", 8)
    for one, other in zip(
        whole,
        bootstrap_groups(counts.right_GC, counts.support_GC, 100, np.random.default_rng(0)),
        strict=True,
    ):
        assert np.array_equal(one, other, equal_nan=True)


def test_intervals_over_groups_hold_the_true_share_where_groups_differ(monkeypatch):
    """Coverage of a known WAR: 40 groups of 10 clips, whose own shares vary. Of 1,500 sets 94% hold it."""
    monkeypatch.setattr("trainer.intervals._DRAWS", 1000)
    generator = np.random.default_rng(77)
    hits = {"groups": 0, "clips": 0}
    for _ in range(100):
        support = np.full((40, 1), 10)
        right = generator.binomial(support, generator.beta(2, 2, size=(40, 1)))
        counts = GroupCounts(number_G=np.arange(40), right_GC=right, support_GC=support)
        over_groups = intervals_over_groups(counts).war
        over_clips = intervals_over_clips(right.sum(axis=0), support.sum(axis=0)).war
        hits["groups"] += over_groups[0] <= 0.5 <= over_groups[1]
        hits["clips"] += over_clips[0] <= 0.5 <= over_clips[1]
    assert hits["groups"] >= 90
    assert hits["clips"] <= 80


def test_texts_name_what_intervals_are_over():
    counts = group_counts(np.arange(24) // 2, np.zeros(24, int), np.zeros(24, int), 2)
    assert basis(counts) == "95% intervals over 12 groups of clips"
    assert method(counts).startswith("bootstrap over 12 groups of clips, 10000 draws, seed 0, never narrower")
    assert method(None).startswith("bootstrap over clips, 10000 draws, seed 0; Wilson's")


def test_groups_of_several_folds_are_united_by_their_numbers():
    one = metrics([0, 0, 1], [0, 1, 1], [3, 3, 4])
    other = metrics([0, 1], [0, 0], [4, 9])
    both = merged([one, other])
    assert both.groups.to_rows() == ((3, 1, 0, 2, 0), (4, 1, 1, 1, 1), (9, 0, 0, 0, 1))
    without = metrics([0, 1], [0, 0], None)
    assert merged([one, without]).groups is None


def test_counts_are_stored_and_read():
    counts = group_counts(np.array([7, 7, 2]), np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    again = GroupCounts.from_rows(counts.to_rows(), 2)
    assert counts.to_rows() == again.to_rows() == ((2, 0, 1, 0, 1), (7, 1, 0, 1, 1))


@pytest.mark.parametrize(
    "rows",
    [
        ((1, 2, 0, 1, 0),),
        ((1, 0, 0, 0, 0),),
        ((1, 1, 0, 1, 0), (1, 1, 0, 1, 0)),
        ((1, -1, 0, 1, 0),),
        ((1, 2),),
    ],
)
def test_counts_that_are_none_are_refused(rows):
    with pytest.raises(ValueError, match="groups need one number each|cannot reshape"):
        GroupCounts.from_rows(rows, 2)


def test_counts_of_other_clips_are_refused():
    counts = group_counts(np.array([7, 7]), np.array([0, 1]), np.array([0, 0]), 2)
    with pytest.raises(ValueError, match="not of the clips of the confusion matrix"):
        Metrics(class_names=NAMES, confusion=np.array([[3, 0], [0, 1]]), groups=counts)


def test_classes_of_the_same_groups_share_their_doubt_in_uar():
    """Five subjects show each of two classes, all right: UAR is WAR, and its doubt that of five trials."""
    label, group = [0, 1] * 5, np.arange(10) // 2
    found = metrics(label, label, group).intervals
    assert found.uar[0] == pytest.approx(found.war[0], abs=0.08)
    apart = metrics([0] * 10 + [1] * 10, [0] * 10 + [1] * 10, np.arange(20) // 2).intervals
    assert apart.uar[0] > found.uar[0] + 0.1

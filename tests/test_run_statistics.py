import json

import numpy as np
import pytest

from pipeline.display.json_values import to_json_values
from pipeline.errors import ConfigError
from trainer.metrics import Metrics
from trainer.run_statistics import Score, Spread, summarise


def score(fold, seed, *rows, names=("happiness", "fear")):
    return Score(fold=fold, seed=seed, metrics=Metrics(class_names=names, confusion=np.array(rows)))


# WAR 8/10 and UAR (8/9 + 0/1) / 2 on a fold of 10 clips; WAR 3/4, UAR (1/2 + 2/2) / 2 on one of 4
ONE = score("1", 0, [8, 1], [1, 0])
TWO = score("2", 0, [1, 1], [0, 2])


def test_spread_by_hand():
    assert Spread.of([2.0, 4.0, 9.0]) == Spread(mean=5.0, std=pytest.approx(13**0.5), n=3)
    assert Spread.of([0.7]) == Spread(mean=0.7, std=None, n=1)


def test_mean_of_folds_and_pooled_folds_are_two_numbers():
    summary = summarise([ONE, TWO], disjoint=True)
    assert summary.mean_of_folds["war"] == Spread(
        mean=pytest.approx(0.775), std=pytest.approx(0.05 / 2**0.5), n=2
    )
    assert summary.mean_of_folds["uar"].mean == pytest.approx((4 / 9 + 3 / 4) / 2)
    assert summary.pooled[0].confusion.tolist() == [[9, 2], [1, 2]]
    assert summary.pooled[0].war == 11 / 14
    assert summary.pooled[0].uar == pytest.approx((9 / 11 + 2 / 3) / 2)


def test_folds_that_share_clips_have_a_mean_and_are_not_pooled():
    summary = summarise([ONE, TWO], disjoint=False)
    assert summary.mean_of_folds["war"].mean == pytest.approx(0.775)
    assert summary.over_seeds["war"].n == 1
    assert (summary.pooled, summary.over_seeds_pooled) == ({}, {})


def test_recalls_have_their_spread_too():
    summary = summarise([ONE, TWO], disjoint=True)
    assert summary.mean_of_folds["recall/fear"].mean == pytest.approx((0 + 1) / 2)


def test_a_class_that_a_fold_lacks_is_averaged_over_the_others():
    summary = summarise([score("1", 0, [8, 2], [0, 0]), TWO], disjoint=True)
    assert summary.mean_of_folds["recall/fear"] == Spread(mean=1.0, std=None, n=1)


def test_a_fold_counts_once_however_many_seeds_it_has():
    summary = summarise([ONE, score("1", 1, [4, 5], [1, 0]), TWO], disjoint=True)
    assert summary.by_fold["1"]["war"] == Spread(
        mean=pytest.approx(0.6), std=pytest.approx(0.4 / 2**0.5), n=2
    )
    assert summary.mean_of_folds["war"].mean == pytest.approx((0.6 + 0.75) / 2)


def test_spread_over_seeds_takes_the_seeds_that_have_every_fold():
    second = [score("1", 1, [9, 0], [1, 0]), score("2", 1, [0, 2], [0, 2])]  # WAR 9/10, 2/4
    unfinished = score("1", 2, [0, 9], [1, 0])
    summary = summarise([ONE, TWO, *second, unfinished], disjoint=True)
    assert summary.over_seeds["war"] == Spread(
        mean=pytest.approx((0.775 + 0.7) / 2), std=pytest.approx(0.075 / 2**0.5), n=2
    )
    assert summary.over_seeds_pooled["war"].mean == pytest.approx((11 / 14 + 11 / 14) / 2)
    assert summary.num_runs == 5
    assert list(summary.pooled) == [0, 1]


def test_a_run_given_twice_and_runs_of_other_classes_are_refused():
    with pytest.raises(ConfigError, match="Fold '1' with seed 0 is given twice"):
        summarise([ONE, TWO, ONE], disjoint=True)
    with pytest.raises(ConfigError, match="fear, happiness cannot be counted together with happiness, fear"):
        summarise([ONE, score("2", 0, [1, 0], [0, 1], names=("fear", "happiness"))], disjoint=True)


def test_plain_values_name_what_they_are():
    values = json.loads(json.dumps(to_json_values(summarise([ONE, TWO], disjoint=True))))
    assert values["mean_of_folds"]["war"]["n"] == 2
    assert values["over_seeds"]["war"]["std"] is None
    assert values["pooled"]["0"]["war"] == 11 / 14
    assert values["by_fold"]["2"]["recall/happiness"]["mean"] == 0.5

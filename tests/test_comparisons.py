"""Rows of a sweep against its base row: pairs, units, corrections and verdicts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ConfigError
from tests.tiny_grid import QUICK, quick_request, quick_spec
from trainer.ablate.comparison_page import comparison_notes, comparison_tables
from trainer.ablate.comparisons import compare_rows
from trainer.ablate.outcome import Outcome
from trainer.ablate.spec import Row, parsed
from trainer.ablate.sweep_directory import GRID_FILE, hold, planned_after
from trainer.clip_predictions import ClipPredictions

BASE, OTHER, THIRD = "L_ce", "L_global + TFE", "third"


def outcome(row, fold, seed, right, **changes):
    values = {"row": row, "fold": fold, "seed": seed, "state": "finished", "class_names": ("a", "b")}
    confusion = ((right, 100 - right), (50, 50))
    return Outcome(**{**values, "confusion": confusion, **changes})


def request_of(folds=("1",), seeds=(0, 1, 2, 3, 4, 5), **changes):
    spec = quick_spec()
    spec = replace(
        spec, rows=(*spec.rows, Row(name=THIRD, settings=("optim.lr=0.2",), paper=None)), **changes
    )
    return replace(quick_request(), spec=spec, all_folds=("1", "2"), folds=folds, seeds=seeds)


def runs(row, gains, fold="1"):
    return [outcome(row, fold, seed, 50 + gain) for seed, gain in enumerate(gains)]


def compared(request, outcomes, predictions=lambda _: None):
    return compare_rows(request, outcomes, predictions)


def rows_of(found, metric="war"):
    return {one.row: one for one in found.differences[metric]}


def test_each_row_is_compared_on_the_same_seeds():
    outcomes = [*runs(BASE, [0, 10, 20, 0, 0, 0]), *runs(OTHER, [4, 14, 24, 4, 4, 4]), *runs(THIRD, [0, 10])]
    found = rows_of(compared(request_of(), outcomes))
    assert found[OTHER].over_seeds.mean == pytest.approx(0.02)  # 4 of 200 clips, whatever the seed
    assert found[OTHER].over_seeds.std == pytest.approx(0.0)
    assert (found[OTHER].unit, found[OTHER].over_folds) == ("seeds", None)
    assert (found[THIRD].over_seeds.num, found[THIRD].over_seeds.mean) == (2, 0.0)


def test_verdicts_are_corrected_for_the_number_of_judged_rows():
    """Six seeds give one row 0.031; two rows need seven."""
    outcomes = [*runs(BASE, [0] * 6), *runs(OTHER, [3, 4, 5, 3, 4, 5]), *runs(THIRD, [1, -1, 1, -1, 1, -1])]
    both = rows_of(compared(request_of(), outcomes))
    assert both[OTHER].adjusted_p == pytest.approx(2 * 0.03125)
    assert both[OTHER].verdict == "open: 6 seeds, a verdict needs 7"
    planned = compared(request_of(verdicts=(OTHER,)), outcomes)
    alone = rows_of(planned)
    assert (alone[OTHER].verdict, alone[OTHER].adjusted_p) == ("higher", pytest.approx(0.03125))
    assert (alone[THIRD].verdict, alone[THIRD].adjusted_p, planned.num_judged) == ("", None, 1)
    assert rows_of(planned, "uar")[OTHER].verdict == ""


def test_a_worse_row_is_lower_and_a_margin_can_show_that_nothing_differs():
    outcomes = [
        *runs(BASE, [0] * 6),
        *runs(OTHER, [-3, -4, -5, -3, -4, -5]),
        *runs(THIRD, [1, -1, 0, 1, -1, 0]),
    ]
    found = rows_of(compared(request_of(verdicts=(OTHER,)), outcomes))
    assert found[OTHER].verdict == "lower"
    same = rows_of(compared(request_of(verdicts=(THIRD,), margin=1.0), outcomes))[THIRD]
    assert (same.verdict, same.equivalence_p < 0.05) == ("equal within 1 points", True)
    wide = rows_of(compared(request_of(verdicts=(OTHER,), margin=5.0), outcomes))[OTHER]
    assert wide.verdict == "lower, within 5 points"
    assert rows_of(compared(request_of(verdicts=(THIRD,)), outcomes))[THIRD].verdict == "not shown"


def test_seeds_are_averaged_within_folds_and_folds_within_seeds():
    outcomes = [
        *runs(BASE, [0, 0]), *runs(BASE, [0, 0], "2"),
        *runs(OTHER, [2, 6]), *runs(OTHER, [10, 14], "2"),
    ]  # fmt: skip
    found = rows_of(compared(request_of(folds=("1", "2"), seeds=(0, 1)), outcomes))[OTHER]
    half = np.sqrt(0.5)
    assert (found.over_folds.mean, found.over_folds.std) == pytest.approx((0.04, 0.04 * half))  # 2% and 6%
    assert (found.over_seeds.mean, found.over_seeds.std) == pytest.approx((0.04, 0.02 * half))  # 3% and 5%
    assert found.unit == "seeds"
    one_seed = rows_of(compared(request_of(folds=("1", "2"), seeds=(0,)), outcomes))[OTHER]
    assert (one_seed.unit, one_seed.verdict) == ("folds", "open: 1 seed, a verdict needs 6")


def test_rows_that_do_not_depend_on_the_seed_have_one_pair(monkeypatch):
    outcomes = [*runs(BASE, [0] * 6), *runs(OTHER, [1] * 6)]
    request = request_of()
    rows = tuple(replace(row, method="zero_shot", settings=()) for row in request.spec.rows)
    request = replace(request, spec=replace(request.spec, rows=rows))
    found = rows_of(compared(request, outcomes))[OTHER]
    assert (found.main.num, found.verdict) == (1, "open: 1 seed, a verdict needs 6")


def test_a_difference_that_other_clips_may_not_show_is_of_these_clips():
    def one(row):
        right = [1, 1, 1, 0] if row == OTHER else [1, 1, 0, 0]
        return predicted(right)

    outcomes = [*runs(BASE, [0] * 6), *runs(OTHER, [3, 4, 5, 3, 4, 5])]
    found = rows_of(compared(request_of(verdicts=(OTHER,)), outcomes, lambda outcome: one(outcome.row)))
    assert found[OTHER].verdict == "higher on these clips"


def test_missing_pairs_are_named():
    found = compared(request_of(), [*runs(BASE, [0, 0, 0]), *runs(OTHER, [1, 1])])
    assert f"{OTHER}: 4 pairs missing, without two finished runs." in found.notes


def test_runs_on_other_training_clips_are_no_pair():
    outcomes = [
        *runs(BASE, [0, 0]),
        outcome(OTHER, "1", 0, 60),
        outcome(OTHER, "1", 1, 60, usable_sha256="f"),
    ]
    found = compared(request_of(seeds=(0, 1)), outcomes)
    assert rows_of(found)[OTHER].over_seeds.num == 1
    assert f"{OTHER}: 1 pair left out, trained on other clips or in another precision." in found.notes


def test_without_a_pair_there_is_no_comparison():
    assert compared(request_of(), runs(BASE, [0, 0])) is None
    assert compared(request_of(), runs(OTHER, [0, 0])) is None
    assert comparison_tables(None, {}) == comparison_notes(None, 0) == []


def predicted(right, ids="abcd", groups=None):
    """Predictions of four clips of class a."""
    probability = np.where(np.array(right)[:, None] == 1, [0.9, 0.1], [0.2, 0.8])
    return ClipPredictions(
        class_names=("a", "b"), clip_ids=tuple(ids), group_ids=groups, label_N=np.zeros(4, np.int64),
        probability_NC=probability, is_calibrated=False, faces_found_N=np.ones(4), doubtful_N=None,
        votes_NC=None,
    )  # fmt: skip


def test_clips_are_compared_over_the_seeds_that_both_rows_have():
    stored = {(BASE, 0): predicted([1, 0, 0, 0]), (OTHER, 0): predicted([1, 1, 1, 0]),
              (BASE, 1): predicted([1, 0, 0, 0]), (OTHER, 1): predicted([0, 1, 0, 0])}  # fmt: skip
    outcomes = [*runs(BASE, [0, 0]), *runs(OTHER, [1, 1])]
    read = lambda one: stored[one.row, one.seed]  # noqa: E731
    found = compared(request_of(seeds=(0, 1)), outcomes, read).clips[OTHER]
    assert (found.num_clips, found.won, found.lost, found.num_groups) == (4, 3, 1, None)
    stored = {key: replace(one, group_ids=("a", "a", "c", "c")) for key, one in stored.items()}
    assert compared(request_of(seeds=(0, 1)), outcomes, read).clips[OTHER].num_groups == 2
    stored[OTHER, 1] = predicted([1, 1, 1, 1], ids="abcx")
    found = compared(request_of(seeds=(0, 1)), outcomes, read)
    assert found.clips == {}
    assert "Clips are not compared one by one, because runs were measured on different clips." in found.notes


def test_tables_and_notes_show_the_plan():
    outcomes = [*runs(BASE, [0] * 6), *runs(OTHER, [3, 4, 5, 3, 4, 5]), *runs(THIRD, [1, -1, 1, -1, 1, -1])]
    found = compared(request_of(verdicts=(OTHER,), margin=0.5, metric="uar"), outcomes)
    first, second = comparison_tables(found, {BASE: BASE, OTHER: f"{OTHER} (LEAK)", THIRD: THIRD})
    assert first.title == "UAR: differences from 'L_ce', points"
    assert second.title == "WAR: differences from 'L_ce', points"
    assert first.columns[-3:] == ["p Holm", "p equal", "verdict"]
    assert first.rows[0][0] == f"{OTHER} (LEAK)"
    assert (first.rows[0][1], first.rows[0][-1], first.rows[1][-1]) == ("+2.00", "higher", "not asked")
    assert second.columns[-1] == "p"
    notes = " ".join(comparison_notes(found, 0))
    assert "Verdicts are about UAR, over seeds, at 5% for 1 judged row together (Holm)" in notes
    assert "Differences within 0.5 points count as equal. Plan, folds and seeds were fixed before" in notes
    assert "or seeds were changed when 4 runs had an outcome" in " ".join(comparison_notes(found, 4))
    assert "not recorded when plan, folds and seeds were fixed" in " ".join(comparison_notes(found, None))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('base = "other"', "base is 'other'; allowed: L_ce, L_global \\+ TFE"),
        ('verdicts = ["x"]', "verdicts is 'x'; allowed"),
        ('verdicts = ["L_ce"]', "verdicts has 'L_ce', which the others are compared with"),
        ("verdicts = [1]", "verdicts is .*texts are needed, each the name of a row"),
        ('metric = "f1"', "metric is 'f1'; allowed: war, uar"),
        ("margin = 101", "margin is 101"),
        ("margin = -1", "margin is -1"),
        ('margin = "1"', "margin is '1'; a value of type float"),
    ],
)
def test_a_wrong_plan_is_rejected(line, message):
    with pytest.raises(ConfigError, match=message):
        parsed(f"{line}\n{QUICK}", "x.toml")


def test_a_plan_is_read_and_written_back():
    plan = f'base = "{OTHER}"\nmetric = "uar"\nmargin = 1\nverdicts = ["{BASE}"]\n'
    spec = parsed(plan + QUICK, "x.toml")
    assert spec.base_row.name == OTHER
    assert spec.plan == {"base": OTHER, "metric": "uar", "margin": 1.0, "verdicts": [BASE]}
    assert spec.to_dict() | {"rows": ()} == {**spec.to_dict(), "rows": ()}


def test_the_directory_records_when_a_plan_was_fixed(tmp_path):
    identity, first, second = {"cache": {}}, {"margin": 1.0}, {"margin": 2.0}
    with hold(tmp_path, identity, {}, first) as folder:
        assert planned_after(folder, first) == 0
        run = folder / "row" / "fold1-seed0"
        run.make()
        run.write_json("outcome.json", {})
    with hold(tmp_path, identity, {}, first) as folder:
        assert planned_after(folder, first) == 0
    with hold(tmp_path, identity, {}, second) as folder:
        assert (planned_after(folder, first), planned_after(folder, second)) == (None, 1)
    with hold(tmp_path, identity, {}, first) as folder:
        assert planned_after(folder, first) == 1
    values = json.loads((tmp_path / GRID_FILE).read_text())
    del values["plans"]
    (tmp_path / GRID_FILE).write_text(json.dumps(values))
    assert planned_after(folder, first) is None

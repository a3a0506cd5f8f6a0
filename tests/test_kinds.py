"""Outcomes of one row that share a mean, and those that do not."""

from dataclasses import replace

import pytest

from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from tests.tiny_grid import diverged, outcome, quick_request
from trainer.ablate.aggregate import SweepResult
from trainer.ablate.kinds import split

FP32, BF16 = "model fp32, text tower fp32", "model bf16, text tower bf16"


def of(seed, precision="", usable="a" * 64, device="cpu"):
    return outcome("L_ce", "1", seed, (8, 4), precision=precision, usable_sha256=usable, device=device)


def seeds(found):
    return {kind: [one.seed for one in members] for kind, members in found.items()}


def test_like_outcomes_share_a_mean_with_those_that_have_no_numbers():
    assert seeds(split([of(0, FP32), of(1, FP32), diverged("L_ce", "1", 2)])) == {"": [0, 1, 2]}
    assert seeds(split([diverged("L_ce", "1", 0)])) == {"": [0]}
    assert seeds(split([])) == {"": []}


def test_other_precisions_and_other_clips_are_named_apart():
    mixed = [of(0, FP32), of(1, BF16, device="GPU"), diverged("L_ce", "1", 2)]
    assert seeds(split(mixed)) == {FP32: [0, 2], BF16: [1]}
    assert seeds(split([of(0, FP32), of(1, FP32, "b" * 64)])) == {
        "clips aaaaaaaa": [0],
        "clips bbbbbbbb": [1],
    }
    both = split([of(0, FP32), of(1, BF16, "b" * 64, "GPU")])
    assert seeds(both) == {f"clips aaaaaaaa, {FP32}": [0], f"clips bbbbbbbb, {BF16}": [1]}


def test_holdouts_by_clip_and_by_group_are_apart():
    """As in a grid that is resumed after its cache has got groups, or by the first version with groups."""
    by_clip, by_group = of(0, FP32, ""), replace(of(1, FP32), selection="holdout by group")
    assert seeds(split([by_clip, by_group])) == {"holdout": [0], "holdout by group": [1]}
    given = replace(of(2, FP32), selection="given")
    assert seeds(split([by_clip, given])) == {"": [0, 2]}


@pytest.mark.parametrize(
    ("outcomes", "kinds"),
    [
        ([of(0, "", ""), of(1, FP32)], {"": [0, 1]}),
        ([of(0, "", "", "GPU"), of(1, FP32)], {"precision not recorded, on GPU": [0], FP32: [1]}),
        ([of(0, "", ""), of(1, "", "")], {"": [0, 1]}),
        (
            [of(0, FP32, ""), of(1, FP32), of(2, FP32, "b" * 64)],
            {"clips not recorded": [0], "clips aaaaaaaa": [1], "clips bbbbbbbb": [2]},
        ),
    ],
)
def test_outcomes_of_earlier_versions_are_what_the_others_prove(outcomes, kinds):
    assert seeds(split(outcomes)) == kinds


def test_a_row_of_two_precisions_is_shown_twice_and_counted_once():
    outcomes = [of(0, FP32), of(1, BF16, device="GPU")]
    result = SweepResult.of(quick_request(), "f", outcomes)
    rows = [row for row in result.rows if row.row.name == "L_ce"]
    assert [(row.name, row.over_runs["war"].n) for row in rows] == [
        (f"L_ce, {FP32}", 1),
        (f"L_ce, {BF16}", 1),
    ]
    assert (result.num_wanted, len(result.outcomes)) == (4, 2)
    assert [to_json_values(row)["apart"] for row in rows] == [FP32, BF16]
    text = lines_of(result)
    assert any("No mean is taken over" in line for line in text)
    assert sum(line.startswith(f"L_ce, {FP32} ") for line in text) == 1

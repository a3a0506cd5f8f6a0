import math

import pytest
import torch

from trainer.scalars import Scalars, ScalarTable


def step(loss, right):
    return Scalars.of({"loss": torch.tensor(loss, requires_grad=True), "right": torch.tensor(right)})


def test_scalars_go_by_name_and_carry_no_gradient():
    scalars = step(0.5, 3)
    assert (float(scalars["loss"]), float(scalars["right"])) == (0.5, 3.0)
    assert scalars.names == ("loss", "right")
    assert not scalars.values_X.requires_grad
    with pytest.raises(ValueError, match="not in tuple"):
        scalars["toy"]


def test_a_clone_keeps_its_values_when_the_first_is_refilled():
    first = step(0.5, 3)
    kept = first.clone()
    first.values_X.fill_(0)
    assert float(kept["loss"]) == 0.5
    assert kept.names == first.names


def test_a_table_has_a_column_per_name_and_their_means():
    table = ScalarTable.of([step(0.5, 3), step(1.5, 4)])
    assert table["right"].tolist() == [3.0, 4.0]
    assert table.means() == {"loss": 1.0, "right": 3.5}
    assert table.values_NX.dtype == torch.float64
    assert table.first_not_finite() is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_scalar_that_is_not_finite_is_found_by_step_and_name(value):
    table = ScalarTable.of([step(0.5, 3), step(value, 4), step(math.nan, 5)])
    index, name, found = table.first_not_finite()
    assert (index, name) == (1, "loss")
    assert math.isnan(found) if math.isnan(value) else found == value

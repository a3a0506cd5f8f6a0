import json

import numpy as np
import pytest

from tests.golden_losses import COLUMNS, GOLDEN, READINGS, STEPS, golden_cache, losses

TOLERANCE = 1e-3
"""Relative, beside 1e-4 absolute. On another instruction set the 20 steps of Adam differ by a third of it."""
DAILY = ("default", "literal", "patches", "faces", "batch", "first_view")
"""Readings of the quick tests: between them they train every module and every loss."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return golden_cache(tmp_path_factory.mktemp("golden") / "feats.zarr")


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text())


@pytest.mark.parametrize(
    "reading",
    [reading if reading in DAILY else pytest.param(reading, marks=pytest.mark.slow) for reading in READINGS],
)
def test_twenty_steps_give_the_losses_that_they_gave(cache, tmp_path, golden, reading):
    found = np.array(losses(cache, tmp_path / "run", reading))
    np.testing.assert_allclose(
        found, np.array(golden[reading]), rtol=TOLERANCE, atol=1e-4, err_msg=str(COLUMNS)
    )


def test_every_reading_has_losses_of_its_own(golden):
    """A setting that reached nothing would give the base's numbers."""
    tables = {name: np.array(golden[name]) for name in READINGS}
    assert all(table.shape == (STEPS, len(COLUMNS)) for table in tables.values())
    same = [
        (one, other)
        for one in tables
        for other in tables
        if one < other and np.allclose(tables[one], tables[other], rtol=TOLERANCE)
    ]
    assert same == []
    assert GOLDEN.stat().st_size < 20_000

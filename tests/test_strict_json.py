"""JSON that holds finite numbers only, written and read."""

import json
import math

import pytest

from pipeline.own_dir import OwnDir
from pipeline.strict_json import NonFiniteError, depth, from_json, to_json


@pytest.mark.parametrize(
    ("value", "where", "number"),
    [
        ({"metrics": {"war": math.nan}}, "metrics.war", "nan"),
        ({"rows": [{"uar": 1.0}, {"uar": math.inf}]}, r"rows\[1\].uar", "inf"),
        ({"interval": (0.5, -math.inf)}, r"interval\[1\]", "-inf"),
    ],
)
def test_a_number_that_is_not_finite_is_named_and_nothing_is_written(tmp_path, value, where, number):
    with pytest.raises(
        NonFiniteError, match=rf"^The result '{where}' is {number}; a finite number is needed"
    ):
        OwnDir.of(tmp_path).write_json("result.json", value)
    assert list(tmp_path.iterdir()) == []


def test_finite_values_are_written_as_json_writes_them(tmp_path):
    value = {"a": [1, 2.5, None, True], "b": {"c": ("x", 1e308)}}
    OwnDir.of(tmp_path).write_json("result.json", value)
    assert (tmp_path / "result.json").read_text() == json.dumps(value, indent=2) + "\n"
    assert to_json(value, indent=None) == json.dumps(value)
    assert from_json(to_json(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "[1e999]", "-1e400"])
def test_a_text_with_a_number_that_is_not_finite_is_not_read(text):
    with pytest.raises(ValueError, match="is no finite number"):
        from_json(text)


@pytest.mark.parametrize(
    ("value", "levels"),
    [(1, 1), ({}, 1), ({"a": 1}, 2), ({"a": [1, {"b": 2}], "c": 3}, 4), ([[[[[[[]]]]]]], 5)],
)
def test_depth_is_counted_up_to_one_more_than_the_limit(value, levels):
    assert depth(value, 4) == levels

"""Frozen configs: plain values and back, `section.key=value`, and the words of every refusal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import from_dict, override, require_one_of, require_range, to_dict
from pipeline.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    mode: str = "plain"
    names: tuple[str, ...] = ("a", "b")

    def __post_init__(self) -> None:
        require_range("inner.rate", self.rate, 0.0, 1.0)
        require_one_of("inner.mode", self.mode, ("plain", "fancy"))


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int
    flag: bool = False
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)


def test_a_config_becomes_plain_values_that_json_keeps() -> None:
    values = to_dict(Outer(count=3))
    assert values == {
        "count": 3,
        "flag": False,
        "limit": None,
        "inner": {"rate": 0.5, "mode": "plain", "names": ["a", "b"]},
    }
    assert json.loads(json.dumps(values)) == values


@given(
    count=st.integers(),
    flag=st.booleans(),
    limit=st.none() | st.integers(),
    rate=st.floats(0, 1),
    names=st.lists(st.text(), max_size=3),
)
def test_plain_values_give_the_same_config_back(
    count: int, flag: bool, limit: int | None, rate: float, names: list[str]
) -> None:
    config = Outer(count=count, flag=flag, limit=limit, inner=Inner(rate=rate, names=tuple(names)))
    assert from_dict(Outer, json.loads(json.dumps(to_dict(config)))) == config


def test_a_config_translates_older_keys() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Renamed:
        speed: float = 0.5

        @staticmethod
        def from_older_keys(values: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"speed" if key == "rate" else key: value for key, value in values.items()}

    assert from_dict(Renamed, {"rate": 0.25}) == from_dict(Renamed, {"speed": 0.25}) == Renamed(speed=0.25)
    with pytest.raises(ConfigError, match="Unknown setting 'rat'"):
        from_dict(Renamed, {"rat": 0.25})


def test_a_whole_number_serves_where_a_float_is_needed() -> None:
    config = from_dict(Inner, {"rate": 1})
    assert config.rate == 1.0
    assert type(config.rate) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"count": 1, "cuont": 2},
            r"^Unknown setting 'cuont' \(is it count\?\); there are: count, flag, limit, inner\.$",
        ),
        (
            {"count": 1, "inner": {"r": 1}},
            r"^Unknown setting 'inner\.r'; there are: inner\.rate, inner\.mode",
        ),
        ({"count": "1"}, r"^count is '1'; a value of type int is needed\.$"),
        ({"count": True}, r"^count is True; a value of type int is needed\.$"),
        ({"count": 1.5}, r"^count is 1\.5; a value of type int is needed\.$"),
        ({"count": 1, "flag": 1}, r"^flag is 1; a value of type bool is needed\.$"),
        ({"count": 1, "limit": "x"}, r"^limit is 'x'; a value of type int or NoneType is needed\.$"),
        ({"count": 1, "inner": 3}, r"^inner is 3; a section with keys rate, mode, names is needed\.$"),
        ({"count": 1, "inner": {"rate": None}}, r"^inner\.rate is None; a value of type float is needed\.$"),
        ({}, r"^Outer: .*'count'"),
    ],
)
def test_plain_values_that_do_not_fit_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, values)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("count=7", Outer(count=7)),
        (" count = 7 ", Outer(count=7)),
        ("flag=true", Outer(count=1, flag=True)),
        ("flag=False", Outer(count=1, flag=False)),
        ("limit=4", Outer(count=1, limit=4)),
        ("limit=none", Outer(count=1, limit=None)),
        ("inner.rate=1e-3", Outer(count=1, inner=Inner(rate=0.001))),
        ("inner.rate=1", Outer(count=1, inner=Inner(rate=1.0))),
        ("inner.mode=fancy", Outer(count=1, inner=Inner(mode="fancy"))),
        ("inner.names=x, y", Outer(count=1, inner=Inner(names=("x", "y")))),
    ],
)
def test_set_reads_the_value_by_the_type_of_its_field(assignment: str, expected: Outer) -> None:
    assert override(Outer(count=1), [assignment]) == expected


def test_set_applies_in_order_and_leaves_the_config_it_was_given() -> None:
    before = Outer(count=1, limit=9)
    after = override(before, ["count=2", "inner.rate=0.25", "count=3"])
    assert after == Outer(count=3, limit=9, inner=Inner(rate=0.25))
    assert before == Outer(count=1, limit=9)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("count", r"^--set 'count' has no '='; write section\.key=value\.$"),
        ("cuont=1", r"^Unknown setting 'cuont' \(is it count\?\); there are: count, flag, limit, inner\.$"),
        ("rate=1", r"^Unknown setting 'rate' \(is it inner\.rate\?\); there are: count, "),
        ("inmer.rate=1", r"^Unknown setting 'inmer' \(is it inner\?\); there are: count, "),
        ("outer.count=1", r"^Unknown setting 'outer'; there are: count, "),
        ("inner.r=1", r"^Unknown setting 'inner\.r'; there are: inner\.rate, inner\.mode, inner\.names\.$"),
        ("count.x=1", r"^count is a value, not a section; write count=value\.$"),
        ("inner=1", r"^inner is a section; set one of its keys, such as inner\.rate\.$"),
        ("count=1.5", r"^count is '1\.5'; a value of type int is needed\.$"),
        ("flag=yes", r"^flag is 'yes'; allowed: true, false\.$"),
        ("inner.rate=fast", r"^inner\.rate is 'fast'; a value of type float is needed\.$"),
        ("inner.rate=2", r"^inner\.rate is 2\.0; allowed: 0\.0 to 1\.0\.$"),
        ("inner.rate=nan", r"^inner\.rate is nan; allowed: 0\.0 to 1\.0\.$"),
        ("inner.mode=odd", r"^inner\.mode is 'odd'; allowed: plain, fancy\.$"),
    ],
)
def test_set_refuses_what_does_not_fit(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        override(Outer(count=1), [assignment])


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_range_without_an_upper_end_ends_at_the_finite_numbers(value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^alpha is {value}; allowed: (a finite number, )?0 or more\.$"):
        require_range("alpha", value, 0)


def test_a_range_without_an_upper_end_says_or_more() -> None:
    require_range("clips", 1, 1)
    with pytest.raises(ConfigError, match=r"^clips is 0; allowed: 1 or more\.$"):
        require_range("clips", 0, 1)

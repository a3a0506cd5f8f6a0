"""The JSON form of results: fields as keys, plain values, registered forms found where they are nested."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.store.location import Location


class Colour(Enum):
    RED = "red"


class Count(IntEnum):
    TWO = 2


@dataclass(frozen=True)
class Part:
    share: float

    @property
    def percent(self) -> float:
        return 100 * self.share


@dataclass(frozen=True)
class Whole:
    path: Path
    cache: Location
    colour: Colour
    counts: Mapping[Any, Any]
    parts: tuple[Part, ...]
    array: Any
    missing: None = None


WHOLE = Whole(
    path=Path("a/b"),
    cache=Location.of("s3://bucket/feats.zarr"),
    colour=Colour.RED,
    counts={Count.TWO: Count.TWO, "x": np.int64(3)},
    parts=(Part(0.5),),
    array=np.array([[1, 2]]),
)


def test_a_dataclass_becomes_its_fields_with_plain_values() -> None:
    found = to_json_values(WHOLE)
    assert json.loads(json.dumps(found)) == found == {
        "path": "a/b",
        "cache": "s3://bucket/feats.zarr",
        "colour": "red",
        "counts": {"2": 2, "x": 3},
        "parts": [{"share": 0.5}],
        "array": [[1, 2]],
        "missing": None,
    }  # fmt: skip
    assert list(found) == list(Whole.__dataclass_fields__), "in the order of the fields"
    assert field_values(WHOLE.parts[0], "percent") == {"percent": 50.0}


def test_a_registered_form_is_found_where_it_is_nested() -> None:
    @dataclass(frozen=True)
    class Rate(Part):
        pass

    @to_json_values.register
    def _(rate: Rate) -> dict[str, Any]:
        return field_values(rate) | {"percent": rate.percent}

    assert to_json_values({"rates": [Rate(0.25)]}) == {"rates": [{"share": 0.25, "percent": 25.0}]}


@pytest.mark.parametrize("value", [object(), {1}, Part])
def test_a_value_without_a_form_is_rejected_by_its_type(value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{type(value).__name__} has no JSON form; register one"):
        to_json_values([value])
    with pytest.raises(TypeError, match=rf"^{type(value).__name__} has no form for a terminal"):
        lines(value)

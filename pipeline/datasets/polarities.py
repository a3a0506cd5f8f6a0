"""A map of polarities that a user gives: a CSV of ``class,polarity`` or of ``clip_id,polarity``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.bounds import MAX_ROWS, at_most, require_readable_size
from pipeline.datasets.rows import csv_rows
from pipeline.errors import DatasetError, some
from pipeline.types import Polarity

_POLARITIES = {p.name.lower(): p for p in Polarity}


@dataclass(frozen=True, kw_only=True)
class PolarityMap:
    """Polarities by class name, or by clip id. where: the file."""

    where: Path
    by_class: bool
    polarity_of: Mapping[str, Polarity]

    def applied(self, table: Mapping[str, npt.NDArray[Any]], class_names: Sequence[str]) -> npt.NDArray[Any]:
        """The polarity of every clip of a clip table, changed where the map names its class or itself.

        Raises DatasetError when the map names a class or a clip that is not there.
        """
        label = table["label"].tolist()
        names = [class_names[number] if number >= 0 else "" for number in label]
        keys = names if self.by_class else table["clip_id"].tolist()
        known = set(class_names) if self.by_class else set(keys)
        if strangers := sorted(self.polarity_of.keys() - known):
            what = "classes" if self.by_class else "clips"
            there = f"; there are: {', '.join(class_names)}" if self.by_class else ""
            msg = f"'{self.where}' names {what} that the cache does not have ({some(strangers)}){there}."
            raise DatasetError(msg)
        old = table["polarity"].tolist()
        return np.array(
            [self.polarity_of.get(key, was) for key, was in zip(keys, old, strict=True)], dtype=np.int8
        )


def read_polarities(path: Path) -> PolarityMap:
    """Read a map. Raises DatasetError with file and line."""
    require_readable_size(path)
    rows = at_most(csv_rows(path, ("polarity",)), MAX_ROWS, path)
    columns = [name for name in ("class", "clip_id") if rows and name in rows[0].values]
    if len(columns) != 1:
        msg = f"'{path}' needs the columns class,polarity or clip_id,polarity, and a row at least."
        raise DatasetError(msg)
    found: dict[str, Polarity] = {}
    for row in rows:
        key, value = row.get(columns[0]), row.get("polarity").lower()
        if value not in _POLARITIES:
            raise row.wrong("polarity", ", ".join(_POLARITIES))
        if found.setdefault(key, _POLARITIES[value]) != _POLARITIES[value]:
            msg = f"{row.where}: '{key}' has two polarities in this file; give one."
            raise DatasetError(msg)
    return PolarityMap(where=path, by_class=columns == ["class"], polarity_of=found)

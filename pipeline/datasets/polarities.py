"""Map of polarities from a user: a CSV file of ``class,polarity`` or of ``clip_id,polarity``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.limits import MAX_ROWS, at_most, require_readable_size
from pipeline.datasets.rows import csv_rows
from pipeline.datasets.spelling import meaning_of
from pipeline.errors import DatasetError, some
from pipeline.types import Polarity

_POLARITIES = {p.name.lower(): p for p in Polarity}


@dataclass(frozen=True, kw_only=True)
class PolarityMap:
    """Polarities by class name, in any usual spelling, or by clip id. where: the file."""

    where: Path
    by_class: bool
    polarity_of: Mapping[str, Polarity]

    def applied(self, table: Mapping[str, npt.NDArray[Any]], class_names: Sequence[str]) -> npt.NDArray[Any]:
        """Return the polarity of every clip, int8 [N], changed if the map names the clip or its class.

        Args:
            table: Clip table: arrays by name, [N, ...].
            class_names: Names of the classes, in the order of the labels.

        Raises:
            DatasetError: The map names a class or a clip that is not there.
        """
        meaning = meaning_of if self.by_class else str
        label = table["label"].tolist()
        names = [meaning_of(name) for name in class_names] + [""]
        keys = [names[number] for number in label] if self.by_class else table["clip_id"].tolist()
        known = set(names if self.by_class else keys)
        if strangers := sorted(name for name in self.polarity_of if meaning(name) not in known):
            what = "classes" if self.by_class else "clips"
            there = f"; there are: {', '.join(class_names)}" if self.by_class else ""
            msg = f"'{self.where}' names {what} that the cache does not have ({some(strangers)}){there}."
            raise DatasetError(msg)
        polarity_of = {meaning(name): polarity for name, polarity in self.polarity_of.items()}
        old = table["polarity"].tolist()
        return np.array(
            [polarity_of.get(key, was) for key, was in zip(keys, old, strict=True)], dtype=np.int8
        )


def read_polarities(path: Path) -> PolarityMap:
    """Read a map. Raises DatasetError with file and line."""
    require_readable_size(path)
    rows = at_most(csv_rows(path, ("polarity",)), MAX_ROWS, path)
    columns = [name for name in ("class", "clip_id") if rows and name in rows[0].values]
    if len(columns) != 1:
        msg = f"'{path}' needs the columns class,polarity or clip_id,polarity, and a row at least."
        raise DatasetError(msg)
    by_class = columns == ["class"]
    found: dict[str, Polarity] = {}
    polarity_of: dict[str, Polarity] = {}
    for row in rows:
        name, polarity = row.get(columns[0]), row.one_of("polarity", _POLARITIES)
        key = meaning_of(name) if by_class else name
        if not key:
            raise row.wrong(columns[0], "the name of a class" if by_class else "the id of a clip")
        if found.setdefault(key, polarity) != polarity:
            msg = f"{row.where}: '{name}' has two polarities in this file; give one."
            raise DatasetError(msg)
        polarity_of[name] = polarity
    return PolarityMap(where=path, by_class=by_class, polarity_of=polarity_of)

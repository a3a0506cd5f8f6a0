"""Classes of a cache -> classes of a run, for a run that is measured on another dataset.

Letters: N clips.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.datasets.names import folded
from pipeline.datasets.spelling import meaning_of
from pipeline.errors import ConfigError, FileError, first_line, some
from pipeline.plain_file import read_given_text
from pipeline.strict_toml import from_toml_text
from pipeline.types import Ints

NO_CLASS = -1
_MOST_BYTES = 1 << 20
_MOST_NAMED = 12


class Classes:
    """The classes of a run, by the texts that mean only one of them.

    Args:
        names: The classes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        meanings = Counter(map(meaning_of, names))
        self.names = names
        self._by_text = {folded(name): name for name in names}
        self._by_meaning = {meaning_of(name): name for name in names if meanings[meaning_of(name)] == 1}

    def find(self, text: str) -> str | None:
        """Return the class with this name in any case, or of this meaning; None if there is none."""
        return self._by_text.get(folded(text)) or self._by_meaning.get(meaning_of(text))


@dataclass(frozen=True, kw_only=True)
class ClassMap:
    """For each class of a cache, in its order, the class of a run that it means.

    Attributes:
        pairs: Name in the cache and name in the run; None for a class that the run does not have, or that the
            user leaves out.
        run_names: Classes of the run.
    """

    pairs: tuple[tuple[str, str | None], ...]
    run_names: tuple[str, ...]

    @classmethod
    def of(
        cls, run_names: Sequence[str], cache_names: Sequence[str], given: Mapping[str, str] | None = None
    ) -> "ClassMap":
        """Return the map of a cache's classes.

        Args:
            run_names: Classes of the run.
            cache_names: Classes of the cache.
            given: The user's names, class of the cache -> class of the run, empty to leave a class out. Case
                and outer spaces of a name count only if classes differ in nothing else. Other classes have
                the class of the run with their name, in any case, or with their meaning ("happy": happiness).

        Raises:
            ConfigError: `given` names a class that is not there, or one class twice, or no class of the cache
                is one of the run.
        """
        classes, chosen = Classes(run_names), _chosen(given or {}, run_names, cache_names)
        pairs = tuple((name, chosen[name] if name in chosen else classes.find(name)) for name in cache_names)
        if all(target is None for _, target in pairs):
            msg = (
                f"No class of the cache ({some(cache_names, _MOST_NAMED)}) is a class of the run "
                f"({some(run_names, _MOST_NAMED)}); give --classes FILE.toml with lines such as "
                f'{cache_names[0]!r} = "{run_names[0]}".'
            )
            raise ConfigError(msg)
        return cls(pairs=pairs, run_names=tuple(run_names))

    @property
    def shared(self) -> tuple[str, ...]:
        """Classes of the run that a class of the cache means, in the order of the run."""
        found = {target for _, target in self.pairs}
        return tuple(name for name in self.run_names if name in found)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Classes of the cache that have no class of the run."""
        return tuple(name for name, target in self.pairs if target is None)

    @property
    def is_complete(self) -> bool:
        """Whether every class of either side has one of the other, and no two are merged."""
        targets = [target for _, target in self.pairs]
        return sorted(map(str, targets)) == sorted(self.run_names)

    def labels(self, label_N: Ints) -> Ints:
        """Return the run's labels of clips; `NO_CLASS` for a class that is left out, and without a label."""
        of = [NO_CLASS if target is None else self.run_names.index(target) for _, target in self.pairs]
        return np.where(label_N >= 0, np.array(of, dtype=np.int64)[label_N], NO_CLASS)

    def __str__(self) -> str:
        """Return the classes whose names differ, and those that are left out."""
        renamed = [f"{name} is {target}" for name, target in self.pairs if target not in (None, name)]
        absent = [name for name in self.run_names if name not in self.shared]
        parts = [
            *([", ".join(renamed)] if renamed else []),
            *([f"left out: {', '.join(self.left_out)}"] if self.left_out else []),
            *([f"without clips: {', '.join(absent)}"] if absent else []),
        ]
        return "; ".join(parts) or "in another order"


def find_name(text: str, names: Iterable[str]) -> str | None:
    """Return the name that is this text, or the only one that differs from it only in case and spaces.

    None if there is none, or if there are several.
    """
    names = list(names)
    if text in names:
        return text
    alike = [name for name in names if folded(name) == folded(text)]
    return alike[0] if len(alike) == 1 else None


def _chosen(
    given: Mapping[str, str], run_names: Sequence[str], cache_names: Sequence[str]
) -> dict[str, str | None]:
    """Return the user's map with the names of cache and run, None for a class that is left out."""
    chosen: dict[str, str | None] = {}
    written: dict[str, str] = {}
    for text, target in given.items():
        name, of_run = find_name(text, cache_names), find_name(target, run_names) if target.strip() else None
        if name is None:
            msg = f"--classes names '{text}'; the cache has: {some(cache_names, _MOST_NAMED)}."
            raise ConfigError(msg)
        if of_run is None and target.strip():
            msg = (
                f"--classes gives '{text}' the class '{target}'; the run has: {some(run_names, _MOST_NAMED)}."
            )
            raise ConfigError(msg)
        if chosen.get(name, of_run) != of_run:
            msg = (
                f"--classes has '{written[name]}' and '{text}' for the class '{name}'; leave out one of them."
            )
            raise ConfigError(msg)
        chosen[name], written[name] = of_run, text
    return chosen


def read_class_map(path: Path) -> dict[str, str]:
    """Read a TOML file with a line ``"class of the cache" = "class of the run"`` for each class.

    Raises ConfigError for a file that is missing or has other values.
    """
    try:
        values = from_toml_text(read_given_text(path, _MOST_BYTES))
    except FileError as error:
        msg = f"--classes {error}"
        raise ConfigError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"--classes '{path}' cannot be read as TOML: {first_line(error)}"
        raise ConfigError(msg) from error
    for name, target in values.items():
        if isinstance(target, dict):
            msg = (
                f"--classes '{path}' has the section or dotted key '{name}'; write each line, such as "
                '"joy" = "happiness", at the top level, without a section, and a name with a dot in quotes.'
            )
            raise ConfigError(msg)
        if not isinstance(target, str):
            msg = (
                f"--classes '{path}': {name} is {target!r:.100}; the name of a class of the run, or "
                '"" to leave the clips out.'
            )
            raise ConfigError(msg)
    return values

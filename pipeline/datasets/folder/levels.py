"""Meaning of the directories above clips: the level that names the split, and the level of the class.

A level is all directories at one depth below the root. The rules are, in this order:

1. All clips are at one depth.
2. A level whose names are all names of splits (``train``, ``val``, ``test`` ...) is the split.
3. Of the other levels, the class is the one whose names are mostly emotions. Without such a level, it is the
   only level whose names do not differ by a number alone (``Actor_01``, ``Actor_02``).
4. The remaining levels group the clips: actors or sessions, whose clips are not independent (`group_depth`),
   or a directory for each clip.

Any other tree is rejected, because two readings of it are possible.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.datasets.emotions import class_of
from pipeline.datasets.splits import SPLIT_OF
from pipeline.errors import DatasetError, counted, printable, some
from pipeline.types import Split

REMEDY = (
    "Arrange the clips as class/clip, class/group/clip or split/class/clip, or list them in a manifest "
    "(--dataset manifest; columns path,label,split)."
)

_SET = re.compile(r"[ _.-]*(set|split|data)?$")
_COUNTED_NAME = re.compile(r"\d+[ _.-]+(\D.*)")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Level:
    """Directories at one depth. names: each once, sorted. kind: splits, emotions, numbered or names."""

    names: tuple[str, ...]
    kind: str

    @classmethod
    def of(cls, names: Sequence[str]) -> "Level":
        """Return the level of directories with these names."""
        each = tuple(sorted(set(names)))
        if all(split_of(name) is not None for name in each):
            kind = "splits"
        elif 2 * sum(class_of(class_name(name)) is not None for name in each) > len(each):
            kind = "emotions"
        elif _differ_by_number(each):
            kind = "numbered"
        else:
            kind = "names"
        return cls(names=each, kind=kind)

    def __str__(self) -> str:
        shown = some([f"'{printable(name)}'" for name in self.names])
        return f"{counted(len(self.names), 'directory', 'directories')} ({shown}; {self.kind})"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Meanings of the levels. split, label: depths, from 0, of the split and the class; None without one."""

    levels: tuple[Level, ...]
    split: int | None
    label: int | None

    def __str__(self) -> str:
        return "/".join([*(self._role(depth) for depth in range(len(self.levels))), "clip"])

    @property
    def groups(self) -> tuple[tuple[int, Level], ...]:
        """Levels that are neither split nor class, each with its depth."""
        return tuple(
            (depth, level) for depth, level in enumerate(self.levels) if depth not in (self.split, self.label)
        )

    def group_depth(self, clips: Sequence[str]) -> int | None:
        """Return the depth of the level that groups clips that are not independent; None without one.

        It is the outermost level, other than split and class, with several names. If each of its directories
        holds one clip, they are directories of clips and not groups.
        """
        for depth, level in enumerate(self.levels):
            if depth not in (self.split, self.label) and len(level.names) > 1:
                directories = {tuple(path.split("/")[: depth + 1]) for path in clips}
                return depth if len(directories) < len(clips) else None
        return None

    def _role(self, depth: int) -> str:
        return {self.split: "split", self.label: "class"}.get(depth, "group")


def split_of(name: str) -> Split | None:
    """Return the split that a directory names (Train, train_set, VAL, dev ...); None for any other name."""
    return SPLIT_OF.get(_SET.sub("", name.strip().lower()))


def class_name(name: str) -> str:
    """Return the class that a directory names: its name, without a number before an emotion ("1_happy")."""
    match = _COUNTED_NAME.fullmatch(name)
    return match[1] if match and class_of(match[1]) else name


def layout_of(clips: Sequence[str], what: str) -> Layout:
    """Find the meaning of every level of directories above clips.

    Args:
        clips: Paths of the clips relative to the root, with '/'.
        what: Kind of clip, in the singular, for messages.

    Raises:
        DatasetError: The rules of this module give no single meaning. The message shows every level.
    """
    parents = [path.split("/")[:-1] for path in clips]
    depths = sorted({len(parts) for parts in parents})
    if len(depths) > 1:
        raise DatasetError(_of_two_depths(clips, parents, depths, what))
    levels = tuple(Level.of([parts[depth] for parts in parents]) for depth in range(depths[0]))
    try:
        return _meaning(levels)
    except _UnclearError as unclear:
        found = "; then ".join([*map(str, levels), f"{counted(len(clips), what)} ('{printable(clips[0])}')"])
        msg = f"{unclear}. Found, from the root: {found}. {REMEDY}"
        raise DatasetError(msg) from unclear


class _UnclearError(ValueError):
    """Layout with no meaning, or with several."""


def _meaning(levels: tuple[Level, ...]) -> Layout:
    splits = [depth for depth, level in enumerate(levels) if level.kind == "splits"]
    for depth, level in enumerate(levels):
        words = [name for name in level.names if split_of(name) is not None]
        if words and depth not in splits:
            others = [f"'{printable(name)}'" for name in level.names if name not in words]
            msg = f"'{words[0]}' names a split, but {some(others)} beside it names none"
            raise _UnclearError(msg)
    if len(splits) > 1:
        both = " and ".join(_shown(levels[depth]) for depth in splits[:2])
        msg = f"two levels of directories name splits, {both}"
        raise _UnclearError(msg)
    split = splits[0] if splits else None
    rest = [depth for depth in range(len(levels)) if depth != split]
    if not rest and split is not None:
        msg = f"{_shown(levels[split])} are splits, and no directory between them and the clips names a class"
        raise _UnclearError(msg)
    emotions = [depth for depth in rest if levels[depth].kind == "emotions"]
    named = emotions or [depth for depth in rest if levels[depth].kind == "names"]
    if len(named) > 1:
        both = " and ".join(_shown(levels[depth]) for depth in named[:2])
        msg = f"two levels of directories could be the classes, {both}"
        raise _UnclearError(msg)
    if rest and not named:
        msg = (
            f"no level of directories names classes: {_shown(levels[rest[-1]])} differ by a number "
            "alone, which means other classes in other datasets"
        )
        raise _UnclearError(msg)
    return Layout(levels=levels, split=split, label=named[0] if named else None)


def _differ_by_number(names: Sequence[str]) -> bool:
    """Return whether names differ by numbers only: s1 and s2, Actor_01 and Actor_02, or 07 alone."""
    skeletons = {_DIGITS.sub("#", name.lower()) for name in names}
    return len(skeletons) == 1 and "#" in skeletons.pop()


def _shown(level: Level) -> str:
    return some([f"'{printable(name)}'" for name in level.names])


def _of_two_depths(
    clips: Sequence[str], parents: Sequence[Sequence[str]], depths: Sequence[int], what: str
) -> str:
    """Return the message for clips at several depths."""
    found = []
    for depth in depths:
        here = [path for path, parts in zip(clips, parents, strict=True) if len(parts) == depth]
        where = f"below {counted(depth, 'directory', 'directories')}" if depth else "directly in the root"
        found.append(f"{counted(len(here), what)} {where} ('{printable(here[0])}')")
    return f"Clips are at several depths: {', '.join(found)}. Move them to one depth. {REMEDY}"

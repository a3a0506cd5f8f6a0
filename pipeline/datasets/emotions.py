"""Emotions of the field: the spellings of their names, and their polarity."""

from collections.abc import Mapping
from functools import lru_cache

from pipeline.datasets.names import folded
from pipeline.types import Polarity

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "happiness": ("happy", "joy", "joyful"),
    "sadness": ("sad",),
    "neutral": ("neutrality",),
    "anger": ("angry",),
    "surprise": ("surprised",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid"),
    "contempt": ("contemptuous",),
    "anxiety": ("anxious",),
    "helplessness": ("helpless",),
    "disappointment": ("disappointed",),
}
"""Class name, as this project writes it -> its other spellings."""

_POLARITY: Mapping[str, Polarity] = {
    "happiness": Polarity.POSITIVE,
    "neutral": Polarity.NEUTRAL,
    "surprise": Polarity.NEUTRAL,
}

_MOST_TEXTS = 4096
"""Texts that `class_of` remembers: a list repeats few labels and directories on many lines."""

_CLASS_OF: Mapping[str, str] = {
    spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others)
}

POLARITY_OF_CLASS: Mapping[str, Polarity] = {
    spelling: _POLARITY.get(name, Polarity.NEGATIVE) for spelling, name in _CLASS_OF.items()
}


SPELLINGS: tuple[str, ...] = tuple(_CLASS_OF)
"""Every word that names an emotion here, in lower case."""


@lru_cache(_MOST_TEXTS)
def class_of(text: str) -> str | None:
    """Return the class that a label means in any usual spelling ("Happy", "joy": happiness), else None."""
    return _CLASS_OF.get(folded(text))


def class_of_folder(path: str) -> str | None:
    """Return the class that the directory of a clip names ("Action/Happy/0227"), else None."""
    parts = path.replace("\\", "/").rsplit("/", 2)
    return class_of(parts[-2]) if len(parts) > 1 else None


def polarity_of_class(class_name: str) -> Polarity:
    """Return the polarity of a class by its name, UNKNOWN for a name that the field does not use.

    The paper has positive, neutral and negative (III-A) but gives no map. Here surprise is neutral, and
    MAFW's four further classes are negative.
    """
    return POLARITY_OF_CLASS.get(folded(class_name), Polarity.UNKNOWN)

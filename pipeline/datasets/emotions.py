"""Emotional polarity of the class names that the field uses."""

from collections.abc import Mapping

from pipeline.types import Polarity

_NAMES: Mapping[Polarity, tuple[str, ...]] = {
    Polarity.POSITIVE: ("happiness", "happy", "joy"),
    Polarity.NEUTRAL: ("neutral", "surprise", "surprised"),
    Polarity.NEGATIVE: (
        "sadness", "sad", "anger", "angry", "disgust", "disgusted", "fear", "fearful", "afraid",
        "contempt", "anxiety", "helplessness", "disappointment",
    ),
}  # fmt: skip

POLARITY_OF_CLASS: Mapping[str, Polarity] = {
    name: polarity for polarity, names in _NAMES.items() for name in names
}


def polarity_of_class(class_name: str) -> Polarity:
    """The polarity of a class by its name, UNKNOWN for a name that the field does not use.

    The paper asks for positive, neutral and negative (III-A) but gives no map; this one puts
    surprise with neutral, and MAFW's four further classes with negative.
    """
    return POLARITY_OF_CLASS.get(class_name.strip().lower(), Polarity.UNKNOWN)

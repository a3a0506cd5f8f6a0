"""An answer of a run, whatever it is for, and the checks of stored values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pipeline.strict_json import to_json

POLARITIES = ("negative", "neutral", "positive")
"""Names of the polarities, in their order."""

_BOX_EDGES = 4
_LARGEST = 1e12
"""Larger numbers are no time, frame or coordinate."""


@dataclass(frozen=True, kw_only=True)
class HeadAnswer:
    """Answer of a run for the features of one person.

    Attributes:
        answer: Class of the largest probability; None if there is no answer.
        probability: Probability of every class, in the order of the classes; None if there is no answer.
        calibrated: Whether probabilities were divided by a temperature that was fitted on validation clips.
        margin: Largest probability less the second largest, 0 to 1; None if there is no answer.
        polarity: Probabilities of negative, neutral and positive; None if the model has no polarity encoder.
        with_other_scenes: Mean probabilities of the same face with scenes of other clips; None if they were
            not computed.
        face_run: Probabilities of the face-only run; None without one.
    """

    answer: str | None
    probability: Mapping[str, float] | None
    calibrated: bool
    margin: float | None
    polarity: Mapping[str, float] | None = None
    with_other_scenes: Mapping[str, float] | None = None
    face_run: Mapping[str, float] | None = None


_OF_HEAD = tuple(item.name for item in fields(HeadAnswer))
_LAST_BEFORE = "box_xyxy_px"


def line_of(one: HeadAnswer) -> str:
    """Return an answer and what it is for as a line of JSON, without its end.

    The keys are the fields up to the box, the answer, and the other fields.
    """
    values = asdict(one)
    own = [name for name in values if name not in _OF_HEAD]
    place = own.index(_LAST_BEFORE) + 1
    return to_json({name: values[name] for name in (*own[:place], *_OF_HEAD, *own[place:])}, indent=None)


def is_answer(values: Mapping[str, Any]) -> bool:
    """Return whether stored values have the keys of `HeadAnswer`, each with a value of its kind."""
    answer, probability, polarity = values["answer"], values["probability"], values["polarity"]
    of_classes = [values[name] for name in ("with_other_scenes", "face_run")]
    margin = values["margin"]
    return (
        (are_probabilities(probability) and answer in probability if answer is not None else True)
        and (probability is None) == (answer is None)
        and all(
            one is None or are_probabilities(one) and list(one) == list(probability) for one in of_classes
        )
        and (polarity is None or are_probabilities(polarity) and tuple(polarity) == POLARITIES)
        and (margin is None or is_number(margin))
        and isinstance(values["calibrated"], bool)
    )


def is_number(value: Any) -> bool:
    """Return whether a value is a number that coordinates and times may have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def is_box(value: Any) -> bool:
    """Return whether a value is a list of four coordinates."""
    return isinstance(value, list) and len(value) == _BOX_EDGES and all(map(is_number, value))


def are_probabilities(value: Any) -> bool:
    """Return whether a value maps names, one or more, to numbers."""
    return isinstance(value, dict) and bool(value) and all(map(is_number, value.values()))


def are_texts(value: Any) -> bool:
    """Return whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def require_names(values: Mapping[str, Any], names: list[str], thing: str) -> None:
    """Raise ValueError unless the keys of stored values are `names`, in any order."""
    if sorted(values) != sorted(names):
        msg = f"{thing} has the values {', '.join(names)}, not {', '.join(values)}"
        raise ValueError(msg)

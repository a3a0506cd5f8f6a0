"""What the owner of a data set publishes of it: its classes, its counts, the orders its integers come in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SEVEN_EMOTIONS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
"""DFEW's and FERV39k's classes in DFEW's order, in the words that prompts are made of."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A data set as its owner describes it.

    title: its name in the literature. class_names: in the order of this project's labels. fold_names:
    in their order; one for a set without folds. num_clips: all there are, labelled or not. splits: by
    fold, how many clips train and test. classes: by fold and split (``train``, ``test``), how many
    clips each class has, in the order of class_names. orders: by name, the class names in the order
    in which integers from 0 count them in lists that circulate; the owner's own order first.
    source: where these facts are from. access: how one gets the clips.
    """

    title: str
    class_names: tuple[str, ...]
    fold_names: tuple[str, ...]
    num_clips: int
    splits: Mapping[str, tuple[int, int]]
    orders: Mapping[str, tuple[str, ...]]
    source: str
    access: str
    classes: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, order in self.orders.items():
            if sorted(order) != sorted(self.class_names):
                msg = f"{self.title}: order '{name}' does not hold the class names, each once"
                raise ValueError(msg)

"""Classes that are probably names of clips or people: most of them have a single clip."""

from collections import Counter
from collections.abc import Sequence

from pipeline.datasets.emotions import class_of
from pipeline.errors import printable, some
from pipeline.types import ClipRef

REMEDY = "give every clip its class: by a directory for each class, or in the column label of a manifest"

_FEWEST_CLASSES = 3
"""With two classes, one of a single clip may be correct."""


def lone_classes(names: Sequence[str], clips: Sequence[ClipRef]) -> str:
    """Describe classes of one clip each; empty if there are few, or if any class is an emotion.

    names: of the classes, by label. A class without a clip does not count.
    """
    sizes = Counter(clip.label for clip in clips if clip.label >= 0)
    single = sorted(names[label] for label, many in sizes.items() if many == 1)
    if len(sizes) < _FEWEST_CLASSES or 2 * len(single) <= len(sizes) or any(map(class_of, names)):
        return ""
    return (
        f"{len(single)} of {len(sizes)} classes have one clip ({some(list(map(printable, single)))}): "
        "these look like names of clips or people"
    )

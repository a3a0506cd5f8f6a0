"""Check that tensors have values of trained weights: finite, and no matrix of zeros only.

A downloader that reserves the space of a file leaves zeros for parts that are not downloaded. Such a file has
the right size and header, and its features look normal.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from pipeline.errors import WeightsError, printable, some

UNFINISHED = (".aria2", ".incomplete", ".part", ".crdownload")
"""Suffixes that aria2c, the Hugging Face hub, Firefox and Chrome append to the name of an unfinished file."""
_REDUCED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""Types of which torch finds the smallest and largest value on a CPU; others become float32 first."""


def find_untrained_values(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a message if values of a file's tensors show that they are not trained, else an empty text.

    A matrix has two dimensions or more. Vectors may be zero, because biases are zero at the start of training
    and a normalisation can be switched off. No CLIP-class model of open_clip and no RetinaFace has a matrix
    that is initialised with zeros. Integers are counts, not weights. Each tensor is read once.
    """
    matrices, zero, infinite = 0, [], []
    for name, value in tensors.items():
        if not value.is_floating_point() or value.layout is not torch.strided or not value.numel():
            continue
        low, high = torch.aminmax(value if value.dtype in _REDUCED else value.float())
        matrices += value.ndim >= 2
        if not (low.isfinite() and high.isfinite()):
            infinite.append(_shown(name))
        elif value.ndim >= 2 and low == high == 0:
            zero.append(_shown(name))
    found = []
    if zero:
        found.append(
            f"'{path}' has only zeros in {len(zero)} of its {matrices} weight matrices ({some(zero)}), as an "
            f"unfinished download leaves them{_beside(path)}; expected: trained values. Download it again."
        )
    if infinite:
        found.append(
            f"'{path}' has NaN or infinity in {len(infinite)} of its {len(tensors)} tensors "
            f"({some(infinite)}), as a damaged download{_beside(path)} or a training that diverged leaves "
            "them; expected: finite values. Download it again, or give an earlier checkpoint."
        )
    return " ".join(found)


def require_trained_values(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise WeightsError with the message of `find_untrained_values`, if there is one."""
    if found := find_untrained_values(path, tensors):
        raise WeightsError(found)


def unfinished_beside(path: Path) -> Path | None:
    """Return a downloader's file for an unfinished download of `path` or of its link target, else None."""
    places = dict.fromkeys((path, path.resolve()))
    named = (place.with_name(place.name + suffix) for place in places for suffix in UNFINISHED)
    return next((file for file in named if file.exists()), None)


def _beside(path: Path) -> str:
    file = unfinished_beside(path)
    return f" ('{file.name}' is beside it)" if file else ""


def _shown(name: str) -> str:
    return printable(name)[:200]

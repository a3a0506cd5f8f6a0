"""Search for the file of weights in a directory, by names of open_clip, transformers and the hub's cache."""

from pathlib import Path

from pipeline.clip_model.tags import hub_files
from pipeline.clip_model.tensors import OF_ADAPTER
from pipeline.errors import WeightsError, printable, some
from pipeline.weights import UNFINISHED

TRANSFORMERS_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_ADAPTER_CONFIG = "adapter_config.json"
"""File that PEFT writes beside an adapter's tensors."""
_SNAPSHOTS = "snapshots"
"""The directory of revisions in a repository (models--OWNER--NAME) of the Hugging Face hub's cache."""
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", *UNFINISHED)


def find_in_directory(directory: Path) -> Path:
    """Return the file of weights in a directory, or in the one snapshot of a repository in the hub's cache.

    Raises WeightsError, with the files that are there, if there is none, or several snapshots have one.
    """
    if (file := _known_file(directory)) is not None:
        return file
    snapshots = _entries(directory / _SNAPSHOTS)
    files = [file for snapshot in snapshots if (file := _known_file(snapshot)) is not None]
    if len(files) == 1:
        return files[0]
    if files:
        shown = some([f"'{printable(str(file.parent))}'" for file in files])
        msg = f"'{directory}' holds {len(files)} snapshots of weights; give the path of one: {shown}."
        raise WeightsError(msg)
    raise _none_found(directory, [directory, *snapshots])


def _known_file(directory: Path) -> Path | None:
    names = (*hub_files(), *TRANSFORMERS_FILES)
    return next((directory / name for name in names if (directory / name).is_file()), None)


def _none_found(directory: Path, searched: list[Path]) -> WeightsError:
    if any((place / _ADAPTER_CONFIG).is_file() for place in searched):
        return WeightsError(f"'{directory}' does not hold weights of a model. {OF_ADAPTER}")
    others = [
        printable(str(file.relative_to(directory)))
        for place in searched
        for file in _entries(place)
        if file.is_file() and file.name.lower().endswith(_WEIGHT_SUFFIXES)
    ]
    names = ", ".join((*hub_files(), *TRANSFORMERS_FILES))
    if not others:
        return WeightsError(
            f"'{directory}' is a directory without any of {names}; give the path of the file."
        )
    if all(name.endswith(UNFINISHED) for name in others):
        return WeightsError(f"'{directory}' holds an unfinished download ({some(others)}); finish it first.")
    its = "its path" if len(others) == 1 else "the path of one"
    return WeightsError(
        f"'{directory}' is a directory without any of {names}; found {some(others)}: give {its}."
    )


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []

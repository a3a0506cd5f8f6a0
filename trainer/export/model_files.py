"""A run -> a directory with the model, for other people and other programs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, FileError
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.location import LocationLike
from pipeline.strict_json import to_json
from trainer.checkpoint import reissued_weights
from trainer.export.card import licensed_names, model_card
from trainer.export.example import example_npz
from trainer.export.measured import results_of
from trainer.export.onnx_file import ONNX_FILE, onnx_of
from trainer.export.preprocessing import preprocessing_of, section
from trainer.export.push import PushedModel
from trainer.model_directory import (
    MODEL_CONFIG_FILE,
    MODEL_WEIGHTS_FILE,
    is_model_directory,
    model_config_json,
)
from trainer.runs import Run, load_run
from trainer.scene_sample import FILE as SCENES_FILE
from trainer.scene_sample import find_scenes, scenes_bytes

CARD_FILE, PREPROCESSING_FILE, EXAMPLE_FILE = "README.md", "preprocessing.json", "example.npz"
UNFINISHED = "UNFINISHED TRAINING: the run was stopped, or is still in training"
_DATASET = ("name", "label_order", "source")
"""Settings of the dataset that are exported; its paths are not."""


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """Result of `export_model`.

    Attributes:
        path: The directory.
        files: Names of its files, and their sizes in bytes.
        licensed: Datasets under a licence that trained the run, in words; empty if it is none of them.
        banners: Warnings of the run.
        notes: Remarks for the user.
        pushed: Repository to which the model was uploaded; None if it was not.
    """

    path: Path
    files: dict[str, int]
    licensed: str
    banners: tuple[str, ...]
    notes: tuple[str, ...]
    pushed: PushedModel | None = None

    @property
    def num_bytes(self) -> int:
        """Size of all files."""
        return sum(self.files.values())


def export_model(
    run_dir: Folder | Run, out: Folder, cache: LocationLike | None = None, *, onnx: bool = False
) -> ExportedModel:
    """Write a run as a directory that does not depend on its cache, and names no path of this machine.

    Args:
        run_dir: The run, or its directory.
        out: A path where nothing is, or an empty directory.
        cache: Training cache of a run of an earlier version; None for the one that it names.
        onnx: Write head.onnx too.

    Raises:
        CheckpointError: The run cannot be read.
        ConfigError: `out` is not empty, `run_dir` is an exported model already, or the run does not record
            how its features were made; or a package for `onnx` is missing.
        OnnxError: The ONNX graph has other answers than the run.
        FileError: A file cannot be written; nothing is left then.
    """
    run = run_dir if isinstance(run_dir, Run) else load_run(_path_of(run_dir), device="cpu")
    if is_model_directory(run.path):
        msg = f"'{run.path}' is an exported model; give the run that it was made from."
        raise ConfigError(msg)
    place = OwnDir.of(out)
    if place.exists() and not (place.is_dir() and not place.entries()):
        msg = f"--out '{out}' exists and is not empty; give a new directory, or remove it."
        raise ConfigError(msg)
    config, identity = run.extraction(cache)
    scenes, note = find_scenes(run, cache)
    info = replace(
        run.info,
        cache_path="",
        cache_from_run="",
        added_caches=tuple(added.without_location() for added in run.info.added_caches),
        identity=identity,
        extract_config=_published(config),
    )
    results, banners = results_of(OwnDir.of(run.path)), run.banners
    if not info.stop_reason:
        banners = (*banners, UNFINISHED)
    contents: dict[str, str | bytes] = {
        MODEL_CONFIG_FILE: model_config_json(run.config, info),
        MODEL_WEIGHTS_FILE: reissued_weights(run.path, info),
        PREPROCESSING_FILE: to_json(preprocessing_of(info, config, identity)) + "\n",
        EXAMPLE_FILE: example_npz(run),
        **({} if scenes is None else {SCENES_FILE: scenes_bytes(scenes, info)}),
    }
    graph = onnx_of(run) if onnx else None
    if graph is not None:
        contents[ONNX_FILE] = graph.content
    contents[CARD_FILE] = model_card(run, results, banners, files=list(contents))
    existed = place.exists()
    place.make()
    try:
        place.write_together(contents)
    except FileError:
        if not existed:
            place.remove_empty()
        raise
    notes = [note] if note else []
    if graph is not None:
        notes.append(
            f"{ONNX_FILE}: probabilities differ by {graph.largest_difference:.1g} from torch at most"
        )
    if results is None:
        notes.append(f"the card has no results; `evaluate {run.path}` measures them, before another export")
    sizes = {
        name: len(content) if isinstance(content, bytes) else len(content.encode())
        for name, content in contents.items()
    }
    return ExportedModel(
        path=place.path,
        files=sizes,
        licensed=licensed_names(info),
        banners=banners,
        notes=tuple(notes),
    )


def _published(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an extraction without paths of the machine that made it."""
    shown = dict(config)
    dataset = section(config, "dataset")
    shown["dataset"] = {key: dataset[key] for key in _DATASET if key in dataset}
    for name in ("encoder", "detector"):
        part = section(config, name)
        weights = part.get("weights")
        if isinstance(weights, str):
            shown[name] = part | {"weights": Path(weights).name}
    return shown


def _path_of(folder: Folder) -> Path:
    return OwnDir.of(folder).path

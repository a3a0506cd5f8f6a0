"""A run -> what its windows need, the hash of its weights, and the warnings of its answers."""

import hashlib
from collections.abc import Iterable

import torch

from pipeline.device import device_name
from pipeline.own_dir import OwnDir
from pipeline.process.windows import WindowOptions
from pipeline.program import program_version
from trainer.model_directory import weights_name
from trainer.prediction.extraction import RunModels
from trainer.prediction.source import PredictOptions
from trainer.runs import Run
from trainer.scene_sample import uses_scene

_MOST_WEIGHTS_BYTES = 8 << 30


def window_options_of(run: Run, options: PredictOptions) -> WindowOptions:
    """Return the options of a prediction that the windows of a run need."""
    return WindowOptions(
        people=options.people,
        min_face_px=options.min_face_px,
        min_share=options.min_share,
        mask=options.mask,
        has_scene=uses_scene(run.config),
    )


def weights_sha256(run: Run) -> str:
    """Return the hash of a run's weights. Raises FileError if they cannot be read."""
    with OwnDir.of(run.path).open_read(weights_name(run.path), _MOST_WEIGHTS_BYTES) as file:
        found = hashlib.sha256()
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def banners_of(runs: Iterable[Run], models: RunModels, mask: str | None) -> tuple[str, ...]:
    """Return the warnings to show with every output, each once.

    Args:
        runs: The run, and the face-only run if there is one.
        models: Models of the run.
        mask: Faces that are filled in the scene; None as in training.
    """
    trained = "subject" if models.models.config.streams.scene == "masked" else "none"
    is_other = mask not in (None, trained)
    other = [f"OTHER MASK: {mask} in the scene, trained with {trained}"] if is_other else []
    return tuple(dict.fromkeys([*(line for run in runs for line in run.banners), *models.banners, *other]))


def made_with_of(run: Run, models: RunModels) -> dict[str, str]:
    """Return the versions of this program and torch, the models, their precisions and the device."""
    precision = {
        section: str(models.identity.get(section, {}).get("precision", ""))
        for section in ("features", "detector")
    }
    return {
        "ous": program_version(),
        "encoder": run.info.encoder_name,
        "detector": models.models.config.detector.name,
        "precision": precision["features"],
        "detector_precision": precision["detector"],
        "torch": torch.__version__,
        "device": device_name(models.models.device),
    }

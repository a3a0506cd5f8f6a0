"""A run -> detector and encoder, as the features of its training clips were made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.errors import ConfigError
from pipeline.process import (
    ExtractConfig,
    Extraction,
    Models,
    identity_differences,
    load_models,
    stored_config,
)
from pipeline.store.location import LocationLike
from trainer.runs import Run

_PRECISIONS = ("features", "detector")


@dataclass(frozen=True, kw_only=True)
class RunModels:
    """Detector and encoder of a run.

    Attributes:
        models: The models.
        identity: Identity of the features that they compute here.
        banners: Warnings to show with every answer: another precision than in training.
    """

    models: Models
    identity: Mapping[str, Any]
    banners: tuple[str, ...]


def extraction_config(
    run: Run,
    device: torch.device,
    *,
    cache: LocationLike | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    takes_provided_faces: bool = False,
) -> ExtractConfig:
    """Return the settings that the features of a run were made with. No model is loaded.

    Args:
        run: The run.
        device: The device that will compute.
        cache: Training cache of a run of an earlier version; None for the one that it names.
        encoder_weights: Weights of the encoder; None for those that the run names.
        detector_weights: Weights of the detector; None for those that the run names.
        takes_provided_faces: Whether the clips may have the face boxes or crops that the run needs.

    Raises:
        ConfigError: The run does not record how its features were made, or its faces were not detected.
    """
    values, identity = run.extraction(cache)
    made = Extraction(config=values, identity=identity, encoder_name=run.info.encoder_name)
    try:
        config = stored_config(
            made, device, encoder_weights=encoder_weights, detector_weights=detector_weights
        )
    except ConfigError as error:
        msg = f"The settings that '{run.path}' stores, with these options, do not fit this program: {error}"
        raise ConfigError(msg) from error
    if not (config.faces.is_detected or takes_provided_faces):
        msg = (
            f"'{run.path}' was trained on faces that the dataset provides (--faces {config.faces.source}), "
            "which a video does not have; predict with a run on detected faces, or a list of clips that "
            "has these columns."
        )
        raise ConfigError(msg)
    return config


def load_run_models(
    run: Run,
    device: torch.device,
    *,
    cache: LocationLike | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    takes_provided_faces: bool = False,
) -> RunModels:
    """Load detector and encoder, and compare their features' identity with that of the run.

    Args:
        run: The run.
        device: Where the models compute.
        cache: See `extraction_config`, as for the other arguments.
        encoder_weights: See there.
        detector_weights: See there.
        takes_provided_faces: See there.

    Raises:
        ConfigError: As for `extraction_config`; or the features would differ in more than precision.
        WeightsError: Weights are missing or damaged.
    """
    config = extraction_config(
        run,
        device,
        cache=cache,
        encoder_weights=encoder_weights,
        detector_weights=detector_weights,
        takes_provided_faces=takes_provided_faces,
    )
    models = load_models(config, device)
    mine, theirs = models.identity(), run.extraction(cache)[1]
    if found := identity_differences(_without_precision(mine), _without_precision(theirs)):
        msg = (
            f"The features here would differ from those that '{run.path}' was trained on: "
            f"{'; '.join(found)}. Name the same weights with --encoder-weights or --detector-weights."
        )
        raise ConfigError(msg)
    pairs = [
        (section, mine[section]["precision"], _precision(theirs, section))
        for section in _PRECISIONS
        if mine[section]["precision"] != _precision(theirs, section)
    ]
    banners = tuple(
        f"OTHER PRECISION: {section} computed in {here}, trained on {there}" for section, here, there in pairs
    )
    return RunModels(models=models, identity=mine, banners=banners)


def _without_precision(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {
        section: {key: value for key, value in held.items() if key != "precision"}
        if section in _PRECISIONS and isinstance(held, Mapping)
        else held
        for section, held in identity.items()
    }


def _precision(identity: Mapping[str, Any], section: str) -> Any:
    held = identity.get(section)
    return held.get("precision") if isinstance(held, Mapping) else None

"""The settings that features were made with, for making features of other clips in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.clip_model import MadeFeatures, encoder_of
from pipeline.config import from_dict, to_dict
from pipeline.errors import ConfigError
from pipeline.fingerprint import default_settings
from pipeline.portable import located
from pipeline.process.config import ExtractConfig
from pipeline.process.identity import STEPS


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How the features of a run were made, as the run stores it; see `MadeFeatures`."""

    config: Mapping[str, Any]
    identity: Mapping[str, Any]
    encoder_name: str

    @property
    def encoder_weights(self) -> str:
        """Tag or path of the encoder's weights, as stored; empty if it is not known."""
        encoder = self.config.get("encoder")
        weights = encoder.get("weights") if isinstance(encoder, Mapping) else None
        return weights if isinstance(weights, str) else ""


def stored_config(
    made: MadeFeatures, device: torch.device, *, encoder_weights: str | None, detector_weights: str | None
) -> ExtractConfig:
    """Return the settings that features were made with, in their precisions if the device has them.

    A setting that is not stored takes the default of its algorithm version.

    Args:
        made: How they were made.
        device: The device that will compute.
        encoder_weights: Weights of the encoder now; None for the stored ones.
        detector_weights: Weights of the detector now; None for the stored ones.

    Raises:
        ConfigError: A stored setting is not one of this program.
    """
    values = {section: _section(made.config, section) for section in made.config if section != "dataset"}
    values |= {
        section: {**default_settings(kind), **values.get(section, {})} for section, (_, kind) in STEPS.items()
    }
    values |= {section: values.get(section, {}) for section in ("features", "encoder", "detector")}
    made_in = _section(made.identity, "features").get("precision")
    values["features"]["precision"] = "auto" if made_in == "fp16" and device.type == "cpu" else made_in
    values["detector"]["precision"] = _section(made.identity, "detector").get("precision")
    stored_weights = values["detector"].get("weights")
    if detector_weights is not None:
        values["detector"]["weights"] = detector_weights
    elif isinstance(stored_weights, str):
        values["detector"]["weights"] = located(stored_weights)
    values["encoder"] |= to_dict(encoder_of(made, encoder_weights))
    return from_dict(ExtractConfig, values)


def _section(values: Mapping[str, Any], section: str) -> dict[str, Any]:
    held = values.get(section, {})
    if not isinstance(held, Mapping):
        msg = f"'{section}' holds {held!r:.100}, no settings."
        raise ConfigError(msg)
    return dict(held)

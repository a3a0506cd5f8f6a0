"""The config that a cache was made with, for computing its features or crops again."""

from pipeline.clip_model import encoder_of
from pipeline.config import from_dict, to_dict
from pipeline.device import choose_device
from pipeline.errors import CacheError, ConfigError
from pipeline.fingerprint import default_settings
from pipeline.portable import located
from pipeline.process import STEPS, ExtractConfig, version_differences
from pipeline.store.reader import FeatureCache


class OtherAlgorithmsError(CacheError):
    """Error for a cache whose features this program cannot compute again, due to other algorithm versions."""


def config_of(
    cache: FeatureCache, encoder_weights: str | None, detector_weights: str | None
) -> ExtractConfig:
    """Return the config that a cache was made with, in its precisions if this machine has them.

    A setting that the cache does not have yet takes the default of its algorithm version.

    Args:
        cache: Open cache.
        encoder_weights: Weights of the encoder now; None for those that the cache names.
        detector_weights: Weights of the detector now; None for those that the cache names.

    Raises:
        OtherAlgorithmsError: The cache was made by other algorithm versions.
        CacheError: The cache has settings that this program does not know.
    """
    if found := version_differences(cache.meta.identity):
        msg = (
            f"'{cache.place}' was made by other algorithms: {'; '.join(found)}. Use the program that made "
            "it, or extract again into another --cache."
        )
        raise OtherAlgorithmsError(msg)
    sections = [section for section in cache.meta.config if section != "dataset"]
    values = {section: dict(cache.setting(f"config.{section}", dict)) for section in sections}
    values |= {
        section: {**default_settings(kind), **values.get(section, {})} for section, (_, kind) in STEPS.items()
    }
    values |= {section: values.get(section, {}) for section in ("features", "encoder", "detector")}
    made_in = cache.setting("identity.features.precision", str)
    values["features"]["precision"] = (
        "auto" if made_in == "fp16" and choose_device().type == "cpu" else made_in
    )
    values["detector"]["precision"] = cache.setting("identity.detector.precision", str)
    stored_weights = values["detector"].get("weights")
    if detector_weights is not None:
        values["detector"]["weights"] = detector_weights
    elif isinstance(stored_weights, str):
        values["detector"]["weights"] = located(stored_weights)
    try:
        values["encoder"] |= to_dict(encoder_of(cache.meta, encoder_weights))
        return from_dict(ExtractConfig, values)
    except ConfigError as error:
        msg = (
            f"'{cache.place}' stores settings that are not those of this program: {error} Use the program "
            "that made it, or extract again into another --cache."
        )
        raise CacheError(msg) from error

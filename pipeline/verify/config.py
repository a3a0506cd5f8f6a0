"""The config that a cache was made with, for computing its features or crops again."""

from pipeline.device import choose_device
from pipeline.errors import CacheError, ConfigError
from pipeline.process import ExtractConfig, stored_config, version_differences
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
    for section in cache.meta.config:
        if section != "dataset":
            cache.setting(f"config.{section}", dict)
    for path in ("identity.features.precision", "identity.detector.precision"):
        cache.setting(path, str)
    try:
        return stored_config(
            cache.meta,
            choose_device(),
            encoder_weights=encoder_weights,
            detector_weights=detector_weights,
        )
    except ConfigError as error:
        msg = (
            f"'{cache.place}' stores settings that are not those of this program: {error} Use the program "
            "that made it, or extract again into another --cache."
        )
        raise CacheError(msg) from error

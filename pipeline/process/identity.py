"""The identity of features: which algorithms, settings and models they depend on (docs/decisions/0007)."""

from collections.abc import Mapping
from typing import Any

from pipeline.faces import DetectorConfig
from pipeline.features import FeatureConfig
from pipeline.fingerprint import changed_settings, default_settings, differences, format_value
from pipeline.frames import FrameConfig
from pipeline.streams import StreamConfig
from pipeline.tracks import TrackConfig

STEPS: Mapping[str, tuple[str, Any]] = {
    "frames": ("frames", FrameConfig),
    "detector": ("faces", DetectorConfig),
    "track": ("tracks", TrackConfig),
    "streams": ("streams", StreamConfig),
    "features": ("features", FeatureConfig),
}
"""Section of the config -> name of its step, class of its settings."""

_VERSION, _FIRST = "version", 1


def step_identity(config: Any) -> dict[str, Any]:
    """Return the version of a step's algorithm, and the settings that differ from its defaults."""
    return {_VERSION: config.VERSION, **changed_settings(config)}


def identity_differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Compare two identities in words: no line, no difference in any feature.

    A step that has another algorithm version is named by it alone, such as ``tracks: version 2 here,
    1 there``. An identity without versions, from caches written before there were any, is of version 1
    and holds every setting.

    Args:
        mine: The identity of this machine's models and settings.
        theirs: The identity that a cache stores.
    """
    here, there = dict(mine), dict(theirs)
    lines = []
    for section, (step, kind) in STEPS.items():
        one, other = _whole(here.pop(section, None), kind), _whole(there.pop(section, None), kind)
        if one[_VERSION] != other[_VERSION]:
            lines.append(
                f"{step}: version {format_value(one[_VERSION])} here, {format_value(other[_VERSION])} there"
            )
        else:
            lines += differences({section: one}, {section: other})
    return lines + differences(here, there)


def _whole(section: Any, kind: Any) -> dict[str, Any]:
    """Return a section with its version and the defaults that it omits; attributes are not trusted."""
    stored = section if isinstance(section, Mapping) else {}
    return {_VERSION: _FIRST, **default_settings(kind), **stored}

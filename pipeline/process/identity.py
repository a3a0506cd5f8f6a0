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
        one, other = here.pop(section, None), there.pop(section, None)
        if not isinstance(one, Mapping) or not isinstance(other, Mapping):
            lines.append(f"{section}: {format_value(one)} here, {format_value(other)} there")
        elif found := _version_difference(step, _version_of(one), _version_of(other)):
            lines.append(found)
        else:
            defaults = {_VERSION: _FIRST, **default_settings(kind)}
            lines += differences({section: {**defaults, **one}}, {section: {**defaults, **other}})
    return lines + differences(here, there)


def version_differences(theirs: Mapping[str, Any]) -> list[str]:
    """Return a line for each step whose algorithm has another version here than in a stored identity."""
    return [_version_difference(*versions) for versions in _other_versions(theirs)]


def version_note(theirs: Mapping[str, Any]) -> str:
    """Return the same for a reader: ``tracks version 1; this program makes tracks version 2``, or nothing."""
    other = _other_versions(theirs)
    if not other:
        return ""
    made = ", ".join(f"{step} version {format_value(there)}" for step, _, there in other)
    return f"{made}; this program makes {', '.join(f'{step} version {here}' for step, here, _ in other)}"


def _other_versions(theirs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return step, version here and version there, where they differ."""
    versions = [
        (step, kind.VERSION, _version_of(theirs.get(section))) for section, (step, kind) in STEPS.items()
    ]
    return [found for found in versions if _version_difference(*found)]


def _version_of(section: Any) -> Any:
    """Return the version that a stored section names; attributes are not trusted."""
    return section.get(_VERSION, _FIRST) if isinstance(section, Mapping) else _FIRST


def _version_difference(step: str, here: Any, there: Any) -> str:
    """Return one line, empty where both are the same whole number."""
    if type(here) is type(there) is int and here == there:
        return ""
    return f"{step}: version {format_value(here)} here, {format_value(there)} there"

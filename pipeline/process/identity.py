"""The identity of features: the algorithms, settings and models that determine them (decision 0007)."""

from collections.abc import Mapping
from typing import Any

from pipeline.faces import DetectorConfig
from pipeline.features import FeatureConfig
from pipeline.fingerprint import changed_settings, default_settings, differences, format_value
from pipeline.frames import FrameConfig, ShotConfig
from pipeline.people import PeopleConfig
from pipeline.streams import StreamConfig
from pipeline.tracks import EARLIER_METHOD, TrackConfig
from pipeline.versions import OF_MOTION, SECTIONS, VERSION, is_same_version, stored_version, stored_versions

_SETTINGS: Mapping[str, Any] = {
    "frames": FrameConfig,
    "shots": ShotConfig,
    "detector": DetectorConfig,
    "people": PeopleConfig,
    "track": TrackConfig,
    "streams": StreamConfig,
    "features": FeatureConfig,
}
STEPS: Mapping[str, tuple[str, Any]] = {
    section: (step, _SETTINGS[section]) for section, step in SECTIONS.items()
}
"""Section of the config -> name of its step, class of its settings."""

_OF_WEIGHTS = {
    "detector": {"sha256"},
    "encoder": {"visual_sha256", "text_sha256", "mean", "std"},
}
"""Section of an identity -> its keys that depend on the weights."""


def step_identity(config: Any) -> dict[str, Any]:
    """Return the version of a step's algorithm, and the settings that differ from its defaults."""
    return {VERSION: config.VERSION, **changed_settings(config)}


def without_weights(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity without the keys that depend on weights: hashes, mean and std of images."""
    return {
        section: {key: value for key, value in held.items() if key not in _OF_WEIGHTS.get(section, ())}
        if isinstance(held, Mapping)
        else held
        for section, held in identity.items()
    }


def identity_differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return a line for each difference between two identities; none if they determine the same features.

    If a step has another algorithm version, its line names the versions alone, such as ``tracks: version 2
    here, 1 there``. An identity without versions is one from before decision 0007: it has version 1 and holds
    every setting. The defaults of a later version than this program's are not known, so that two caches of
    such a version are compared by the settings that they list.

    Args:
        mine: The identity of this machine's models and settings, or of another cache.
        theirs: The identity that a cache stores.
    """
    here, there = dict(mine), dict(theirs)
    is_other_method = method_of(mine) != method_of(theirs)
    lines = []
    for section, (step, kind) in STEPS.items():
        one, other = here.pop(section, None), there.pop(section, None)
        if section in OF_MOTION and None in (one, other) and (one == other or is_other_method):
            continue
        if not isinstance(one, Mapping) or not isinstance(other, Mapping):
            lines.append(f"{section}: {format_value(one)} here, {format_value(other)} there")
        elif found := _version_difference(step, stored_version(one), stored_version(other)):
            lines.append(found)
        else:
            is_later = isinstance(number := stored_version(one), int) and number > kind.VERSION
            defaults = {VERSION: stored_version({}), **({} if is_later else default_settings(kind))}
            lines += differences({section: {**defaults, **one}}, {section: {**defaults, **other}})
    return lines + differences(here, there)


def method_of(identity: Mapping[str, Any]) -> Any:
    """Return the method of an identity's tracks; that of earlier versions if it names none."""
    track = identity.get("track")
    return track.get("method", EARLIER_METHOD) if isinstance(track, Mapping) else None


def version_differences(theirs: Mapping[str, Any]) -> list[str]:
    """Return a line for each step whose algorithm has another version here than in a stored identity."""
    found = [
        _version_difference(STEPS[section][0], STEPS[section][1].VERSION, there)
        for section, there in stored_versions(theirs).items()
    ]
    return [line for line in found if line]


def _version_difference(step: str, here: int, there: Any) -> str:
    """Return one line, empty where both are the same whole number."""
    if is_same_version(here, there):
        return ""
    return f"{step}: version {format_value(here)} here, {format_value(there)} there"

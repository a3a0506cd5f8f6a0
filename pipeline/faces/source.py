"""Where faces come from: a detector, or boxes or face crops that the dataset provides (decision 0024).

Before decision 0024, ``boxes`` and ``crops`` were names of detectors. Identities and stored settings keep
that form, and command lines may use it. `from_older_keys` and `to_older_keys` translate settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pipeline.choices import FaceSource
from pipeline.config import require_one_of
from pipeline.errors import ConfigError
from pipeline.faces.detector import DetectorConfig

SOURCES: tuple[str, ...] = get_args(FaceSource)
FROM_DETECTOR = "detector"


@dataclass(frozen=True, kw_only=True)
class FaceConfig:
    """Where faces come from."""

    source: str = FROM_DETECTOR
    """``detector``, ``boxes`` (bounding boxes of a manifest) or ``crops`` (face crops of a dataset)."""

    def __post_init__(self) -> None:
        require_one_of("faces.source", self.source, SOURCES)

    @property
    def is_detected(self) -> bool:
        """Whether a detector finds the faces."""
        return self.source == FROM_DETECTOR

    @property
    def takes_crops(self) -> bool:
        """Whether the dataset's face crops are the face stream."""
        return self.source == "crops"


def require_one_source(faces: FaceConfig, detector: DetectorConfig) -> None:
    """Raise ConfigError if the dataset is to provide the faces, and a detector or its weights are set too."""
    if faces.is_detected:
        return
    if detector.weights is not None:
        unused = f"detector.weights {detector.weights!r}"
    elif detector.name != DetectorConfig.name:
        unused = f"detector.name {detector.name!r}"
    else:
        return
    msg = f"faces.source is {faces.source!r}, which uses no detector, but {unused} is given; remove one."
    raise ConfigError(msg)


def from_older_keys(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings in the keys of today.

    Args:
        values: Settings by section, which need not be valid. A ``detector.name`` of ``boxes`` or ``crops``
            becomes ``faces.source``.

    Raises:
        ConfigError: `values` hold both, and they differ.
    """
    detector, faces = values.get("detector"), values.get("faces", {})
    if not isinstance(detector, Mapping) or not isinstance(faces, Mapping):
        return values
    name, source = detector.get("name"), faces.get("source", FROM_DETECTOR)
    if name == FROM_DETECTOR or name not in SOURCES:
        return values
    if source not in (FROM_DETECTOR, name):
        msg = f"faces.source is {source!r} and detector.name is {name!r}; give faces.source alone."
        raise ConfigError(msg)
    others = {key: value for key, value in detector.items() if key != "name"}
    return {**values, "faces": {**faces, "source": name}, "detector": others}


def to_older_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the keys that caches store, which programs before decision 0024 read too.

    Args:
        values: Valid settings by section, with every key. `require_one_source` holds for them, so that the
            name of the detector is free to name the source.
    """
    source = values["faces"]["source"]
    older = {section: held for section, held in values.items() if section != "faces"}
    if source != FROM_DETECTOR:
        older["detector"] = {**older["detector"], "name": source}
    return older

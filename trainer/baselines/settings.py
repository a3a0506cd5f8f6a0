"""Settings of the baselines: ``baseline.key=value`` in a row of a table, or for all rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pipeline.config import override, require_one_of, require_range, to_dict
from pipeline.errors import ConfigError

Method = Literal["majority", "zero_shot", "linear_probe"]
METHODS: tuple[Method, ...] = get_args(Method)
WITHOUT_SEED = frozenset({"majority", "zero_shot"})
"""Methods whose result is the same for every seed."""
Stream = Literal["face", "scene", "both"]

_SECTION, _DATA = "baseline.", "data."
_PLACE = "{class}"
_LARGEST_C = 1e9


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Settings of the baselines that are not trained by `train`.

    Attributes:
        stream: Features: of the ``face``, of the ``scene``, or ``both``, one after the other.
        template: Text of a class for zero-shot CLIP, with {class} in place of its name. The default is one of
            those that CLIP's authors published for facial expressions (FER2013), and the one that takes a
            noun.
        c: Values of C, the inverse strength of the L2 penalty of the linear probe. The one with the lowest
            loss on the validation clips is used.
    """

    stream: Stream = "face"
    template: str = "a photo of a face showing the emotion: {class}."
    c: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)

    def __post_init__(self) -> None:
        require_one_of("baseline.stream", self.stream, get_args(Stream))
        if self.template.count(_PLACE) != 1:
            given = repr(self.template[:200])
            msg = f"baseline.template is {given}; a text with {_PLACE} in one place is needed."
            raise ConfigError(msg)
        if not self.c or not all(isinstance(value, float | int) for value in self.c):
            msg = f"baseline.c is {self.c!r:.200}; one or more numbers are needed, such as 0.1,1,10."
            raise ConfigError(msg)
        for value in self.c:
            require_range("baseline.c", value, 1 / _LARGEST_C, _LARGEST_C)

    def text(self, class_name: str) -> str:
        """Return the text of a class; underscores of its name are read as spaces."""
        return self.template.replace(_PLACE, class_name.replace("_", " "))


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """The section ``baseline`` of settings."""

    baseline: BaselineConfig = field(default_factory=BaselineConfig)


_USED: Mapping[Method, tuple[str, ...]] = {
    "majority": (),
    "zero_shot": ("stream", "template"),
    "linear_probe": ("stream", "c"),
}
"""Settings that a method uses."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A method with its settings."""

    method: Method
    config: BaselineConfig

    def __post_init__(self) -> None:
        require_one_of("method", self.method, METHODS)
        if self.method == "zero_shot" and self.config.stream == "both":
            msg = "baseline.stream is 'both'; method zero_shot allows: face, scene."
            raise ConfigError(msg)

    @property
    def reads_features(self) -> bool:
        """Whether the method reads features of the cache."""
        return self.method != "majority"

    @property
    def reads_scene(self) -> bool:
        """Whether the method reads features of the scene."""
        return self.reads_features and self.config.stream != "face"

    @property
    def selects(self) -> bool:
        """Whether validation clips choose a setting of the method."""
        return self.method == "linear_probe"

    @property
    def sees_training_clips(self) -> bool:
        """Whether the method depends on the training clips."""
        return self.method != "zero_shot"

    def used(self) -> dict[str, Any]:
        """Return the method and the settings that it uses, as plain values."""
        values = to_dict(self.config)
        return {"method": self.method, **{key: values[key] for key in _USED[self.method]}}

    def require_used(self, settings: Sequence[str]) -> None:
        """Raise ConfigError for a ``section.key=value`` of a row that its method does not use."""
        used = [f"{_SECTION}{name}" for name in _USED[self.method]]
        for setting in settings:
            key = setting.partition("=")[0].strip()
            if key not in used and not key.startswith(_DATA):
                shown = ", ".join([*used, f"{_DATA}*"])
                msg = f"method {self.method} does not use '{key}'; it uses: {shown}. Leave the setting out."
                raise ConfigError(msg)


def is_of_baselines(setting: str) -> bool:
    """Return whether a ``section.key=value`` is a setting of the baselines."""
    return setting.strip().startswith(_SECTION)


def baseline_of(method: str, settings: Sequence[str]) -> Baseline:
    """Return a baseline with its settings.

    Args:
        method: One of `METHODS`.
        settings: Each ``baseline.key=value``, in their order.

    Raises:
        ConfigError: The method or a setting is unknown, or a value is not allowed.
    """
    require_one_of("method", method, METHODS)
    config = override(BaselineSettings(), settings).baseline
    return Baseline(method=next(one for one in METHODS if one == method), config=config)

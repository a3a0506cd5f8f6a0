"""A run directory -> the trained run, which answers batches and names the origin of its features."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from pipeline.device import choose_device
from pipeline.errors import CacheError, ConfigError, FileError, counted, printable
from pipeline.own_dir import OwnDir
from pipeline.store.location import LocationLike
from pipeline.strict_json import from_json
from trainer.batches import Batch
from trainer.caches import chosen_cache, open_cache
from trainer.checkpoint import Checkpoint, load_checkpoint
from trainer.config import TrainConfig
from trainer.model import Outputs, SceneStream
from trainer.run_info import RunInfo

_TEST_FILE = "confusion.json"
_MOST_BYTES = 16 << 20


@final
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Run:
    """A trained run.

    Attributes:
        path: Directory of the run.
        checkpoint: Its best model, in evaluation mode.
        test_war: WAR of its test clips, 0 to 1, if `evaluate` has measured it; else None.
    """

    path: Path
    checkpoint: Checkpoint
    test_war: float | None = None

    @property
    def info(self) -> RunInfo:
        """Origin of the run."""
        return self.checkpoint.info

    @property
    def config(self) -> TrainConfig:
        """Settings of the run."""
        return self.checkpoint.config

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes, in the order of logits and probabilities."""
        return self.info.class_names

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings to show beside every answer of this run."""
        return self.info.banners

    @property
    def is_calibrated(self) -> bool:
        """Whether a temperature was fitted on validation clips; if not, see `info.not_calibrated`."""
        return self.info.temperature > 0

    @property
    def temperature(self) -> float:
        """Divisor of the logits; 1 if none was fitted."""
        return self.info.temperature if self.is_calibrated else 1.0

    @property
    def device(self) -> torch.device:
        """Device of the model, where batches must be."""
        return self.checkpoint.text_CF.device

    @torch.inference_mode()
    def outputs(self, batch: Batch, stream: SceneStream | None = None) -> Outputs:
        """Return the outputs of the model for a batch on `device`; logits are those without a temperature.

        Args:
            batch: The clips.
            stream: `scene_stream` of a batch with the same scenes; None to compute it.
        """
        outputs: Outputs = self.checkpoint.model(batch, self.checkpoint.text_CF, stream)
        return outputs

    @torch.inference_mode()
    def scene_stream(self, batch: Batch) -> SceneStream:
        """Return the values that only the scenes of a batch determine, to use them with other faces."""
        found: SceneStream = self.checkpoint.model.scene_stream(batch)
        return found

    @torch.inference_mode()
    def probabilities(self, batch: Batch) -> torch.Tensor:
        """Return softmax(logits / `temperature`) of a batch on `device`: probabilities [B, C], float32."""
        return self.calibrated(self.outputs(batch).logits_BC)

    def calibrated(self, logits_BC: torch.Tensor) -> torch.Tensor:
        """Return softmax(logits / `temperature`), [B, C] in the type of the logits."""
        return torch.softmax(logits_BC / self.temperature, dim=1)

    def extraction(self, cache: LocationLike | None = None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return how the features of this run were made: the stored config, and the identity.

        The config has the settings of `ExtractConfig.to_stored` and the section "dataset".

        Args:
            cache: The training cache, for a run of an earlier version, which does not record them itself.
                None: the one that the run names.

        Raises:
            ConfigError: The run does not record them, and its training cache is not there; or `cache` is
                another one.
            CacheError: `cache` cannot be read.
        """
        info = self.info
        if info.identity:
            return info.extract_config, info.identity
        msg = (
            f"'{self.path}': this run does not record how its features were made; name its cache with "
            "--cache."
        )
        unknown = ConfigError(msg)
        try:
            place = chosen_cache(self.path, info.training_cache(self.path), cache)
            with open_cache(place) as features:
                meta = features.meta
        except CacheError:
            if cache is not None:
                raise
            raise unknown from None
        if meta.fingerprint == info.cache_fingerprint:
            return meta.config, meta.identity
        if cache is None:
            raise unknown
        msg = (
            f"'{cache}' has features of fingerprint {meta.fingerprint}; '{self.path}' was trained on "
            f"{info.cache_fingerprint}. Give its training cache."
        )
        raise ConfigError(msg)

    def __repr__(self) -> str:
        """Return path, classes, encoder, fold and, if known, the WAR of the test clips."""
        info = self.info
        encoder = f"{info.encoder_name}{' with random weights' * info.random_weights}"
        war = "" if self.test_war is None else f", test WAR {self.test_war:.1%}"
        classes = f"{counted(len(self.class_names), 'class', 'classes')} ({', '.join(self.class_names)})"
        origin = f"{info.trained_on}, seed {info.seed}"
        return printable(f"Run('{self.path}': {classes}; encoder {encoder}; {origin}{war})")


def load_run(path: str | Path, *, device: str = "auto") -> Run:
    """Load a run that `train` made, or a model that `export` made.

    Args:
        path: Directory of the run or the model.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        CheckpointError: The run has no checkpoint, or its files are damaged or of different runs.
        ConfigError: The device is unknown.
    """
    place = OwnDir.of(path)
    checkpoint = load_checkpoint(place, choose_device(device))
    return Run(path=place.path, checkpoint=checkpoint, test_war=_test_war(place))


def run_of(run: Run | str | Path) -> Run:
    """Return a run that is given as itself or by its directory. Raises the errors of `load_run`."""
    return run if isinstance(run, Run) else load_run(run)


def own_test_values(place: OwnDir) -> Any:
    """Return what `evaluate` has written for the run's own test clips; None if it cannot be read."""
    try:
        values = from_json(place.read_text(_TEST_FILE, _MOST_BYTES))
        return values if values["split"] == "test" and values["is_own_fold"] is True else None
    except (FileError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _test_war(place: OwnDir) -> float | None:
    """Return the WAR that `evaluate` has written for the run's own test clips; None if it is not known."""
    war = (own_test_values(place) or {}).get("war")
    return war if isinstance(war, float) and 0 <= war <= 1 else None

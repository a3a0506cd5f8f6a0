"""The state of a training run after an epoch, beside the run: from it, the run continues to the bit.

``training_state.safetensors`` holds model, prompts, Adam, generators, schedule and all records. It is
written after an epoch if that takes at most 5% of the time since it was written before, and removed when
training ends. If a better model replaces best.safetensors in between, ``previous_best.safetensors`` keeps
the one of the state.

Letters: N validation clips; C classes.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pipeline.errors import CheckpointError, FileError, MissingFileError, first_line
from pipeline.own_dir import OwnDir
from pipeline.strict_json import from_json, to_json
from trainer.optim import Progress
from trainer.run_directory import STATE_FILE, WEIGHTS_FILE, info_from
from trainer.run_info import RunInfo
from trainer.steps import TrainState
from trainer.training_result import EpochReport, TrainEpoch, ValidationEpoch
from trainer.weights_file import MOST_BYTES, Header, load_tensors, read_header, to_bytes

PREVIOUS_FILE, LOCK_FILE = "previous_best.safetensors", ".training.lock"
_METADATA, _FORMAT = "ous_training", 1
_LARGEST_SHARE = 0.05
_MODEL, _PROMPTS, _ADAM, _BEST = "model.", "prompts.", "adam.", "best_logits"
_ORDER, _TORCH, _CUDA = "generator.order", "generator.torch", "generator.cuda"


@dataclass(frozen=True, kw_only=True)
class EpochState:
    """Progress of a run after an epoch.

    Attributes:
        reports: Reports of all epochs.
        progress: State of the schedule.
        info: Origin of the run.
        best_logits_NC: Logits of the best epoch for the validation clips.
    """

    reports: Sequence[EpochReport]
    progress: Progress
    info: RunInfo
    best_logits_NC: torch.Tensor


class StateKeeper:
    """Writes the state of a run after its epochs.

    Args:
        run_dir: Directory of the run.
        parts: The trained parts.
        order: Generator of the order of clips.
        has_state: Whether the directory has a state, which the run continues.
        share: Largest fraction of the time that may be spent on writing.
    """

    def __init__(
        self,
        run_dir: OwnDir,
        parts: TrainState,
        order: torch.Generator,
        *,
        has_state: bool = False,
        share: float = _LARGEST_SHARE,
    ) -> None:
        self._run_dir, self._parts, self._order, self._share = run_dir, parts, order, share
        self._written_at, self._write_seconds = -float("inf"), 0.0
        self._has_state, self._has_previous = has_state, False

    def before_best(self) -> None:
        """Keep the model of the last written state, before a better one replaces it."""
        if self._has_state and not self._has_previous:
            self._run_dir.link(WEIGHTS_FILE, PREVIOUS_FILE)
            self._has_previous = True

    def after_epoch(self, state: EpochState) -> None:
        """Write the state, unless that would take too long. Raises FileError."""
        began = time.perf_counter()
        if self._write_seconds > self._share * (began - self._written_at):
            return
        self._run_dir.write_bytes(STATE_FILE, _state_bytes(state, self._parts, self._order))
        self._run_dir.remove_file(PREVIOUS_FILE)
        self._written_at = time.perf_counter()
        self._write_seconds = self._written_at - began
        self._has_state, self._has_previous = True, False

    def finish(self) -> None:
        """Remove the files of the state."""
        for name in (STATE_FILE, PREVIOUS_FILE, LOCK_FILE):
            self._run_dir.remove_file(name)


@dataclass(frozen=True, kw_only=True)
class StoredState:
    """State of an interrupted run, read from its directory.

    Attributes:
        epoch: Progress after the last epoch of the state.
        tensors: Model, prompts, Adam and generators.
        machine: Device and threads of the run so far.
    """

    epoch: EpochState
    tensors: dict[str, torch.Tensor]
    machine: str

    def restore(self, parts: TrainState, order: torch.Generator) -> None:
        """Put the trained parts and all generators into this state."""
        parts.model.load_state_dict(_below(_MODEL, self.tensors))
        parts.prompts.load_state_dict(_below(_PROMPTS, self.tensors))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _below(_ADAM, self.tensors).items():
            place, kind = name.split(".")
            moments.setdefault(int(place), {})[kind] = value
        _require_moments(moments, parts)
        groups = parts.optimizer.state_dict()["param_groups"]
        parts.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        order.set_state(self.tensors[_ORDER])
        torch.set_rng_state(self.tensors[_TORCH])
        device = parts.parameters[0].device
        if device.type == "cuda" and _CUDA in self.tensors:
            torch.cuda.set_rng_state(self.tensors[_CUDA], device)


def _require_moments(moments: dict[int, dict[str, torch.Tensor]], parts: TrainState) -> None:
    """Raise ValueError unless Adam has its numbers for every parameter; Adam itself does not check that."""
    needed = {
        place: {"step": (), "exp_avg": tuple(one.shape), "exp_avg_sq": tuple(one.shape)}
        for place, one in enumerate(parts.parameters)
    }
    found = {
        place: {name: tuple(value.shape) for name, value in values.items()}
        for place, values in moments.items()
    }
    if found != needed:
        msg = "it does not have the moments of Adam of every parameter"
        raise ValueError(msg)


def machine_of(device: torch.device) -> str:
    """Return what the numbers of a run depend on besides its data: device type, and threads of a CPU."""
    return f"{device.type}, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def read_state(run_dir: OwnDir) -> StoredState:
    """Read the state of an interrupted run, and restore best.safetensors if it is of a later epoch.

    Raises:
        MissingFileError: There is none.
        CheckpointError: It is damaged.
    """
    try:
        with run_dir.open_read(STATE_FILE, MOST_BYTES) as file:
            header = read_header(file)
            values = _values_of(header)
            tensors = load_tensors(file, header)
        reports = tuple(_report(one) for one in values["reports"])
        epoch = EpochState(
            reports=reports,
            progress=Progress(**values["progress"]),
            info=info_from(values["run"]),
            best_logits_NC=tensors[_BEST],
        )
        if not reports or not all(value.isfinite().all() for value in tensors.values()):
            msg = "it has no epoch, or numbers that are NaN or infinite"
            raise ValueError(msg)  # noqa: TRY301 - as every other damage
        return StoredState(epoch=epoch, tensors=tensors, machine=str(values["machine"]))
    except MissingFileError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged files may raise any error
        msg = f"'{run_dir.path / STATE_FILE}' cannot be used: {first_line(error)}. Train the run again."
        raise CheckpointError(msg) from error


def restore_best(run_dir: OwnDir, best_epoch: int) -> None:
    """Make best.safetensors the model of an epoch, which is it already or is in the other file.

    Raises:
        CheckpointError: Neither file has it.
    """
    for name in (WEIGHTS_FILE, PREVIOUS_FILE):
        with suppress(MissingFileError):
            if _epoch_of(run_dir, name) == best_epoch:
                if name != WEIGHTS_FILE:
                    run_dir.write_bytes(WEIGHTS_FILE, run_dir.read_bytes(name, MOST_BYTES))
                return
    msg = f"'{run_dir}' has no model of epoch {best_epoch}, the best one of its state. Train the run again."
    raise CheckpointError(msg)


def _epoch_of(run_dir: OwnDir, name: str) -> int:
    """Return the epoch of a file of weights; 0 for one that cannot be read. Raises MissingFileError."""
    try:
        with run_dir.open_read(name, MOST_BYTES) as file:
            return int(from_json(read_header(file).metadata["ous"])["epoch"])
    except MissingFileError:
        raise
    except (FileError, ValueError, KeyError, TypeError):
        return 0


def _state_bytes(state: EpochState, parts: TrainState, order: torch.Generator) -> bytes:
    device = parts.parameters[0].device
    tensors = {f"{_MODEL}{name}": value for name, value in parts.model.state_dict().items()}
    tensors |= {f"{_PROMPTS}{name}": value for name, value in parts.prompts.state_dict().items()}
    for place, moments in parts.optimizer.state_dict()["state"].items():
        tensors |= {f"{_ADAM}{place}.{name}": value for name, value in moments.items()}
    tensors |= {_BEST: state.best_logits_NC, _ORDER: order.get_state(), _TORCH: torch.get_rng_state()}
    if device.type == "cuda":
        tensors[_CUDA] = torch.cuda.get_rng_state(device)
    values = {
        "format": _FORMAT,
        "reports": [asdict(report) for report in state.reports],
        "progress": asdict(state.progress),
        "run": asdict(state.info),
        "machine": machine_of(device),
    }
    return to_bytes(tensors, {_METADATA: to_json(values, indent=None)})


def _values_of(header: Header) -> dict[str, Any]:
    values: dict[str, Any] = from_json(header.metadata[_METADATA])
    if values["format"] != _FORMAT:
        msg = f"its format is {values['format']!r}; this version reads {_FORMAT}"
        raise ValueError(msg)
    return values


def _report(values: dict[str, Any]) -> EpochReport:
    parts = {"train": TrainEpoch(**values["train"]), "validation": ValidationEpoch(**values["validation"])}
    return EpochReport(**{**values, **parts})


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

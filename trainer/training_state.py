"""The state of a training run after an epoch, beside the run: from it, the run continues to the bit.

``training_state.safetensors`` holds model, prompts, Adam, generators, schedule and all records. It is
written after an epoch if that takes at most 5% of the time since it was written before, and removed when
training ends. If a better model replaces best.safetensors in between, ``previous_best.safetensors`` keeps
the one of the state.

Letters: N validation clips; C classes.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pipeline.errors import CheckpointError, FileError, MissingFileError, first_line, printable
from pipeline.own_dir import OwnDir
from pipeline.strict_json import from_json, to_json
from trainer.checkpoint import origin_of, stored_epoch
from trainer.losses import loss_names
from trainer.optim import Progress
from trainer.run_directory import CONFIG_FILE, STATE_FILE, WEIGHTS_FILE, read_text
from trainer.run_info import RunInfo
from trainer.steps import TrainState
from trainer.training_result import EpochReport, TrainEpoch, ValidationEpoch
from trainer.weights_file import MOST_BYTES, load_tensors, read_header, to_bytes

PREVIOUS_FILE, LOCK_FILE = "previous_best.safetensors", ".training.lock"
NOT_STORED = "the training cannot be resumed, because its state is not stored: {}"
_METADATA, _FORMAT = "ous_training", 1
_LARGEST_SHARE = 0.05
_MODEL, _PROMPTS, _ADAM, _BEST = "model.", "prompts.", "adam.", "best_logits"
_ORDER, _TORCH, _CUDA = "generator.order", "generator.torch", "generator.cuda"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class EpochState:
    """Progress of a run after an epoch.

    Attributes:
        reports: Reports of all epochs.
        progress: State of the schedule.
        best_logits_NC: Logits of the best epoch for the validation clips.
    """

    reports: Sequence[EpochReport]
    progress: Progress
    best_logits_NC: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """Hashes by which a state is compared with a run.

    Attributes:
        run_sha256: Settings and origin of the run.
        features_sha256: Features of some clips of the run.
    """

    run_sha256: str
    features_sha256: str

    @classmethod
    def of(cls, run_dir: OwnDir, info: RunInfo, features_sha256: str) -> "RunIdentity":
        """Return the hashes of a run.

        Args:
            run_dir: Directory of the run, with its config.toml.
            info: Origin of the run, as in run.json.
            features_sha256: See above.
        """
        text = to_json(origin_of(info), indent=None) + read_text(run_dir, CONFIG_FILE)
        return cls(run_sha256=hashlib.sha256(text.encode()).hexdigest(), features_sha256=features_sha256)


class StateKeeper:
    """Writes the state of a run after its epochs. If it cannot, the training continues without it.

    Args:
        run_dir: Directory of the run.
        parts: The trained parts.
        order: Generator of the order of clips.
        identity: Hashes of the run.
        has_state: Whether the directory has a state, which the run continues.
        share: Largest fraction of the time that may be spent on writing.

    Attributes:
        note: Why no state is kept any more; empty if one is.
    """

    def __init__(
        self,
        run_dir: OwnDir,
        parts: TrainState,
        order: torch.Generator,
        identity: RunIdentity,
        *,
        has_state: bool = False,
        share: float = _LARGEST_SHARE,
    ) -> None:
        self._run_dir, self._parts, self._order, self._share = run_dir, parts, order, share
        self._identity = identity
        self._written_at, self._write_seconds = -float("inf"), 0.0
        self._has_state, self._has_previous = has_state, False
        self.note = ""

    def before_best(self) -> None:
        """Keep the model of the last written state, before a better one replaces it."""
        if self._has_state and not self._has_previous:
            self._has_previous = self._has_done(lambda: self._run_dir.link(WEIGHTS_FILE, PREVIOUS_FILE))

    def after_epoch(self, state: EpochState) -> None:
        """Write the state, unless that would take too long."""
        began = time.perf_counter()
        if self.note or self._write_seconds > self._share * (began - self._written_at):
            return
        content = _state_bytes(state, self._parts, self._order, self._identity)
        if not self._has_done(lambda: self._run_dir.write_bytes(STATE_FILE, content)):
            return
        self._run_dir.remove_file(PREVIOUS_FILE)
        self._written_at = time.perf_counter()
        self._write_seconds = self._written_at - began
        self._has_state, self._has_previous = True, False

    def finish(self) -> None:
        """Remove the files of the state."""
        for name in (STATE_FILE, PREVIOUS_FILE):
            self._run_dir.remove_file(name)

    def _has_done(self, write: Callable[[], None]) -> bool:
        """Write, or remove the state and note why there is none."""
        try:
            write()
        except FileError as error:
            self.note, self._has_state = NOT_STORED.format(error), False
            with suppress(FileError):
                self.finish()
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class StoredState:
    """State of an interrupted run, read from its directory; its tensors are read by `restore`.

    Attributes:
        run_dir: Directory of the run.
        reports: Reports of all epochs.
        progress: State of the schedule.
        identity: Hashes of the run.
        machine: Device and threads of the run so far.
    """

    run_dir: OwnDir
    reports: tuple[EpochReport, ...]
    progress: Progress
    identity: RunIdentity
    machine: str

    def restore(self, parts: TrainState, order: torch.Generator, num_validation: int) -> EpochState:
        """Put the trained parts and all generators into this state.

        Args:
            parts: The trained parts, as at the start of the run.
            order: Generator of the order of clips.
            num_validation: Number of validation clips.

        Raises:
            CheckpointError: The file is damaged, or of another model.
        """
        with _as_checkpoint_error(self.run_dir):
            with self.run_dir.open_read(STATE_FILE, MOST_BYTES) as file:
                header = read_header(file)
                _require_shapes(header.shapes, parts, num_validation)
                tensors = load_tensors(file, header)
            _require_values(tensors)
            parts.model.load_state_dict(_below(_MODEL, tensors))
            parts.prompts.load_state_dict(_below(_PROMPTS, tensors))
            moments: dict[int, dict[str, torch.Tensor]] = {}
            for name, value in _below(_ADAM, tensors).items():
                place, kind = name.split(".")
                moments.setdefault(int(place), {})[kind] = value
            groups = parts.optimizer.state_dict()["param_groups"]
            parts.optimizer.load_state_dict({"state": moments, "param_groups": groups})
            order.set_state(tensors[_ORDER])
            torch.set_rng_state(tensors[_TORCH])
            device = parts.parameters[0].device
            if device.type == "cuda" and _CUDA in tensors:
                torch.cuda.set_rng_state(tensors[_CUDA], device)
        return EpochState(reports=self.reports, progress=self.progress, best_logits_NC=tensors[_BEST])


def machine_of(device: torch.device) -> str:
    """Return the type of a device, and the threads of a CPU: the numbers of a run depend on them."""
    return f"{device.type}, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def read_state(run_dir: OwnDir) -> StoredState:
    """Read the state of an interrupted run, without its tensors.

    Raises:
        MissingFileError: There is none.
        CheckpointError: It is damaged.
    """
    with _as_checkpoint_error(run_dir):
        with run_dir.open_read(STATE_FILE, MOST_BYTES) as file:
            values: dict[str, Any] = from_json(read_header(file).metadata[_METADATA])
        if values["format"] != _FORMAT:
            msg = f"its format is {values['format']!r:.20}; this version reads {_FORMAT}"
            raise ValueError(msg)
        reports = tuple(_report(one, epoch) for epoch, one in enumerate(values["reports"], 1))
        return StoredState(
            run_dir=run_dir,
            reports=reports,
            progress=_progress(values["progress"], len(reports)),
            identity=RunIdentity(**{name: str(value) for name, value in values["identity"].items()}),
            machine=printable(str(values["machine"])[:100]),
        )


def restore_best(run_dir: OwnDir, best_epoch: int) -> None:
    """Make best.safetensors the model of an epoch, from itself or from the file of the previous best one.

    Raises:
        CheckpointError: Neither file has it.
    """
    for name in (WEIGHTS_FILE, PREVIOUS_FILE):
        with suppress(MissingFileError):
            if stored_epoch(run_dir, name) == best_epoch:
                if name != WEIGHTS_FILE:
                    run_dir.write_bytes(WEIGHTS_FILE, run_dir.read_bytes(name, MOST_BYTES))
                return
    msg = f"'{run_dir}' has no model of epoch {best_epoch}, the best one of its state. Train the run again."
    raise CheckpointError(msg)


@contextmanager
def _as_checkpoint_error(run_dir: OwnDir) -> Iterator[None]:
    """Raise CheckpointError for all errors of a damaged state file."""
    try:
        yield
    except (MissingFileError, CheckpointError):
        raise
    except Exception as error:  # noqa: BLE001 - damaged files may raise any error
        msg = f"'{run_dir.path / STATE_FILE}' cannot be used: {first_line(error)}. Train the run again."
        raise CheckpointError(msg) from error


def _state_bytes(
    state: EpochState, parts: TrainState, order: torch.Generator, identity: RunIdentity
) -> bytes:
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
        "identity": asdict(identity),
        "machine": machine_of(device),
    }
    return to_bytes(tensors, {_METADATA: to_json(values, indent=None)})


def _require_shapes(found: Shapes, parts: TrainState, num_validation: int) -> None:
    """Raise ValueError unless a file has the tensors of this model, before they are read."""
    needed = {f"{_MODEL}{name}": tuple(value.shape) for name, value in parts.model.state_dict().items()}
    needed |= {f"{_PROMPTS}{name}": tuple(value.shape) for name, value in parts.prompts.state_dict().items()}
    for place, parameter in enumerate(parts.parameters):
        shape = tuple(parameter.shape)
        needed |= {f"{_ADAM}{place}.{kind}": () if kind == "step" else shape for kind in _MOMENTS}
    needed[_BEST] = (num_validation, len(parts.tower.eot_C))
    needed[_TORCH] = tuple(torch.get_rng_state().shape)
    needed[_ORDER] = tuple(torch.Generator().get_state().shape)
    more = {name: shape for name, shape in found.items() if name not in needed}
    if set(more) - {_CUDA} or math.prod(more.get(_CUDA, ())) > 1 << 16:
        msg = f"'{next(iter(more))}' is not a tensor of this run"
        raise ValueError(msg)
    for name, shape in needed.items():
        if found.get(name) != shape:
            msg = f"'{name}' has shape {found.get(name)}, {shape} is needed"
            raise ValueError(msg)


def _require_values(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError for numbers that are NaN or infinite, and for steps that were never taken."""
    for name, value in tensors.items():
        if not value.isfinite().all():
            msg = f"'{name}' has NaN or infinity"
            raise ValueError(msg)
        if name.startswith(_ADAM) and name.endswith(".step") and value < 1:
            msg = f"'{name}' is {float(value):g}; 1 or more is needed"
            raise ValueError(msg)
        if name.startswith("generator.") and value.dtype != torch.uint8:
            msg = f"'{name}' is not of bytes"
            raise ValueError(msg)


def _report(values: Mapping[str, Any], epoch: int) -> EpochReport:
    """Return a report from JSON values. Raises ValueError, TypeError or KeyError."""
    train, validation = dict(values["train"]), dict(values["validation"])
    losses = dict(train.pop("losses"))
    if set(losses) != set(loss_names()):
        msg = f"the losses of epoch {epoch} are other ones than those of this version"
        raise ValueError(msg)
    numbers = [*losses.items(), *train.items(), *validation.items()]
    for name, value in [*numbers, ("lr", values["lr"]), ("seconds", values["seconds"])]:
        _require_number(value, f"'{name}' of epoch {epoch}")
    for name in ("epoch", "steps", "joined_batches"):
        _require_count(values[name], f"'{name}' of epoch {epoch}")
    if values["epoch"] != epoch or type(values["is_best"]) is not bool:
        msg = f"its records do not count the epochs up to {epoch}"
        raise ValueError(msg)
    parts = {"train": TrainEpoch(losses=losses, **train), "validation": ValidationEpoch(**validation)}
    return EpochReport(**{**values, **parts})


def _progress(values: Mapping[str, Any], num_epochs: int) -> Progress:
    """Return the state of the schedule from JSON values. Raises ValueError, TypeError or KeyError."""
    for name in ("lr", "best_loss", *(["best_chosen"] if "best_chosen" in values else [])):
        _require_number(values[name], f"'{name}'")
    for name in ("best_epoch", "bad_epochs", "overfit_epoch"):
        _require_count(values[name], f"'{name}'")
    if not 1 <= values["best_epoch"] <= num_epochs:
        msg = f"its best epoch is {values['best_epoch']} of {num_epochs}"
        raise ValueError(msg)
    return Progress(**values)


def _require_number(value: Any, what: str) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        msg = f"{what} is {value!r:.40}; a number is needed"
        raise ValueError(msg)


def _require_count(value: Any, what: str) -> None:
    if type(value) is not int or value < 0:
        msg = f"{what} is {value!r:.40}; a count is needed"
        raise ValueError(msg)


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

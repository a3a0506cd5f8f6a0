"""A training step, from a batch to Adam: part by part, or replayed as one graph on CUDA.

A step launches about a thousand small kernels from Python. A graph is one launch. It needs batches of one
size, and a step in which Python does not read values from the device.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from typing import Protocol

import torch
from torch import nn

from pipeline.errors import ConfigError
from trainer.batches import Batch
from trainer.config import TrainConfig
from trainer.losses import training_loss
from trainer.model import VideoModel
from trainer.optim import build_adam, set_rate, step
from trainer.prompts import ClassPrompts, TextTower
from trainer.scalars import Scalars
from trainer.targets import ClassLoss

_WARM_UP = 3
Mark = Callable[[str], None]


def no_mark(_part: str) -> None:
    """Do nothing: for a step that is not timed."""


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """The trained parts (model and prompts), the frozen text encoder, and the optimizer.

    `class_loss` replaces the plain class-contrastive loss; None for the plain one.
    """

    config: TrainConfig
    model: VideoModel
    prompts: ClassPrompts
    tower: TextTower
    optimizer: torch.optim.Adam
    class_loss: ClassLoss | None = None

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        model: VideoModel,
        prompts: ClassPrompts,
        tower: TextTower,
        class_loss: ClassLoss | None = None,
    ) -> "TrainState":
        """Return the state at the start of a run, with a new optimizer.

        Args:
            config: Settings of the run.
            model: Model on the device of `prompts` and `tower`.
            prompts: Trained together with `model`.
            tower: Text encoder, frozen.
            class_loss: See above.
        """
        parameters = [*model.parameters(), *prompts.parameters()]
        optimizer = build_adam(parameters, config.optim)
        return cls(
            config=config, model=model, prompts=prompts, tower=tower, optimizer=optimizer,
            class_loss=class_loss,
        )  # fmt: skip

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All trained parameters."""
        return [*self.model.parameters(), *self.prompts.parameters()]

    def class_features(self) -> torch.Tensor:
        """Return the class features [C, F] of the prompts as they are, without gradient."""
        with torch.no_grad():
            features: torch.Tensor = self.prompts(self.tower)
        return features

    def step(self, batch: Batch, mark: Mark = no_mark) -> Scalars:
        """Take one step at the rate that is set.

        Args:
            batch: Batch on the device of the model.
            mark: Called with the name of each part of the step when it ends.

        Returns:
            ``loss``, the minimised loss; every loss of `losses.LOSSES` by its name; ``gated_share``, 1 if the
            loss was L_global (eq. 4), else 0; ``right``, the number of clips classified correctly.
        """
        text_CF = self.prompts(self.tower)
        mark("text tower")
        outputs = self.model(batch, text_CF)
        mark("model")
        class_term = None if self.class_loss is None else partial(self.class_loss, batch=batch)
        polarity = batch.polarity_B if batch.polarity_target_BP is None else batch.polarity_target_BP
        losses = training_loss(outputs, batch.label_B, polarity, self.config, class_term)
        right = (outputs.logits_BC.argmax(dim=1) == batch.label_B).sum()
        scalars = Scalars.of(
            {"loss": losses.loss, **losses.parts, "gated_share": losses.is_global, "right": right}
        )
        mark("losses")
        # The text encoder is the first part of the forward pass, so its gradient is computed last.
        text_CF.register_hook(lambda _: mark("model, backward"))
        losses.loss.backward()  # type: ignore[no-untyped-call]
        mark("text tower, backward")
        step(self.optimizer, self.parameters, self.config.optim.clip_norm)
        mark("Adam")
        return scalars


class Steps(Protocol):
    """Function that takes the steps of a run."""

    def __call__(self, batch: Batch, lr: float, mark: Mark = no_mark) -> Scalars:
        """Take one step at rate `lr`; see `TrainState.step`."""


def steps_of(state: TrainState, device: torch.device) -> Steps:
    """Return graphed or plain steps, by `optim.graphed`. Raises ConfigError for graphs without CUDA."""
    if not state.config.optim.graphed:
        return PlainSteps(state)
    if device.type != "cuda":
        msg = (
            f"optim.graphed is true, but the run is on '{device}'; graphs need CUDA: set optim.graphed=false."
        )
        raise ConfigError(msg)
    stream = _stream(device)
    return GraphedSteps(state, lambda take: _captured(take, stream), stream)


@lru_cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return one stream for all runs of a process, because cuBLAS keeps memory for every stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class PlainSteps:
    """Steps without a graph: batches of any size, on any device."""

    def __init__(self, state: TrainState) -> None:
        self._state = state

    def __call__(self, batch: Batch, lr: float, mark: Mark = no_mark) -> Scalars:
        """See `Steps`."""
        set_rate(self._state.optimizer, lr)
        return self._state.step(batch, mark)


class GraphedSteps:
    """Steps that replay one captured step for full batches.

    The first full batches, and batches of another size, are taken without the graph.

    Args:
        state: Parts to train.
        capture: Captures a function that takes a step and returns its scalars. Returns a function that
            replays the step, and the scalars that the replay refills. Does not take the step.
        stream: CUDA stream of all steps, because a step can only be captured on the stream of earlier
            backward passes. None for the current one.
    """

    def __init__(
        self,
        state: TrainState,
        capture: Callable[[Callable[[], Scalars]], tuple[Callable[[], object], Scalars]],
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        self._state = state
        self._capture = capture
        self._stream = stream
        self._num_taken = 0
        self._batch: Batch | None = None
        self._replay: Callable[[], object] | None = None
        self._scalars = Scalars((), torch.empty(0))

    def __call__(self, batch: Batch, lr: float, mark: Mark = no_mark) -> Scalars:
        """See `Steps`."""
        set_rate(self._state.optimizer, lr)
        is_whole = len(batch.label_B) == self._state.config.optim.batch_size
        if not is_whole or self._num_taken < _WARM_UP:
            self._num_taken += is_whole
            return self._on_its_stream(lambda: self._state.step(batch, mark))
        return self._on_its_stream(lambda: self._replayed(batch, mark))

    def _replayed(self, batch: Batch, mark: Mark) -> Scalars:
        if self._batch is None or self._replay is None:
            kept = self._batch = _copy(batch)
            self._replay, self._scalars = self._capture(lambda: self._state.step(kept))
            mark("capture")
        for target, source in zip(_tensors(self._batch), _tensors(batch), strict=True):
            target.copy_(source)
        self._replay()
        mark("step, replayed")
        return self._scalars.clone()

    def _on_its_stream(self, take: Callable[[], Scalars]) -> Scalars:
        if self._stream is None:
            return take()
        before = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(before)
        with torch.cuda.stream(self._stream):
            scalars = take()
        before.wait_stream(self._stream)
        return scalars


def _captured(take: Callable[[], Scalars], stream: torch.cuda.Stream) -> tuple[Callable[[], object], Scalars]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        scalars = take()
    return graph.replay, scalars


def _tensors(batch: Batch) -> list[torch.Tensor]:
    values = (getattr(batch, item.name) for item in fields(batch))
    return [value for value in values if value is not None]


def _copy(batch: Batch) -> Batch:
    values = {item.name: getattr(batch, item.name) for item in fields(batch)}
    return replace(batch, **{name: value.clone() for name, value in values.items() if value is not None})

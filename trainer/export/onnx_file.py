"""A run -> head.onnx: the trained part as an ONNX graph, compared with torch before it is returned.

The weights are in the file. Inputs and outputs have the names of example.npz; the first axis of each is B,
any number of clips.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.errors import ConfigError, OusError
from trainer.batches import Batch
from trainer.export.example import INPUTS, example_batch
from trainer.runs import Run

ONNX_FILE = "head.onnx"
PROBABILITIES, POLARITY = "probabilities", "polarity"
_OPSET = 20
_COMPARED = (1, 2, 17, 256)
"""Sizes of the batches that are compared. Most of their clips are shorter than the longest one."""
_LARGEST_DIFFERENCE = 1e-4


class OnnxError(OusError):
    """A model that cannot be written as ONNX, or whose graph has other answers."""


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """Result of `onnx_of`.

    Attributes:
        content: Bytes of the file.
        largest_difference: Largest difference of a probability from torch.
    """

    content: bytes
    largest_difference: float


def onnx_of(run: Run) -> OnnxModel:
    """Return the model of a run as ONNX, opset 20, in float32, with the temperature.

    Inputs: the arrays of example.npz without its outputs. Outputs: ``probabilities`` [B, C], and
    ``polarity`` [B, 3] (negative, neutral, positive) if the model has it.

    Args:
        run: The run.

    Raises:
        ConfigError: onnx, onnxscript or onnxruntime is not installed.
        OnnxError: The graph has a fixed number of clips, or other answers than the run.
    """
    _require_packages()
    names = [name for name, field in INPUTS.items() if getattr(example_batch(run), field) is not None]
    model = _Port(run, names)
    content = _graph(model, [_array(example_batch(run), name) for name in names], names)
    return OnnxModel(content=content, largest_difference=_difference(run, model, content, names))


class _Port(nn.Module):
    """The model with the inputs and outputs of the file."""

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        super().__init__()
        self.model = deepcopy(run.checkpoint.model).cpu().eval()
        self.model.precision = "fp32"
        self.register_buffer("text_CF", run.checkpoint.text_CF.cpu())
        self.names, self.temperature = tuple(names), run.temperature

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        has_polarity = self.model.polarity_encoder is not None
        return [PROBABILITIES, *([POLARITY] if has_polarity else [])]

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the outputs for arrays in the order of `names`."""
        rows = arrays[0].shape[0]
        for array in arrays[1:]:
            torch._check(array.shape[0] == rows)  # noqa: SLF001 - the documented way to state it
        given: dict[str, Any] = dict.fromkeys(INPUTS.values())
        given |= {INPUTS[name]: array for name, array in zip(self.names, arrays, strict=True)}
        unknown_B = arrays[0].new_zeros(rows, dtype=torch.int64)
        outputs = self.model(Batch(**given, label_B=unknown_B, polarity_B=unknown_B), self.text_CF)
        logits = [outputs.logits_BC / self.temperature, outputs.polarity_logits_BP]
        return tuple(torch.softmax(one, dim=1) for one in logits if one is not None)


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        msg = (
            f"--onnx needs the package {error.name}, which is not installed; install the extra: "
            "pip install 'ous[onnx]', or in a checkout pip install -e '.[onnx]'."
        )
        raise ConfigError(msg) from error


def _graph(model: _Port, arrays: Sequence[torch.Tensor], names: Sequence[str]) -> bytes:
    """Return the bytes of the graph, without the stack traces and paths that the exporter records."""
    rows = {0: torch.export.Dim.DYNAMIC}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model, tuple(arrays), dynamo=True, dynamic_shapes=((rows,) * len(arrays),),
            input_names=list(names), output_names=model.output_names, opset_version=_OPSET,
            external_data=False, verbose=False,
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    for holder in (proto.graph, *proto.functions):
        named = ("node", "value_info", "initializer")
        ends = () if holder is not proto.graph else (*proto.graph.input, *proto.graph.output)
        for item in (holder, *ends, *(one for name in named for one in getattr(holder, name, ()))):
            item.doc_string = ""
            del item.metadata_props[:]
    fixed = [one.name for one in proto.graph.input if not one.type.tensor_type.shape.dim[0].dim_param]
    if fixed:
        msg = f"The ONNX exporter of torch {torch.__version__} has fixed the number of clips of {fixed}."
        raise OnnxError(msg)
    return bytes(proto.SerializeToString())


def _difference(run: Run, model: _Port, content: bytes, names: Sequence[str]) -> float:
    """Return the largest difference of outputs from torch. Raises OnnxError for a large one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    differences, num_frames = [], run.info.num_frames
    for size in _COMPARED:
        batch = example_batch(run, tuple(1 + (7 * clip) % num_frames for clip in range(size)))
        arrays = {name: _array(batch, name) for name in names}
        found = session.run(None, {name: array.numpy() for name, array in arrays.items()})
        with torch.inference_mode():
            expected = model(*arrays.values())
        for name, one, other in zip(model.output_names, found, expected, strict=True):
            if one.shape != other.shape:
                msg = f"The ONNX graph has {name} of shape {one.shape} for {size} clips. It is not written."
                raise OnnxError(msg)
            differences.append(np.abs(one - other.numpy()).max())
    largest = float(np.max(differences))  # NaN if one of them is
    if not largest <= _LARGEST_DIFFERENCE:
        msg = (
            f"The ONNX graph has probabilities that differ by {largest:.2g} from those of torch "
            f"{torch.__version__}; at most {_LARGEST_DIFFERENCE:g} is allowed. It is not written."
        )
        raise OnnxError(msg)
    return largest


def _array(batch: Batch, name: str) -> torch.Tensor:
    value: torch.Tensor = getattr(batch, INPUTS[name])
    return value.cpu()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of the exporter, which are about its own code."""
    loggers: Mapping[str, logging.Logger] = {
        name: logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")
    }
    before = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, logger in loggers.items():
            logger.setLevel(before[name])

"""Settings of a run and a device -> the precision of training or measuring, in words.

``auto`` is float32 on a CPU and bfloat16 on GPUs that have it. A GPU may round float32 products to TF32.
No mean is taken over runs of different precisions.
"""

import torch

from pipeline.choices import Precision
from pipeline.device import precision_on, takes_tf32
from pipeline.errors import printable
from trainer.config import TrainConfig

_IN_TF32 = {
    (False, False): "fp32",
    (True, True): "tf32",
    (False, True): "fp32 with the LSTM in tf32",
    (True, False): "tf32 with the LSTM in fp32",
}
"""Key: whether matrix products are in TF32, and whether the LSTM, which cuDNN computes, is."""


def in_bf16(precision: Precision, device: torch.device) -> bool:
    """Return whether a precision setting means bfloat16 on a device; `auto` does on GPUs that have it."""
    return precision_on(device, precision, on_cpu="fp32") == "bf16"


def training_precision(config: TrainConfig, device: torch.device) -> str:
    """Return the precision of training on a device, such as "model bf16, text tower fp32"."""
    return f"model {model_precision(config, device)}, text tower {_matmul(config.prompts.precision, device)}"


def model_precision(config: TrainConfig, device: torch.device) -> str:
    """Return the precision of the model on a device, in training and measuring, such as "bf16" or "tf32"."""
    if in_bf16(config.model.precision, device):
        return "bf16"
    backends = torch.backends
    return _IN_TF32[takes_tf32(device, backends.cuda.matmul), takes_tf32(device, backends.cudnn.rnn)]


def recorded_precision(recorded: str, config: TrainConfig, hardware: str) -> str:
    """Return the precision of a run's training, in words.

    Args:
        recorded: `RunInfo.precision`; "" in runs of versions that did not record it.
        config: Settings of the run.
        hardware: `RunInfo.hardware`. On a CPU, the settings determine the precision.
    """
    if recorded:
        return printable(recorded)
    if hardware.startswith("CPU,"):
        return training_precision(config, torch.device("cpu"))
    return f"not recorded, on {printable(hardware) or 'hardware that is not recorded'}"


def _matmul(setting: Precision, device: torch.device) -> str:
    """Return the precision of matrix products alone."""
    if in_bf16(setting, device):
        return "bf16"
    return "tf32" if takes_tf32(device, torch.backends.cuda.matmul) else "fp32"

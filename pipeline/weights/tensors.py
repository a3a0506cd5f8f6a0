"""Reading of named tensors from a file of the detector's weights, without running code in it."""

from pathlib import Path

import torch

from pipeline.errors import WeightsError
from pipeline.weights.kinds import refuse_other_kinds, unreadable
from pipeline.weights.limits import MAX_BYTES, pth_of
from pipeline.weights.values import require_trained_values


def load_state_dict(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, torch.Tensor]:
    """Return the tensors of a .pth file, or of a zip with one .pth, on the CPU; no code is run.

    A leading ``module.`` (of data-parallel training) is cut from the names.

    Raises:
        WeightsError: The file does not map names to tensors, has more than `max_bytes` once unpacked, or has
            values that no trained weights have.
    """
    wanted = "a state dict"
    refuse_other_kinds(path, wanted)
    try:
        loaded = torch.load(pth_of(path, max_bytes), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged or hostile file raises is one known error
        raise unreadable(path, wanted, error, may_be_zipped=True) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    ):
        msg = (
            f"'{path}' holds a {type(loaded).__name__} that does not map names to tensors; give a state dict."
        )
        raise WeightsError(msg)
    require_trained_values(path, loaded)
    return {key.removeprefix("module."): value for key, value in loaded.items()}

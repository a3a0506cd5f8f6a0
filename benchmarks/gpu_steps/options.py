"""Options of a run of the GPU benchmark."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

DEVICES = ("cuda", "cpu")
FULL_ENCODER, TINY_ENCODER = "ViT-L-14-quickgelu", "ViT-S-32"


@dataclass(frozen=True, kw_only=True)
class GpuOptions:
    """Options of a run; every step's process receives them.

    Attributes:
        out: Directory of the results.
        work: Directory of clips, caches and compiled code.
        device: ``cuda`` or ``cpu``.
        is_tiny: Whether sizes and the encoder are small, for a trial of the steps instead of a measurement.
        clips: Directory of videos; None for drawn clips.
        detector_weights: File of RetinaFace MobileNet-0.25; None for random weights.
        encoder: Name of an open_clip model; None for the default of the size.
        commit: Commit of the code if git is missing; "" for git's answer.
    """

    out: Path
    work: Path
    device: str = "cuda"
    is_tiny: bool = False
    clips: Path | None = None
    detector_weights: Path | None = None
    encoder: str | None = None
    commit: str = ""

    @property
    def encoder_name(self) -> str:
        """Name of the CLIP model to measure."""
        return self.encoder or (TINY_ENCODER if self.is_tiny else FULL_ENCODER)

    def shown(self) -> dict[str, Any]:
        """Return the options that affect the numbers, as JSON values, with paths cut to their last part."""
        return {
            "device": self.device,
            "tiny": self.is_tiny,
            "clips": "drawn" if self.clips is None else self.clips.name,
            "detector_weights": "random" if self.detector_weights is None else self.detector_weights.name,
            "encoder": self.encoder_name,
            "encoder_weights": "random",
        }

    def write(self, path: Path) -> None:
        """Write the options as JSON, for the processes of the steps."""
        values = dataclasses.asdict(self)
        path.write_text(
            json.dumps(
                {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
            )
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the options that `write` wrote."""
        values = json.loads(path.read_text())
        for name in ("out", "work", "clips", "detector_weights"):
            values[name] = None if values[name] is None else Path(values[name])
        return cls(**values)

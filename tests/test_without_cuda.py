"""What would break on CUDA, shown without one: tensors without values that say they lie on a GPU.

Such a tensor knows its device, type and shape. An operation that mixes devices fails, as it would there.
"""

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.amp import autocast_mode

from pipeline.config import override
from pipeline.faces import DetectorConfig, untrained_retinaface
from pipeline.features import Encoder, FeatureConfig
from pipeline.passes import FixedPasses
from pipeline.streams import StreamConfig, make_streams
from pipeline.types import FaceTrack
from tests.readings import READINGS
from tests.tiny_cache import tiny_cache
from trainer.batches import load_clips
from trainer.config import preset
from trainer.evaluate import score

CUDA = torch.device("cuda", 0)


@pytest.fixture
def pretended(monkeypatch):
    """Tensors without values, on any device, bf16 as on a GPU."""
    monkeypatch.setattr(FixedPasses, "wait", lambda _: None)
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        yield mode

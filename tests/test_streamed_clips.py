"""Training on features that stay in the cache: the numbers of a training in memory, in bounded memory."""

import json
import weakref

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.config import override
from pipeline.display.text import lines
from pipeline.errors import CacheDamagedError, CacheError, ConfigError
from pipeline.store.export import export_hdf5
from pipeline.store.reader import FeatureCache
from tests.object_store import object_store
from tests.tiny_cache import NUM_FRAMES, tiny_cache, tiny_meta, write_feature
from tests.two_caches import given_validation, other_cache
from trainer import evaluate, resume, streamed_clips, train
from trainer.batches import ClipData
from trainer.block_reading import ClipSource, bytes_needed, stored_block_bytes
from trainer.clip_loading import READERS, load_clips
from trainer.presets import smoke
from trainer.streamed_clips import StreamedClips, open_clips

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

CPU = torch.device("cpu")
SMALL = ["data.shuffle_blocks=1", "optim.batch_size=4"]
"""Settings with which the tiny cache needs little memory."""
SEVERAL = override(smoke(), [*SMALL, "schedule.max_epochs=3", "model.dropout=0.2", "optim.warmup_steps=2"])
NUM = 48

"""Scenes of training clips, kept beside a run: the answer for a face with other scenes.

scenes.safetensors holds the scene features of up to 64 training clips, as many of each class as possible.
A face of any video is answered with the first 16 of them in the place of its own scene.

Letters: N scenes; B clips of a batch; T frames; F embedding width; D encoder width; J kept tokens of an
image.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from pipeline.errors import CacheError, CheckpointError, ConfigError, FileError, MissingFileError, first_line
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.location import LocationLike
from pipeline.types import EARLY_STATISTICS, NUM_EARLY_BLOCKS, Ints
from trainer.batches import Batch, Clips
from trainer.caches import chosen_cache, open_cache
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig
from trainer.folds import fold_rows
from trainer.holdout import CLIPS
from trainer.model_directory import is_model_directory
from trainer.run_info import RunInfo
from trainer.runs import Run
from trainer.weights_file import load_tensors, read_header, to_bytes

FILE = "scenes.safetensors"
MOST_SCENES, NUM_USED = 64, 16
"""Scenes that are kept, and those that a face is answered with."""

_MOST_BYTES = 256 << 20
_ORIGIN = "training_sha256"


@dataclass(frozen=True, kw_only=True)
class SceneSample:
    """Scene features of N training clips, float16, classes by turns; None for parts that no model uses.

    Attributes:
        scene_NTF: Embeddings; frames after a clip's valid ones repeat its last one.
        early_N43D: Statistics of the early blocks, mean over valid frames.
        patches_NJD: Patch tokens, mean over valid frames.
    """

    scene_NTF: torch.Tensor | None = None
    early_N43D: torch.Tensor | None = None
    patches_NJD: torch.Tensor | None = None

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """The parts that are there, by name."""
        named = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in named.items() if value is not None}

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def sha256(self) -> str:
        """Return a hash of the scenes that answers use."""
        found = hashlib.sha256()
        for name, value in self.tensors.items():
            found.update(name.encode() + value[:NUM_USED].numpy().tobytes())
        return found.hexdigest()

    def behind(self, batch: Batch) -> Batch:
        """Return a batch of one face, that of the first clip, with `NUM_USED` of the sample's scenes.

        The valid frames remain those of the clip: of a short clip, as many frames of each scene are used. If
        there are fewer scenes, they are repeated.
        """
        device = batch.face_BTF.device
        row_B = torch.arange(NUM_USED) % min(len(self), NUM_USED)

        def scenes(value: torch.Tensor | None) -> torch.Tensor | None:
            return None if value is None else value[row_B].to(device).float()

        parts = {part.name: getattr(batch, part.name) for part in fields(Batch)}
        faces: dict[str, Any] = {name: None if value is None else value[:1] for name, value in parts.items()}
        return replace(
            Batch(**faces),
            scene_BTF=scenes(self.scene_NTF),
            early_B43D=scenes(self.early_N43D),
            scene_patches_BJD=scenes(self.patches_NJD),
        )

    def mean_of(self, value_BC: torch.Tensor) -> torch.Tensor:
        """Return the mean over the scenes of the values of a batch of `behind`, each counted once."""
        return value_BC[: min(len(self), NUM_USED)].mean(dim=0)


def uses_scene(config: TrainConfig) -> bool:
    """Return whether a model of this config sees the scene."""
    return config.model.scene or config.has_polarity_token


def balanced(label_N: Ints, seed: int) -> Ints:
    """Return the places of up to `MOST_SCENES` clips, drawn without repetition, one of each class by turns.

    The numbers are of a generator of their own.

    Args:
        label_N: Classes of the training clips.
        seed: Seed of the run.
    """
    generator = np.random.default_rng([seed, MOST_SCENES])
    shuffled = [generator.permutation(np.flatnonzero(label_N == c)).tolist() for c in np.unique(label_N)]
    turns = [
        places[turn]
        for turn in range(max(map(len, shuffled), default=0))
        for places in shuffled
        if turn < len(places)
    ]
    return np.array(turns[:MOST_SCENES], dtype=np.int64)


def sample_scenes(data: Clips, places: torch.Tensor) -> SceneSample:
    """Return the scenes of clips, in the first view.

    Args:
        data: Features of a model that sees the scene.
        places: The clips, 0 to N - 1.
    """
    first_N = torch.zeros(len(places), dtype=torch.int64)
    batch = data.subset(places).gather(torch.arange(len(places)), first_N)

    def half(value: torch.Tensor | None) -> torch.Tensor | None:
        return None if value is None else value.half().cpu()

    return SceneSample(
        scene_NTF=half(batch.scene_BTF),
        early_N43D=half(batch.early_B43D),
        patches_NJD=half(batch.scene_patches_BJD),
    )


def save_scenes(run_dir: Folder, data: Clips, train_places: torch.Tensor, info: RunInfo) -> None:
    """Write scenes.safetensors of a run whose model sees the scene, and replace the file at once.

    Args:
        run_dir: Directory of the run.
        data: Its clips.
        train_places: The training clips among them.
        info: Origin of the run.

    Raises:
        FileError: The file cannot be written.
    """
    chosen = balanced(data.label_N.cpu().numpy()[train_places.numpy()], info.seed)
    sample = sample_scenes(data, train_places[torch.from_numpy(chosen)])
    OwnDir.of(run_dir).write_bytes(FILE, scenes_bytes(sample, info))


def scenes_bytes(sample: SceneSample, info: RunInfo) -> bytes:
    """Return the bytes of scenes.safetensors, for a run or an exported model."""
    return to_bytes(sample.tensors, {_ORIGIN: info.training_sha256})


def find_scenes(run: Run, cache: LocationLike | None = None) -> tuple[SceneSample | None, str]:
    """Return the scenes of a run, and a remark if there are none.

    They are those of its file, or are drawn from its training cache, for a run of an earlier version.

    Args:
        run: The run.
        cache: The training cache; None for the one that the run names.

    Raises:
        CheckpointError: The file is damaged, or of another run.
    """
    if not uses_scene(run.config):
        return None, ""
    try:
        return _load_scenes(run), ""
    except MissingFileError:
        if is_model_directory(run.path):
            return None, f"'{run.path}' has no {FILE}: answers with other scenes are not shown."
    try:
        return _scenes_of_cache(run, cache), ""
    except (CacheError, ConfigError):
        note = (
            f"'{run.path}' has no {FILE}, and its training cache is not there: answers with other scenes are "
            "not shown. Name the cache with --cache, or train again."
        )
        return None, note


def _load_scenes(run: Run) -> SceneSample:
    """Read the scenes of a run. Raises MissingFileError without a file, and CheckpointError."""
    place = OwnDir.of(run.path)
    with _named(place), place.open_read(FILE, _MOST_BYTES) as file:
        header = read_header(file)
        if header.metadata.get(_ORIGIN) != run.info.training_sha256:
            msg = "its scenes are not of the clips that trained this run"
            raise ValueError(msg)
        _require_shapes(header.shapes, run)
        tensors = load_tensors(file, header)
        for name, value in tensors.items():
            if value.dtype != torch.float16 or not value.isfinite().all():
                msg = f"'{name}' is not of finite numbers in float16"
                raise ValueError(msg)
        return SceneSample(**tensors)


@contextmanager
def _named(place: OwnDir) -> Iterator[None]:
    """Raise CheckpointError for all errors of a damaged file."""
    try:
        yield
    except MissingFileError:
        raise
    except FileError as error:
        raise CheckpointError(str(error)) from error
    except Exception as error:  # noqa: BLE001 - damaged files may raise any error
        msg = f"'{place.path / FILE}' cannot be used: {first_line(error)}. Remove it, or train again."
        raise CheckpointError(msg) from error


def _require_shapes(shapes: Mapping[str, tuple[int, ...]], run: Run) -> None:
    """Raise ValueError unless a file has the parts that the model of a run needs, of 1 to 64 scenes."""
    info, config = run.info, run.config
    needed: dict[str, tuple[int, ...]] = {}
    if config.model.scene:
        needed["scene_NTF"] = (info.num_frames, info.embed_width)
    if config.has_polarity_token:
        needed["early_N43D"] = (NUM_EARLY_BLOCKS, len(EARLY_STATISTICS), info.encoder_width)
    if config.model.has_patch_tokens and config.model.scene:
        needed["patches_NJD"] = (info.num_tokens, info.encoder_width)
    counts = {shape[:1] for shape in shapes.values()}
    found = {name: shape[1:] for name, shape in shapes.items()}
    if found != needed or len(counts) != 1 or not 1 <= next(iter(counts))[0] <= MOST_SCENES:
        msg = f"it has {dict(shapes)}; {needed} of 1 to {MOST_SCENES} scenes are needed"
        raise ValueError(msg)


def _scenes_of_cache(run: Run, cache: LocationLike | None) -> SceneSample:
    """Draw the scenes of a run from its training cache.

    Raises CacheError or ConfigError if it is missing, or another one.
    """
    info = run.info
    place = chosen_cache(run.path, info.training_cache(run.path), cache)
    with open_cache(place) as features:
        if features.meta.fingerprint != info.cache_fingerprint:
            msg = f"'{place}' is not the cache that trained '{run.path}'."
            raise CacheError(msg)
        rows = fold_rows(features, info.fold, run.config.data, info.seed, by_group=info.selection != CLIPS)
        train: Any = rows.of("train")
        chosen = train[balanced(features.read("label")[train], info.seed)]
        data = load_clips(features, chosen, run.config, torch.device("cpu"))
        return sample_scenes(data, torch.arange(len(chosen)))

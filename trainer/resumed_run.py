"""The directory of an interrupted training -> the run in the state from which it continues."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import torch

from pipeline.errors import CheckpointError, ConfigError, MissingFileError, printable
from pipeline.own_dir import OwnDir
from pipeline.store.reader import FeatureCache
from trainer.added_clips import changed_facts, require_order
from trainer.batches import Clips
from trainer.checkpoint import origin_of, reissued_weights
from trainer.epochs import TrainingRun
from trainer.run_directory import (
    CONFIG_FILE,
    RUN_FILE,
    STATE_FILE,
    WEIGHTS_FILE,
    info_json,
    load_info,
    save_info,
)
from trainer.run_info import RunInfo
from trainer.training_state import (
    EpochState,
    RunIdentity,
    StoredState,
    machine_of,
    read_state,
    restore_best,
)

_OF_MACHINE = frozenset({"hardware", "packages", "precision", "cache_path"})
"""Parts of a run's origin that may change when it is resumed."""
_MAY_DIFFER = "Its numbers may differ from those of an uninterrupted training."
_HASHED_CLIPS = 64


@dataclass(frozen=True, kw_only=True)
class RestoredRun:
    """A run in the state from which it continues.

    Attributes:
        epoch: The state.
        info: Origin and progress of the run, with the machine that continues it.
        note: Remark on another machine or other software; empty for the same.
    """

    epoch: EpochState
    info: RunInfo
    note: str


def restore_run(run: TrainingRun, folder: OwnDir, info: RunInfo, features_sha256: str) -> RestoredRun:
    """Put a run into the state that its directory has, and restore its files to that epoch.

    Args:
        run: The run, as at its start.
        folder: Its directory, locked.
        info: Its origin, as a new run would have it.
        features_sha256: Hash of some of its features.

    Raises:
        ConfigError: There is no state, or the cache has other clips or features now.
        CheckpointError: A file is damaged or of another run.
    """
    stored, before = _stored_state(folder), load_info(folder)
    old, new = origin_of(before), origin_of(info)
    changed = [name for name in new if name not in _OF_MACHINE and _clips(old[name]) != _clips(new[name])]
    is_own = stored.identity.run_sha256 == RunIdentity.of(folder, before, features_sha256).run_sha256
    if is_own and not changed and stored.identity.features_sha256 != features_sha256:
        changed = ["features"]
    if changed:
        raise _other_cache(folder, changed)
    if not is_own:
        msg = (
            f"'{folder.path / STATE_FILE}' is not of the run that {CONFIG_FILE} and {RUN_FILE} beside it "
            "describe. Restore these files, or train the run again."
        )
        raise CheckpointError(msg)
    epoch = stored.restore(run.state, run.generator, len(run.validation_places))
    others = [
        f"{was or 'none'}, now {now or 'none'}"
        for was, now in [
            (stored.machine, machine_of(run.state.parameters[0].device)),
            (before.hardware, info.hardware),
            (before.precision, info.precision),
            *zip_longest(before.packages, info.packages, fillvalue=""),
        ]
        if was != now
    ]
    progress = epoch.progress
    info = replace(
        info,
        hardware=" and then ".join(dict.fromkeys([before.hardware, info.hardware])),
        packages=tuple(dict.fromkeys([*before.packages, *info.packages])),
        best_epoch=progress.best_epoch,
        best_loss=progress.best_loss,
        overfit_epoch=progress.overfit_epoch,
    )
    restore_best(folder, progress.best_epoch)
    weights = reissued_weights(folder, info)
    if origin_of(info) != old:
        folder.write_together({WEIGHTS_FILE: weights, RUN_FILE: info_json(info)})
    else:
        save_info(folder, info)
    note = f"the training was resumed elsewhere: {'; '.join(others)}. {_MAY_DIFFER}" if others else ""
    return RestoredRun(epoch=epoch, info=info, note=printable(note))


def require_recorded(folder: OwnDir, cache: FeatureCache) -> None:
    """Raise ConfigError if a cache is not the first one of an interrupted training, or has changed."""
    if folder.kind(STATE_FILE) != "file":
        return
    info = load_info(folder)
    if changed := changed_facts(info, cache):
        require_order(info.added_caches, cache, 1)
        raise _other_cache(folder, changed)


def _other_cache(folder: OwnDir, changed: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"--resume '{folder}': the cache has other clips or features than at the start of the training "
        f"({', '.join(changed)}); give the earlier cache with --cache, or train a new run."
    )


def _clips(value: Any) -> Any:
    """Return a part of a run's origin; of further caches without their locations."""
    is_caches = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    return [one | {"cache_path": ""} for one in value] if is_caches else value


def _stored_state(folder: OwnDir) -> StoredState:
    """Return the state of an interrupted run. Raises ConfigError if there is none."""
    try:
        return read_state(folder)
    except MissingFileError as error:
        info = load_info(folder)
        why = (
            f"the training has ended ({info.stop_reason}); nothing is left to do."
            if info.stop_reason
            else f"the run has no {STATE_FILE}; train it again under another name."
        )
        msg = f"--resume '{folder}': {why}"
        raise ConfigError(msg) from error


def features_sha256(data: Clips) -> str:
    """Return a hash of the features of up to 64 clips, evenly spaced."""
    num = len(data.label_N)
    place_N = torch.linspace(0, num - 1, min(num, _HASHED_CLIPS)).long()
    some = data.subset(place_N)
    found = hashlib.sha256()
    for values in (
        some.face_NVTF, some.scene_NVTF, some.early_NV43D, some.label_N, some.polarity_N, some.target_NC,
    ):  # fmt: skip
        if values is not None:
            found.update(values.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()

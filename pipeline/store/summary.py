"""Contents of a cache as one document, for `cache info`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.store.people_counts import count_people
from pipeline.store.reader import FeatureCache
from pipeline.types import Polarity, Split, Status


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Contents of a cache. all_clips: whether all failed clips and notes are shown, not only some."""

    document: dict[str, Any]
    all_clips: bool


_SHOWN_SETTINGS = (
    "identity.features.precision",
    "identity.detector.precision",
    "config.detector.name",
    "config.streams.scene",
    "config.streams.scene_fit",
)


def summarise(cache: FeatureCache, *, all_clips: bool = False, version_note: str = "") -> Summary:
    """Summarise a cache as JSON values: clips by outcome, class and split, encoder, settings and arrays.

    Args:
        cache: Open cache.
        all_clips: Whether the terminal shows all failed clips and notes, not only some.
        version_note: Differences between the algorithm versions of the cache and of this program, in words.
    """
    meta = cache.meta
    label, membership = cache.read("label"), cache.read("membership")
    polarity = cache.read("polarity")
    status, reason = cache.read("status"), cache.read("reason")
    ids, stage = cache.read("clip_id"), cache.read("stage")
    failed = np.flatnonzero(status == Status.FAILED)
    odd = np.flatnonzero((status != Status.FAILED) & (reason != ""))
    document = {
        "cache": str(cache.place),
        "dataset": meta.dataset,
        "warnings": list(meta.warnings),
        "version_note": version_note,
        "clips": meta.num_clips,
        "outcomes": cache.status_counts(status),
        "classes": {name: int((label == i).sum()) for i, name in enumerate(meta.class_names)},
        "unlabelled": int((label < 0).sum()),
        "groups": meta.num_groups,
        "people": None if (people := count_people(cache, status)) is None else dataclasses.asdict(people),
        "polarities": {member.name.lower(): int((polarity == member).sum()) for member in Polarity},
        "folds": {
            name: {s.name.lower(): int((membership[:, fold] == s).sum()) for s in Split}
            for fold, name in enumerate(meta.fold_names)
        },
        "encoder": {
            "name": meta.encoder_name,
            "weights": meta.encoder_weights,
            "sha256": meta.encoder_sha256,
            **_channels(meta.identity.get("encoder")),
        },
        "fingerprint": meta.fingerprint,
        "config": dict(meta.config),
        "identity": dict(meta.identity),
        "packages": dict(meta.packages),
        "command_line": list(meta.command_line),
        "arrays": {
            spec.name: {"shape": list(meta.shape(spec)), "dtype": spec.dtype} for spec in meta.arrays()
        },
        "bytes": sum(meta.bytes_by_array().values()),
        "failures": [{"clip_id": ids[row], "stage": stage[row], "reason": reason[row]} for row in failed],
        "notes": [{"clip_id": ids[row], "note": reason[row]} for row in odd],
    }
    for setting in _SHOWN_SETTINGS:
        cache.setting(setting, str)
    return Summary(document=document, all_clips=all_clips)


def _channels(encoder: Any) -> dict[str, Any]:
    """Return the mean and std of the encoder's input images; None if the cache does not store them."""
    stored = encoder if isinstance(encoder, Mapping) else {}
    return {key: stored.get(key) for key in ("mean", "std")}

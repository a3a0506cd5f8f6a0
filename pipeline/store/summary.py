"""What a cache holds, as one document: for `cache info`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.fingerprint import format_value
from pipeline.program import quoted
from pipeline.store.reader import FeatureCache
from pipeline.types import Polarity, Split, Status

_MOST_LISTED = 5
"""Failed clips, and clips with notes, without `--all-clips`."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a cache holds. all_clips: whether `lines` lists every failed and every odd clip."""

    document: dict[str, Any]
    all_clips: bool

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return self.document

    def lines(self) -> list[str]:
        """For people."""
        return _lines(self.document, all_clips=self.all_clips)


_SHOWN_SETTINGS = (
    "identity.features.precision",
    "identity.detector.precision",
    "config.detector.name",
    "config.streams.scene",
    "config.streams.scene_fit",
)


def summarise(cache: FeatureCache, *, all_clips: bool = False, version_note: str = "") -> Summary:
    """Clips by outcome, class and split, encoder, settings, arrays and bytes, as plain JSON values.

    version_note: how the versions of the algorithms that made it differ from this program's, if they do.
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
        "outcomes": cache.status_counts(),
        "classes": {name: int((label == i).sum()) for i, name in enumerate(meta.class_names)},
        "unlabelled": int((label < 0).sum()),
        "groups": meta.num_groups,
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


def _lines(document: dict[str, Any], *, all_clips: bool) -> list[str]:
    config = document["config"]
    weights = (
        document["encoder"]["weights"].upper() if document["warnings"] else document["encoder"]["weights"]
    )
    outcomes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in document["outcomes"].items())
    lines = [
        *(f"!! {warning}" for warning in document["warnings"]),
        f"{document['cache']}: {document['clips']} clips of {document['dataset']}, "
        f"{document['bytes'] / 1e6:.1f} MB",
        f"  outcomes   {outcomes}",
        "  classes    "
        + (", ".join(f"{name} {count}" for name, count in document["classes"].items()) or "none"),
        *([f"  unlabelled {document['unlabelled']}"] if document["unlabelled"] else []),
        "  polarity   "
        + ", ".join(f"{name} {count}" for name, count in document["polarities"].items() if count),
        *([f"  groups     {document['groups']} named by the data set"] if document["groups"] else []),
        *(f"  fold {fold:<6}" + _counted(splits) for fold, splits in document["folds"].items()),
        f"  encoder    {document['encoder']['name']}, weights {weights}, "
        f"{document['identity']['features']['precision']}, sha256 {document['encoder']['sha256'][:12]}",
        *_images(document["encoder"]),
        f"  detector   {config['detector']['name']}, {document['identity']['detector']['precision']}",
        f"  scene      {config['streams']['scene']}, {config['streams']['scene_fit']}",
        *(
            f"  {name:<17} {' x '.join(str(n) for n in array['shape'])} {array['dtype']}"
            for name, array in document["arrays"].items()
            if array["dtype"] == "float16"
        ),
        f"  fingerprint {document['fingerprint'][:16]}",
        *_origin(config, document["command_line"]),
        *([f"  note: made with {document['version_note']}"] if document["version_note"] else []),
    ]
    failed = [f"  failed  {row['clip_id']}  {row['stage']}: {row['reason']}" for row in document["failures"]]
    odd = [f"  note  {row['clip_id']}  {row['note']}" for row in document["notes"]]
    return lines + _some(failed, all_clips) + _some(odd, all_clips)


def _channels(encoder: Any) -> dict[str, Any]:
    """Mean and std of the images as the encoder was given them; None where the cache does not store them."""
    stored = encoder if isinstance(encoder, Mapping) else {}
    return {key: stored.get(key) for key in ("mean", "std")}


def _images(encoder: dict[str, Any]) -> list[str]:
    """A line on how images were normalised."""
    if encoder["mean"] is None:
        return []
    return [f"  images     mean {format_value(encoder['mean'])}, std {format_value(encoder['std'])}"]


def _origin(config: Mapping[str, Any], command_line: Sequence[str]) -> list[str]:
    """Lines on what the cache shows about its maker: where the clips were, and the command."""
    dataset = config.get("dataset")
    stored = dataset if isinstance(dataset, Mapping) else {}
    lists = stored.get("lists")
    paths = [stored.get("root"), *(lists if isinstance(lists, list) else [])]
    named = [path for path in paths if isinstance(path, str)]
    return [
        *([f"  clips at   {', '.join(named)}"] if named else []),
        *([f"  made by    {' '.join(map(quoted, command_line))}"] if command_line else []),
    ]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def _some(lines: list[str], all_lines: bool) -> list[str]:
    if all_lines or len(lines) <= _MOST_LISTED:
        return lines
    return [*lines[:_MOST_LISTED], f"  ... and {len(lines) - _MOST_LISTED} more; --all-clips lists them"]

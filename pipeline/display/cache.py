"""Output for a cache, its export and its relabelling."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pipeline.choices import ProvidedFaces
from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import some
from pipeline.fingerprint import format_value
from pipeline.program import quoted
from pipeline.relabel import Changes
from pipeline.store.export import Exported
from pipeline.store.people_counts import PeopleCounts
from pipeline.store.summary import Summary

_MOST_LISTED = 5
"""Most failed clips, and most clips with notes, that are listed without `--all-clips`."""


@to_json_values.register
def _(summary: Summary) -> dict[str, Any]:
    return summary.document


@lines.register
def _(summary: Summary) -> list[str]:
    document, all_clips = summary.document, summary.all_clips
    config = document["config"]
    weights = (
        document["encoder"]["weights"].upper() if document["warnings"] else document["encoder"]["weights"]
    )
    outcomes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in document["outcomes"].items())
    shown = [
        *(f"!! {warning}" for warning in document["warnings"]),
        f"{document['cache']}: {document['clips']} clips of {document['dataset']}, "
        f"{document['bytes'] / 1e6:.1f} MB",
        f"  outcomes   {outcomes}",
        "  classes    "
        + (", ".join(f"{name} {count}" for name, count in document["classes"].items()) or "none"),
        *([f"  unlabelled {document['unlabelled']}"] if document["unlabelled"] else []),
        "  polarity   "
        + ", ".join(f"{name} {count}" for name, count in document["polarities"].items() if count),
        *([f"  groups     {document['groups']} named by the dataset"] if document["groups"] else []),
        *([f"  people     {PeopleCounts(**document['people'])}"] if document["people"] else []),
        *(f"  fold {fold:<6}" + _counted(splits) for fold, splits in document["folds"].items()),
        f"  encoder    {document['encoder']['name']}, weights {weights}, "
        f"{document['identity']['features']['precision']}, sha256 {document['encoder']['sha256'][:12]}",
        *_images(document["encoder"]),
        _faces(config["detector"]["name"], document["identity"]["detector"]["precision"]),
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
    return shown + _some(failed, all_clips) + _some(odd, all_clips)


def _faces(name: str, precision: str) -> str:
    """Return a line on the source of faces. Caches store it as the name of a detector (decision 0024)."""
    if name in get_args(ProvidedFaces):
        return f"  faces      from the dataset's {name}"
    return f"  detector   {name}, {precision}"


def _images(encoder: dict[str, Any]) -> list[str]:
    """Return a line on the normalisation of images."""
    if encoder["mean"] is None:
        return []
    return [f"  images     mean {format_value(encoder['mean'])}, std {format_value(encoder['std'])}"]


def _origin(config: Mapping[str, Any], command_line: Sequence[str]) -> list[str]:
    """Return lines on the origin of the cache: the place of its clips, and the command."""
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


def _some(rows: list[str], all_rows: bool) -> list[str]:
    if all_rows or len(rows) <= _MOST_LISTED:
        return rows
    return [*rows[:_MOST_LISTED], f"  ... and {len(rows) - _MOST_LISTED} more; --all-clips lists them"]


@to_json_values.register
def _(exported: Exported) -> dict[str, Any]:
    path = {"path": str(exported.path), "bytes": exported.num_bytes}
    return path | field_values(exported, "counts", "warnings")


@lines.register
def _(exported: Exported) -> list[str]:
    pending = exported.counts["pending"]
    return [
        *(f"!! {warning}" for warning in exported.warnings),
        f"{exported.path}: {exported.num_bytes / 1e6:.1f} MB",
        *([f"note: {pending} clips are still pending, and exported as such"] if pending else []),
    ]


@to_json_values.register
def _(changes: Changes) -> dict[str, Any]:
    return {
        "cache": str(changes.cache),
        "changes": list(changes.lines_of_change),
        **field_values(changes, "num_changed", "left_out", "new", "notes"),
        "written": changes.is_written,
    }


@lines.register
def _(changes: Changes) -> list[str]:
    shown = [*changes.lines_of_change, *(f"note: {note}" for note in changes.notes)]
    if changes.left_out:
        shown.append(
            f"note: {len(changes.left_out)} clips of the cache are not in the dataset "
            f"({some(changes.left_out)}): in no fold any more"
        )
    if changes.new:
        shown.append(
            f"note: {len(changes.new)} clips of the dataset are not in the cache ({some(changes.new)}): "
            "extract appends them"
        )
    state = (
        "relabelled; no feature was changed" if changes.is_written else "would change; nothing was written"
    )
    return [*shown, f"{changes.cache}: {state if changes.any else 'nothing to change'}"]

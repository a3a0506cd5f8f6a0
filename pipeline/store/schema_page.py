"""The page docs/schema.md, written from the contract: ``python -m pipeline.store.schema_page``."""

import dataclasses
import math
import sys
from collections.abc import Mapping

from pipeline.store.meta import FORMAT, VERSION, CacheMeta
from pipeline.store.reader import HDF5_META
from pipeline.store.schema import ARRAYS, ArraySpec
from pipeline.types import EARLY_STATISTICS, NUM_EARLY_BLOCKS, STAGES

_DIMENSIONS: Mapping[str, str] = {
    "clip": "`num_clips`, in the order of `clip_id`",
    "view": "`num_views`; the first is the plain view, the second its mirror image",
    "frame": "`num_frames`, uniformly spaced over the frames that decode",
    "embed": "`embed_width`, of the encoder's projected output",
    "width": "`encoder_width`, of the encoder's blocks",
    "token": "`num_tokens` kept per frame",
    "early_block": f"{NUM_EARLY_BLOCKS}, the encoder's first blocks in order",
    "statistic": f"{len(EARLY_STATISTICS)}: {', '.join(EARLY_STATISTICS)}",
    "xyxy": "4: left, top, right, bottom",
    "yx": "2: height, width",
    "fold": "one per name in `fold_names`",
    "class": "one per name in `class_names`",
}

_ATTRIBUTES: Mapping[str, str] = {
    "dataset": "Name of the dataset's reader, as `--dataset` takes it.",
    "class_names": "Names of the classes; `label` is an index into this list.",
    "fold_names": "Names of the folds; `membership` has one column for each.",
    "num_clips": "Length of every array.",
    "block_clips": "Clips per block: the chunk length of every array written by block.",
    "num_views": "Views per clip.",
    "num_frames": "Frames per view.",
    "embed_width": "Width of the encoder's projected output.",
    "encoder_width": "Width of the encoder's blocks.",
    "num_tokens": "Tokens kept per frame; 0 if the token arrays are absent.",
    "encoder_name": "Name of the encoder, as open_clip spells it.",
    "encoder_weights": "Tag or path of the encoder's weights; `random` if it was never trained.",
    "encoder_sha256": "Hash of the image encoder's values.",
    "text_sha256": "Hash of the text encoder's values. Training needs the text encoder, too.",
    "identity": "Everything that changes feature values. Each step has the `version` of its algorithm and "
    "the settings that differ from the defaults of that version. Models have hashes, and precisions are as "
    "resolved. A cache without versions counts as version 1. Another identity is rejected, and the message "
    "names each difference, such as `tracks: version 2 here, 1 there` (decision 0007).",
    "fingerprint": "Hash of `identity`.",
    "config": "The full configuration of the extraction. Paths in it, and in the three other attributes "
    "that may hold any (`encoder_weights`, `warnings`, `command_line`), have `~` for the user's home "
    "directory and `$USER` for a directory named like the user (docs/sharing.md).",
    "clip_table": "Number n of the group `clips-n` with the arrays known beforehand. A cache that grows, "
    "or whose labels change, gets a new table first and then the attributes that refer to it.",
    "num_groups": "Number of names in the array `group`; 0 if it is absent because the dataset names no "
    "groups, and 0 in caches of earlier versions, which lack this attribute.",
    "warnings": "What a user of the features must know, such as random weights.",
    "packages": "Versions of the packages that made the features.",
    "command_line": "The command that created the cache.",
}

_PAGE = """\
# The feature cache: format `{format}`, version {version}

<!-- Written by `make schema` from pipeline/store/schema.py; edit that file, not this one. -->

A cache is one Zarr v3 group, such as `feats.zarr`. `cli.py cache export` writes the same arrays
into one HDF5 file, with the attributes as one JSON text in its attribute `{hdf5_meta}`. Training
reads both. To see the contents:

```python
import xarray

tree = xarray.open_datatree("feats.zarr", engine="zarr", consolidated=False)
tree["scene"]["early"].dims
```

## Arrays

Arrays written "by block" have chunks of `block_clips` clips. One process writes each chunk, and `status`
after all others, so that a clip whose status is not 0 is complete. Arrays written "beforehand" are one chunk
in the group `clips-n` (n is the attribute `clip_table`). They are written when the cache is created, when
clips are appended and by `cache relabel`. In an HDF5 file these arrays are beside the others. A pending clip
has fill values. A failed clip has them too, except for `stage`, `reason`, `status` and, if its file could be
read, `source_sha256`. Ranges are those of done clips, and `cache verify` checks them.

| array | dimensions | type | written | fill | range | meaning |
|---|---|---|---|---|---|---|
{arrays}

`stage` is one of: {stages}.

## Dimensions

| dimension | size |
|---|---|
{dimensions}

## Attributes

| attribute | type | meaning |
|---|---|---|
| `format` | text | `{format}`. |
| `version` | whole number | {version}; another version is rejected. |
{attributes}
"""


def schema_page() -> str:
    """Return the whole page as Markdown. Raises KeyError for a dimension or attribute without a text."""
    dims = list(dict.fromkeys(dim for spec in ARRAYS for dim in spec.dims))
    fields = dataclasses.fields(CacheMeta)
    return _PAGE.format(
        format=FORMAT,
        version=VERSION,
        hdf5_meta=HDF5_META,
        stages=", ".join(f"`{stage}`" for stage in STAGES if stage),
        arrays="\n".join(_array_row(spec) for spec in ARRAYS),
        dimensions="\n".join(f"| `{dim}` | {_DIMENSIONS[dim]} |" for dim in dims),
        attributes="\n".join(
            f"| `{field.name}` | {_json_type(field.type)} | {_ATTRIBUTES[field.name]} |" for field in fields
        ),
    )


def _array_row(spec: ArraySpec) -> str:
    written = "by block" if spec.per_block else "beforehand"
    meaning = spec.doc + (" Only with `--tokens grid4` or `all`." if spec.tokens_only else "")
    meaning += " Only where `num_groups` is not 0." if spec.groups_only else ""
    meaning += " Only with `track.method=motion`." if spec.people_only else ""
    cells = (f"`{spec.name}`", ", ".join(spec.dims), spec.dtype, written, _fill(spec), _range(spec), meaning)
    return f"| {' | '.join(cells)} |"


def _fill(spec: ArraySpec) -> str:
    if isinstance(spec.fill, str):
        return "empty" if not spec.fill else spec.fill
    if math.isnan(spec.fill):
        return "NaN"
    return str(spec.fill).lower()


def _range(spec: ArraySpec) -> str:
    if spec.low is None and spec.high is None:
        return ""
    if spec.high is None:
        return f"{spec.low:g} or more"
    return f"{'' if spec.low is None else f'{spec.low:g} '}to {spec.high:g}"


def _json_type(declared: object) -> str:
    """Return the JSON type of an attribute, by the annotation of its field."""
    if declared is int:
        return "whole number"
    if declared is str:
        return "text"
    return "list of texts" if str(declared).startswith("tuple") else "object"


if __name__ == "__main__":
    sys.stdout.write(schema_page())

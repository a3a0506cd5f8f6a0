"""Output for files of model weights."""

from typing import Any

from pipeline.clip_model.listing import KnownFile, Listing
from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.weights import Fetched


@lines.register
def _(fetched: Fetched) -> list[str]:
    return [f"{fetched.name} is at {fetched.path}"]


@to_json_values.register
def _(file: KnownFile) -> dict[str, Any]:
    values = field_values(file)
    return values | {"present": values.pop("is_here")}


@to_json_values.register
def _(listing: Listing) -> dict[str, Any]:
    return {"weights": to_json_values(listing.files)}


@lines.register
def _(file: KnownFile) -> list[str]:
    licence = f"{file.licence} ({file.licence_source})" if file.licence else "unknown"
    return [
        f"{file.name:<46} {'here' if file.is_here else 'missing':<8} {file.about}",
        f"    licence {licence}; size {_size(file)}; sha256 {file.sha256 or 'unknown'}",
        f"    source {file.source or 'unknown'}; place {file.path}",
    ]


@lines.register
def _(listing: Listing) -> list[str]:
    return [line for file in listing.files for line in lines(file)]


def _size(file: KnownFile) -> str:
    if file.num_bytes is not None:
        return f"{file.num_bytes / 1e6:.1f} MB"
    if file.float32_bytes is not None:
        return f"unknown ({file.float32_bytes / 1e6:.0f} MB of tensors in float32)"
    return "unknown"

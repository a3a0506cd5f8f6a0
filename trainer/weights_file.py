"""Convert tensors of a run to the bytes of a safetensors file, and read an open file after its header.

The library's functions for paths would follow links and allocate the sizes that a header claims.
Format: https://huggingface.co/docs/safetensors/index#format
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from safetensors.torch import load, save

from pipeline.strict_json import from_json

MOST_BYTES = 8 << 30
"""Largest size of a file. The presets make 0.06 to 0.8 GB at widths up to 768 and 1024."""

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Header:
    """Content of a file. num_bytes is the size of the whole file, which the header confirms."""

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    num_bytes: int


def to_bytes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of a file with these tensors, from any device."""
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return bytes(save(stored, metadata=dict(metadata)))


def read_header(file: BinaryIO) -> Header:
    """Read and check the header of a file before any tensor. Raises ValueError or TypeError."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > _MOST_HEADER_BYTES:
        msg = f"its header has {length} bytes; allowed: {_MOST_HEADER_BYTES}"
        raise ValueError(msg)
    entries: dict[str, Any] = from_json(file.read(length))
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        msg = f"its metadata is {metadata!r:.100}; texts by name are needed"
        raise TypeError(msg)
    size = os.fstat(file.fileno()).st_size
    ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
    if size != _LENGTH_BYTES + length + max(ends, default=0):
        msg = f"it has {size} bytes; its header describes {_LENGTH_BYTES + length + max(ends, default=0)}"
        raise ValueError(msg)
    shapes = {name: tuple(map(int, entry["shape"])) for name, entry in entries.items()}
    return Header(metadata=metadata, shapes=shapes, num_bytes=size)


def load_tensors(file: BinaryIO, header: Header) -> dict[str, torch.Tensor]:
    """Read the tensors of a file after `read_header`. Raises the errors of the library."""
    file.seek(0)
    return load(file.read(header.num_bytes))

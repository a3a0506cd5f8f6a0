"""Export of a feature cache to one HDF5 file, for moving it or reading it with other programs."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from pipeline.errors import CacheError
from pipeline.store.location import Location
from pipeline.store.partial_files import remove_beside
from pipeline.store.reader import HDF5_META, FeatureCache
from pipeline.store.schema import ArraySpec

_HALF_WRITTEN = ".partial"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Written HDF5 file. counts: its clips by status."""

    path: Path
    num_bytes: int
    counts: dict[str, int]
    warnings: tuple[str, ...]


def export_hdf5(cache: FeatureCache, target: Path, on_array: Callable[[str], None] | None = None) -> Exported:
    """Write every array, dimension label and attribute of a cache to one HDF5 file.

    Blocks are copied one by one, so that memory is bounded. The file has another name until it is complete.

    Args:
        cache: Open cache.
        target: File to write, with the suffix .h5 or .hdf5.
        on_array: Called with the name of each array that was written.

    Raises:
        CacheError: The target exists, has another suffix or cannot be written.
    """
    if not Location.of(target).is_hdf5:
        msg = f"--to '{target}' needs the suffix .h5 or .hdf5."
        raise CacheError(msg)
    if target.exists():
        msg = f"'{target}' exists already; give another --to, or remove it."
        raise CacheError(msg)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_HALF_WRITTEN}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_beside(target, _HALF_WRITTEN)
        with h5py.File(partial, "x") as file:  # by its path: nobody can have a link at a random name
            file.attrs[HDF5_META] = json.dumps(cache.meta.to_attributes())
            if cache.meta.warnings:
                file.attrs["WARNING"] = "\n".join(cache.meta.warnings)
            for spec in cache.meta.arrays():
                _copy(cache, spec, file)
                if on_array is not None:
                    on_array(spec.name)
        partial.rename(target)
    except OSError as error:
        msg = f"'{target}' could not be written: {error.strerror or error}"
        raise CacheError(msg) from error
    finally:
        partial.unlink(missing_ok=True)
    return Exported(
        path=target,
        num_bytes=target.stat().st_size,
        counts=cache.status_counts(),
        warnings=cache.meta.warnings,
    )


def beside(place: Location) -> Path:
    """Return the HDF5 file beside a cache, with its name; for object storage, in the current directory."""
    return (place.path if place.is_local else Path(place.name)).with_suffix(".h5")


def _copy(cache: FeatureCache, spec: ArraySpec, file: h5py.File) -> None:
    is_text = spec.dtype == "str"
    stored = file.create_dataset(
        spec.name, shape=cache.meta.shape(spec), dtype=h5py.string_dtype() if is_text else spec.dtype
    )
    for axis, name in enumerate(spec.dims):
        stored.dims[axis].label = name
    stored.attrs["description"] = spec.doc
    step = cache.meta.block_clips if spec.per_block else cache.meta.num_clips  # as it is stored
    for start in range(0, cache.meta.num_clips, step):
        stored[start : start + step] = cache.read(spec.name, start, start + step)

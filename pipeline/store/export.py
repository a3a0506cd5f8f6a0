"""A feature cache as one HDF5 file, for those who move single files or read them elsewhere."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from pipeline.errors import CacheError
from pipeline.store.litter import sweep_beside
from pipeline.store.location import Place
from pipeline.store.reader import HDF5_META, FeatureCache
from pipeline.store.schema import ArraySpec

_HALF_WRITTEN = ".partial"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A written HDF5 file. counts: its clips by status."""

    path: Path
    num_bytes: int
    counts: dict[str, int]
    warnings: tuple[str, ...]


def export_hdf5(cache: FeatureCache, target: Path, on_array: Callable[[str], None] | None = None) -> Exported:
    """Write every array, dimension label and attribute of a cache to the file `target`.

    Copies block by block, so that memory stays bounded, into a file beside the target that takes
    its name when complete. Raises CacheError when the target exists or cannot be written.
    """
    if not Place.of(target).is_hdf5:
        msg = f"--to '{target}' needs the suffix .h5 or .hdf5."
        raise CacheError(msg)
    if target.exists():
        msg = f"'{target}' exists already; give another --to, or remove it."
        raise CacheError(msg)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_HALF_WRITTEN}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_beside(target, _HALF_WRITTEN)
        with h5py.File(partial, "x") as file:  # by its path: a name that nobody can have put a link at
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


def beside(place: Place) -> Path:
    """The HDF5 file of a cache's name, in its folder; for a cache on object storage, in the current one."""
    return (place.path if place.is_local else Path(place.name)).with_suffix(".h5")


def _copy(cache: FeatureCache, spec: ArraySpec, file: h5py.File) -> None:
    is_text = spec.dtype == "str"
    stored = file.create_dataset(
        spec.name, shape=cache.meta.shape(spec), dtype=h5py.string_dtype() if is_text else spec.dtype
    )
    for axis, name in enumerate(spec.dims):
        stored.dims[axis].label = name
    stored.attrs["description"] = spec.doc
    step = cache.meta.block_clips
    for start in range(0, cache.meta.num_clips, step):
        stored[start : start + step] = cache.read(spec.name, start, start + step)

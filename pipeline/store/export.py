"""A feature cache as one HDF5 file, for those who move single files or read them elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py

from pipeline.errors import CacheError
from pipeline.store.reader import HDF5_META, FeatureCache, is_hdf5
from pipeline.store.schema import ArraySpec


def export_hdf5(cache: FeatureCache, target: Path, on_array: Callable[[str], None] | None = None) -> int:
    """Write every array, dimension label and attribute of a cache to `target`; returns its bytes.

    Copies block by block, so that memory stays bounded, into a file beside the target that takes
    its name when complete. Raises CacheError when the target exists or cannot be written.
    """
    if not is_hdf5(target):
        msg = f"--to '{target}' needs the suffix .h5 or .hdf5."
        raise CacheError(msg)
    if target.exists():
        msg = f"'{target}' exists already; give another --to, or remove it."
        raise CacheError(msg)
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(partial, "w") as file:
            file.attrs[HDF5_META] = json.dumps(cache.meta.to_attributes())
            for warning in cache.meta.warnings:
                file.attrs["WARNING"] = warning
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
    return target.stat().st_size


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

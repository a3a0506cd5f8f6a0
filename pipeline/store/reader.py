"""A feature cache, opened for reading: a Zarr group or the HDF5 file exported from one."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
import zarr
import zarr.errors

from pipeline.errors import CacheError, first_line
from pipeline.fingerprint import sha256_json
from pipeline.store.schema import BY_NAME, ArraySpec, CacheMeta
from pipeline.types import Status

HDF5_META = "ous_meta_json"
_HDF5_SUFFIXES = (".h5", ".hdf5")


def is_hdf5(path: Path) -> bool:
    """Whether a cache path names an exported HDF5 file rather than a Zarr group."""
    return path.suffix.lower() in _HDF5_SUFFIXES


class FeatureCache:
    """An open feature cache. Use as a context manager, or call `close`.

    meta: what is said once. Arrays are read by their schema name, whole or in part.
    """

    def __init__(
        self, path: Path, meta: CacheMeta, arrays: Mapping[str, Any], file: h5py.File | None
    ) -> None:
        self.path = path
        self.meta = meta
        self._arrays = arrays
        self._file = file

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a cache and check that every array is there with the shape its attributes say.

        Raises CacheError when it is missing, of another format or version, or damaged.
        """
        path = Path(path)
        if not path.exists():
            msg = f"No cache at '{path}'; make one with `cli.py extract --cache {path} ...`."
            raise CacheError(msg)
        group, attributes, file = _open_hdf5(path) if is_hdf5(path) else _open_zarr(path)
        try:
            meta = CacheMeta.from_attributes(attributes, str(path))
            arrays = {spec.name: _checked_array(group, spec, meta, path) for spec in meta.arrays()}
        except CacheError:
            if file is not None:
                file.close()
            raise
        return cls(path, meta, arrays, file)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """The rows `start` to `stop` of an array; text comes as an object array of `str`."""
        array = self._arrays[name]
        try:
            rows = array[start:stop]
        except Exception as error:  # noqa: BLE001 - whatever a damaged chunk raises is one known error
            end = self.meta.num_clips if stop is None else min(stop, self.meta.num_clips)
            msg = (
                f"{self.path}: array '{name}', clips {start} to {end - 1}, cannot be read "
                f"({first_line(error)}). The cache is damaged; move it away and extract again."
            )
            raise CacheError(msg) from error
        if BY_NAME[name].dtype == "str":
            return np.array([_text(value) for value in rows], dtype=object)
        return np.asarray(rows)

    def done_rows(self) -> npt.NDArray[np.int64]:
        """The rows of clips whose features are there, with or without a face."""
        status = self.read("status")
        return np.flatnonzero((status == Status.DONE) | (status == Status.DONE_WITHOUT_FACE))

    def clips_sha256(self) -> str:
        """A hash of which clips these are: ids, labels and membership, in order."""
        columns = [self.read(name).tolist() for name in ("clip_id", "label", "membership")]
        return sha256_json([list(self.meta.class_names), *columns])

    def status_counts(self) -> dict[str, int]:
        """How many clips are pending, done, done without a face, failed."""
        status = self.read("status")
        return {member.name.lower(): int((status == member).sum()) for member in Status}

    def close(self) -> None:
        """Close the file, if there is one to close."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_zarr(path: Path) -> tuple[Any, Mapping[str, Any], None]:
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3)
    except (
        zarr.errors.GroupNotFoundError,
        FileNotFoundError,
        NotADirectoryError,
        ValueError,
        KeyError,
    ) as error:
        msg = f"'{path}' is not a feature cache (no Zarr group there); give one that `extract --cache` made."
        raise CacheError(msg) from error
    return group, dict(group.attrs), None


def _open_hdf5(path: Path) -> tuple[Any, Mapping[str, Any], h5py.File]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        msg = f"'{path}' is not a readable HDF5 file: {error}"
        raise CacheError(msg) from error
    stored = file.attrs.get(HDF5_META)
    try:
        attributes = json.loads(stored) if isinstance(stored, str) else {}
    except json.JSONDecodeError:
        attributes = {}
    return file, attributes if isinstance(attributes, dict) else {}, file


def _checked_array(group: Any, spec: ArraySpec, meta: CacheMeta, path: Path) -> Any:
    array = group.get(spec.name)
    if array is None or not hasattr(array, "shape"):
        msg = f"{path} has no array '{spec.name}'. The cache is damaged; extract it again."
        raise CacheError(msg)
    if tuple(array.shape) != meta.shape(spec):
        shape, needed = tuple(array.shape), meta.shape(spec)
        msg = f"{path}: array '{spec.name}' has shape {shape}; {needed} is needed. The cache is damaged."
        raise CacheError(msg)
    return array


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

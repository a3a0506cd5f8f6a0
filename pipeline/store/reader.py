"""A feature cache, opened for reading: a Zarr group or the HDF5 file exported from one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import h5py
import numpy as np
import numpy.typing as npt
import zarr
import zarr.errors

from pipeline.errors import CacheDamagedError, CacheError, counted, first_line, printable
from pipeline.fingerprint import sha256_json
from pipeline.program import command
from pipeline.store import checks
from pipeline.store.at_once import all_at_once
from pipeline.store.hdf5_probe import require_harmless
from pipeline.store.location import Location, LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.store.raw_chunks import Scratch, read_chunk, read_chunks
from pipeline.store.schema import BY_NAME, ArraySpec
from pipeline.types import Status

_Kind = TypeVar("_Kind")
HDF5_META = "ous_meta_json"
_SHOWN = 200
"""Characters of another library's error that a message shows."""


class FeatureCache:
    """Open feature cache. Use it as a context manager, or call `close`.

    place: its location. meta: its attributes. Arrays are read by their names in the schema.
    """

    def __init__(
        self, place: Location, meta: CacheMeta, arrays: Mapping[str, Any], file: h5py.File | None
    ) -> None:
        self.place = place
        self.meta = meta
        self._arrays = arrays
        self._file = file

    @classmethod
    def open(cls, where: LocationLike) -> Self:
        """Open a cache, and check that it has every array with the shape that its attributes give.

        Raises CacheError if it is missing, of another format or version, or damaged.
        """
        place = Location.of(where)
        if not place.exists():
            msg = (
                f"No cache at '{place}'; make one with `{command('extract', '--cache', place, '...')}`. "
                "If it was moved, give its location."
            )
            raise CacheError(msg)
        group, attributes, file = _open_hdf5(place) if place.is_hdf5 else _open_zarr(place)
        checked = checks.hdf5_array if place.is_hdf5 else checks.zarr_array
        try:
            meta = CacheMeta.from_attributes(attributes, str(place))
            with _translate_damage(place):
                specs = meta.arrays()
                found = all_at_once(
                    place, [partial(checked, group, spec, meta, str(place)) for spec in specs]
                )
                arrays = {spec.name: array for spec, array in zip(specs, found, strict=True)}
        except CacheError:
            if file is not None:
                file.close()
            raise
        return cls(place, meta, arrays, file)

    def __repr__(self) -> str:
        """Return location, dataset, encoder, size, and numbers of clips by status."""
        meta = self.meta
        is_closed = self._file is not None and not self._file
        by_status = {} if is_closed else self.status_counts()
        counts = ", ".join(f"{number} {name}" for name, number in by_status.items() if number)
        classes = counted(len(meta.class_names), "class", "classes")
        made = f"{meta.dataset}, {classes}, {counted(len(meta.fold_names), 'fold')}; {meta.encoder_name}"
        return printable(
            f"FeatureCache('{self.place}': {made}; clips: {counts.replace('_', ' ') or meta.num_clips})"
        )

    def read(
        self, name: str, start: int = 0, stop: int | None = None, *, scratch: Scratch | None = None
    ) -> npt.NDArray[Any]:
        """Return the rows `start` to `stop` of an array, one per clip.

        An array of groups or of people that the cache does not hold has fill values.

        Args:
            name: Name of the array in the schema.
            start: First row.
            stop: Row after the last; None for the number of clips.
            scratch: Memory to read into, so that none is allocated; the result is valid until the next use.

        Returns:
            [stop - start, ...], with shape and dtype of the schema; text as an object array of `str`.

        Raises:
            CacheDamagedError: A chunk of the rows is damaged.
            CacheError: The disk or the object store fails.
        """
        end = self.meta.num_clips if stop is None else min(stop, self.meta.num_clips)
        spec = BY_NAME[name]
        if name not in self._arrays and (spec.groups_only or spec.people_only):
            shape = (end - start, *self.meta.shape(spec)[1:])
            return np.full(shape, spec.fill, dtype=object if spec.dtype == "str" else spec.dtype)
        return read_rows(self.place, self._arrays[name], spec, start, end, scratch)

    def setting(self, path: str, kind: type[_Kind]) -> _Kind:
        """Return a value of the attributes, such as ``config.dataset.root``.

        Raises CacheError if it is missing or not of the type `kind`.
        """
        value: Any = {"config": self.meta.config, "identity": self.meta.identity}
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if not isinstance(value, kind):
            shown = repr(value)[:_SHOWN]
            msg = (
                f"'{self.place}': attribute '{path}' is {shown}; {kind.__name__} is needed. Extract it again."
            )
            raise CacheError(msg)
        return value

    def done_rows(self, status: npt.NDArray[Any] | None = None) -> npt.NDArray[np.int64]:
        """Return the rows, int64 [N], of clips with features, with or without a face, in order.

        status: the array of this name, if it has been read already.
        """
        status = self.read("status") if status is None else status
        return np.flatnonzero((status == Status.DONE) | (status == Status.DONE_WITHOUT_FACE))

    def clips_sha256(self) -> str:
        """Return a hash of class names, and of ids, labels, polarities and membership of all clips."""
        columns = [self.read(name).tolist() for name in ("clip_id", "label", "polarity", "membership")]
        return sha256_json([list(self.meta.class_names), *columns])

    def status_counts(self, status: npt.NDArray[Any] | None = None) -> dict[str, int]:
        """Return the numbers of clips that are pending, done, done without a face, and failed.

        status: the array of this name, if it has been read already.
        """
        status = self.read("status") if status is None else status
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


def read_rows(
    place: Location, array: Any, spec: ArraySpec, start: int, end: int, scratch: Scratch | None = None
) -> npt.NDArray[Any]:
    """Return rows of a stored array; see `FeatureCache.read`.

    Args:
        place: Location of the cache.
        array: Zarr array or HDF5 dataset, [N, ...].
        spec: Its entry in the schema.
        start: First row.
        end: Row after the last.
        scratch: Memory to read into; None allocates new memory.

    Raises:
        CacheDamagedError: A chunk of the rows is damaged.
        CacheError: The disk or the object store fails.
    """
    try:
        with nullcontext() if place.is_local else place.translate_errors("cannot be read"):
            rows = None if scratch is None else read_chunk(array, spec, start, end, scratch)
            rows = read_chunks(array, spec, start, end) if rows is None else rows
            rows = array[start:end] if rows is None else rows
    except (CacheError, PermissionError):
        raise
    except Exception as error:  # noqa: BLE001 - a damaged chunk may raise any error
        remedy = "move it away and extract again"
        if spec.per_block and not place.is_hdf5:
            remedy = f"`{command('cache', 'repair', place)}` computes that again"
        msg = (
            f"{place}: array '{spec.name}', clips {start} to {end - 1}, cannot be read "
            f"({first_line(error)}). The cache is damaged; {remedy}."
        )
        raise CacheDamagedError(msg) from error
    if spec.dtype == "str":
        with _translate_damage(place):
            if not place.is_hdf5:
                return np.asarray(rows, dtype=object)
            return np.array([_text(value) for value in rows], dtype=object)
    return np.asarray(rows)


def _open_zarr(place: Location) -> tuple[Any, Mapping[str, Any], None]:
    store = place.zarr_store(read_only=True)
    with _translate_damage(place):
        try:
            group = zarr.open_group(store, mode="r", zarr_format=3, use_consolidated=False)
        except (zarr.errors.GroupNotFoundError, FileNotFoundError, NotADirectoryError) as error:
            msg = (
                f"'{place}' is not a feature cache (no Zarr group there); give one that "
                "`extract --cache` made."
            )
            raise CacheError(msg) from error
        return group, dict(group.attrs), None


@contextmanager
def _translate_damage(place: Location) -> Iterator[None]:
    """Translate errors of a damaged or hostile cache, and of an object store, into a CacheError."""
    try:
        with nullcontext() if place.is_local else place.translate_errors("cannot be read"):
            yield
    except CacheError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged metadata may raise any error
        msg = f"'{place}' is not a readable feature cache: {first_line(error)[:_SHOWN]}. Extract it again."
        raise CacheError(msg) from error


def _open_hdf5(place: Location) -> tuple[Any, Mapping[str, Any], h5py.File]:
    if not place.path.is_file():
        msg = f"'{place}' is not a file; an exported HDF5 file is needed."
        raise CacheError(msg)
    require_harmless(place.path, HDF5_META, [name for name, spec in BY_NAME.items() if spec.dtype == "str"])
    try:
        file = h5py.File(place.path, "r")
    except OSError as error:
        msg = f"'{place}' is not a readable HDF5 file: {first_line(error)}"
        raise CacheError(msg) from error
    try:
        with _translate_damage(place):
            stored = file.attrs.get(HDF5_META)
            attributes = json.loads(stored) if isinstance(stored, str) else {}
    except CacheError:
        file.close()
        raise
    return file, attributes if isinstance(attributes, dict) else {}, file


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

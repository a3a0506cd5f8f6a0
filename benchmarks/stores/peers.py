"""Other stores of the same features, in an environment of their own.

    python -m benchmarks.stores.peers NAME write CACHE PATH
    python -m benchmarks.stores.peers NAME read

``zarr-python``, ``zarrs`` and ``tensorstore`` read the files of the cache. ``lance``, ``parquet`` and
``memmap`` have a copy of the same bytes. Nothing is compressed, as in the cache. Columns of Lance and Parquet
are binary values of fixed size, one for each clip and array. A row group of Parquet has the clips of a block.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stores.access import ARRAYS, BLOCK_CLIPS, Reader, run

ON_THE_CACHE = ("zarr-python", "zarrs", "tensorstore")
NAMES = (*ON_THE_CACHE, "lance", "parquet", "memmap")
_S3 = "s3://"
_SHAPES = "shapes.npy"


def _endpoint() -> str:
    return os.environ["AWS_ENDPOINT_URL"]


class ZarrReader:
    """Files of the cache through zarr-python, with its own codecs or those of zarrs."""

    def __init__(self, where: str, pipeline: str = "") -> None:
        import zarr

        if pipeline:
            zarr.config.set({"codec_pipeline.path": pipeline})
        group = zarr.open_group(_zarr_store(where), mode="r", zarr_format=3, use_consolidated=False)
        self._arrays: list[Any] = [group[name] for name in ARRAYS]

    def rows(self, start: int, stop: int) -> Sequence[Any]:
        """See `Reader`."""
        return [array[start:stop] for array in self._arrays]

    def batch(self, rows: Any) -> Sequence[Any]:
        """See `Reader`."""
        return [array.oindex[rows] for array in self._arrays]


def _zarr_store(where: str) -> Any:
    if not where.startswith(_S3):
        return where
    from obstore.store import S3Store
    from zarr.storage import ObjectStore

    bucket, _, prefix = where.removeprefix(_S3).partition("/")
    return ObjectStore(S3Store(bucket, prefix=prefix, client_options={"allow_http": True}), read_only=True)


class TensorStoreReader:
    """Files of the cache through tensorstore, without its cache of chunks."""

    def __init__(self, where: str) -> None:
        import tensorstore

        opened = [
            tensorstore.open({"driver": "zarr3", "kvstore": _kvstore(f"{where}/{name}")}, read=True)
            for name in ARRAYS
        ]
        self._arrays = [one.result() for one in opened]

    def rows(self, start: int, stop: int) -> Sequence[Any]:
        """See `Reader`. All arrays are requested before the first is awaited, as its users do."""
        return [one.result() for one in [array[start:stop].read() for array in self._arrays]]

    def batch(self, rows: Any) -> Sequence[Any]:
        """See `Reader`."""
        return [one.result() for one in [array.oindex[rows].read() for array in self._arrays]]


def _kvstore(where: str) -> dict[str, Any]:
    if not where.startswith(_S3):
        return {"driver": "file", "path": f"{where}/"}
    bucket, _, prefix = where.removeprefix(_S3).partition("/")
    return {
        "driver": "s3", "bucket": bucket, "path": f"{prefix}/", "endpoint": _endpoint(),
        "aws_region": os.environ["AWS_REGION"], "aws_credentials": {"type": "environment"},
    }  # fmt: skip


class LanceReader:
    """Lance dataset."""

    def __init__(self, where: str) -> None:
        import lance

        options = {"allow_http": "true", "aws_endpoint": _endpoint()} if where.startswith(_S3) else None
        self._dataset = lance.dataset(f"{where}/clips.lance", storage_options=options)
        self._shapes = _shapes_of(self._dataset.schema.metadata)

    def rows(self, start: int, stop: int) -> Sequence[Any]:
        """See `Reader`."""
        return self._arrays(self._dataset.take(list(range(start, stop))))

    def batch(self, rows: Any) -> Sequence[Any]:
        """See `Reader`."""
        return self._arrays(self._dataset.take(rows.tolist()))

    def _arrays(self, table: Any) -> Sequence[Any]:
        return [
            _as_numpy(table.column(name), shape) for name, shape in zip(ARRAYS, self._shapes, strict=True)
        ]


class ParquetReader:
    """Parquet file whose row groups have the clips of a block. A clip is taken from its row group."""

    def __init__(self, where: str) -> None:
        from pyarrow import fs, parquet

        path, system = f"{where}/clips.parquet", None
        if where.startswith(_S3):
            path = path.removeprefix(_S3)
            system = fs.S3FileSystem(endpoint_override=_endpoint(), region=os.environ["AWS_REGION"])
        self._file = parquet.ParquetFile(path, filesystem=system)
        self._shapes = _shapes_of(self._file.schema_arrow.metadata)

    def rows(self, start: int, stop: int) -> Sequence[Any]:
        """See `Reader`."""
        first, last = start // BLOCK_CLIPS, (stop - 1) // BLOCK_CLIPS
        table = self._file.read_row_groups(range(first, last + 1))
        return self._arrays(table.slice(start - first * BLOCK_CLIPS, stop - start))

    def batch(self, rows: Any) -> Sequence[Any]:
        """See `Reader`."""
        parts = [self.rows(row, row + 1) for row in rows.tolist()]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _arrays(self, table: Any) -> Sequence[Any]:
        return [
            _as_numpy(table.column(name), shape) for name, shape in zip(ARRAYS, self._shapes, strict=True)
        ]


class MemmapReader:
    """A memory map of each array, copied to memory."""

    def __init__(self, where: str) -> None:
        self._arrays = [np.load(_npy(Path(where), name), mmap_mode="r") for name in ARRAYS]

    def rows(self, start: int, stop: int) -> Sequence[Any]:
        """See `Reader`."""
        return [np.array(array[start:stop]) for array in self._arrays]

    def batch(self, rows: Any) -> Sequence[Any]:
        """See `Reader`."""
        return [array[rows] for array in self._arrays]


def _npy(folder: Path, name: str) -> Path:
    return folder / f"{name.replace('/', '-')}.npy"


def _shapes_of(metadata: dict[bytes, bytes]) -> list[tuple[int, ...]]:
    return [tuple(map(int, metadata[name.encode()].decode().split(","))) for name in ARRAYS]


def _as_numpy(column: Any, shape: tuple[int, ...]) -> Any:
    """Return a column of binary values as float16 [rows, ...]. Chunks are joined by a copy."""
    width = 2 * int(np.prod(shape))
    parts = []
    for chunk in column.chunks:
        _, data = chunk.buffers()
        whole = np.frombuffer(data, dtype=np.uint8)[
            chunk.offset * width : (chunk.offset + len(chunk)) * width
        ]
        parts.append(whole.view(np.float16).reshape(len(chunk), *shape))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


OPEN: dict[str, Callable[[str], Reader]] = {
    "zarr-python": ZarrReader,
    "zarrs": lambda where: ZarrReader(where, "zarrs.ZarrsCodecPipeline"),
    "tensorstore": TensorStoreReader,
    "lance": LanceReader,
    "parquet": ParquetReader,
    "memmap": MemmapReader,
}


def write(name: str, cache: str, path: Path) -> None:
    """Copy the arrays of a cache into another store."""
    source = ZarrReader(cache)
    shapes = [array.shape for array in source._arrays]
    path.mkdir(parents=True)
    blocks = (
        source.rows(start, min(start + BLOCK_CLIPS, shapes[0][0]))
        for start in range(0, shapes[0][0], BLOCK_CLIPS)
    )
    if name == "memmap":
        maps = [
            np.lib.format.open_memmap(_npy(path, array), mode="w+", dtype=np.float16, shape=shape)
            for array, shape in zip(ARRAYS, shapes, strict=True)
        ]
        start = 0
        for parts in blocks:
            for whole, part in zip(maps, parts, strict=True):
                whole[start : start + len(part)] = part
            start += len(parts[0])
        for whole in maps:
            whole.flush()
        return
    _write_columns(name, path, blocks, [shape[1:] for shape in shapes])


def _write_columns(
    name: str, path: Path, blocks: Iterator[Sequence[Any]], shapes: Sequence[tuple[int, ...]]
) -> None:
    import pyarrow

    widths = [2 * int(np.prod(shape)) for shape in shapes]
    metadata = {array: ",".join(map(str, shape)) for array, shape in zip(ARRAYS, shapes, strict=True)}
    fields = [
        pyarrow.field(array, pyarrow.binary(width)) for array, width in zip(ARRAYS, widths, strict=True)
    ]
    schema = pyarrow.schema(fields, metadata=metadata)

    def batches() -> Iterator[Any]:
        for parts in blocks:
            columns = [
                pyarrow.FixedSizeBinaryArray.from_buffers(
                    pyarrow.binary(width), len(part), [None, pyarrow.py_buffer(np.ascontiguousarray(part))]
                )
                for part, width in zip(parts, widths, strict=True)
            ]
            yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)

    if name == "lance":
        import lance

        reader = pyarrow.RecordBatchReader.from_batches(schema, batches())
        lance.write_dataset(reader, str(path / "clips.lance"))
        return
    from pyarrow import parquet

    with parquet.ParquetWriter(
        path / "clips.parquet", schema, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        for batch in batches():
            writer.write_batch(batch, row_group_size=BLOCK_CLIPS)


def files(where: str) -> Sequence[Path]:
    """Return the files of a store; of the cache, those of the arrays that are read."""
    root = Path(where)
    roots = [root / name for name in ARRAYS] if (root / "zarr.json").is_file() else [root]
    return [path for folder in roots for path in folder.rglob("*") if path.is_file()]


def main() -> None:
    """Write a store, or read one."""
    name, action, *arguments = sys.argv[1:]
    if action == "write":
        write(name, arguments[0], Path(arguments[1]))
    else:
        run(lambda where: lambda: OPEN[name](where), files)


if __name__ == "__main__":
    main()

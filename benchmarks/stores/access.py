"""Patterns of access to a store of features, and their time with a warm and a cold page cache.

This module runs in the peers' environment, too: it needs numpy and the standard library only.
"""

import ctypes
import hashlib
import json
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

ARRAYS = ("face/embedding", "scene/embedding", "scene/early")
BLOCK_CLIPS, BATCH_CLIPS = 64, 16


class Reader(Protocol):
    """Open store. Each method returns the three ARRAYS of some clips, in memory of this process."""

    def rows(self, start: int, stop: int) -> Sequence[Any]:
        """Return the clips `start` to `stop`, as arrays [stop - start, ...]."""
        ...

    def batch(self, rows: Any) -> Sequence[Any]:
        """Return the clips of these rows, int64 [B], as arrays [B, ...]."""
        ...


def drop_pages(files: Sequence[Path]) -> float:
    """Remove files from the page cache of this machine, and return the fraction of pages that remain.

    `posix_fadvise(POSIX_FADV_DONTNEED)` asks the kernel to drop the pages of a file that are not dirty. They
    are written before. Caches of the disk itself, and of the host of a virtual machine, stay as they are.
    """
    os.sync()
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)
    return resident(files)


def resident(files: Sequence[Path]) -> float:
    """Return the fraction of the pages of files that is in the page cache, by `mincore`."""
    libc = ctypes.CDLL(None, use_errno=True)
    pages = found = 0
    for path in files:
        size = path.stat().st_size
        if not size:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
            number = -(-size // mmap.PAGESIZE)
            flags = (ctypes.c_ubyte * number)()
            view = (ctypes.c_char * size).from_buffer(mapped)
            if libc.mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(size), flags):
                raise OSError(ctypes.get_errno(), f"mincore of {path}")
            found += sum(flag & 1 for flag in flags)
            pages += number
            del view
    return found / max(1, pages)


def scattered(num_clips: int, number: int, seed: int) -> Any:
    """Return random rows, int64, each of another block as long as there are enough blocks."""
    generator = np.random.default_rng(seed)
    num_blocks = -(-num_clips // BLOCK_CLIPS)
    blocks = np.resize(generator.permutation(num_blocks), number)
    rows = blocks * BLOCK_CLIPS + generator.integers(0, BLOCK_CLIPS, number)
    return np.minimum(rows, num_clips - 1)


def patterns(reader: Reader, num_clips: int, clips: int, batches: int) -> dict[str, Callable[[int], int]]:
    """Return functions that read with a seed, and return the number of clips.

    ``clip``: single clips of random blocks. ``batch``: 16 random clips of the whole store at a time, as an
    epoch in random order of clips does. ``blocks``: an epoch, block after block, in random order of blocks.
    """

    def clip(seed: int) -> int:
        for row in scattered(num_clips, clips, seed).tolist():
            reader.rows(row, row + 1)
        return clips

    def batch(seed: int) -> int:
        generator = np.random.default_rng(seed)
        order = generator.permutation(num_clips)[: batches * BATCH_CLIPS]
        for start in range(0, len(order), BATCH_CLIPS):
            reader.batch(order[start : start + BATCH_CLIPS])
        return len(order)

    def blocks(seed: int) -> int:
        for block in np.random.default_rng(seed).permutation(-(-num_clips // BLOCK_CLIPS)).tolist():
            reader.rows(block * BLOCK_CLIPS, min((block + 1) * BLOCK_CLIPS, num_clips))
        return num_clips

    return {"clip": clip, "batch": batch, "blocks": blocks}


def digest(parts: Sequence[Any]) -> str:
    """Return a hash of arrays, in their order."""
    together = hashlib.sha256()
    for part in parts:
        together.update(np.ascontiguousarray(part).tobytes())
    return together.hexdigest()


def check_rows(num_clips: int) -> Iterator[int]:
    """Yield rows whose content is compared: first, last, and some between."""
    yield from sorted({0, num_clips - 1, num_clips // 2, num_clips // 3})


def verify(reader: Reader, num_clips: int, expected: Sequence[str]) -> None:
    """Raise RuntimeError if the store does not return the expected clips, alone and in a batch."""
    for row, known in zip(check_rows(num_clips), expected, strict=True):
        for parts in (reader.rows(row, row + 1), reader.batch(np.array([row]))):
            if digest(parts) != known:
                msg = f"clip {row} differs from the cache"
                raise RuntimeError(msg)


def measured(reader: Callable[[], Reader], files: Sequence[Path], options: dict[str, Any]) -> dict[str, Any]:
    """Return seconds of each pattern, per clip, cold and warm, in turns.

    A cold turn drops the pages of all files and opens the store again, which is timed apart. The warm turn
    repeats the same accesses, so that their pages are in memory. Without files, as in a bucket, all turns are
    warm.

    Args:
        reader: Function that opens the store.
        files: Files of the store; empty for a bucket.
        options: ``clips``, ``single``, ``batches``, ``turns``, ``expected``.
    """
    num_clips = options["clips"]
    verify(reader(), num_clips, options["expected"])
    seconds: dict[str, dict[str, list[float]]] = {}
    opened, remaining = [], []
    for turn in range(options["turns"]):
        for name in ("clip", "batch", "blocks"):
            if files:
                remaining.append(drop_pages(files))
            began = time.perf_counter()
            store = reader()
            opened.append(time.perf_counter() - began)
            read = patterns(store, num_clips, options["single"], options["batches"])[name]
            for state in ("cold", "warm") if files else ("warm",):
                began = time.perf_counter()
                number = read(turn)
                each = (time.perf_counter() - began) / number
                seconds.setdefault(name, {}).setdefault(state, []).append(each)
    found = {
        "seconds_per_clip": seconds,
        "open_seconds": opened,
        "bytes": sum(f.stat().st_size for f in files),
    }
    return found | ({"resident_after_drop": max(remaining)} if remaining else {})


def counted(reader: Callable[[], Reader], options: dict[str, Any]) -> Iterator[str]:
    """Read from a bucket, and yield the name of each phase as it ends, so that requests can be counted."""
    store = reader()
    yield "open"
    num_clips = options["clips"]
    for row in scattered(num_clips, options["single"], 0).tolist():
        store.rows(row, row + 1)
    yield "clip"
    for start in range(0, num_clips, BLOCK_CLIPS):
        store.rows(start, min(start + BLOCK_CLIPS, num_clips))
    yield "blocks"


def run(make: Callable[[str], Callable[[], Reader]], files: Callable[[str], Sequence[Path]]) -> None:
    """Serve one request of the parent: options as JSON on standard input, the result as JSON lines.

    Args:
        make: Function that returns, for a location, the function that opens the store there.
        files: Function that returns the files of a local store.
    """
    options = json.loads(sys.stdin.readline())
    where = options["where"]
    if options["counted"]:
        for phase in counted(make(where), options):
            sys.stdout.write(json.dumps(phase) + "\n")
            sys.stdout.flush()
            sys.stdin.readline()  # the parent has counted
        return
    sys.stdout.write(json.dumps(measured(make(where), files(where), options)) + "\n")

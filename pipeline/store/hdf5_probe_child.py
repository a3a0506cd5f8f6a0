"""Reads an HDF5 file's texts, whatever becomes of it; a process of its own, started by `hdf5_probe`.

It runs as ``python -m pipeline.store.hdf5_probe_child SECONDS PATH ATTRIBUTE TEXTS...`` and imports h5py, and
of this program nothing that takes time.
"""

import contextlib
import signal
import sys

from pipeline.children import keep_memory_below

_MEMORY_BYTES = 16 << 30


def main() -> None:
    """Read the attribute and the datasets named on the command line, whatever becomes of it."""
    import h5py

    seconds, path, attribute, *texts = sys.argv[1:]
    signal.alarm(int(seconds))  # its default is to end the process, wherever it hangs
    keep_memory_below(_MEMORY_BYTES)
    with contextlib.suppress(Exception), h5py.File(path, "r") as file:
        with contextlib.suppress(Exception):
            file.attrs.get(attribute)
        for name in texts:
            with contextlib.suppress(Exception):
                if isinstance(file.get(name, getlink=True), h5py.HardLink):
                    found = file[name]
                    if not found.is_virtual and not found.external and found.chunks is None:
                        found[()]


if __name__ == "__main__":
    main()

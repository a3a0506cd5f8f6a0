"""Child process of `hdf5_probe`, which reads the texts of an HDF5 file and may crash.

It runs as ``python -m pipeline.store.hdf5_probe_child SECONDS PATH ATTRIBUTE TEXTS...``. It imports h5py and
only small parts of this program, so that it starts fast.
"""

import contextlib
import signal
import sys

from pipeline.children import keep_memory_below

_MEMORY_BYTES = 16 << 30


def main() -> None:
    """Read the attribute and the datasets that the command line names, and ignore their errors."""
    import h5py

    seconds, path, attribute, *texts = sys.argv[1:]
    signal.alarm(int(seconds))  # the default action ends the process, even if it hangs
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

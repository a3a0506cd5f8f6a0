"""An HDF5 file read once by a child process, since the library can hang or crash on a damaged one.

Texts are what it stumbles over: their lengths and places are in the file. Once a child has read all
of them, so can the process that asked.
"""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline import children
from pipeline.errors import CacheError

_SECONDS, _BYTES_PER_SECOND, _MOST_SECONDS = 10, 1_000_000, 600


def require_harmless(path: Path, attribute: str, texts: Sequence[str]) -> None:
    """Raise CacheError for a file on which the library hangs or crashes when it reads these.

    attribute: of the file. texts: datasets. Both may be missing or damaged: then the reader says so.
    """
    seconds = min(_SECONDS + path.stat().st_size // _BYTES_PER_SECOND, _MOST_SECONDS)
    child = subprocess.run(
        children.command("pipeline.store.hdf5_probe_child", seconds, path.resolve(), attribute, *texts),
        env=children.environment(),
        capture_output=True, check=False, text=True, errors="replace",
    )  # fmt: skip
    if child.returncode:
        said = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        what = f"its trial failed ({said[-1]})"
        if child.returncode == -signal.SIGALRM:
            what = f"the HDF5 library does not come to an end in {seconds} s"
        elif child.returncode < 0:
            what = f"the HDF5 library crashes on it ({signal.Signals(-child.returncode).name})"
        msg = f"'{path}' is not a readable HDF5 file: {what}. The file is damaged; export it again."
        raise CacheError(msg)

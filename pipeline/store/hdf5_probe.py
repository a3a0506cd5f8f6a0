"""Test read of an HDF5 file by a child process, because the library can hang or crash on a damaged file.

Texts cause this, because the file holds their lengths and places. If a child can read all of them, this
process can read them too.
"""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline import children
from pipeline.errors import CacheError

_SECONDS, _BYTES_PER_SECOND, _MOST_SECONDS = 10, 1_000_000, 600


def require_harmless(path: Path, attribute: str, texts: Sequence[str]) -> None:
    """Check that the library can read the texts of a file without hanging or crashing.

    Args:
        path: The file.
        attribute: Name of an attribute of the file.
        texts: Names of HDF5 datasets of texts. They and the attribute may be missing or damaged, because the
            reader reports it.

    Raises:
        CacheError: The child was killed, crashed or did not finish in time, or it failed in another way, such
            as at an import.
    """
    seconds = min(_SECONDS + path.stat().st_size // _BYTES_PER_SECOND, _MOST_SECONDS)
    child = subprocess.run(
        children.command("pipeline.store.hdf5_probe_child", seconds, path.resolve(), attribute, *texts),
        env=children.environment(),
        capture_output=True, check=False, text=True, errors="replace",
    )  # fmt: skip
    if child.returncode:
        printed = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        reason = f"a test read failed ({printed[-1]})"
        if child.returncode == -signal.SIGALRM:
            reason = f"the HDF5 library does not finish within {seconds} s"
        elif child.returncode < 0:
            reason = f"the HDF5 library crashes on it ({signal.Signals(-child.returncode).name})"
        msg = f"'{path}' is not a readable HDF5 file: {reason}. The file is damaged; export it again."
        raise CacheError(msg)

"""The directory of clips, caches and compiled code: the steps write and delete there, and nowhere else.

Standard library only, because the runner uses it.
"""

import os
from pathlib import Path

NAME = "ous-gpu"
MARKER = "made-by-benchmarks.gpu"
NEEDED_BYTES = 3_000_000_000
"""Of free disk: clips, then the largest cache of features that a step writes."""


class WorkDirectoryError(Exception):
    """Raised for a work directory that is not the benchmark's own; the message is one line for the user."""


def open_work_directory(parent: Path, clips: Path | None = None) -> Path:
    """Return PARENT/ous-gpu with its marker file, made if it is missing.

    Args:
        parent: Directory of the user; nothing else in it is touched.
        clips: Directory of the user's videos.

    Raises:
        WorkDirectoryError: PARENT/ous-gpu has files but no marker, or the videos are in it.
        OSError: It cannot be made.
    """
    work = (parent / NAME).resolve()
    if clips is not None and clips.resolve().is_relative_to(work):
        msg = (
            f"--clips '{clips}' is in the work directory '{work}', whose files are deleted; move the videos."
        )
        raise WorkDirectoryError(msg)
    work.mkdir(parents=True, exist_ok=True)
    marker = work / MARKER
    if not marker.is_file():
        if any(work.iterdir()):
            msg = f"'{work}' has files that the benchmark did not write; move them, or give another --work."
            raise WorkDirectoryError(msg)
        marker.touch()
    return work


def free_bytes(path: Path) -> int:
    """Return the bytes that this user may write on the disk of a directory."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize

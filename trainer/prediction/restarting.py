"""`--restart`, once per command: a video whose worker died is continued, and not begun again.

The lock file of a prediction has the id of the last command that has removed an earlier prediction. The file
stays, so that a worker that takes a video up again finds there what its predecessor has done.
"""

from pipeline.errors import FileError
from pipeline.own_dir import OwnDir
from trainer.prediction.growing_files import LOCK_FILE, PROGRESS_FILE
from trainer.prediction.outputs import remove_outputs

_MOST_BYTES = 1 << 10


def restart_once(out: OwnDir, command: str) -> bool:
    """Remove an earlier prediction, unless the same command has done so before.

    Args:
        out: Directory of the prediction, whose lock is held.
        command: Id of the command.

    Returns:
        Whether the prediction begins; False if it is to be continued.
    """
    if out.kind(PROGRESS_FILE) == "file" and _last(out) == command:
        return False
    remove_outputs(out)
    out.cut(LOCK_FILE, 0)
    out.append(LOCK_FILE, command.encode(), sync=True)
    return True


def _last(out: OwnDir) -> str | None:
    """Return the id in the lock file; None for another content."""
    try:
        return out.read_text(LOCK_FILE, _MOST_BYTES)
    except FileError:
        return None

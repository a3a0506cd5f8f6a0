"""Which clips trained a run and chose its checkpoint, kept beside it: none is measured as a test clip.

Lists of clips may change in a cache (`cache relabel`), and so may who is in which fold.
"""

import json
from pathlib import Path

from pipeline.errors import CheckpointError, first_line
from pipeline.store.reader import FeatureCache
from pipeline.types import Ints
from trainer.folds import FoldRows

FILE = "training_clips.json"
_MAX_BYTES = 256 << 20


def save_training_clips(run_dir: Path, cache: FeatureCache, rows: FoldRows) -> None:
    """Write id and path of every clip that trains, and of those that validate unless they are the test's."""
    seen = {"train": rows.train} | ({} if rows.rule in ("test", "train") else {"validation": rows.validation})
    lists = {name: sorted(_clips(cache, of_split)) for name, of_split in seen.items()}
    (run_dir / FILE).write_text(json.dumps(lists) + "\n", encoding="utf-8")


def require_unseen(run_dir: Path, cache: FeatureCache, row_N: Ints) -> None:
    """Raise CheckpointError when one of these clips trained the run or chose its checkpoint."""
    path = run_dir / FILE
    try:
        if path.stat().st_size > _MAX_BYTES:
            msg = f"'{path}' has {path.stat().st_size} bytes; allowed: {_MAX_BYTES}. Train again."
            raise CheckpointError(msg)
        lists = json.loads(path.read_text(encoding="utf-8"))
        seen = {name: {(clip_id, place) for clip_id, place in clips} for name, clips in lists.items()}
    except FileNotFoundError as error:
        msg = f"'{run_dir}' has no {FILE}, so that nobody knows which clips trained it. Train again."
        raise CheckpointError(msg) from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        msg = f"'{path}', which tells the run's own clips, cannot be read: {first_line(error)}. Train again."
        raise CheckpointError(msg) from error
    asked = _clips(cache, row_N)
    for name, clips in seen.items():
        if common := sorted(asked & clips):
            what = "trained it" if name == "train" else "chose its checkpoint"
            msg = (
                f"{len(common)} of the {len(asked)} test clips of '{cache.place}' {what}, first "
                f"'{common[0][0]}': the folds of the cache have changed since '{run_dir}' was trained. "
                "Train again."
            )
            raise CheckpointError(msg)


def _clips(cache: FeatureCache, rows: Ints) -> set[tuple[str, str]]:
    """Id and path of the clips at some rows; of another cache of the same set they are the same."""
    ids, paths = cache.read("clip_id")[rows].tolist(), cache.read("path")[rows].tolist()
    return set(zip(ids, paths, strict=True))

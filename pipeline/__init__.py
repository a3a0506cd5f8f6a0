"""Feature extraction: video clips in, one feature cache out. It runs once, before training.

Modules in the order of the data (only ``process`` combines the steps):

``datasets``       files on disk          -> an index of clips with labels and splits
``frames``         a clip                 -> uniformly spaced RGB frames
``faces``          frames                 -> face boxes, scores and landmarks
``tracks``         face boxes             -> one subject's track
``streams``        frames and track       -> face crops and scene frames
``features``       streams                -> frozen CLIP features
``process``        the five steps above, for a block of clips
``store``          features               -> the cache (Zarr), and back; HDF5 export
``footage``        clips                  -> clips that share a file, or windows of one
``groups``         clips                  -> clips that are not independent: one source, subject or file
``runner``         an index of clips      -> a complete cache, block by block, resumable
``doctor``         a dataset              -> a list of its errors
``verify``         a cache                -> a list of its errors
``repair``         a damaged cache        -> a complete one
``relabel``        a cache                -> the same with other labels, folds, polarities, groups
``bench``          speed of every step, beside the machine's limits
``preview_faces``  an image or video      -> its faces, drawn
``sheet``          frames, faces, streams -> drawn images and contact sheets
``samples``        a dataset              -> a contact sheet of some clips per class
``display``        results                -> lines for a terminal, values for a JSON document
``api``            `extract` and `open_cache` for Python
``commands``       commands of the command line; ``terminal`` prints their output

Modules that every step may use: ``errors``, ``choices`` (values of options and settings), ``config``,
``fingerprint``, ``types``, ``cancel`` (tokens that cancel work), ``device`` (GPU or CPU, precisions),
``own_dir`` (files of our directories, never through a link), ``plain_file`` (files read up to a size),
``strict_json`` (JSON with finite numbers only), ``strict_toml`` (TOML without long dotted keys),
``versions`` (of each step's algorithm), ``program`` (how it was called, for messages),
``portable`` (paths without the user's name), ``safe_streams`` (standard streams of printable text),
``fixed_batches`` (rows through a device in batches of one size), ``children`` (processes that may crash),
``scratch`` (temporary directories), ``pictures`` (which files of a directory are images, and their order),
``file_status`` (status of millions of files), ``collection`` (pauses of the garbage collector).
``clip_model`` loads a CLIP model for ``features`` and for the trainer's prompts;
``weights`` lists the published weight files and checks them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.api import extract, open_cache

__all__ = ["extract", "open_cache"]


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used, because torch takes seconds."""
    if name in __all__:
        return getattr(import_module("pipeline.api"), name)
    msg = f"module 'pipeline' has no attribute '{name}'"
    raise AttributeError(msg)

"""Video clips in, one feature cache out: everything that runs once, before training.

In the order of the data (``process`` alone puts the steps together):

``datasets``       files on disk          -> an index of clips with labels and splits
``frames``         a clip                 -> uniformly spaced RGB frames
``faces``          frames                 -> face boxes, scores and landmarks
``tracks``         face boxes             -> one subject's track
``streams``        frames and track       -> face crops and scene frames
``features``       streams                -> frozen CLIP features
``process``        the five steps above, for a block of clips
``store``          features               -> the cache (Zarr), and back; HDF5 export
``footage``        clips                  -> those that share a file, or windows of one
``groups``         clips                  -> those that are not independent: one source, subject or file
``runner``         an index of clips      -> a complete cache, block by block, resumable
``doctor``         a data set             -> a list of what is wrong with it
``verify``         a cache                -> a list of what is wrong with it
``repair``         a damaged cache        -> a whole one
``relabel``        a cache                -> the same with other labels, folds, polarities, groups
``bench``          how fast all of it is, against what it is measured by
``preview_faces``  a picture or video     -> its faces, for a person to see
``sheet``          frames, faces, streams -> drawn pictures and contact sheets
``samples``        a data set             -> a contact sheet of some clips per class
``display``        results                -> lines for a terminal, values for a JSON document
``commands``       the command line's part of all this; ``terminal`` what a command shows

Leaves that every step may use: ``errors``, ``choices`` (values of options and settings), ``config``,
``fingerprint``, ``types``,
``own_dir`` (files of our directories, never through a link), ``plain_file`` (files read up to a size),
``strict_json`` (JSON with finite numbers only), ``strict_toml`` (TOML without long dotted keys),
``versions`` (of each step's algorithm), ``program`` (how it was called, for messages),
``portable`` (paths without the user's name), ``safe_streams`` (standard streams of printable text),
``fixed_batches`` (rows through a device in passes of one size), ``children`` (processes that may crash),
``scratch`` (temporary directories), ``pictures`` (which files of a folder are pictures, and in which order).
``clip_model`` loads a CLIP model for ``features`` and for the trainer's prompts;
``weights`` knows the published weight files and checks them.
"""

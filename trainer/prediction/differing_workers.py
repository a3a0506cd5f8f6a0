"""Predictions of several videos -> a warning if they were not computed alike."""

from collections.abc import Sequence

from pipeline.errors import FileError, printable, some
from pipeline.own_dir import OwnDir
from pipeline.strict_json import from_json, to_json
from trainer.prediction.video_tasks import VideoResult
from trainer.prediction.writing import PREDICTION_FILE

_NAMES = {
    "ous": "version",
    "torch": "torch",
    "encoder": "encoder",
    "detector": "detector",
    "precision": "precision of features",
    "detector_precision": "precision of the detector",
}
"""Compared keys of `Prediction.made_with` -> their names in the warning. Devices may differ."""
_SHOWN = 3
_MOST_BYTES = 1 << 30


def differing_banner(results: Sequence[VideoResult]) -> str | None:
    """Return a warning that names all values in which computations differ, with videos; None if none does.

    Workers of a cluster may differ, and a prediction that is kept may be of an earlier version.
    """
    found = []
    for key, name in _NAMES.items():
        videos: dict[str, list[str]] = {}
        for result in results:
            if key in result.made_with:
                value = result.made_with[key] or "unknown"
                videos.setdefault(value, []).append(printable(result.video.name))
        if len(videos) > 1:
            values = [f"{printable(value)} for {some(names, _SHOWN)}" for value, names in videos.items()]
            found.append(f"{name} {' and '.join(values)}")
    return f"VIDEOS COMPUTED DIFFERENTLY: {'; '.join(found)}" if found else None


def add_banner(out: OwnDir, banner: str) -> None:
    """Add a banner to the prediction.json of a video.

    Raises FileError if the file cannot be read or written.
    """
    try:
        values = from_json(out.read_bytes(PREDICTION_FILE, _MOST_BYTES))
        values["banners"] = [*values["banners"], banner]
    except (ValueError, TypeError, KeyError) as error:
        msg = f"'{out.path / PREDICTION_FILE}' is damaged; predict again with --restart."
        raise FileError(msg) from error
    out.write_text(PREDICTION_FILE, to_json(values) + "\n")

"""A prediction -> its files in a directory, each replaced at once.

Every file is made of the prediction alone, so that it can be written again without computing, for example
with other names of people. docs/prediction-files.md lists the content of each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.config import require_one_of
from pipeline.errors import ConfigError, FileError
from pipeline.own_dir import OwnDir
from pipeline.strict_json import from_json, to_json
from trainer.prediction.documents import FORMAT, LIST_FORMAT, prediction_values
from trainer.prediction.elan import as_eaf
from trainer.prediction.page import as_page
from trainer.prediction.person_section import PageExtras
from trainer.prediction.results import Prediction
from trainer.prediction.stored import WINDOWS_FILE
from trainer.prediction.subtitles import as_srt, as_vtt
from trainer.prediction.tables import fex_csv, frames_csv, people_csv, windows_csv

TextFormat = Literal["jsonl", "json", "csv", "eaf", "srt", "vtt", "html"]
"""Formats that are made of a prediction; ``csv`` is four files."""

PREDICTION_FILE = "prediction.json"
PAGE_FILE = "index.html"
DERIVED_FILES = (
    PREDICTION_FILE, "windows.csv", "frames.csv", "people.csv", "fex.csv", "timeline.eaf", "subtitles.srt",
    "subtitles.vtt", PAGE_FILE,
)  # fmt: skip
"""All files that `write` makes, without windows.jsonl, which grows."""
_MOST_BYTES = 1 << 30
_TIMED: tuple[TextFormat, ...] = ("eaf", "srt", "vtt")


@dataclass(frozen=True, kw_only=True)
class Written:
    """Result of `write`.

    Attributes:
        files: Names of the files.
        skipped: Formats that this video cannot have -> the reason.
        notes: Remarks for the user.
    """

    files: tuple[str, ...]
    skipped: Mapping[str, str]
    notes: tuple[str, ...] = ()


def listed_files(out: OwnDir) -> frozenset[str]:
    """Return the files that prediction.json lists; none if it is not there, not ours, or unreadable."""
    try:
        values = from_json(out.read_bytes(PREDICTION_FILE, _MOST_BYTES))
        return frozenset(values["files"]) if values["format"] in (FORMAT, LIST_FORMAT) else frozenset()
    except (FileError, ValueError, TypeError, KeyError, RecursionError):
        return frozenset()


def write(
    prediction: Prediction,
    out: OwnDir,
    formats: Iterable[TextFormat],
    *,
    video_link: str | None = None,
    extras: PageExtras | None = None,
    others: Sequence[str] = (),
) -> Written:
    """Write files of a prediction, replacing those of an earlier call.

    Args:
        prediction: The prediction.
        out: The directory, which exists.
        formats: Formats, in any order.
        video_link: Path of the video for ELAN, relative to the directory.
        extras: Video, thumbnails and explanations of the page.
        others: Names of other outputs of this prediction, which prediction.json lists too.

    Returns:
        The files, and the formats that a video without times cannot have.

    Raises:
        ConfigError: There is no such format, or the page's video is too large to be embedded.
        FileError: A file cannot be written.
    """
    wanted = list(dict.fromkeys(formats))
    for form in wanted:
        require_one_of("formats", form, get_args(TextFormat))
    files: dict[TextFormat, list[str]] = {form: [] for form in wanted}
    skipped: dict[str, str] = {}
    for form in sorted(wanted, key=lambda form: form == "json"):  # which lists the others
        names = [*others, *(name for each in files.values() for name in each), PREDICTION_FILE]
        for name, lines in _contents(prediction, form, video_link, extras, names).items():
            try:
                write_lines(out, name, lines())
            except ConfigError as error:
                if form not in _TIMED:
                    raise
                skipped[form] = str(error)
            else:
                files[form].append(name)
    return Written(files=tuple(name for each in files.values() for name in each), skipped=skipped)


def _contents(
    prediction: Prediction,
    form: TextFormat,
    video_link: str | None,
    extras: PageExtras | None,
    names: Sequence[str],
) -> Mapping[str, Callable[[], Iterable[str]]]:
    """Return the files of a format, and functions that return their lines."""
    forms: Mapping[TextFormat, Mapping[str, Callable[[], Iterable[str]]]] = {
        "jsonl": {WINDOWS_FILE: lambda: (f"{window.line()}\n" for window in prediction.windows)},
        "json": {PREDICTION_FILE: lambda: [to_json(prediction_values(prediction, names)), "\n"]},
        "csv": {
            "windows.csv": lambda: windows_csv(prediction),
            "frames.csv": lambda: frames_csv(prediction),
            "people.csv": lambda: people_csv(prediction),
            "fex.csv": lambda: fex_csv(prediction),
        },
        "eaf": {"timeline.eaf": lambda: [as_eaf(prediction, video_link)]},
        "srt": {"subtitles.srt": lambda: as_srt(prediction)},
        "vtt": {"subtitles.vtt": lambda: as_vtt(prediction)},
        "html": {PAGE_FILE: lambda: as_page(prediction, extras)},
    }
    return forms[form]


def write_lines(out: OwnDir, name: str, lines: Iterable[str]) -> None:
    """Write texts, one after another, into a file, replacing an existing one at the end."""
    texts: Iterator[str] = iter(lines)
    first = next(texts, "")  # errors of the prediction come before the file is opened
    with out.replacing(name) as file:
        file.write(first.encode("utf-8"))
        for text in texts:
            file.write(text.encode("utf-8"))

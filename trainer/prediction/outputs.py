"""A prediction -> the files that a user asks for: formats, the page with its video, the annotated video."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pipeline.config import require_one_of
from pipeline.own_dir import OwnDir
from pipeline.plain_file import read_given
from pipeline.process.windows import PartDecoder
from trainer.prediction.clip_files import CLIPS_FILE, TABLE_FILE
from trainer.prediction.explanation_choice import NO_WINDOW, require_count
from trainer.prediction.fonts import drawn_names
from trainer.prediction.inputs import ANNOTATED_FILE
from trainer.prediction.label_files import LABEL_FILES, remove_label_files
from trainer.prediction.page import require_embeddable
from trainer.prediction.person_section import Explanation, PageExtras
from trainer.prediction.results import Prediction
from trainer.prediction.source import PlannedSource
from trainer.prediction.stored import FACES_FILE, PROGRESS_FILE, TRACKS_FILE, WINDOWS_FILE
from trainer.prediction.thumbnails import face_thumbnails
from trainer.prediction.video import write_video
from trainer.prediction.writing import DERIVED_FILES, TextFormat, Written, listed_files, write

ALL_FORMATS = ("jsonl", "csv", "eaf", "srt", "vtt", "mp4", "html")
DEFAULT_FORMATS = "jsonl,csv,html"
_PLAYED = (".mp4", ".m4v", ".webm", ".mov", ".ogv")
"""Suffixes of videos that browsers may play."""
GROWING = (WINDOWS_FILE, FACES_FILE, TRACKS_FILE, CLIPS_FILE)
OUTPUT_FILES = (
    PROGRESS_FILE, WINDOWS_FILE, FACES_FILE, TRACKS_FILE, CLIPS_FILE, ANNOTATED_FILE, TABLE_FILE,
    *DERIVED_FILES,
    *LABEL_FILES,
)  # fmt: skip
"""All files of a prediction of a video or a list, which `--restart` removes. Explanations are others."""
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options of the outputs.

    Attributes:
        formats: Some of `ALL_FORMATS`.
        explain: Windows per person to explain: a number, ``all`` or ``none``.
        embed: Put the video inside the page.
        thumbnails: Show a face of each person on the page.
    """

    formats: tuple[str, ...] = tuple(DEFAULT_FORMATS.split(","))
    explain: str = NO_WINDOW
    embed: bool = False
    thumbnails: bool = True

    @classmethod
    def parse(
        cls, formats: str, *, embed: bool, thumbnails: bool, explain: str = NO_WINDOW
    ) -> "OutputOptions":
        """Return the options of a command. Raises ConfigError for an unknown format or number."""
        require_count(explain)
        names = [name.strip() for name in formats.split(",") if name.strip()]
        for name in names:
            require_one_of("--formats", name, ("all", *ALL_FORMATS))
        chosen = ALL_FORMATS if "all" in names else tuple(dict.fromkeys(names))
        return cls(formats=chosen, explain=explain, embed=embed, thumbnails=thumbnails)


def write_outputs(
    prediction: Prediction,
    planned: PlannedSource,
    out: OwnDir,
    options: OutputOptions,
    decoder: PartDecoder,
    on_video: Callable[[float], None] | None = None,
    *,
    explanations: Mapping[int, Explanation] | None = None,
    writes_windows: bool = False,
) -> Written:
    """Write the outputs of a prediction; windows.jsonl may be there already.

    Outputs that an earlier call has written, and this one does not, are removed with `writes_windows` unset.

    Args:
        prediction: The prediction, perhaps with people that the user named.
        planned: Its source.
        out: Its directory.
        options: Options.
        decoder: Decodes the frames of thumbnails and of the annotated video.
        on_video: Called with the seconds of the annotated video that are written.
        explanations: Explanations by index of the window, for the page.
        writes_windows: Whether windows.jsonl is written too, if it is one of the formats.

    Raises:
        ConfigError: The video is too large to be embedded.
        FileError: A file cannot be written.
    """
    earlier = () if writes_windows else _earlier_files(out)
    files: tuple[str, ...] = () if writes_windows else (WINDOWS_FILE,)
    if "mp4" in options.formats:
        write_video(
            prediction,
            planned.path,
            out.path / ANNOTATED_FILE,
            scan=planned.scan,
            decoder=decoder,
            on_progress=on_video,
        )
        files = (*files, ANNOTATED_FILE)
    extras = None
    if "html" in options.formats:
        video, embedded = _page_video(planned, out, options)
        faces = face_thumbnails(prediction, planned, decoder) if options.thumbnails else {}
        extras = PageExtras(video=video, embedded=embedded, thumbnails=faces, explanations=explanations or {})
    left_out = () if writes_windows else ("jsonl",)
    wanted = {*options.formats, "json"}.difference(left_out)
    texts = [form for form in get_args(TextFormat) if form in wanted]
    link = _relative(planned.path, out.path)
    written = write(prediction, out, texts, video_link=link, extras=extras, others=files)
    notes = drawn_names(prediction)[1] if ANNOTATED_FILE in files else ()
    written = Written(files=(*files, *written.files), skipped=written.skipped, notes=notes)
    for name in set(earlier).difference(written.files):
        if out.kind(name) == "file":
            out.remove_file(name)
    return written


def _earlier_files(out: OwnDir) -> tuple[str, ...]:
    """Return the outputs that prediction.json lists."""
    listed = listed_files(out)
    return tuple(name for name in (ANNOTATED_FILE, TABLE_FILE, *DERIVED_FILES) if name in listed)


def remove_outputs(out: OwnDir) -> None:
    """Remove the outputs of an earlier prediction, which do not belong to the one that replaces it.

    Files of the same names that no prediction has written stay.
    """
    from trainer.prediction.explanations import remove_explanations  # imports matplotlib

    owned = _earlier_files(out)
    if out.kind(PROGRESS_FILE) == "file":
        owned = (*owned, *GROWING, PROGRESS_FILE)
        remove_explanations(out)
    remove_label_files(out)
    for name in owned:
        if out.kind(name) == "file":
            out.remove_file(name)


def require_page(path: Path, options: OutputOptions) -> None:
    """Raise ConfigError if the page of a source cannot have its video inside, before anything is computed."""
    if options.embed and "html" in options.formats and _is_played(path, options):
        require_embeddable(path.stat().st_size)


def _is_played(path: Path, options: OutputOptions) -> bool:
    """Return whether the page shows the source itself: a video that browsers may play."""
    return "mp4" not in options.formats and not path.is_dir() and path.suffix.lower() in _PLAYED


def _page_video(
    planned: PlannedSource, out: OwnDir, options: OutputOptions
) -> tuple[str | None, bytes | None]:
    """Return the path of the page's video relative to it, and its bytes if they are embedded."""
    path = planned.path
    if "mp4" in options.formats:
        path = out.path / ANNOTATED_FILE
    elif not _is_played(path, options):
        return None, None
    embedded = read_given(path, _MOST_BYTES) if options.embed else None
    return _relative(path, out.path), embedded


def _relative(path: Path, directory: Path) -> str:
    return os.path.relpath(path.resolve(), directory.resolve())

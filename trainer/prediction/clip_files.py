"""Files of a prediction of a list: clips.jsonl, which grows, then clips.csv and prediction.json."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, final

from pipeline.display.json_values import to_json_values
from pipeline.errors import ConfigError
from pipeline.own_dir import OwnDir
from pipeline.portable import portable_values
from pipeline.strict_json import to_json
from trainer.csv_text import Cell, csv_lines
from trainer.prediction.clip_list import ClipList, ListedClip
from trainer.prediction.clip_results import ClipAnswer, ClipReport, ClipSettings
from trainer.prediction.growing_files import PROGRESS_FILE, GrowingFiles
from trainer.prediction.label_files import (
    LABEL_FILES,
    owned_label_files,
    remove_label_files,
    write_label_files,
)
from trainer.prediction.tables import answer_cells, answer_columns, banner_text, box_cells, rounded
from trainer.prediction.writing import PREDICTION_FILE, listed_files, write_lines

CLIPS_FILE, TABLE_FILE = "clips.jsonl", "clips.csv"

_COLUMNS = (
    "clip_id", "path", "start_seconds", "end_seconds", "label", "frames_found", "num_sampled", "x0", "y0",
    "x1", "y1", "answer", "margin", "calibrated", "reason", "flags", "failed_at",
)  # fmt: skip

Answered = Iterator[tuple[ListedClip, ClipAnswer]]


@final
class StoredClips:
    """The answers for the rows of a list in a directory, one line per row in the order of the list.

    Args:
        out: The directory, which exists.
        clips: The list.
        class_names: Classes of the run.
        run_settings: Everything of the run that determines answers.
        settings: Settings of the prediction.
    """

    def __init__(
        self,
        out: OwnDir,
        clips: ClipList,
        class_names: Sequence[str],
        run_settings: Mapping[str, Any],
        settings: ClipSettings,
    ) -> None:
        self._clips, self._class_names = clips, list(class_names)
        determining = {
            "list": {"num_rows": len(clips.rows), "clips_sha256": clips.sha256()},
            **run_settings,
            "options": asdict(settings),
        }
        self._out, self._files = out, GrowingFiles(out, (CLIPS_FILE,), determining)
        self.is_continued = False
        """Whether `begin` has found an earlier call's files."""

    @property
    def num_done(self) -> int:
        """Rows with a line."""
        return self._files.position

    @property
    def is_done(self) -> bool:
        """Whether all rows have a line."""
        return self._files.is_done

    def begin(self, *, restart: bool) -> None:
        """See `GrowingFiles.begin`.

        Raises:
            ConfigError: The directory has another prediction, or a damaged one.
            FileError: A file cannot be written, or a line is damaged.
        """
        self.is_continued = not restart and self._out.kind(PROGRESS_FILE) is not None
        self._files.begin(restart=restart)

    def add(self, answers: Iterable[ClipAnswer]) -> None:
        """Append the answers for the next rows."""
        lines = [f"{answer.line()}\n" for answer in answers]
        self._files.add({CLIPS_FILE: "".join(lines)}, {}, self.num_done + len(lines))

    def finish(self) -> None:
        """Record that all rows have a line."""
        self._files.finish({}, self.num_done)

    def answers(self) -> Answered:
        """Yield the rows that are done, each with its answer.

        Raises:
            ConfigError: A line is of another clip or other classes, or lines are missing.
            FileError: A line is damaged.
        """
        rows, number = self._clips.rows, 0
        for number, answer in enumerate(self._files.values(CLIPS_FILE, ClipAnswer.of_values), 1):
            row = rows[number - 1] if number <= len(rows) else None
            is_own = (
                row is not None
                and answer.clip_id == row.clip.clip_id
                and (answer.probability is None or list(answer.probability) == self._class_names)
            )
            if row is None or not is_own:
                raise self._damaged()
            yield row, answer
        if number != self.num_done:
            raise self._damaged()

    def _damaged(self) -> ConfigError:
        return self._files.damaged()


def require_own_files(out: OwnDir, *, has_table: bool, has_labels: bool) -> None:
    """Raise ConfigError if a file that would be written is there, and no prediction has written it."""
    owned = {*listed_files(out), *owned_label_files(out)}
    wanted = (PREDICTION_FILE, *([TABLE_FILE] if has_table else []), *(LABEL_FILES if has_labels else ()))
    foreign = [name for name in wanted if name not in owned and out.kind(name) is not None]
    if foreign:
        msg = f"'{out}' has '{foreign[0]}', which no prediction has written; give another --out."
        raise ConfigError(msg)


def write_clip_files(out: OwnDir, report: ClipReport, stored: StoredClips, *, has_table: bool) -> None:
    """Write the files that are made of the answers, and remove those of an earlier call that are not.

    Args:
        out: The directory.
        report: The report.
        stored: The rows with their answers.
        has_table: Whether clips.csv is written.

    Raises:
        FileError: A file cannot be written.
    """
    earlier, files = listed_files(out), [CLIPS_FILE, PREDICTION_FILE]
    if has_table:
        write_lines(out, TABLE_FILE, clips_csv(report, stored.answers()))
        files.append(TABLE_FILE)
    elif TABLE_FILE in earlier and out.kind(TABLE_FILE) == "file":
        out.remove_file(TABLE_FILE)
    if report.labels is not None:
        write_label_files(out, report.labels)
        files += owned_label_files(out)
    else:
        remove_label_files(out)  # the list had labels before
    values = {**to_json_values(report), "files": files}
    out.write_text(PREDICTION_FILE, to_json(portable_values(values)) + "\n")


def clips_csv(report: ClipReport, answers: Answered) -> Iterator[str]:
    """Yield the lines of clips.csv, a row of the list each, in its order."""
    names, banner = report.class_names, banner_text(report.banners)
    header = [*_COLUMNS, *answer_columns(names), "banner"]
    yield from csv_lines(header, ([*_cells(row, one, names), banner] for row, one in answers))


def _cells(row: ListedClip, one: ClipAnswer, names: Sequence[str]) -> list[Cell]:
    return [
        one.clip_id,
        one.path,
        one.start_seconds,
        one.end_seconds,
        row.label,
        one.frames_found,
        one.num_sampled,
        *box_cells(one.box_xyxy_px),
        one.answer,
        rounded(one.margin),
        one.calibrated,
        one.reason,
        " ".join(one.flags),
        one.failed_at,
        *answer_cells(one, names),
    ]

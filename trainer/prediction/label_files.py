"""Scores of labels -> labels.json, labelled.csv and the figure of the confusion matrix."""

from collections.abc import Iterator
from io import BytesIO

from pipeline.display.json_values import to_json_values
from pipeline.errors import FileError, printable
from pipeline.own_dir import OwnDir
from pipeline.portable import portable, portable_values
from pipeline.strict_json import from_json, to_json
from trainer.csv_text import Cell, csv_lines
from trainer.metrics import Metrics
from trainer.prediction.label_scores import LabelScore, LabelScores
from trainer.prediction.results import NOTICE
from trainer.prediction.tables import banner_text

SCORES_FILE, TABLE_FILE, FIGURE_FILE = "labels.json", "labelled.csv", "labels.png"
LABEL_FILES = (SCORES_FILE, TABLE_FILE, FIGURE_FILE)
FORMAT = "ous-labels"
_DIGITS = 6
_MOST_BYTES = 1 << 30


def write_label_files(out: OwnDir, scores: LabelScores) -> None:
    """Write the scores into a directory, replacing those of an earlier call.

    Args:
        out: The directory; it is made if it does not exist.
        scores: The scores.

    Raises:
        FileError: A file cannot be written.
    """
    out.make()
    values = {"format": FORMAT, "version": 1, **to_json_values(scores)}
    table = "".join(labelled_csv(scores))
    contents: dict[str, str | bytes] = {
        SCORES_FILE: to_json(portable_values(values)) + "\n",
        TABLE_FILE: table,
    }
    if scores.metrics is not None:
        contents[FIGURE_FILE] = _figure(scores, scores.metrics)
    elif out.kind(FIGURE_FILE) == "file":
        out.remove_file(FIGURE_FILE)  # of an earlier call
    out.write_together(contents)


def owned_label_files(out: OwnDir) -> tuple[str, ...]:
    """Return the names of label files if those in a directory are of an earlier call; else none."""
    try:
        is_own = from_json(out.read_bytes(SCORES_FILE, _MOST_BYTES))["format"] == FORMAT
    except (FileError, ValueError, TypeError, KeyError, RecursionError):
        return ()
    return LABEL_FILES if is_own else ()


def remove_label_files(out: OwnDir) -> None:
    """Remove the scores of an earlier call from a directory. Files of the same names by others stay."""
    for name in owned_label_files(out):
        if out.kind(name) == "file":
            out.remove_file(name)


def _figure(scores: LabelScores, metrics: Metrics) -> bytes:
    from trainer import plots  # as in trainer.training

    image = BytesIO()
    title = f"{scores.run}: labels of {printable(scores.labels.file.name)}"
    plots.plot_confusion(metrics, image, title=title, banners=(*scores.banners, NOTICE))
    return image.getvalue()


def labelled_csv(scores: LabelScores) -> Iterator[str]:
    """Yield the lines of labelled.csv, a labelled span each, in the order of the file of labels."""
    names = scores.labels.class_names
    header = [
        "video", "path", "start_seconds", "end_seconds", "person", "label", "class", "prediction",
        *(f"p_{name}" for name in names), "num_windows", "num_people", "reason", "banner",
    ]  # fmt: skip
    banner = banner_text(scores.banners)
    yield from csv_lines(header, ([*_cells(score, names), banner] for score in scores.scores))


def _cells(score: LabelScore, names: tuple[str, ...]) -> list[Cell]:
    row, probability = score.row, score.probability
    return [
        row.video,
        portable(row.path),
        row.start_seconds,
        row.end_seconds,
        score.person or row.person,
        row.label,
        row.class_name,
        score.prediction,
        *(None if probability is None else round(probability[name], _DIGITS) for name in names),
        score.num_windows,
        score.num_people,
        score.reason,
    ]

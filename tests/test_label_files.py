import csv
import io
import json
from pathlib import Path

import pytest

from pipeline.display.text import lines
from pipeline.own_dir import OwnDir
from tests.small_predictions import CLASSES, RANDOM, prediction, windows
from trainer.prediction.label_files import remove_label_files, write_label_files
from trainer.prediction.label_scores import collect_scores, score_video
from trainer.prediction.labels import LabelRow, Labels
from trainer.prediction.outcomes import PredictReport
from trainer.prediction.results import NOTICE


def row(number, label, start=None, end=None, video="a"):
    return LabelRow(
        where=f"labels.csv, line {number}", path=f"{video}.mp4", video=video, label=label,
        class_name=label if label in CLASSES else None, start_seconds=start, end_seconds=end,
    )  # fmt: skip


@pytest.fixture
def scores():
    rows = (
        row(2, "happiness", 0.0, 1.5),
        row(3, "=contempt", 0.0, 1.6),
        row(4, "sadness", 2.0, 3.0),
        row(5, "neutral", video="b"),
    )
    labels = Labels(
        file=Path("labels.csv"), class_names=CLASSES, rows=rows, num_elsewhere=2, notes=("one note",)
    )
    two = [*windows("hhss"), *windows("nn", track="s00p2")]
    made = prediction(two, {"P1": ["s00p1"], "P2": ["s00p2"]})
    return collect_scores(labels, [score_video(labels, "a", made)], "full", (RANDOM,))


def test_the_table_has_a_row_for_each_label(tmp_path, scores):
    write_label_files(OwnDir.of(tmp_path / "out"), scores)
    text = (tmp_path / "out/labelled.csv").read_text(encoding="utf-8")
    first, other, _, missing = csv.DictReader(io.StringIO(text))
    assert first == {
        "video": "a", "path": "a.mp4", "start_seconds": "0.0", "end_seconds": "1.5", "person": "P1",
        "label": "happiness", "class": "happiness", "prediction": "happiness", "p_happiness": "0.8",
        "p_sadness": "0.1", "p_neutral": "0.1", "num_windows": "1", "num_people": "2", "reason": "",
        "banner": f"{RANDOM} | {NOTICE}",
    }  # fmt: skip
    assert (other["label"], other["class"], other["prediction"]) == ("'=contempt", "", "happiness")
    assert (missing["prediction"], missing["p_neutral"]) == ("", "")
    assert missing["reason"] == "no prediction of the video"


def test_the_document_has_the_metrics_and_everything_that_is_left_out(tmp_path, scores):
    write_label_files(OwnDir.of(tmp_path), scores)
    values = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))
    assert values["metrics"]["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert values["metrics"]["recall"] == {"happiness": 1.0, "sadness": 1.0, "neutral": None}
    assert {name: values[name] for name in list(values)[:10]} == {
        "format": "ous-labels", "version": 1, "notice": NOTICE, "banners": [RANDOM], "run": "full",
        "file": "labels.csv", "num_labels": 4, "unanswered": {"no prediction of the video": 1},
        "other_classes": {"=contempt": 1}, "num_of_other_videos": 2,
    }  # fmt: skip
    assert (values["num_several_people"], values["notes"]) == (3, ["one note"])
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")


def test_without_an_answer_there_is_no_figure_of_an_earlier_call(tmp_path, scores):
    write_label_files(OwnDir.of(tmp_path), scores)
    write_label_files(OwnDir.of(tmp_path), collect_scores(scores.labels, [], "full"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled.csv", "labels.json"]
    assert json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))["metrics"] is None


def test_scores_of_an_earlier_call_are_removed_and_files_of_others_stay(tmp_path, scores):
    out = OwnDir.of(tmp_path)
    remove_label_files(OwnDir.of(tmp_path / "none"))
    write_label_files(out, scores)
    out.write_text("mine.csv", "a")
    remove_label_files(out)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
    for name, content in (("labels.json", '[{"path": "a.mp4"}]'), ("labels.png", "b"), ("labelled.csv", "c")):
        out.write_text(name, content)
    remove_label_files(out)
    assert len(list(tmp_path.iterdir())) == 4


def test_the_lines_show_rates_and_everything_that_is_left_out(scores):
    shown = lines(PredictReport(videos=(), banners=(), page=None, labels=scores))
    assert shown == [
        "labels.csv: 4 labels of 2 videos, 2 clips compared, of 2 of 3 classes; no 95% intervals: all clips "
        "are of 1 group",
        "  WAR               100.00%  no interval, one group",
        "  UAR               100.00%  no interval, one group",
        "  happiness         100.00%  no interval, one group, 1 clip",
        "  sadness           100.00%  no interval, one group, 1 clip",
        "  neutral          no clips",
        "  left out, no answer: 1 (no prediction of the video)",
        "  left out, no class of the run: 1: =contempt (1)",
        "  left out, videos that are not predicted: 2",
        "  3 labels are of spans with several people, and without a person: the one with the longest time "
        "with an answer was compared",
        "  note: one note",
        NOTICE,
    ]


def test_without_an_answer_the_lines_show_why(scores):
    shown = lines(collect_scores(scores.labels, [], "full"))
    assert shown[:2] == [
        "labels.csv: 4 labels of 2 videos, none to compare",
        "  left out, no answer: 3 (no prediction of the video)",
    ]

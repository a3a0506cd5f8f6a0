"""The tables' text, from outcomes written by hand."""

import re

import pytest

from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from tests.tiny_grid import diverged, outcome, quick_request
from trainer.ablate.aggregate import SweepResult
from trainer.ablate.result_tables import as_markdown
from trainer.ablate.spec import parsed


def result(rows, folds=("1",), seeds=(0, 1), **changes):
    request = quick_request(folds=folds, seeds=seeds, **changes)
    return SweepResult.of(request, "f", [outcome for outcomes in rows for outcome in outcomes])


def cells(line):
    return re.split(" {2,}", line)


ONE_FOLD = result([
    [outcome("L_ce", "1", 0, (8, 4), epoch=2), outcome("L_ce", "1", 1, (10, 6), epoch=5)],
    [outcome("L_global + TFE", "1", 0, (9, 9)), diverged("L_global + TFE", "1", 1)],
])  # fmt: skip


def test_a_row_stands_beside_the_papers():
    """WAR 60% and 80%: mean 70, deviation 14.14. Ours stand first: a phone shows few columns."""
    lines = lines_of(ONE_FOLD)
    assert lines[0] == (
        "Quick table; cache of tiny; fold 1; 2 seeds; preset smoke schedule.max_steps=2 "
        "model.frame_encoder_depth=0 model.tfe_blocks=1 optim.lr=0.1"
    )
    assert lines[2] == "All runs, percent, mean ± standard deviation over seeds"
    assert [cells(line) for line in lines[3:6]] == [
        ["row", "UAR", "WAR", "paper UAR", "paper WAR", "best epoch", "paper epoch", "runs", "diverged",
         "failed"],
        ["L_ce", "70.00 ± 14.14", "70.00 ± 14.14", "55.12", "67.82", "3.5", "10", "2/2", "0", "0"],
        ["L_global + TFE", "90.00", "90.00", "60.94", "74.10", "2", "-", "1/2", "1", "0"],
    ]  # fmt: skip
    assert len(set(map(len, lines[3:6]))) == 1


def test_recalls_stand_below_the_papers_by_class_name():
    lines = lines_of(ONE_FOLD)
    at = lines.index("Recall by class, percent, mean over seeds")
    assert lines[at + 1 : at + 5] == [
        "row                   happiness  sadness",
        "L_ce: paper               93.01    80.45",
        "L_ce: ours                90.00    50.00",
        "L_global + TFE: ours      90.00    90.00",
    ]


def of_three_classes(row):
    return outcome(row, "1", 0, (8, 4), class_names=("fear", "sadness", "happiness"),
                   confusion=((1, 1, 0), (0, 3, 1), (0, 0, 5)))  # fmt: skip


def test_every_class_of_ours_has_its_recall_also_where_the_paper_names_none():
    lines = lines_of(result([[of_three_classes("L_ce")], []], seeds=(0,)))
    at = lines.index("Recall by class, percent, one run a row")
    assert [cells(line) for line in lines[at + 1 : at + 4]] == [
        ["row", "happiness", "sadness", "fear"],
        ["L_ce: paper", "93.01", "80.45", "-"],
        ["L_ce: ours", "100.00", "75.00", "50.00"],
    ]
    own = parsed('title = "Own"\n[[rows]]\nname = "a"\n', "own.toml")
    lines = lines_of(result([[of_three_classes("a")]], seeds=(0,), spec=own))
    at = lines.index("Recall by class, percent, one run a row")
    assert [cells(line) for line in lines[at + 1 : at + 3]] == [
        ["row", "fear", "sadness", "happiness"],
        ["a", "50.00", "75.00", "100.00"],
    ]
    nothing = lines_of(result([], seeds=(0,), spec=own))
    assert not any(line.startswith("Recall") for line in nothing)


@pytest.mark.parametrize(
    ("folds", "seeds", "told"),
    [
        (("1",), (0,), "one run a row: no spread"),
        (("1",), (0, 1), "mean ± standard deviation over seeds"),
        (("1", "2"), (0,), "mean ± standard deviation over folds"),
        (("1", "2"), (0, 1), "mean ± standard deviation over folds, each the mean of its seeds"),
    ],
)
def test_headings_tell_a_spread_only_where_there_is_one(folds, seeds, told):
    rows = [[outcome("L_ce", fold, seed, (8, 4)) for fold in folds for seed in seeds], []]
    lines = lines_of(result(rows, folds=folds, seeds=seeds))
    assert f"All runs, percent, {told}" in lines
    by_fold = [line for line in lines if line.startswith("WAR by fold")]
    over = "mean ± standard deviation over seeds" if len(seeds) > 1 else "one run a fold: no spread"
    assert by_fold == ([f"WAR by fold, percent, {over}"] if len(folds) > 1 else [])
    assert any("±" in line for line in lines if line.startswith("L_ce ")) == (told[0] == "m")


def test_seeds_that_were_asked_for_and_have_not_run_are_no_spread():
    lines = lines_of(result([[outcome("L_ce", "1", 0, (8, 4))], []]))
    assert "All runs, percent, one run a row: no spread" in lines


def test_what_diverged_and_what_a_reader_must_know_are_told():
    lines = lines_of(ONE_FOLD)
    assert "L_global + TFE, fold 1, seed 1: DIVERGED: The loss at step 3 is nan." in lines
    assert "note: Test clips: 20 in fold 1. Validation, which chose the epochs: holdout." in lines
    assert "note: The paper's note." in lines
    assert not any("other clips" in line for line in lines)


def test_a_row_whose_epochs_another_number_chose_is_named():
    first = outcome("L_ce", "1", 0, (8, 4))
    rows = [[first], [outcome("L_global + TFE", "1", 0, (8, 4), selected_by="uar")]]
    shown = "Epochs chosen by another number than the validation loss: L_global + TFE: UAR."
    assert shown in result(rows).notes
    assert not any("another number" in note for note in result([[first], []]).notes)


def test_another_data_set_hardware_and_left_out_clips_are_told():
    rows = [[outcome("L_ce", "1", 0, (8, 4), left_out=("3 pending",))], [outcome("L_global + TFE", "1", 0, (8, 4), threads=2)]]  # fmt: skip  # noqa: E501
    notes = result(rows, seeds=(0,), dataset="synthetic").notes
    assert "The paper's numbers are of tiny, ours of synthetic: other clips, so that only" in notes[1]
    assert notes[3] == "Runs on different hardware: cpu with 1 thread, cpu with 2 threads."
    assert notes[4] == "Clips left out: fold 1: 3 pending."


@pytest.mark.parametrize("banner", ["RANDOM ENCODER WEIGHTS: no", "SELECTED ON TEST"])
def test_banners_stand_above_everything(banner):
    rows = [[outcome("L_ce", "1", 0, (8, 4), banners=(banner,))], []]
    assert lines_of(result(rows))[0] == f"!! {banner}"
    assert as_markdown(result(rows)).splitlines()[0] == f"> **!! {banner}**"


def test_rows_with_a_leak_say_so_in_every_table():
    banners = ("LEAK: 2 of 20 test clips share footage with clips that the run has seen",)
    rows = [
        [outcome("L_ce", fold, 0, (8, 4), num_leaked=2, banners=banners) for fold in "12"],
        [outcome("L_global + TFE", fold, 0, (9, 9), selection="test", num_leaked=1) for fold in "12"],
    ]
    found = result(rows, folds=("1", "2"), seeds=(0,))
    lines = lines_of(found)
    assert lines[0] == f"!! {banners[0]} (2 of 4 runs)"
    labels = {cells(line)[0] for line in lines if line.startswith("L_")}
    marks = {"L_ce": "(LEAK)", "L_global + TFE": "(selected on test, LEAK)"}
    ours = {f"{name}{where} {mark}" for name, mark in marks.items() for where in ("", ": ours")}
    assert labels == ours | {"L_ce: paper"}


def test_rows_selected_on_test_clips_say_so_and_are_counted_above():
    chosen = {"selection": "test", "banners": ("SELECTED ON TEST",)}
    rows = [
        [outcome("L_ce", fold, 0, (8, 4), **chosen) for fold in "12"],
        [outcome("L_global + TFE", fold, 0, (9, 9)) for fold in "12"],
    ]
    found = result(rows, folds=("1", "2"), seeds=(0,))
    assert found.banners == ("SELECTED ON TEST (2 of 4 runs)",)
    lines = lines_of(found)
    labels = [cells(line)[0] for line in lines if line.startswith("L_")]
    in_tables = ["L_ce (selected on test)", "L_global + TFE"]
    of_recalls = ["L_ce: paper", "L_ce: ours (selected on test)", "L_global + TFE: ours"]
    differences = ["L_global + TFE"] * 2  # of WAR and of UAR, from the row that their titles name
    assert labels == [in_tables[0], in_tables[1], *differences, *in_tables * 2, *of_recalls]
    assert "WAR: differences from 'L_ce (selected on test)', points" in lines


def test_a_row_that_lacks_a_fold_is_named_and_has_no_recalls_over_all_folds():
    rows = [
        [outcome("L_ce", "1", 0, (8, 4)), outcome("L_ce", "2", 0, (6, 4)), diverged("L_ce", "2", 1),
         outcome("L_ce", "1", 1, (8, 4))],
        [outcome("L_global + TFE", "1", 0, (9, 9)), diverged("L_global + TFE", "2", 0)],
    ]  # fmt: skip
    lines = lines_of(result(rows, folds=("1", "2")))
    at = lines.index("Recall by class, percent, mean over all 2 folds and their seeds")
    assert [cells(line)[1:] for line in lines[at + 3 : at + 5]] == [["70.00", "40.00"], ["-", "-"]]
    told = (
        "note: Rows that lack runs: L_ce: fold 2 has "
        "1 of 2 seeds; L_global + TFE: fold 1 has 1 of 2 seeds, fold 2 has 0 of 2 seeds."
    )
    assert told in lines
    assert not any("lack runs" in line for line in lines_of(ONE_FOLD))


def test_folds_that_share_test_clips_are_not_pooled():
    rows = [[outcome("L_ce", fold, 0, (8, 4)) for fold in "12"], []]
    shared = result(rows, folds=("1", "2"), seeds=(0,), num_shared_clips=3)
    lines = lines_of(shared)
    at = lines.index("WAR by fold, percent, one run a fold: no spread")
    assert cells(lines[at + 1]) == ["row", "fold 1", "fold 2", "mean of all 2 folds"]
    assert cells(lines[at + 2]) == ["L_ce", "60.00", "60.00", "60.00"]
    told = "note: Folds are not pooled: 3 clips in several folds' test sets would count more than once."
    assert told in lines
    assert to_json_values(shared)["rows"][0]["over_folds"]["pooled"] == {}


def test_runs_that_have_no_outcome_yet_are_told_above_everything():
    unfinished = "UNFINISHED: 1 of 4 runs have an outcome; the same ablate command runs the others"
    assert result([[outcome("L_ce", "1", 0, (8, 4))], []]).banners == (unfinished,)
    assert ONE_FOLD.banners == ()


def test_single_folds_their_mean_and_their_pooled_clips_are_three_numbers():
    """Fold 1: WAR 60% and 80%; fold 2: 50% and 60%; the seeds' means of folds are 55% and 70%."""
    rows = [
        [outcome("L_ce", "1", 0, (8, 4)), outcome("L_ce", "1", 1, (10, 6)),
         outcome("L_ce", "2", 0, (5, 5)), outcome("L_ce", "2", 1, (6, 6))],
        [outcome("L_global + TFE", "1", 0, (9, 9)), diverged("L_global + TFE", "2", 0)],
    ]  # fmt: skip
    lines = lines_of(result(rows, folds=("1", "2")))
    at = lines.index("WAR by fold, percent, mean ± standard deviation over seeds")
    assert [cells(line) for line in lines[at + 1 : at + 4]] == [
        ["row", "fold 1", "fold 2", "mean of all 2 folds", "clips of all 2 folds pooled"],
        ["L_ce", "70.00 ± 14.14", "55.00 ± 7.07", "62.50 ± 10.61", "62.50 ± 10.61"],
        ["L_global + TFE", "90.00", "-", "-", "-"],
    ]
    assert "All runs, percent, mean ± standard deviation over folds, each the mean of its seeds" in lines


def test_markdown_holds_the_same_cells():
    page = as_markdown(ONE_FOLD)
    assert "| L_ce | 70.00 ± 14.14 | 70.00 ± 14.14 | 55.12 | 67.82 | 3.5 | 10 | 2/2 | 0 | 0 |" in page
    assert "### Diverged and failed runs" in page
    assert "| **L_ce: ours** | 90.00 | 50.00 |" in page
    assert "- The paper's note." in page


def test_nothing_finished_is_shown_as_nothing():
    rows = [[diverged("L_ce", "1", 0)], [diverged("L_global + TFE", "1", 0)]]
    lines = lines_of(result(rows, seeds=(0,)))
    assert lines[2] == "All runs, percent, no finished run"
    assert lines[4].split() == ["L_ce", "-", "-", "55.12", "67.82", "-", "10", "0/1", "1", "0"]

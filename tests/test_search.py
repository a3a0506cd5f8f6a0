"""Search in ranges: candidates, rungs, budget, the choice by validation clips, and resuming."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import cli
from pipeline.display.text import lines
from pipeline.errors import ConfigError
from tests.tiny_cache import tiny_cache, tiny_meta
from tests.tiny_grid import Heard
from trainer.ablate import SearchSpec, Spec, SweepExecutorOptions, read_table_or_search, search
from trainer.ablate.load_results import read_sweep
from trainer.ablate.search_spec import search_of

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
HERE = SweepExecutorOptions(scheduler="sync")

TEXT = """
title = "Rates"
preset = "smoke"
settings = ["model.polarity=false", "schedule.stop_patience=0", "model.frame_encoder_depth=0"]

[search]
runs = 6
rungs = [1, 2]
keep = 0.5

[search.ranges]
"optim.lr" = { low = 1e-9, high = 1e-2, log = true }

[search.ranges.model]
tfe_blocks = [1, 2]
"""


def spec_of_text(tmp_path, text=TEXT):
    path = tmp_path / "search.toml"
    path.write_text(text)
    return read_table_or_search(path)


def values(**section):
    return {
        "title": "t",
        "search": {"runs": 100, "ranges": {"optim.lr": {"low": 1e-4, "high": 1e-2, "log": True}}, **section},
    }


def test_a_file_with_ranges_is_a_search_and_one_with_rows_a_table(tmp_path):
    assert isinstance(spec_of_text(tmp_path), SearchSpec)
    assert isinstance(spec_of_text(tmp_path, 'title = "t"\n[[rows]]\nname = "a"\n'), Spec)


def test_random_candidates_are_in_their_ranges_and_the_same_for_a_seed():
    ranges = {
        "optim.lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "model.dropout": {"low": 0, "high": 0.5},
        "model.tfe_blocks": {"low": 1, "high": 3, "whole": True},
        "data.views": ["random", "first"],
    }
    spec = search_of(values(runs=400, ranges=ranges))
    rows = spec.candidates(1)
    assert len(rows) == 400
    assert (rows[0].name, rows[0].settings, rows[1].name) == ("preset", (), "c001")
    assert rows == spec.candidates(1) != replace(spec, seed=1).candidates(1)
    drawn = [dict(setting.split("=") for setting in row.settings) for row in rows[1:]]
    rates = np.log10([float(one["optim.lr"]) for one in drawn])
    assert -4 <= rates.min() < -3.9 < -2.1 < rates.max() <= -2
    assert np.mean(rates < -3) == pytest.approx(0.5, abs=0.1)
    assert {one["model.tfe_blocks"] for one in drawn} == {"1", "2", "3"}
    assert {one["data.views"] for one in drawn} == {"random", "first"}
    assert max(float(one["model.dropout"]) for one in drawn) <= 0.5


def test_a_grid_has_every_combination_once():
    spec = search_of(
        values(method="grid", ranges={"optim.lr": [1e-3, 1e-2], "model": {"tfe": [True, False]}})
    )
    assert [row.settings for row in spec.candidates(1)] == [
        (), ("optim.lr=0.001", "model.tfe=true"), ("optim.lr=0.001", "model.tfe=false"),
        ("optim.lr=0.01", "model.tfe=true"), ("optim.lr=0.01", "model.tfe=false"),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"The grid has 4 combinations; search.runs = 4 allows 3: raise it"):
        replace(spec, runs=4).candidates(1)


def test_fewer_combinations_than_the_budget_are_drawn_once_each():
    spec = search_of(values(ranges={"optim.lr": [1, 2, 3]}))
    assert sorted(row.settings for row in spec.candidates(1)) == [
        (), ("optim.lr=1",), ("optim.lr=2",), ("optim.lr=3",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "rungs", "folds", "seeds", "sizes"),
    [(13, (1, 3, 9), 1, 1, [8, 3, 2]), (20, (), 2, 5, [2]), (100, (1, 2), 1, 2, [37, 13])],
)
def test_the_budget_is_kept_over_folds_seeds_and_rungs(runs, rungs, folds, seeds, sizes):
    spec = search_of(values(runs=runs, rungs=list(rungs), seeds=seeds))
    num = len(spec.candidates(folds))
    assert spec.sizes(num) == sizes
    assert sum(sizes) * folds * seeds <= runs < (sum(spec.sizes(num + 1))) * folds * seeds


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"method": "bayes"}, "search.method is 'bayes'; allowed: random, grid"),
        ({"metric": "f1"}, "search.metric is 'f1'; allowed: loss, war, uar"),
        ({"runs": 1}, "search.runs is 1"),
        ({"runs": "x"}, "search.runs is 'x'; a value of type int"),
        ({"rungs": [3, 2]}, r"search.rungs is \[3, 2\]; numbers of epochs from 1"),
        ({"rungs": [0]}, r"search.rungs is \[0\]"),
        ({"rungs": ["1"]}, "whole numbers of epochs"),
        ({"keep": 1}, "search.keep is 1"),
        ({"ranges": {}}, r"search has no ranges; give \[search.ranges\]"),
        ({"ranges": {"optim.lr": []}}, r"search.ranges.optim.lr is \[\]; a list of values, or"),
        ({"ranges": {"optim.lr": {"low": 2, "high": 1}}}, "low = 2 and high = 1; low < high is needed"),
        ({"ranges": {"optim.lr": {"low": 0, "high": 1, "log": True}}}, "0 < low < high is needed"),
        ({"ranges": {"optim.lr": {"low": 0, "high": 1, "step": 1}}}, "unknown key 'step'"),
        ({"ranges": {"optim.lr": [[1]]}}, "texts, numbers, true or false are needed"),
        ({"method": "grid"}, "search.ranges.optim.lr has two ends; a grid needs lists of values"),
        (
            {"rungs": [1], "ranges": {"schedule.max_epochs": [1]}},
            "search.rungs sets schedule.max_epochs, and so",
        ),
        ({"budget": 3}, "search: unknown key 'budget'"),
        (
            {"ranges": {"data.holdout_share": [0.1]}},
            "search.ranges has data.holdout_share, which changes the cl",
        ),
    ],
)
def test_a_search_that_cannot_be_is_rejected(section, message):
    with pytest.raises(ConfigError, match=message):
        search_of(values(**section))


def test_a_budget_for_less_than_two_candidates_is_rejected():
    with pytest.raises(
        ConfigError, match=r"search.runs is 3; two candidates in 2 rungs, 1 folds and 1 seeds need 4"
    ):
        search_of(values(runs=3, rungs=[1, 2])).candidates(1)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    cache = tiny_cache(folder / "feats.zarr")
    spec = spec_of_text(folder)
    result = search(cache, spec, folder / "out", Heard(), num_seeds=1, options=HERE)
    return cache, spec, result


def test_rungs_keep_the_best_and_the_choice_is_by_validation_clips(found):
    _, spec, result = found
    assert [path.name for path in sorted(result.out.iterdir())] == [
        "chosen", "rung1", "rung2", "search.json", "section.json",
    ]  # fmt: skip
    first, second = (read_sweep(result.out / name) for name in ("rung1", "rung2"))
    assert len(first.outcomes) == 4
    losses = {one.row: one.validation_loss for one in first.outcomes.values()}
    kept = {one.row for one in second.outcomes.values()}
    assert kept == set(sorted(losses, key=losses.get)[:2])
    final = {one.row: one.validation_loss for one in second.outcomes.values()}
    assert result.chosen.name == min(final, key=final.get)
    assert result.chosen.values == pytest.approx((losses[result.chosen.name], final[result.chosen.name]))
    assert result.num_runs == 6 == spec.runs
    assert not result.is_cut_short


def test_no_candidate_is_measured_on_test_clips_before_the_choice(found):
    _, _, result = found
    for rung in ("rung1", "rung2"):
        assert not list((result.out / rung).rglob("confusion.json"))
        assert list((result.out / rung).rglob("confusion_validation.json"))
    tested = {path.parent.parent.name for path in result.out.rglob("confusion.json")}
    assert tested <= {"preset", "chosen"}
    values = json.loads((result.out / "search.json").read_text())
    assert values["chosen"] == result.chosen.name
    assert "no candidate was measured on test clips" in values["chosen_by"]


def test_the_lines_show_candidates_choice_and_test_result(found):
    _, _, result = found
    shown = lines(result)
    assert shown[0] == "Rates: 4 candidates, 6 runs measured on validation clips, by loss"
    assert any(line.startswith(f"chosen: {result.chosen.name}, ") for line in shown)
    assert any("Rates: chosen settings" in line for line in shown)


def test_a_search_that_has_begun_continues_from_its_last_rung(found, tmp_path):
    """The first rung is frozen: a candidate that was out stays out, whatever its directory holds now."""
    cache, spec, result = found
    values = json.loads((result.out / "search.json").read_text())
    out = tmp_path / "out"
    out.mkdir()
    kept = {name: value for name, value in values["rungs"][0].items()}
    kept = {name: None if name == "preset" else value for name, value in kept.items()}
    begun = {**values, "rungs": [kept], "num_runs": 4, "chosen": None}
    (out / "search.json").write_text(json.dumps(begun))
    again = search(cache, spec, out, Heard(), num_seeds=1, options=HERE)
    assert not (out / "rung1").exists()
    best = sorted((one for one in kept if kept[one] is not None), key=kept.get)[:2]
    assert {one.row for one in read_sweep(out / "rung2").outcomes.values()} == set(best)
    assert again.num_runs == 6
    (out / "search.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"search.json' cannot be read; give another --out"):
        search(cache, spec, out, Heard(), num_seeds=1, options=HERE)


def test_test_clips_that_took_part_in_the_search_are_rejected_or_named(tmp_path):
    membership = np.ones((48, 2), np.uint8)
    membership[:16, 0] = membership[16:32, 1] = 3
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(fold_names=("1", "2")), membership=membership)
    spec = replace(spec_of_text(tmp_path), rungs=(), runs=2)
    with pytest.raises(ConfigError, match=r"16 test clips of --folds all train or choose in the search"):
        search(cache, spec, tmp_path / "out", Heard(), folds="all", num_seeds=1, options=HERE)
    assert not (tmp_path / "out").exists()
    result = search(
        cache, spec, tmp_path / "out", Heard(), folds="all", num_seeds=1, options=HERE, allow_leak=True
    )
    assert "(LEAK: 16 test clips took part in the search)" in "\n".join(lines(result))


def test_a_search_chooses_by_validation_clips_of_their_own(found, tmp_path):
    cache, spec, _ = found
    for rule in ("test", "train"):
        wrong = replace(spec, settings=(*spec.settings, f"data.validation={rule}"))
        with pytest.raises(
            ConfigError, match=f"Candidate 'preset' has data.validation={rule}; a search needs"
        ):
            search(cache, wrong, tmp_path / "out", Heard(), options=HERE)
    assert not (tmp_path / "out").exists()


def test_sweeps_of_a_rung_are_marked_and_judge_nothing(found):
    _, _, result = found
    rung = read_sweep(result.out / "rung1").result
    assert rung.banners[0] == "VALIDATION CLIPS: these numbers chose settings"
    assert rung.comparisons is None


def test_the_same_search_resumes_and_another_is_rejected(found):
    cache, spec, result = found
    heard = Heard()
    again = search(cache, spec, result.out, heard, num_seeds=1, options=HERE)
    assert again.candidates == result.candidates
    assert again.chosen == result.chosen
    with pytest.raises(ConfigError, match="has another search; give another --out"):
        search(cache, replace(spec, seed=1), result.out, heard, options=HERE)
    with pytest.raises(ConfigError, match="--set schedule.max_epochs: search.rungs sets it"):
        search(cache, spec, result.out, heard, settings=["schedule.max_epochs=3"], options=HERE)


def test_a_search_that_runs_out_of_time_chooses_among_what_is_finished(found, tmp_path, monkeypatch):
    cache, spec, _ = found
    clock, began = time.monotonic, time.monotonic()

    class Slow(Heard):
        """Each outcome takes a minute of the clock."""

        def on_outcome(self, outcome):
            nonlocal began
            super().on_outcome(outcome)
            began -= 60

    monkeypatch.setattr("trainer.ablate.run.time.monotonic", lambda: clock() - began)
    result = search(
        cache, replace(spec, minutes=2.5, rungs=()), tmp_path / "out", Slow(), num_seeds=1, options=HERE
    )
    assert result.is_cut_short
    assert 2 <= result.num_runs < 6
    assert result.chosen.values[0] is not None
    assert "!! CUT SHORT: the time ended before all runs of the search" in lines(result)


def test_the_command_searches(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr")
    spec_of_text(tmp_path, TEXT.replace("runs = 6", "runs = 4"))
    options = [
        "--spec",
        str(tmp_path / "search.toml"),
        "--out",
        str(tmp_path / "out"),
        "--seeds",
        "1",
        "--json",
    ]
    arguments = ["ablate", "--cache", str(cache), *options, "--scheduler", "sync"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["chosen"]["values"][0] > 0

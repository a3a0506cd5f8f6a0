"""Grids of `ablate` in a report."""

import json
import shutil

import pytest

from pipeline.config import override
from pipeline.display.text import lines as lines_of
from pipeline.errors import CheckpointError, ConfigError, OusError
from tests.test_report import HOSTILE, QUICK, require_shown_and_harmless, write
from tests.tiny_cache import tiny_cache
from tests.tiny_grid import DIVERGING, Heard, diverged, outcome, quick_request, quick_spec, stamps, stored
from trainer.ablate import SweepExecutorOptions, ablate
from trainer.ablate.spec import parsed
from trainer.ablate.sweep_directory import GRID_FILE
from trainer.presets import smoke
from trainer.report import report
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

RANDOM = "RANDOM ENCODER WEIGHTS: these numbers say nothing about the method"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache, a run selected on test, a whole grid with a row that diverges, and one that was stopped."""
    folder = tmp_path_factory.mktemp("grids")
    cache = tiny_cache(folder / "feats.zarr")
    config = override(smoke(), [*QUICK, "data.validation=test"])
    train(cache, folder / "run", config, device="cpu")
    here = SweepExecutorOptions(scheduler="sync")
    whole, spec = folder / "whole", quick_spec(DIVERGING)
    ablate(cache, spec, whole, Heard(), num_seeds=2, options=here)
    with pytest.raises(KeyboardInterrupt):
        ablate(cache, quick_spec(), folder / "stopped", Heard(stop_after=1), num_seeds=2, options=here)
    return folder


def refused(folders, out, **options):
    """That nothing is measured or written before a wrong input is refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured"))
        with pytest.raises(OusError) as caught:
            report(folders, out, lambda _: None, device="cpu", **options)
    assert len(str(caught.value).splitlines()) == 1
    assert not out.exists()
    return caught


def test_the_tables_are_those_that_ablate_writes(made, tmp_path):
    _, page, document = write([made / "whole"], tmp_path)
    table = (made / "whole" / "table.md").read_text().splitlines()
    shown = (tmp_path / "report.md").read_text().splitlines()
    rows = [line for line in table if line.startswith(("| ", "- ", "**"))]
    assert len(rows) > 15
    at = shown.index(rows[0])
    assert [line for line in shown[at:] if line.startswith(("| ", "- ", "**"))][: len(rows)] == rows
    (grid,) = document["grids"]
    results = json.loads((made / "whole" / "results.json").read_text())
    assert grid == {"folder": str(made / "whole"), "num_others": 0, **results}
    over = grid["rows"][0]["over_runs"]
    numbers = [f"{100 * over[name]['mean']:.2f} ± {100 * over[name]['std']:.2f}" for name in ("uar", "war")]
    epoch = f"{over['best_epoch']['mean']:.1f}"
    assert ["L_ce", *numbers, "55.12", "67.82", epoch, "10", "2/2", "0", "0"] in page.rows
    assert ["far too fast", *"------", "0/2", "2", "0"] in page.rows
    assert "The paper's note." in page.text
    assert any("far too fast, fold 1, seed 0: DIVERGED: The loss at step" in text for text in page.text)
    assert any("Validation, which chose the epochs: holdout" in text for text in page.text)


def test_grids_alone_need_no_cache_and_are_left_as_they_are(made, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured"))
    grid = shutil.copytree(made / "whole", tmp_path / "grid")
    before = stamps(grid)
    names = sorted(path.name for path in grid.iterdir())
    report_made, page, document = write([grid], tmp_path / "out")
    assert "OUS on tiny: 1 grid" in page.text
    assert report_made.banners == (RANDOM,)
    assert document["groups"] == []
    assert "f" * 64 in " ".join(page.text)
    assert stamps(grid) == before
    assert sorted(path.name for path in grid.iterdir()) == names


def test_runs_and_grids_share_a_page_and_its_warnings(made, tmp_path):
    report_made, page, document = write([made / "run", made / "whole", made / "stopped"], tmp_path)
    assert "OUS on tiny: 1 run, 1 setting, 2 grids" in page.text
    assert report_made.banners == (RANDOM, "SELECTED ON TEST (1 of 6 runs)")
    assert [group["label"] for group in document["groups"]] == ["ours (selected on test)"]
    assert [len(grid["rows"]) for grid in document["grids"]] == [3, 2]
    lines = lines_of(report_made)
    assert lines[0] == f"!! {RANDOM}"
    assert f"Quick table ({made / 'stopped'})" in lines


def test_a_run_that_is_also_in_a_grid_counts_once_in_the_warnings(made, tmp_path):
    outcomes = [outcome("L_ce", "1", seed, (8, 4)) for seed in (0, 1)]
    grid = stored(tmp_path / "grid", quick_request(), outcomes)
    run = grid / "l-ce" / "fold1-seed0"
    shutil.copytree(made / "run", run, dirs_exist_ok=True)
    report_made, _, _ = write([run, grid], tmp_path / "out")
    assert report_made.banners == (f"{RANDOM} (1 of 2 runs)", "SELECTED ON TEST (1 of 2 runs)")


def test_an_unfinished_grid_says_so_where_it_is_shown(made, tmp_path):
    report_made, page, document = write([made / "stopped"], tmp_path)
    unfinished = "UNFINISHED: 1 of 4 runs have an outcome; the same ablate command runs the others"
    assert f"!! {unfinished}" in page.text
    assert f"!! {unfinished}" in lines_of(report_made)
    markdown = (tmp_path / "report.md").read_text()
    at = markdown.index("> **!! UNFINISHED: 1 of 4 runs")
    assert markdown.rindex("\n## ", 0, at) == markdown.rindex("\n## Quick table (", 0, at)
    (grid,) = document["grids"]
    assert (grid["num_outcomes"], grid["num_wanted"]) == (1, 4)
    assert next(row for row in page.rows if row[0] == "L_ce")[-3:] == ["1/2", "0", "0"]
    assert unfinished not in report_made.banners


def test_a_grid_in_which_nothing_is_finished_is_shown_as_such(tmp_path):
    grid = stored(tmp_path / "grid", quick_request(), [diverged("L_ce", "1", 0)])
    report_made, page, _ = write([grid], tmp_path / "out")
    assert report_made.banners == ()
    assert "!! UNFINISHED: 1 of 4 runs have an outcome" in " ".join(page.text)
    assert ["L_ce", "-", "-", "55.12", "67.82", "-", "10", "0/2", "1", "0"] in page.rows
    assert "All runs, percent, no finished run" in page.text
    begun = stored(tmp_path / "begun", quick_request(), [])
    _, page, _ = write([begun], tmp_path / "out")
    assert "!! UNFINISHED: 0 of 4 runs have an outcome" in " ".join(page.text)
    assert "Diverged and failed runs" not in page.text


def test_warnings_of_a_grid_stand_on_top_and_at_its_section(tmp_path):
    banners = ("SELECTED ON TEST",)
    outcomes = [outcome("L_ce", "1", 0, (8, 4)), outcome("L_ce", "1", 1, (8, 4), banners=banners)]
    grid = stored(tmp_path / "grid", quick_request(), outcomes)
    report_made, _, _ = write([grid], tmp_path / "out")
    assert report_made.banners == ("SELECTED ON TEST (1 of 2 runs)",)
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert markdown.startswith("> **!! SELECTED ON TEST (1 of 2 runs)**")
    assert markdown.count("> **!! SELECTED ON TEST (1 of 2 runs)**") == 2


def test_outcomes_that_were_not_asked_for_last_are_told(tmp_path):
    outcomes = [outcome("L_ce", "1", seed, (8, 4)) for seed in (0, 1)]
    stored(tmp_path / "grid", quick_request(), outcomes)
    grid = stored(tmp_path / "grid", quick_request(seeds=(0,)), [])
    _, page, document = write([grid], tmp_path / "out")
    told = "Not counted: 1 other outcome in the directory, of folds or seeds that the last ablate command did"
    assert told in " ".join(page.text)
    assert document["grids"][0]["num_others"] == 1


def test_hostile_names_of_a_grid_are_shown_and_never_obeyed(tmp_path):
    name = json.dumps(HOSTILE[:60])
    spec = parsed(f"title = {name}\nnote = {name}\n[[rows]]\nname = {name}\n", "hostile.toml")
    bad = outcome(HOSTILE[:60], "1", 0, (8, 4), banners=(HOSTILE,), left_out=(HOSTILE,))
    grid = stored(tmp_path / "grid", quick_request(spec, dataset=HOSTILE), [bad])
    _, page, _ = write([grid], tmp_path / "out")
    require_shown_and_harmless(page, tmp_path / "out")


def test_a_folder_that_is_neither_a_run_nor_a_grid_is_refused_at_once(made, tmp_path):
    caught = refused([made / "run", made], tmp_path / "out")
    assert caught.type is CheckpointError
    told = "is neither a training run nor a grid: it has neither config.toml nor grid.json. Give directories"
    assert told in str(caught.value)
    assert "Nothing is at " in str(refused([made / "none"], tmp_path / "out").value)


def test_a_grid_that_is_given_twice_is_refused(made, tmp_path):
    caught = refused([made / "whole", made / "run" / ".." / "whole"], tmp_path / "out")
    assert str(caught.value).endswith("whole' is given twice; give each grid once.")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"asked": 3}'])
def test_a_damaged_grid_is_refused_before_any_run_is_measured(made, tmp_path, text):
    grid = shutil.copytree(made / "whole", tmp_path / "grid")
    (grid / GRID_FILE).write_text(text)
    caught = refused([made / "run", grid], tmp_path / "out")
    assert caught.type is ConfigError
    assert "grid.json' does not describe its grid (" in str(caught.value)
    assert str(caught.value).endswith("Run its `ablate` command again.")


def test_a_damaged_outcome_is_refused_with_its_folder(made, tmp_path):
    grid = shutil.copytree(made / "whole", tmp_path / "grid")
    (grid / "l-ce" / "fold1-seed1" / "outcome.json").write_text("{")
    told = str(refused([grid], tmp_path / "out").value)
    assert told.endswith(f"remove the directory '{grid / 'l-ce' / 'fold1-seed1'}'.")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"split": "validation"}, "--split validation does not apply to the grid '"),
        ({"fold": "2"}, "--fold 2 does not apply to the grid '"),
        ({"cache": "other.zarr"}, "--cache 'other.zarr' does not apply to the grid '"),
    ],
)
def test_what_is_about_runs_alone_is_refused_for_a_grid(made, tmp_path, options, told):
    caught = refused([made / "run", made / "whole"], tmp_path / "out", **options)
    assert str(caught.value).startswith(told)
    assert str(caught.value).endswith(
        "of test clips of its own cache and folds; report runs and grids separately."
    )


def test_a_grid_is_no_pair(made, tmp_path):
    caught = refused([], tmp_path / "out", rigid=(made / "run", made / "whole"))
    assert "whole' is the directory of a grid; give two runs" in str(caught.value)

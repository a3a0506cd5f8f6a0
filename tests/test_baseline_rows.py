"""Baselines as rows of a sweep: settings, resume, failures, tables, report."""

import json
import pickle

import numpy as np
import pytest

from pipeline.errors import ConfigError, WeightsError
from pipeline.types import Status
from tests.test_baselines import TEXT, measured, unequal_cache
from tests.tiny_cache import tiny_cache, tiny_static
from tests.tiny_clip import PYTHONPATH
from tests.tiny_grid import Heard, outcome, quick_request, quick_spec, stamps, stored
from trainer.ablate import SweepExecutorOptions, ablate
from trainer.ablate.load_results import read_sweep
from trainer.ablate.result_tables import main_table
from trainer.ablate.spec import parsed, table
from trainer.ablate.sweep_plan import plan_sweep
from trainer.baselines import zero_shot
from trainer.pages.formatting import spread_text
from trainer.prompts import forget_text_towers
from trainer.report import report
from trainer.run_statistics import Spread

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

HERE = SweepExecutorOptions(scheduler="sync")
ROWS = """
title = "Baselines of the tests"
preset = "smoke"
settings = ["schedule.max_steps=2", "model.frame_encoder_depth=0", "model.tfe_blocks=1"]
note = "Floors and bounds."

[[rows]]
name = "majority"
method = "majority"

[[rows]]
name = "zero-shot"
method = "zero_shot"

[[rows]]
name = "probe"
method = "linear_probe"
settings = ["baseline.stream=both"]

[[rows]]
name = "OUS"
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return unequal_cache(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"majority"\n\n',
            '"knn"\n\n',
            "^Row 'majority': method is 'knn'; allowed: train, majority, zero_shot",
        ),
        (
            "baseline.stream=both",
            "model.tfe=false",
            "^Row 'probe': method linear_probe does not use 'model.tfe'",
        ),
        ("baseline.stream=both", "baseline.template={class}", "uses: baseline.stream, baseline.c, data.*"),
        ("baseline.stream=both", "baseline.stream=nose", "^Row 'probe': baseline.stream is 'nose'"),
        (
            'name = "OUS"',
            'name = "OUS"\nsettings = ["baseline.c=1"]',
            "^Row 'OUS': Unknown setting 'baseline'",
        ),
    ],
)
def test_a_wrong_row_is_named(old, new, message):
    assert old in ROWS
    with pytest.raises(ConfigError, match=message):
        parsed(ROWS.replace(old, new, 1), "x.toml").configs(None, [])


def test_settings_of_baselines_are_unknown_in_a_table_without_any():
    with pytest.raises(ConfigError, match="^Unknown setting 'baseline'"):
        table(5).configs(None, ["baseline.c=1"])
    with pytest.raises(ConfigError, match="^--set baseline.stream: row 'probe' sets it itself"):
        parsed(ROWS, "x.toml").configs(None, ["baseline.stream=face"])


@pytest.fixture(scope="module")
def finished(path, tmp_path_factory):
    out = tmp_path_factory.mktemp("grid") / "out"
    return run(path, out), out


def run(path, out, text=ROWS, heard=None, **more):
    options = {"num_seeds": 2, "options": HERE, **more}
    return ablate(path, parsed(text, "x.toml"), out, heard or Heard(), **options)


def found_of(result, row):
    return next(one for one in result.rows if one.row.name == row).outcomes


def test_rows_of_a_sweep_are_the_baselines_with_its_folds_holdout_and_seeds(path, finished):
    result, rows = finished[0].result, {"majority": "face", "zero-shot": "face", "probe": "both"}
    for (row, stream), method in zip(rows.items(), ("majority", "zero_shot", "linear_probe"), strict=True):
        for one_run in found_of(result, row):
            found = measured(path, method, seed=one_run.seed, stream=stream)
            assert one_run.confusion == tuple(map(tuple, found.metrics.confusion.tolist()))
            assert one_run.facts == found.facts
            assert (one_run.best_epoch, one_run.device) == (0, "cpu")
    shas = {one.usable_sha256 for one in result.outcomes}
    assert len(shas) == 1
    assert len({one.confusion for one in found_of(result, "zero-shot")}) == 1
    assert found_of(result, "OUS")[0].num_train == found_of(result, "probe")[0].num_train


def test_the_table_shows_them_and_what_they_chose(finished):
    report_made, out = finished
    result = report_made.result
    cells = {row[0]: row for row in main_table(result).rows}
    assert [cells["majority"][3], cells["majority"][4]] == ["-", "2/2"]
    assert cells["OUS"][3] != "-"
    notes = "\n".join(result.notes)
    assert "Row 'majority': always neutral." in notes
    assert f"Row 'zero-shot': texts '{TEXT}'." in notes
    assert "Row 'probe': C = " in notes
    assert "Validation, which chose the epochs and the C of probes: holdout." in notes
    assert "Floors and bounds." in notes
    assert result.banners == ("RANDOM ENCODER WEIGHTS: these numbers say nothing about the method",)
    document = json.loads((out / "results.json").read_text())
    assert [row["method"] for row in document["rows"]] == ["majority", "zero_shot", "linear_probe", "train"]
    assert "best_epoch" not in document["rows"][0]["over_runs"]


def test_a_second_call_repeats_nothing_and_more_seeds_are_added(path, finished):
    _, out = finished
    before, heard = stamps(out), Heard()
    run(path, out, heard=heard)
    assert heard.started == (0, 8)
    assert stamps(out) == before
    heard = Heard()
    run(path, out, heard=heard, num_seeds=3)
    assert heard.started == (4, 8)
    assert {key: stamp for key, stamp in stamps(out).items() if key in before} == before
    assert [one.seed for one in found_of(read_sweep(out).result, "majority")] == [0, 1, 2]
    run(path, out)


@pytest.mark.parametrize(
    ("setting", "difference"),
    [
        ("baseline.template=a {class} face", 'rows.zero-shot.template: "a {class} face" here'),
        ("baseline.c=1", r"rows.probe.c: \[1.0\] here"),
        ("data.holdout_share=0.2", "rows.majority.data.holdout_share: 0.2 here, 0.1 there"),
    ],
)
def test_other_settings_are_another_sweep(path, finished, setting, difference):
    with pytest.raises(ConfigError, match=difference):
        run(path, finished[1], settings=[setting])


def test_settings_of_training_do_not_change_the_identity_of_a_baseline(path):
    plans = [
        plan_sweep(path, parsed(ROWS, "x.toml"), "1", 1, None, settings)
        for settings in ([], ["optim.lr=0.5", "baseline.c=1"])
    ]
    first, second = (plan.identity["rows"] for plan in plans)
    assert first["majority"] == second["majority"] == {"method": "majority", "data": first["OUS"]["data"]}
    assert first["zero-shot"] == second["zero-shot"]
    assert first["probe"]["c"] != second["probe"]["c"]
    assert first["OUS"] != second["OUS"]


def test_a_task_of_a_baseline_can_be_sent_to_a_worker(path, tmp_path):
    plan = plan_sweep(path, parsed(ROWS, "x.toml"), "1", 1, None, [])
    tasks = plan.tasks(tmp_path / "out", "cpu", None)
    assert pickle.loads(pickle.dumps(tasks)) == tasks
    assert [task.baseline and task.baseline.method for task in tasks] == [
        "majority",
        "zero_shot",
        "linear_probe",
        None,
    ]


@pytest.mark.slow
def test_workers_give_the_same_numbers(path, finished, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    there = run(path, tmp_path / "out", options=SweepExecutorOptions(workers=2)).result
    for row in ("majority", "zero-shot", "probe"):
        assert [one.confusion for one in found_of(there, row)] == [
            one.confusion for one in found_of(finished[0].result, row)
        ]


def test_without_a_text_encoder_the_rows_that_need_none_are_measured(path, tmp_path, monkeypatch):
    def missing(config):
        msg = f"no weights for {config.name}; give --encoder-weights."
        raise WeightsError(msg)

    forget_text_towers()
    zero_shot._features.cache_clear()
    monkeypatch.setattr("trainer.prompts.load_text_encoder", missing)
    result = run(path, tmp_path / "out", num_seeds=1).result
    assert [one.state for one in result.outcomes] == ["finished", "failed", "finished", "failed"]
    assert result.troubles[0].startswith("zero-shot, fold 1, seed 0: FAILED: no weights for")


def test_an_unfinished_cache_and_a_selection_on_test_are_marked(tmp_path):
    status = np.full(48, Status.DONE, dtype=np.uint8)
    status[45:] = Status.PENDING
    cache = tiny_cache(tmp_path / "feats.zarr", status=status)
    result = run(cache, tmp_path / "out", num_seeds=1, settings=["data.validation=test"]).result
    names = [row[0] for row in main_table(result).rows]
    assert names == [
        "majority (unfinished cache)", "zero-shot (unfinished cache)",
        "probe (selected on test, unfinished cache)", "OUS (selected on test, unfinished cache)",
    ]  # fmt: skip
    assert any(banner.startswith("UNFINISHED CACHE: measured while 3 clips") for banner in result.banners)
    assert "SELECTED ON TEST (2 of 4 runs)" in result.banners


def test_polarities_that_only_trained_rows_need_are_not_needed(tmp_path):
    static = tiny_static()
    cache = tiny_cache(tmp_path / "feats.zarr", polarity=np.full_like(static["polarity"], -1))
    text = ROWS[: ROWS.index('[[rows]]\nname = "OUS"')]
    assert len(run(cache, tmp_path / "out", text, num_seeds=1).result.finished) == 3


def test_the_bundled_table_runs_on_any_cache_and_the_report_shows_it(path, tmp_path):
    spec = table("baselines")
    assert [row.method for row in spec.rows].count("train") == 3
    settings = ["schedule.max_steps=1", "model.tfe_blocks=1"]
    made = ablate(
        path, spec, tmp_path / "out", Heard(), num_seeds=1, preset="smoke", settings=settings, options=HERE
    )
    assert len(made.result.finished) == 9
    report([tmp_path / "out"], tmp_path / "report", lambda _: None)
    text = (tmp_path / "report" / "report.md").read_text()
    for row in spec.rows:
        assert f"| {row.name} |" in text
    assert "Row linear probe, both: method linear_probe, baseline.stream=both" in text
    assert "Table II" not in text


def test_the_report_shows_the_rows_beside_tables_1_and_2_of_their_dataset(tmp_path):
    names = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
    confusion = tuple(tuple(8 if a == b else int(b == 0) for b in range(7)) for a in range(7))
    text = ROWS[: ROWS.index('[[rows]]\nname = "zero-shot"')]
    changes = {"dataset": "dfew", "folds": ("1", "2"), "settings": ()}
    for dataset, tables in (("dfew", ["Table I", "Table II"]), ("ferv39k", ["Table II"]), ("mafw", [])):
        request = quick_request(parsed(text, "x.toml"), **changes | {"dataset": dataset})
        found = [
            outcome("majority", fold, seed, (0, 0), 0, class_names=names, confusion=confusion, num_epochs=0)
            for fold in ("1", "2")
            for seed in (0, 1)
        ]
        out = stored(tmp_path / dataset, request, found)
        report([out], tmp_path / f"report-{dataset}", lambda _: None)
        shown = (tmp_path / f"report-{dataset}" / "report.md").read_text()
        titles = [line for line in shown.splitlines() if "and the rows of this sweep" in line]
        assert [title.strip("* ").partition(" and")[0] for title in titles] == tables
        if tables:
            assert "| DFER-CLIP | as printed | " in shown
            mean = next(line for line in shown.splitlines() if line.startswith("| **majority** | mean of 2"))
            assert spread_text(Spread.of([found[0].metrics().war] * 2)) in mean


def test_a_table_of_the_paper_alone_has_no_further_tables(tmp_path):
    request = quick_request(quick_spec(), dataset="dfew", settings=())
    out = stored(tmp_path / "grid", request, [outcome("L_ce", "1", 0, (8, 4))])
    report([out], tmp_path / "report", lambda _: None)
    assert "rows of this sweep" not in (tmp_path / "report" / "report.md").read_text()


def test_baselines_are_compared_with_trained_rows_clip_by_clip(path, tmp_path):
    spec = parsed(ROWS.replace("title =", 'base = "OUS"\ntitle =', 1), "x")
    found = ablate(path, spec, tmp_path / "out", Heard(), num_seeds=2, options=HERE).result
    right = {(one.row, one.seed): one.metrics().confusion.trace() for one in found.finished}
    assert set(found.comparisons.clips) == {"majority", "zero-shot", "probe"}
    for name, clips in found.comparisons.clips.items():
        assert clips.won - clips.lost == sum(right[name, seed] - right["OUS", seed] for seed in (0, 1))
        stored = (tmp_path / f"out/{name}/fold1-seed0/predictions.csv").read_text().splitlines()
        assert len(stored) == 1 + found.finished[0].metrics().num_clips

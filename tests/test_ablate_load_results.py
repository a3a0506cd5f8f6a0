"""A grid's folder, read again without its cache."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.display.json_values import to_json_values
from pipeline.errors import ConfigError, OusError
from tests.mutants import mutate
from tests.tiny_grid import diverged, outcome, quick_request, stored
from trainer.ablate.load_results import is_sweep, read_sweep
from trainer.ablate.spec import TABLES, table
from trainer.ablate.sweep_directory import GRID_FILE
from trainer.ablate.sweep_request import SweepRequest

OUTCOMES = (
    outcome("L_ce", "1", 0, (8, 4)),
    outcome("L_ce", "1", 1, (10, 6)),
    outcome("L_global + TFE", "1", 0, (9, 9)),
    diverged("L_global + TFE", "1", 1),
)


@pytest.fixture
def grid(tmp_path):
    return stored(tmp_path / "grid", quick_request(), OUTCOMES)


def changed(grid, **changes):
    """grid.json with something else asked."""
    path = grid / GRID_FILE
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"asked": values["asked"] | changes}))


@pytest.mark.parametrize("number", TABLES)
def test_what_was_asked_comes_back_as_it_was(number):
    request = quick_request(table(number), folds=("2", "1"), seeds=(0, 1, 2), num_shared_clips=5)
    assert SweepRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


def test_outcomes_stand_in_the_rows_that_ablate_gives_them(grid):
    found = read_sweep(grid)
    assert [row.outcomes for row in found.result.rows] == [OUTCOMES[:2], OUTCOMES[2:]]
    assert (found.num_others, found.result.banners, found.result.fingerprint) == (0, (), "f" * 64)
    assert to_json_values(found)["rows"][0]["paper_percent"]["war"] == 67.82


def test_runs_without_an_outcome_are_told_and_those_under_way_are_none(grid):
    (grid / "l-ce" / "fold1-seed0").rename(grid / "l-ce" / ".fold1-seed0.00000000.partial")
    found = read_sweep(grid).result
    assert found.banners[0].startswith("UNFINISHED: 3 of 4 runs have an outcome")
    assert [len(row.outcomes) for row in found.rows] == [1, 2]


def test_outcomes_that_the_last_command_did_not_ask_for_are_counted_apart(grid):
    changed(grid, seeds=[1])
    found = read_sweep(grid)
    assert found.num_others == 2
    assert [row.outcomes for row in found.result.rows] == [OUTCOMES[1:2], OUTCOMES[3:]]


def test_a_folder_is_known_by_its_grid_file(grid, tmp_path):
    assert is_sweep(grid)
    assert not is_sweep(tmp_path)
    assert not is_sweep(tmp_path / "none")
    (grid / GRID_FILE).write_text("{")
    assert is_sweep(grid)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("[]", r"it holds \[\]; a section with keys is needed"),
        ("[" * 100_000, "recursion"),
        ("{}", "asked is missing; a value of type dict is needed"),
        (" " * (16 << 20) + "{}", "grid.json' has 16777218 bytes; allowed: 16777216"),
    ],
)
def test_a_damaged_grid_file_is_told_in_one_line(grid, text, why):
    (grid / GRID_FILE).write_text(text)
    expected = rf"grid.json' does not describe its grid \(.*{why}.*\). Run its `ablate` command again.$"
    with pytest.raises(ConfigError, match=expected):
        read_sweep(grid)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"folds": ["3"]}, "folds is '3'; some of '1, 2' are needed, each once"),
        ({"folds": ["1", "1"]}, "folds is '1, 1'; some of"),
        ({"folds": []}, "folds is ''"),
        ({"folds": [1]}, r"folds is \[1\]; values of type str are needed"),
        ({"seeds": []}, "--seeds is 0; allowed: 1 to 1000"),
        ({"seeds": [True]}, r"seeds is \[True\]; values of type int are needed"),
        ({"folds": ["1", "2"], "num_shared_clips": -1}, "num_shared_clips is -1; allowed: 0 to"),
        ({"folds": ["1", "2"], "num_shared_clips": None}, "num_shared_clips is None; a value of type int is"),
        ({"settings": "a=b"}, "settings is 'a=b'; a value of type list is needed"),
        ({"dataset": None}, "dataset is None; a value of type str is needed"),
        ({"spec": {"title": "t"}}, "The table 't' has no"),
        ({"spec": {"title": "t", "rows": [{"name": "../.."}]}}, "A row's name is '../..'"),
    ],
)
def test_what_cannot_be_asked_is_told(grid, changes, why):
    changed(grid, **changes)
    with pytest.raises(ConfigError, match=rf"does not describe its grid \({why}"):
        read_sweep(grid)


def test_a_grid_without_a_fingerprint_is_told(grid):
    values = json.loads((grid / GRID_FILE).read_text())
    (grid / GRID_FILE).write_text(json.dumps(values | {"cache": {}}))
    with pytest.raises(ConfigError, match=r"cache\.fingerprint is missing"):
        read_sweep(grid)


def test_the_outcome_of_another_run_is_refused(grid):
    (grid / "l-ce" / "fold1-seed1" / "outcome.json").write_text(json.dumps(OUTCOMES[0].to_dict()))
    expected = (
        r"fold1-seed1' holds the outcome of another run \(L_ce, fold 1, seed 0\); remove this directory"
    )
    with pytest.raises(OusError, match=expected):
        read_sweep(grid)


@pytest.mark.parametrize("count", [-1, 2**62, 2**70])
def test_an_outcome_with_counts_that_no_test_has_is_refused(grid, count):
    values = OUTCOMES[0].to_dict() | {"confusion": [[count, count], [count, count]]}
    (grid / "l-ce" / "fold1-seed0" / "outcome.json").write_text(json.dumps(values))
    with pytest.raises(OusError, match=r"is not a readable outcome \(confusion is .*counts of 2 classes"):
        read_sweep(grid)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(seed=st.integers(0, 1 << 32), name=st.sampled_from([GRID_FILE, "l-ce/fold1-seed0/outcome.json"]))
def test_damaged_files_read_or_are_known_errors(grid, seed, name):
    path = grid / name
    content = path.read_bytes()
    path.write_bytes(mutate(content, seed))
    try:
        to_json_values(read_sweep(grid))
    except OusError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - either is right
    finally:
        path.write_bytes(content)

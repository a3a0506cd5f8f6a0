import json
import math
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, OusError
from pipeline.own_dir import OwnDir
from trainer.ablate.outcome import Outcome
from trainer.ablate.sweep_directory import GRID_FILE, forget, hold, partial_of, read_outcome, settle

IDENTITY = {"cache": {"fingerprint": "f", "num_done": 48}, "rows": {"full": {"optim": {"lr": 0.1}}}}
PLAN = {"base": "", "metric": "war", "margin": 1.0, "verdicts": []}


def outcome(**changes):
    values = {"row": "full", "fold": "1", "seed": 0, "state": "finished", "class_names": ("a", "b")}
    return Outcome(**{**values, "confusion": ((3, 1), (0, 4)), "best_epoch": 2, **changes})


def test_an_outcome_comes_back_as_it_was(tmp_path):
    run_dir = OwnDir.of(tmp_path) / "full" / "fold1-seed0"
    assert read_outcome(run_dir) is None
    partial = partial_of(run_dir)
    partial.make()
    partial.write_bytes("best.safetensors", b"weights")
    assert read_outcome(run_dir) is None
    assert settle(partial, run_dir, outcome()) == outcome()
    there = read_outcome(run_dir)
    assert (there.metrics().war, there.best_epoch) == (7 / 8, 2)
    assert run_dir.read_bytes("best.safetensors", 100) == b"weights"
    assert not partial.exists()


def test_of_two_processes_that_settle_one_run_the_first_counts(tmp_path):
    run_dir = OwnDir.of(tmp_path) / "full" / "fold1-seed0"
    first, second = partial_of(run_dir), partial_of(run_dir)
    assert first != second
    settle(first, run_dir, outcome(best_epoch=1))
    assert settle(second, run_dir, outcome(best_epoch=7)).best_epoch == 1
    assert not second.exists()
    forget(run_dir)
    assert (OwnDir.of(tmp_path) / "full").entries() == {}


@pytest.mark.parametrize("state", ["finished", "diverged"])
def test_a_run_that_did_not_fail_counts_more_than_one_that_did(tmp_path, state):
    """A run taken for lost, by a worker that was only slow, is settled as failed before it ends."""
    run_dir = OwnDir.of(tmp_path) / "full" / "fold1-seed0"
    failed, ours = outcome(state="failed", reason="two workers died at it"), outcome(state=state)
    settle(partial_of(run_dir), run_dir, failed)
    partial = partial_of(run_dir)
    partial.make()
    partial.write_bytes("best.safetensors", b"weights")
    assert settle(partial, run_dir, ours) == ours
    assert read_outcome(run_dir) == ours
    assert run_dir.read_bytes("best.safetensors", 100) == b"weights"
    assert settle(partial_of(run_dir), run_dir, failed) == ours
    assert [path.name for path in run_dir.path.parent.iterdir()] == ["fold1-seed0"]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"state": "finished"}',
        json.dumps(outcome().to_dict() | {"confusion": [[1, 2]]}),
        json.dumps(outcome().to_dict() | {"confusion": [["x", "y"], [1, 2]]}),
        json.dumps(outcome().to_dict() | {"confusion": [[10**30, 0], [0, 1]]}),
        json.dumps(outcome().to_dict() | {"banners": [["SELECTED"]]}),
        json.dumps(outcome().to_dict() | {"best_epoch": 10**400}),
        json.dumps(outcome().to_dict() | {"state": "odd"}),
        json.dumps(outcome().to_dict() | {"seconds": math.nan}),
        json.dumps(outcome().to_dict() | {"seconds": math.inf}),
        json.dumps(outcome().to_dict() | {"more": 1}),
    ],
)  # fmt: skip
def test_an_outcome_that_does_not_read_is_told_with_its_folder(tmp_path, text):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "outcome.json").write_text(text)
    with pytest.raises(
        OusError, match=r"outcome.json' is not a readable outcome \(.*\); remove the directory '.*run'"
    ):
        read_outcome(OwnDir.of(tmp_path) / "run")
    (tmp_path / "run" / "outcome.json").unlink()
    with pytest.raises(OusError, match="is not a readable outcome"):
        read_outcome(OwnDir.of(tmp_path) / "run")


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    run_dir = OwnDir.of(tmp_path / "out") / "full" / "fold1-seed0"
    with hold(tmp_path / "out", IDENTITY, {}, PLAN):
        settle(partial_of(run_dir), run_dir, outcome())
        partial_of(run_dir).make()
    (tmp_path / "out" / ".0011223344556677.partial").write_text("{")
    with hold(tmp_path / "out", IDENTITY, {}, PLAN):
        assert [path.name for path in run_dir.path.parent.iterdir()] == ["fold1-seed0"]
        assert not (tmp_path / "out" / ".0011223344556677.partial").exists()


def enter(out, identity=None, request=None):
    with hold(out, identity or IDENTITY, request or {}, PLAN):
        pass


def test_what_is_asked_may_change_and_is_kept(tmp_path):
    for seeds in ([0, 1, 2], [0]):
        enter(tmp_path, request={"seeds": seeds})
        assert json.loads((tmp_path / GRID_FILE).read_text()) == {
            **IDENTITY, "asked": {"seeds": seeds}, "plans": [{"plan": PLAN, "num_outcomes": 0}],
        }  # fmt: skip


def test_a_folder_that_is_held_is_refused_until_it_is_free(tmp_path):
    with (
        hold(tmp_path, IDENTITY, {}, PLAN),
        pytest.raises(OusError, match="is in use by another ablate; wait"),
    ):
        enter(tmp_path)
    enter(tmp_path)


def ran(out):
    """A run has begun in the folder."""
    partial_of(OwnDir.of(out) / "row" / "fold1-seed0")


def test_a_folder_in_which_no_run_has_begun_takes_another_grid(tmp_path):
    enter(tmp_path)
    other = {**IDENTITY, "cache": {"fingerprint": "g"}}
    enter(tmp_path, other)
    assert json.loads((tmp_path / GRID_FILE).read_text())["cache"] == {"fingerprint": "g"}
    with pytest.raises(ConfigError, match="another grid"):
        enter(tmp_path, {"not": "ours"})


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(
        ConfigError,
        match=r"^--out '/proc/grid' cannot be created: No such file or directory; give another place\.$",
    ):
        enter(Path("/proc/grid"))


def test_another_grid_is_refused_with_its_differences(tmp_path):
    enter(tmp_path)
    ran(tmp_path)
    other = {**IDENTITY, "cache": {"fingerprint": "g", "num_done": 40}}
    expected = r'the grid of the directory: cache.fingerprint: "g" here, "f" there; cache.num_done: 40 here'
    with pytest.raises(ConfigError, match=expected):
        enter(tmp_path, other)
    many = {**IDENTITY, "rows": {f"row {n}": {"optim": {"lr": n}} for n in range(9)}}
    with pytest.raises(ConfigError, match=" and 5 more. Give another --out"):
        enter(tmp_path, many)
    enter(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
def test_a_damaged_grid_file_is_refused(tmp_path, text):
    (tmp_path / GRID_FILE).write_text(text)
    with pytest.raises(ConfigError, match=r"grid.json' cannot be read \(.*give another --out|another grid"):
        enter(tmp_path)


def test_what_no_ablate_has_made_is_refused_and_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(
        ConfigError, match="holds 'holiday.jpg', which no ablate has made; give a new directory"
    ):
        enter(tmp_path)
    with pytest.raises(ConfigError, match="holiday.jpg' is a file; give a directory"):
        enter(tmp_path / "holiday.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]

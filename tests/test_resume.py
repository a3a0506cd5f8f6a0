"""A training that is interrupted and continued equals one that is not, to the bit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

import cli
from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.config import override
from pipeline.errors import CheckpointError, ConfigError, FileError
from pipeline.own_dir import LockedError, OwnDir
from tests.tiny_cache import tiny_cache, tiny_meta
from tests.tiny_clip import PYTHONPATH
from trainer import resume, train
from trainer.checkpoint import load_checkpoint, origin_of
from trainer.presets import smoke
from trainer.run_directory import STATE_FILE, load_info
from trainer.training_state import LOCK_FILE, PREVIOUS_FILE, StateKeeper, restore_best

EPOCHS = 6
CONFIG = override(
    smoke(),
    [f"schedule.max_epochs={EPOCHS}", "model.dropout=0.2", "data.views=random", "optim.warmup_steps=2"],
)

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture(scope="module")
def whole(path, tmp_path_factory):
    """An uninterrupted run."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(path, run, CONFIG, device="cpu")
    return run


def records(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def interrupted(path, run, after, config=CONFIG):
    """Train, and stop after some epochs."""
    cancel = CancelToken()
    with pytest.raises(TaskCancelledError):
        train(
            path, run, config, device="cpu", cancel=cancel,
            on_epoch=lambda report: cancel.cancel() if report.epoch == after else None,
        )  # fmt: skip


def assert_equal(run, whole):
    """Assert that a run equals an uninterrupted one in everything but times and its place."""
    assert records(run) == records(whole)
    assert {entry.name for entry in run.iterdir() if not entry.name.startswith("events")} == {
        entry.name for entry in whole.iterdir() if not entry.name.startswith("events")
    }
    for name in ("best.safetensors", "scenes.safetensors", "config.toml", "training_clips.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert replace(load_info(run), cache_from_run="") == replace(load_info(whole), cache_from_run="")
    events = EventAccumulator(str(run)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, EPOCHS + 1))
    assert len(list(run.glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("after", range(1, EPOCHS))
def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(path, whole, tmp_path, after):
    run = tmp_path / "run"
    interrupted(path, run, after)
    epochs = []
    result = resume(run, cache=path, device="cpu", on_epoch=lambda report: epochs.append(report.epoch))
    assert epochs[-1] == EPOCHS
    assert epochs[0] <= after + 1
    assert (result.num_epochs, result.notes) == (EPOCHS, ())
    assert_equal(run, whole)


ALL_AT_ONCE = [
    "data.sampling=square_root",
    "losses.class_weights=effective",
    "losses.label_smoothing=0.1",
    "losses.targets=votes",
    "losses.logit_adjustment=0.5",
    "schedule.select=uar",
    "data.mixup=0.3",
    "optim.name=adamw",
    "optim.weight_decay=0.05",
    "schedule.decay=cosine",
]


def test_a_training_with_weights_votes_and_drawn_clips_is_resumed_to_the_bit(tmp_path):
    votes = (
        np.full((48, 3), 0.2, np.float32) + np.float32(0.4) * np.eye(3, dtype=np.float32)[np.arange(48) % 3]
    )
    path = tiny_cache(tmp_path / "feats.zarr", votes=votes)
    config = override(CONFIG, ALL_AT_ONCE)
    train(path, tmp_path / "whole", config, device="cpu")
    interrupted(path, tmp_path / "run", 3, config)
    resume(tmp_path / "run", device="cpu")
    assert_equal(tmp_path / "run", tmp_path / "whole")
    assert load_info(tmp_path / "run").selected_by == "uar"


def test_a_state_of_a_version_without_selection_by_a_number_is_resumed(path, whole, tmp_path):
    """Neither run.json nor the state of such a version has the later parts."""
    run = tmp_path / "run"
    interrupted(path, run, 3)
    values = json.loads((run / "run.json").read_text())
    assert values.pop("selected_by") == "loss"
    assert "selected_by" not in origin_of(load_info(run))
    (run / "run.json").write_text(json.dumps(values))
    with safe_open(run / STATE_FILE, "pt") as file:
        metadata = file.metadata()
    state = json.loads(metadata["ous_training"])
    del state["progress"]["best_chosen"]
    content = save(load((run / STATE_FILE).read_bytes()), metadata | {"ous_training": json.dumps(state)})
    (run / STATE_FILE).write_bytes(content)
    resume(run, device="cpu")
    assert_equal(run, whole)


def test_a_training_that_is_interrupted_three_times_equals_an_uninterrupted_one(path, whole, tmp_path):
    run = tmp_path / "run"
    interrupted(path, run, 1)
    for stop in (2, 4):
        cancel = CancelToken()
        with pytest.raises(TaskCancelledError):
            resume(
                run, device="cpu", cancel=cancel,
                on_epoch=lambda report, at=stop, token=cancel: token.cancel() if report.epoch >= at else None,
            )  # fmt: skip
    resume(run, device="cpu")
    assert_equal(run, whole)


@pytest.fixture
def one_state(monkeypatch):
    """Write the state once, after the first epoch, as if that took too long."""
    monkeypatch.setattr("trainer.training_task.StateKeeper", partial(StateKeeper, share=0.0))


@pytest.mark.usefixtures("one_state")
def test_a_state_that_is_older_than_the_best_model_continues_with_its_own(path, whole, tmp_path):
    best = load_info(whole).best_epoch
    assert best > 1, "the test needs a run that improves after its first epoch"
    run = tmp_path / "run"
    interrupted(path, run, EPOCHS - 1)
    assert load_checkpoint(run, torch.device("cpu")).info.best_epoch > 1
    assert epoch_of(run / "best.safetensors") > 1
    assert epoch_of(run / PREVIOUS_FILE) == 1
    restore_best(OwnDir.of(run), 1)
    assert epoch_of(run / "best.safetensors") == 1
    resume(run, device="cpu")
    assert_equal(run, whole)


def _killed(*_):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("one_state")
def test_a_resumed_training_keeps_the_best_model_of_its_state_too(path, whole, tmp_path, monkeypatch):
    """It ends between a better model and the state after it."""
    run = tmp_path / "run"
    interrupted(path, run, EPOCHS - 1)
    with monkeypatch.context() as patch:
        patch.setattr(StateKeeper, "after_epoch", _killed)
        with pytest.raises(KeyboardInterrupt):
            resume(run, device="cpu")
    assert (epoch_of(run / "best.safetensors"), epoch_of(run / PREVIOUS_FILE)) == (2, 1)
    resume(run, device="cpu")
    assert_equal(run, whole)


@pytest.mark.usefixtures("one_state")
def test_without_the_best_model_of_its_state_a_training_is_not_resumed(path, tmp_path):
    run = tmp_path / "run"
    interrupted(path, run, EPOCHS - 1)
    (run / PREVIOUS_FILE).unlink()
    with pytest.raises(CheckpointError, match="has no model of epoch 1, the best one of its state"):
        resume(run, device="cpu")


def epoch_of(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["ous"])["epoch"]


def test_a_finished_training_has_nothing_to_resume(whole):
    with pytest.raises(ConfigError, match=r"the training has ended \(schedule.max_epochs=6 reached\)"):
        resume(whole)


def test_a_sweep_stores_no_state(path, tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(TaskCancelledError):
        train(path, tmp_path / "run", CONFIG, device="cpu", is_resumable=False, cancel=cancel)
    assert STATE_FILE not in {entry.name for entry in (tmp_path / "run").iterdir()}
    with pytest.raises(ConfigError, match=f"the run has no {STATE_FILE}; train it again"):
        resume(tmp_path / "run")


@pytest.fixture
def stopped(path, tmp_path):
    interrupted(path, tmp_path / "run", 2)
    return tmp_path / "run"


def test_a_training_that_another_process_runs_is_not_resumed(stopped):
    with OwnDir.of(stopped).lock(LOCK_FILE), pytest.raises(LockedError):
        resume(stopped, device="cpu")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"meta": {"num_clips": 40}}, "clips_sha256"),
        ({"meta": {"dataset": "dfew"}}, "dataset"),
        ({"label": np.arange(48) % 2}, "clips_sha256"),
        ({"signal": 0.1}, "features"),
    ],
)
def test_other_clips_or_features_end_the_resumption(stopped, tmp_path, change, named):
    before = {entry.name: entry.read_bytes() for entry in stopped.iterdir()}
    meta = tiny_meta(**change.pop("meta", {}))
    other = tiny_cache(tmp_path / "other.zarr", meta, **change)
    with pytest.raises(ConfigError, match=rf"other clips or features than at the start .*{named}"):
        resume(stopped, cache=other, device="cpu")
    assert {entry.name: entry.read_bytes() for entry in stopped.iterdir()} == before


def test_a_changed_config_ends_the_resumption(stopped):
    text = (stopped / "config.toml").read_text()
    assert "weight_decay = " in text
    (stopped / "config.toml").write_text(re.sub(r"weight_decay = .*", "weight_decay = 10.0", text))
    with pytest.raises(CheckpointError, match=f"{STATE_FILE}' is not of the run that config.toml"):
        resume(stopped, device="cpu")


def test_the_state_of_another_run_is_rejected(path, stopped, tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(TaskCancelledError):
        train(path, tmp_path / "other", CONFIG, seed=1, device="cpu", cancel=cancel)
    (stopped / STATE_FILE).write_bytes((tmp_path / "other" / STATE_FILE).read_bytes())
    with pytest.raises(CheckpointError, match="is not of the run"):
        resume(stopped, device="cpu")


def test_a_moved_cache_is_recorded_in_the_run(stopped, path, tmp_path, whole):
    moved = Path(shutil.copytree(path, tmp_path / "elsewhere" / "moved.zarr"))
    result = resume(stopped, cache=moved, device="cpu")
    assert result.info.cache_path.endswith("moved.zarr")
    assert load_checkpoint(stopped, torch.device("cpu")).info == load_info(stopped) == result.info
    assert records(stopped) == records(whole)


def test_without_room_for_the_state_the_training_continues_and_notes_it(path, whole, tmp_path, monkeypatch):
    write = OwnDir.write_bytes

    def write_bytes(place, name, content):
        if name == STATE_FILE:
            msg = "no space"
            raise FileError(msg)
        write(place, name, content)

    monkeypatch.setattr(OwnDir, "write_bytes", write_bytes)
    result = train(path, tmp_path / "run", CONFIG, device="cpu")
    assert result.notes == ("the training cannot be resumed, because its state is not stored: no space",)
    assert records(tmp_path / "run") == records(whole)


def test_on_a_file_system_without_locks_the_training_continues_and_notes_it(path, tmp_path, monkeypatch):
    def lock(*_):
        msg = "no locks"
        raise FileError(msg)

    monkeypatch.setattr(OwnDir, "lock", lock)
    result = train(path, tmp_path / "run", override(CONFIG, ["schedule.max_epochs=1"]), device="cpu")
    assert result.notes == ("the training cannot be resumed, because its state is not stored: no locks",)


def test_another_machine_is_in_the_notes(stopped, monkeypatch):
    monkeypatch.setattr("trainer.resumed_run.machine_of", lambda _: "cpu, 99 threads")
    (note,) = resume(stopped, device="cpu").notes
    assert "now cpu, 99 threads" in note
    assert "may differ" in note


def rewritten(content, change):
    """Return a state with other values in its metadata, or other tensors."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    values, tensors = json.loads(header["__metadata__"]["ous_training"]), load(content)
    change(values, tensors)
    return save(tensors, {"ous_training": json.dumps(values)})


def _changed(part, *keys, to):
    def change(values, tensors):
        target = values if part == "values" else tensors
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = to

    return lambda content: rewritten(content, change)


DAMAGES = {
    "cut": lambda content: content[: len(content) // 2],
    "no tensors": lambda content: b"no tensors",
    "format": _changed("values", "format", to=7),
    "rate": _changed("values", "progress", "lr", to="x"),
    "best epoch": _changed("values", "progress", "best_epoch", to=9),
    "steps": _changed("values", "reports", 0, "steps", to="x"),
    "epoch": _changed("values", "reports", 0, "epoch", to=4),
    "no epoch": _changed("values", "reports", to=[]),
    "loss": _changed("values", "reports", 0, "train", "loss", to="<b>"),
    "losses": _changed("values", "reports", 0, "train", "losses", to=[1]),
    "WAR": _changed("values", "reports", 0, "validation", "war", to="100%"),
    "logits": _changed("tensors", "best_logits", to=torch.zeros(1, 3)),
    "generator": _changed("tensors", "generator.order", to=torch.zeros(5056)),
    "Adam": _changed("tensors", "adam.0.step", to=torch.tensor(-100.0)),
    "NaN": _changed("tensors", "adam.0.exp_avg", to=torch.tensor(float("nan"))),
    "more": _changed("tensors", "surplus", to=torch.zeros(3)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_one_line_and_nothing_is_lost(stopped, damage):
    state = stopped / STATE_FILE
    content = state.read_bytes()
    assert damage(content) != content
    state.write_bytes(damage(content))
    best = (stopped / "best.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match=f"'.*{STATE_FILE}' .*Train the run again") as error:
        resume(stopped, device="cpu")
    assert "\n" not in str(error.value)
    assert (stopped / "best.safetensors").read_bytes() == best


def test_a_new_training_names_the_command_that_continues(path, stopped):
    with pytest.raises(ConfigError, match=r"\(an interrupted training\).*train --resume .*run"):
        train(path, stopped, CONFIG, device="cpu")


def test_the_command_resumes_and_rejects_settings_of_the_run(path, whole, stopped):
    def command(*options):
        return CliRunner().invoke(cli.app, ["train", "--resume", str(stopped), "--device", "cpu", *options])

    refused = command("--seed", "3", "--set", "optim.lr=1")
    assert "--resume" in str(refused.exception)
    assert "leave out --seed" in str(refused.exception)
    done = command("--cache", str(path), "--json")
    assert done.exit_code == 0, done.output
    assert_equal(stopped, whole)


_TRAIN = """
import sys
import torch
from tests.tiny_clip import modest_clip
from trainer import prompts, train
torch.set_num_threads(1)
prompts.load_clip_model = lambda _: modest_clip()
train(*sys.argv[1:], device="cpu", on_epoch=lambda report: print(report.epoch, flush=True))
"""


def test_a_killed_training_is_resumed(path, whole, tmp_path):
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", _TRAIN, path, run, whole / "config.toml"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": PYTHONPATH},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(3)] == ["1", "2", "3"]
        process.send_signal(signal.SIGKILL)
    resume(run, device="cpu")
    assert_equal(run, whole)

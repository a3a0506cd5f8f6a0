from unittest.mock import Mock

import numpy as np
import pytest

from pipeline import versions
from pipeline.types import Split
from pipeline.versions import VERSIONS
from tests.command_line import call
from tests.small_cache import IDENTITY
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer import epochs, train_command

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture
def trained(path, tmp_path, monkeypatch, capsys):
    """`cli.py train` of a small run: exit code, stdout, stderr (with lines unwrapped)."""

    def called(*more):
        given = ["--run", tmp_path / "run", "--preset", "smoke", "--device", "cpu"]
        given += [] if "--cache" in more else ["--cache", path]
        code, out, err = call(monkeypatch, capsys, "train", *given, *more)
        return code, out, " ".join(err.split())

    return called


def test_an_interrupted_run_keeps_its_best_epoch_and_says_so(trained, tmp_path, monkeypatch):
    def press(_report):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "_show_epoch", press)
    run = tmp_path / "run"
    code, _, told = trained()
    assert code == 130
    assert told == (
        f"stopped; {run} keeps the best epoch so far, and `cli.py evaluate {run}` measures it. "
        f"`cli.py train --resume {run}` continues."
    )


def test_an_interrupted_run_without_test_clips_is_measured_on_its_validation_clips(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(train_command, "_show_epoch", Mock(side_effect=KeyboardInterrupt))
    without_test = tiny_cache(tmp_path / "c.zarr", membership=np.full((48, 1), Split.TRAIN, dtype=np.uint8))
    code, _, told = trained("--cache", without_test)
    assert code == 130
    assert f"`cli.py evaluate {tmp_path / 'run'} --split validation` measures it" in told


def test_before_the_first_epoch_nothing_is_kept_and_it_says_so(trained, tmp_path, monkeypatch):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(epochs, "_train_epoch", press)
    code, _, told = trained()
    assert code == 130
    assert told == f"stopped in the first epoch; no model is kept; remove {tmp_path / 'run'}."


def test_a_profile_is_shown_and_written(trained, tmp_path):
    code, out, err = trained("--set", "schedule.max_epochs=2", "--set", "optim.batch_size=4", "--profile")
    assert code == 0, err
    assert "a step took" in out
    assert "text tower, backward" in out
    assert (tmp_path / "run" / "profile.json").is_file()


def test_features_of_another_algorithm_version_are_used_with_one_note(tmp_path, monkeypatch, capsys):
    config = {**tiny_meta().config, "detector": {"name": "haar"}}
    config |= {"streams": {"scene": "masked", "scene_fit": "letterbox"}}
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(config=config, identity=IDENTITY))
    quick = ["--preset", "smoke", "--set", "schedule.max_epochs=1", "--device", "cpu"]
    commands_on_it = (
        ["train", "--cache", cache, "--run", tmp_path / "run", *quick],
        ["evaluate", tmp_path / "run", "--device", "cpu"],
        ["cache", "info", cache],
    )

    def notes(arguments):
        code, out, err = call(monkeypatch, capsys, *arguments)
        assert code == 0, err
        return [line.strip() for line in (err + out).splitlines() if line.strip().startswith("note:")]

    assert notes(commands_on_it[2]) == []
    there, here = VERSIONS["tracks"], VERSIONS["tracks"] + 1
    monkeypatch.setattr(versions, "VERSIONS", {**VERSIONS, "tracks": here})
    made = f"made with tracks version {there}; this program makes tracks version {here}"
    found = [notes(arguments) for arguments in commands_on_it]
    assert found == [[f"note: '{cache}' was {made}"], [f"note: '{cache}' was {made}"], [f"note: {made}"]]

import sys

import pytest

import cli
from tests.tiny_cache import tiny_cache
from trainer import commands, train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture
def call(path, tmp_path, monkeypatch, capsys):
    """`cli.py train` in this process: exit code, stdout, stderr (with lines unwrapped)."""

    def called(*more):
        arguments = [
            "train",
            "--cache",
            path,
            "--run",
            tmp_path / "run",
            "--preset",
            "smoke",
            "--device",
            "cpu",
        ]
        monkeypatch.setattr(sys, "argv", ["cli.py", *map(str, arguments), *more])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        out = capsys.readouterr()
        return code, out.out, " ".join(out.err.split())

    return called


def test_an_interrupted_run_keeps_its_best_epoch_and_says_so(call, tmp_path, monkeypatch):
    def press(_report):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "_show_epoch", press)
    run = tmp_path / "run"
    code, _, told = call()
    assert code == 130
    assert told == f"stopped; {run} keeps the best epoch so far, and `cli.py evaluate {run}` measures it."


def test_before_the_first_epoch_nothing_is_kept_and_it_says_so(call, tmp_path, monkeypatch):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_train_epoch", press)
    code, _, told = call()
    assert code == 130
    assert told == f"stopped before the end of an epoch; nothing is kept, {tmp_path / 'run'} may go."


def test_a_profile_is_shown_and_written(call, tmp_path):
    code, out, err = call("--set", "schedule.max_epochs=2", "--set", "optim.batch_size=4", "--profile")
    assert code == 0, err
    assert "a step took" in out
    assert "text tower, backward" in out
    assert (tmp_path / "run" / "profile.json").is_file()

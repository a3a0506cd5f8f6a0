"""A disk that takes no more ends `train`, `evaluate`, `report` and `ablate` in one line, with whole files."""

import json
import resource
import subprocess

import pytest
import torch
from safetensors import safe_open

from pipeline.errors import OusError
from tests.command_line import call
from tests.tiny_cache import tiny_cache
from tests.tiny_grid import Heard, quick_spec
from trainer.ablate import SweepExecutorOptions, ablate
from trainer.checkpoint import load_checkpoint
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.report import report
from trainer.run_directory import CONFIG_FILE, load_config, load_info
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

FULL = "No space left on device; free some space, or give another place."
PAGE = 4096


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    cache = tiny_cache(folder / "feats.zarr")
    train(cache, folder / "run", smoke(), device="cpu")
    return folder


@pytest.fixture
def disk(tmp_path):
    """Makes a small disk, which takes so many pages."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def make(pages):
        options = f"size={pages * PAGE}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no disk may be mounted here")
        return folder

    yield make
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


@pytest.fixture
def small_files():
    """Sets the largest size of a file; what the system answers then is what it answers on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def pages(*files):
    return sum(-(-file.stat().st_size // PAGE) for file in files)


def fill(folder):
    """Leave no room on a disk."""
    with (folder / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(bytes(PAGE) for _ in range(1 << 20))


def refused(words, act, *arguments, **options):
    with pytest.raises(OusError) as caught:
        act(*arguments, **options)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def whole(folder):
    """Whether every file in a folder is a whole one, and none is left of those that were being written."""
    for path in folder.rglob("*"):
        assert not path.name.endswith(".partial"), path
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".jsonl":
            assert [json.loads(line) for line in path.read_text().splitlines()] != []
            assert path.read_text().endswith("\n")
    return True


def test_a_run_that_cannot_begin_leaves_nothing(made, disk):
    run = disk(2) / "run"
    refused(FULL, train, made / "feats.zarr", run, smoke(), device="cpu")
    assert not run.exists()


def test_a_run_whose_model_finds_no_room_has_none(made, disk):
    first = [made / "run" / name for name in (CONFIG_FILE, "run.json", "training_clips.json")]
    run = disk(pages(*first) + 8) / "run"
    words = f"'{run}/best.safetensors' cannot be written: {FULL} '{run}' holds no model; remove it."
    refused(words, train, made / "feats.zarr", run, smoke(), device="cpu")
    assert (load_config(run), load_info(run).best_epoch) == (smoke(), 0)
    assert whole(run)


def test_a_run_keeps_the_best_epoch_that_found_room(made, disk):
    run = disk(pages(*(made / "run").iterdir()) + 4) / "run"
    words = f"cannot be written: {FULL} '{run}' keeps the best epoch so far."
    refused(words, train, made / "feats.zarr", run, smoke(), device="cpu")
    load_checkpoint(run, torch.device("cpu"))
    with safe_open(run / "best.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["ous"])["epoch"] == load_info(run).best_epoch
    assert whole(run)


def test_the_same_without_a_disk(made, tmp_path, small_files):
    small_files((made / "run" / "best.safetensors").stat().st_size // 2)
    words = f"best.safetensors' cannot be written: File too large. '{tmp_path}/run' holds no model"
    refused(words, train, made / "feats.zarr", tmp_path / "run", smoke(), device="cpu")
    assert whole(tmp_path / "run")


def test_evaluate_and_report_write_all_of_their_files_or_none(made, disk, monkeypatch, capsys):
    folder = disk(pages(*(made / "run").iterdir()) + 8)
    subprocess.run(["cp", "-r", str(made / "run"), str(folder)], check=True)
    fill(folder)
    for command in (("evaluate", folder / "run"), ("report", folder / "run", "--out", folder / "out")):
        code, out, err = call(monkeypatch, capsys, *command, "--device", "cpu")
        assert (code, out) == (1, "")
        assert err.splitlines()[-1].startswith("error: '")
        assert err.endswith(f"cannot be written: {FULL}\n")
    assert not list(folder.rglob("confusion*"))
    assert not (folder / "out").exists()
    assert whole(folder)


def test_ablate_ends_in_one_line_and_goes_on_once_there_is_room(made, disk):
    folder = disk(8)
    options = SweepExecutorOptions(scheduler="sync")
    heard = Heard()
    arguments = (made / "feats.zarr", quick_spec(), folder / "grid", heard)
    try:
        found = ablate(*arguments, num_seeds=1, options=options)
        refused("failed, first", found.require_no_failure)
    except OusError as error:
        assert FULL in str(error)  # noqa: PT017 - either is right
    assert [one.state for one in heard.outcomes] == ["failed", "failed"]
    assert all(FULL in one.reason for one in heard.outcomes)
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    ablate(*arguments, num_seeds=1, options=options).require_no_failure()
    assert whole(folder)


def test_a_run_in_a_directory_that_is_read_only_is_refused_before_it_is_measured(made, disk, monkeypatch):
    folder = disk(pages(*(made / "run").iterdir()) + 100)
    subprocess.run(["cp", "-r", str(made / "run"), str(folder)], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    monkeypatch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured first"))
    words = "Read-only file system; give a place where you may write."
    refused(words, evaluate, folder / "run", device="cpu")
    refused(words, report, [folder / "run"], folder / "out", print, device="cpu")
    refused(words, train, made / "feats.zarr", folder / "new", smoke(), device="cpu")


@pytest.mark.parametrize("option", ["--run", "--out"])
def test_a_name_that_is_too_long_is_refused_in_one_line(made, tmp_path, monkeypatch, capsys, option):
    long = tmp_path / ("n" * 300)
    command = {
        "--run": ("train", "--cache", made / "feats.zarr", "--preset", "smoke"),
        "--out": ("report", made / "run"),
    }[option]
    code, _, err = call(monkeypatch, capsys, *command, option, long, "--device", "cpu")
    assert code == 2
    assert err.splitlines()[-1] == (
        f"error: {option} '{long}' cannot be created: File name too long; give a shorter name."
    )

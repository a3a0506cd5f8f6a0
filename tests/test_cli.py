import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import call
from tests.small_clips import write_clips
from tests.tiny_clip import modest_model

ROOT = Path(__file__).parents[1]
SMALL = ["--encoder", modest_model(), "--encoder-weights", "random", "--detector", "boxes", "--frames", "4"]
SMALL += ["--precision", "fp32", "--gpus", "0"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process: exit code, stdout, stderr (with lines unwrapped)."""

    return partial(call, monkeypatch, capsys)


@pytest.fixture(scope="module")
def no_drawing():
    """Figures are drawn here."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_clips(folder / "data", num_good=12)
    return folder


@pytest.mark.parametrize("before", [None, "", "1"])
def test_a_command_leaves_the_environment_of_its_process_as_it_was(run, monkeypatch, before):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if before is not None:
        monkeypatch.setenv("PYTHONSAFEPATH", before)
    variables = dict(os.environ)
    assert run("cache", "info", "nowhere.zarr")[0] == 1
    assert dict(os.environ) == variables


def test_the_main_way_from_clips_to_a_measured_model(run, data, monkeypatch):
    monkeypatch.chdir(data)
    code, out, err = run("extract", "--dataset", "manifest", "--root", "data", *SMALL, "--json")
    document = json.loads(out)
    assert code == 0, err
    assert document["counts"] == {"pending": 0, "done": 11, "done_without_face": 1, "failed": 2}
    assert document["cache"] == "feats.zarr"
    assert "RANDOM ENCODER WEIGHTS" in document["warnings"][0]
    code, out, err = run("cache", "verify", "feats.zarr", "--sample", "1")
    assert code == 0, out
    assert "1 clip recomputed" in out
    assert "RANDOM ENCODER WEIGHTS" in out
    assert "nothing wrong" in out
    quick = ["--set", "schedule.max_epochs=2", "--set", "data.validation=train", "--device", "cpu"]
    no_polarity = ["--set", "data.polarity_map=rage:negative"]
    code, out, err = run("train", "--preset", "smoke", *quick, *no_polarity, "--json")
    assert code == 0, err
    trained = json.loads(out)
    assert trained["run_dir"] == "runs/feats-fold1-seed0"
    assert "epoch   1" in err
    code, out, err = run("evaluate", trained["run_dir"], "--json", "--device", "cpu")
    measured = json.loads(out)
    assert code == 0, err
    assert measured["num_clips"] == int(np.sum(measured["confusion"])) == 7
    assert (data / "runs/feats-fold1-seed0/confusion.png").stat().st_size > 5000
    code, out, err = run("evaluate", trained["run_dir"], "--device", "cpu")
    assert "!! RANDOM ENCODER WEIGHTS" in out
    assert "!! SELECTED ON TRAIN" in out
    assert "WAR" in out
    code, out, err = run("cache", "export", "feats.zarr")
    assert code == 0, err
    code, out, err = run("cache", "info", "feats.h5", "--json")
    assert json.loads(out)["classes"] == {"joy": 8, "rage": 6}


def test_strict_dry_run_limit_and_info(run, data, tmp_path, monkeypatch):
    monkeypatch.setenv("OUS_DATA", str(data))
    (data / "manifest").mkdir(exist_ok=True)
    cache = tmp_path / "c.zarr"
    base = ["extract", "--dataset", "manifest", "--root", data / "data", "--cache", cache, *SMALL]
    code, out, _ = run(*base, "--dry-run", "--json")
    assert (code, json.loads(out)["num_pending"], cache.exists()) == (0, 14, False)
    code, out, _ = run(*base, "--dry-run")
    assert "nothing was written" in out
    assert (run(*base, "--limit", "1")[0], cache.exists()) == (0, True)
    code, out, _ = run(*base, "--strict")
    assert code == 3
    assert "failed  clips/bad.mp4  open: not a readable video" in out
    code, out, _ = run("cache", "info", cache)
    assert "RANDOM" in out.splitlines()[0]
    assert "failed  clips/empty.mp4  open: the file is empty" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["extract", "--dataset", "dfew", "--gpus", "4"], 1, "No dataset at 'data/dfew'; give --root PATH"),
        (["extract", "--dataset", "nope"], 2, "--dataset is 'nope'; allowed: dfew, ferv39k, mafw, manifest"),
        (
            ["extract", "--dataset", "manifest"],
            1,
            "No dataset at 'data/manifest'; give --root PATH, or set .OUS_DATA",
        ),
        (
            ["extract", "--dataset", "manifest", "--scheduler", "slurm"],
            2,
            "--scheduler is 'slurm', which is not a file; allowed: sync",
        ),
        (["train", "--cache", "feats.zarr"], 1, "No cache at 'feats.zarr'; make one with"),
        (["train", "--preset", "best"], 2, "--preset is 'best'; allowed: default, paper, release, smoke"),
        (["train", "--set", "model.tfe=perhaps"], 2, "model.tfe is 'perhaps'; allowed: true, false"),
        (
            ["train", "--set", "model.nope=1"],
            2,
            "Unknown setting 'model.nope'; there are: model.architecture, model.scene",
        ),
        (["evaluate", "runs/none"], 1, "runs/none"),
        (["cache", "info", "none.zarr"], 1, "No cache at 'none.zarr'"),
        (
            ["faces", "x.jpg", "--detector", "yolo"],
            2,
            "--detector is 'yolo'; allowed: retinaface-resnet50, retinaface-mobilenet0.25, haar",
        ),
        (
            ["faces", "x.jpg", "--precision", "int8"],
            2,
            "--precision is 'int8'; allowed: auto, fp32, bf16",
        ),
        (["weights", "fetch", "nope"], 2, "'nope'; allowed: retinaface-resnet50"),
    ],
)
def test_wrong_input_is_one_line_and_an_exit_code(run, arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUS_DATA", raising=False)
    ended, out, err = run(*arguments)
    assert ended == code, err
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert re.search(message, line), line


@pytest.mark.parametrize("arguments", [["extract"], ["extract", "--dataset"], ["frobnicate"], ["evaluate"]])
def test_misuse_exits_with_2(run, arguments):
    assert run(*arguments)[0] == 2


@pytest.mark.parametrize(
    "command",
    [["demo"], ["extract"], ["faces"], ["weights", "list"], ["weights", "fetch"], ["train"], ["evaluate"],
     ["cache", "info"], ["cache", "verify"], ["cache", "export"]],
)  # fmt: skip
def test_every_help_shows_an_example(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert f"cli.py {' '.join(command)}" in " ".join(out.split())


def test_help_imports_nothing_heavy():
    heavy = {"torch", "zarr", "cv2", "av", "open_clip", "matplotlib", "numpy"}
    program = f"import sys, cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_it_is_executable():
    assert os.access(ROOT / "cli.py", os.X_OK)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        [ROOT / "cli.py", "--help"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_faces_tells_files_that_cannot_be_read(run, data, tmp_path):
    (tmp_path / "no.jpg").write_text("no picture")
    good = data / "data/clips/good0.mp4"
    options = ["--detector", "haar", "--precision", "fp32", "--draw", tmp_path, "--json"]
    code, out, err = run("faces", good, tmp_path / "no.jpg", *options)
    document = json.loads(out)
    first, second = document["files"]
    assert code == 1, err
    assert (document["detector"], document["precision"]) == ("haar", "fp32")
    assert second["error"] == "open: not a readable image"
    assert len(first["frames"]) == 9
    assert Path(first["drawn"]).stat().st_size > 1000


def test_weights_list_tells_what_is_here(run, tmp_path, monkeypatch):
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    _, out, _ = run("weights", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)["weights"]}
    assert not rows["clip-vit-l-14-openai"]["present"]
    (tmp_path / "ViT-L-14.pt").write_bytes(b"x")
    _, out, _ = run("weights", "list")
    assert re.search(
        r"^clip-vit-l-14-openai +here .*\n +licence MIT .*; size 0.0 MB; sha256 b8cca3f", out, re.M
    )


@pytest.mark.parametrize("more", [(), ("--blocks", "1/2")])
def test_a_held_lock_is_found_before_any_worker_starts(run, data, tmp_path, monkeypatch, more):
    from pipeline import runner
    from pipeline.store.lock import hold

    def started(*_args, **_more):
        pytest.fail("an executor was made")

    monkeypatch.setattr(runner, "make_executor", started)
    with hold(tmp_path / "c.zarr"):
        code, _, err = run(
            "extract",
            "--dataset",
            "manifest",
            "--root",
            data / "data",
            "--cache",
            tmp_path / "c.zarr",
            *SMALL,
            *more,
        )
    assert code == 1
    assert f"process {os.getpid()}, since " in err


def test_the_version_is_shown():
    command = [sys.executable, str(Path(__file__).parents[1] / "cli.py"), "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"ous (\d+\.\d+\.\d+|\(not installed\))\n", shown)

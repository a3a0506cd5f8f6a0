"""`data check` and `data sample` as a user types them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.sheet import read_picture
from tests.small_clips import write_clips
from tests.test_doctor_deep import clips_of

CLI = Path(__file__).parents[1] / "cli.py"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, CLI, "data", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_check_of_names_and_lists_needs_no_torch(tmp_path):
    command = ["cli.py", "data", "check", "--dataset", "folder", "--root", str(clips_of(tmp_path / "set"))]
    program = f"import atexit, sys, cli; sys.argv = {command}\n"
    program += "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\ncli.main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CLI.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "False\n"), done.stdout


def test_exit_codes_say_what_was_found(tmp_path):
    root = clips_of(tmp_path / "set")
    code, out, _ = run("check", "--dataset", "folder", "--root", root)
    assert (code, out.splitlines()[-1]) == (0, "0 errors, 0 warnings")
    shutil.copy(root / "joy/0.mp4", root / "joy/again.mp4")
    code, out, _ = run("check", "--dataset", "folder", "--root", root, "--json")
    report = json.loads(out)
    assert (code, report["warnings"]) == (3, 1)
    assert report["findings"][0]["cases"] == ["'joy/0.mp4' = 'joy/again.mp4'"]
    code, out, err = run("check", "--dataset", "folder", "--root", tmp_path / "none")
    assert (code, out, err.count("\n")) == (1, "", 1)
    code, _, err = run("check", "--dataset", "folder", "--root", root, "--source", "sideways")
    assert code == 2
    assert "allowed: auto, video, frames, crops" in err


@pytest.mark.slow
def test_ctrl_c_ends_a_deep_check_and_leaves_nobody_behind(tmp_path):
    root = tmp_path / "set"
    clips_of(root)
    for number in range(3000):
        (root / f"joy/link{number}.mp4").hardlink_to(root / f"joy/{number % 4}.mp4")
    doctor = subprocess.Popen(
        [sys.executable, CLI, "data", "check", "--dataset", "folder", "--root", root, "--deep"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: decoders_of(doctor.pid))
    decoders = decoders_of(doctor.pid)
    os.killpg(doctor.pid, signal.SIGINT)
    _, err = doctor.communicate(timeout=60)
    assert doctor.returncode == 130
    assert "stopped; the dataset is unchanged" in err
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in decoders))


def decoders_of(pid):
    children = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [child for path in children for child in path.read_text().split()]
    return [
        child
        for child in pids
        if b"pipeline.frames.decode_worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_sheet_is_written(tmp_path):
    write_clips(tmp_path / "set", num_good=2)
    out = tmp_path / "new" / "sheet.png"
    options = ["--dataset", "manifest", "--root", tmp_path / "set", "--detector", "boxes", "--out", out]
    code, answer, _ = run("sample", *options, "--per-class", "1", "--json")
    assert code == 0
    picture = read_picture(out)
    document = json.loads(answer)
    assert (document["width"], document["height"]) == (picture.shape[1], picture.shape[0])
    assert len(document["clips"]) == 2

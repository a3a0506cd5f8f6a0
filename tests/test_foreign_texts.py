"""Every command on somebody else's data sets, caches, runs, grids: no byte of theirs controls a terminal."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import call
from tests.tiny_cache import tiny_cache, tiny_meta
from tests.tiny_grid import outcome, quick_request, stored

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

HOSTILE = "\x1b[31m\x1b]0;t\x07\u202e\u2066\x9bm\r\n\t\u2028\u200b" + "e" + "\u0301" * 100
ACCEPTED = "joy\u202e\u2066\u200b\x9bm" + "e" + "\u0301" * 100
"""What a list of clips may hold: line ends and C0 control characters are rejected there."""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """A command's exit code, and every byte of its stdout and stderr as text, also of processes it starts."""

    def decoded(*arguments: object) -> tuple[int, str, str]:
        code, out, err = call(monkeypatch, capfdbinary, *arguments)
        return code, out.decode(), err.decode()

    return decoded


def require_printable(*texts: str) -> None:
    for text in texts:
        assert [line for line in text.split("\n") if not line.isprintable()] == []
        assert "\u0301" * 31 not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", HOSTILE],
        ["evaluate", "run", "--split", HOSTILE],
        ["evaluate", "run", f"--{HOSTILE}"],
        [HOSTILE],
        ["train", "--seed", HOSTILE],
        ["train", "--cache", HOSTILE],
        ["train", "--cache", f"s3://{HOSTILE}"],
        ["train", "--set", f"{HOSTILE}=1"],
        ["extract", "--dataset", HOSTILE],
        ["cache", "info", HOSTILE],
        ["cache", "verify", HOSTILE],
        ["data", "check", "--dataset", "folder", "--root", HOSTILE],
        ["weights", "fetch", HOSTILE],
        ["faces", HOSTILE, "--detector", "haar"],
        ["report", HOSTILE],
        ["ablate", "--spec", HOSTILE],
        ["ablate", "--table", "5", "--cache", HOSTILE],
        ["bench", "--only", HOSTILE],
    ],
)
def test_arguments_as_a_shell_makes_them_of_foreign_file_names(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code in (1, 2), err
    require_printable(out, err)


def _manifest(folder: Path) -> Path:
    folder.mkdir()
    rows = [
        {
            "path": f"{ACCEPTED}{n}.mp4",
            "clip_id": f"{ACCEPTED}{n}",
            "label": f"{ACCEPTED}{n % 2}",
            "fold": ACCEPTED,
        }
        for n in range(6)
    ]
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "split", ACCEPTED])
        writer.writeheader()
        for number, row in enumerate(rows):
            (folder / row["path"]).write_bytes(b"no video")
            writer.writerow({**row, "split": "train" if number < 4 else "test", ACCEPTED: "1"})
    return folder


def test_a_data_set(run, tmp_path):
    root = _manifest(tmp_path / "clips")
    quick = ["--dataset", "manifest", "--root", root]
    models = ["--encoder", "modest", "--encoder-weights", "random", "--detector", "haar"]
    for code, arguments in (
        (3, ["data", "check", *quick, "--deep"]),
        (3, ["data", "check", *quick, "--json"]),
        (0, ["extract", *quick, *models, "--cache", tmp_path / "feats.zarr", "--dry-run", "--gpus", "0"]),
    ):
        found, out, err = run(*arguments)
        assert found == code, err
        require_printable(out, err)


def test_a_data_set_with_control_characters(run, tmp_path):
    (tmp_path / "manifest.csv").write_text(f'path,label,split\n"a{HOSTILE}.mp4",joy,train\n')
    code, out, err = run("data", "check", "--dataset", "manifest", "--root", tmp_path)
    assert code == 1
    require_printable(out, err)


def test_a_cache(run, tmp_path):
    meta = tiny_meta(
        dataset=HOSTILE,
        fold_names=(HOSTILE,),
        warnings=(HOSTILE,),
        command_line=(HOSTILE, HOSTILE),
        packages={HOSTILE: HOSTILE},
    )
    path = tiny_cache(tmp_path / "feats.zarr", meta, clip_id=_names(meta.num_clips))
    for arguments in (
        ["cache", "info", path, "--all-clips"],
        ["cache", "info", path, "--json"],
        ["cache", "relabel", path],
        ["cache", "repair", path],
        ["cache", "export", path, "--to", tmp_path / "feats.h5"],
        ["cache", "info", tmp_path / "feats.h5"],
        ["ablate", "--table", "5", "--cache", path, "--out", tmp_path / "grid"],
    ):
        _, out, err = run(*arguments)
        assert out or err
        assert "Traceback" not in err
        require_printable(out, err)


def _names(number: int) -> np.ndarray:
    return np.array([f"{HOSTILE}{n}" for n in range(number)], dtype=object)


def test_a_run(run, tmp_path):
    run_dir = tmp_path / f"run{HOSTILE}".replace("/", "")
    run_dir.mkdir()
    (run_dir / "config.toml").write_text("")
    for text in (json.dumps({"cache_path": HOSTILE, HOSTILE: HOSTILE}), f'"{HOSTILE}', json.dumps([HOSTILE])):
        (run_dir / "run.json").write_text(text)
        for arguments in (["evaluate", run_dir], ["report", run_dir, "--out", tmp_path / "report"]):
            code, out, err = run(*arguments)
            assert code == 1
            require_printable(out, err)


def test_a_grid_and_its_page(run, tmp_path):
    request = quick_request(
        dataset=HOSTILE, folds=(HOSTILE,), all_folds=(HOSTILE, "2"), settings=(f"optim.lr={HOSTILE}",)
    )
    outcomes = [
        outcome("L_ce", HOSTILE, 0, (9, 8), class_names=(HOSTILE, f"{HOSTILE}2"), banners=(HOSTILE,)),
        outcome("L_ce", HOSTILE, 1, (9, 8), state="failed", reason=HOSTILE, left_out=(HOSTILE,)),
    ]
    out_dir = stored(tmp_path / "grid", request, outcomes)
    code, out, err = run("report", out_dir, "--out", tmp_path / "report")
    assert code == 0, err
    require_printable(out, err)
    for page in ("report.html", "report.md", "report.json"):
        require_printable((tmp_path / "report" / page).read_text())

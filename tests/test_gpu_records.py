"""The rows of the GPU benchmark's results, and the summary that is made of them."""

import json
import time
from pathlib import Path

import numpy as np

from benchmarks import page
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.records import Recorder, read_rows
from benchmarks.gpu_steps.summary import document_of, summary_lines, write_summary
from tests.stub_gpu_steps import ran, stub


def test_rows_are_complete_lines_of_the_last_run_of_each_step(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    for value in (1, 2):
        recorder = Recorder(path, "a", time.time())
        recorder.state("started")
        recorder.measure("x", lambda value=value: {"value": value})
        assert path.read_text().endswith("\n")
    Recorder(path, "b", time.time()).state("skipped", seconds=0.0, reason="no time")
    with path.open("a") as file:
        file.write('{"step": "a", "measurem')
    assert [row.get("numbers", row.get("state")) for row in read_rows(path)] == [
        "started", {"value": 2}, "skipped"
    ]  # fmt: skip


def test_a_row_after_one_that_was_cut_off_is_whole(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    path.write_text('{"step": "a", "measurem')
    Recorder(path, "a", time.time()).numbers("x", {"value": np.float32(0.5), "count": np.int64(3)})
    assert [row["numbers"] for row in read_rows(path)] == [{"value": 0.5, "count": 3}]


def test_a_step_that_a_later_run_skips_keeps_its_results(tmp_path: Path) -> None:
    ran(tmp_path, stub("measures"))
    ran(tmp_path, stub("measures"), seconds=0)
    step = document_of(tmp_path)["steps"]["measures"]
    assert (step["state"], len(step["results"])) == ("done", 2)


def test_the_summary_names_states_errors_and_numbers(tmp_path: Path) -> None:
    ran(tmp_path, stub("measures"), stub("fails_once"))
    about = {
        "date": "2026-11-28T00:00:00", "commit": "abc", "versions": {"torch": "2", "python": "3"},
        "machine": {"cpu": "CPU", "cores": 2, "gpu": "NVIDIA X", "driver": "1.2"},
    }  # fmt: skip
    (tmp_path / "about.json").write_text(json.dumps(about))
    lines = write_summary(tmp_path)
    assert lines[0] == "NVIDIA X, CPU, 2 cores, driver 1.2; torch 2, Python 3; commit abc, 2026-11-28"
    assert lines[2].split() == ["step", "state", "seconds", "reason"]
    assert lines[4].split()[:2] == ["fails_once", "failed"]
    assert lines[-3:] == ["  before: value=1", "  wrong: ERROR ValueError: no such", "  after: value=2"]
    assert "  first [size=4]: value=1.235" in lines
    document = json.loads((tmp_path / "gpu.json").read_text())
    assert document["machine"] == about["machine"]
    assert document["steps"]["fails_once"]["reason"] == "see its errors below"
    assert summary_lines(document) == lines
    assert "| fails_once | before | | value 1 |" in page.gpu_table(document)


def test_a_line_that_is_no_row_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    path.write_text('[1]\n3\n{"a": 1}\n{"step": "setup", "state": "done"}\n')
    assert read_rows(path) == [{"step": "setup", "state": "done"}]

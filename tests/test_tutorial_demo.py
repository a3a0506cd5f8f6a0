"""Tutorial 1: its commands run, and twins have one answer by the face."""

import csv
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.datasets.synthetic import SyntheticConfig
from trainer import demo
from trainer.presets import smoke

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/tutorials/1-the-demo.md"


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_has_a_command_for_every_step():
    names = [command.split()[1] for command in commands()]
    assert names == ["cache", "evaluate", "evaluate", "report", "predict", "predict"]


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run_on_a_small_demo(tmp_path, monkeypatch):
    """With fewer clips and one epoch; another pair of twins stands for that of the page."""
    monkeypatch.setattr(
        demo, "smoke", lambda: replace(smoke(), schedule=replace(smoke().schedule, max_epochs=1))
    )
    demo.run_demo(
        tmp_path / "demo-out",
        say=lambda text: None,
        bar=lambda name, total: lambda amount: None,
        on_epoch=lambda epoch: None,
        clips=SyntheticConfig(num_clips=30, num_frames=8),
    )
    twins: dict[str, list[str]] = {}
    for row in rows(tmp_path / "demo-out/clips/truth.csv"):
        if row["ambiguous"] == "1":
            twins.setdefault(row["performance"], []).append(row["clip_id"])
    first, second = next(pair for pair in twins.values() if len(pair) == 2)
    for command in commands():
        words = shlex.split(command.replace("clip_012", first).replace("clip_320", second))
        words[0] = str(ROOT / "cli.py")
        ran = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, f"{command}\n{ran.stderr}"
    assert (tmp_path / "demo-report/report.html").is_file()
    one, other = (rows(tmp_path / name / "windows.csv")[0] for name in ("twin-1", "twin-2"))
    face_only = [name for name in one if name.startswith("face_run_p_")]
    assert len(face_only) == 7
    assert [one[name] for name in face_only] == [other[name] for name in face_only]

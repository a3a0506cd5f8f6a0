"""Tutorial 2, with 28 drawn clips for the reader's videos, a tiny encoder, and one epoch."""

import csv
import json
import shutil

import pytest

from tests.drawn_run import write_drawn
from tests.tutorial_pages import ROOT, TUTORIALS, PageFile, commands, follow, prepare, steps

PAGE = TUTORIALS / "2-your-clips.md"
SMALL = "--encoder modest --encoder-weights random --detector haar --frames 4 --precision fp32"
QUICK = "--set schedule.max_epochs=1"


def test_the_page_has_a_command_for_every_step():
    names = [" ".join(command.split()[1:3]) for command in commands(PAGE)]
    assert [name.split()[0] for name in names] == [
        *["make_manifest.py", "data", "weights", "weights", "data", "extract", "extract", "cache"],
        *["train", "evaluate", "ablate", "report"],
    ]


def test_the_computed_time_is_that_of_the_record():
    recorded = json.loads((ROOT / "benchmarks/results/bench-cpu.json").read_text())
    pipeline = recorded["parts"]["pipeline"]
    seconds = 1 / pipeline["retinaface-resnet50, untrained"]["pictures_per_second"]
    page = " ".join(PAGE.read_text().split())
    assert f"an image took {seconds:.2f} s ({pipeline['clips']} clips, " in page
    assert f"**about {50 * 32 * seconds / 60:.0f} minutes**" in page


@pytest.mark.parametrize("people", [5, 6, 11])
def test_the_script_of_the_page_tests_each_clip_and_person_once(tmp_path, monkeypatch, people):
    (script,) = [step for step in steps(PAGE) if isinstance(step, PageFile) and step.name.endswith(".py")]
    clips = [(f"{number}.mp4", "happy", f"p{number % people}") for number in range(3 * people)]
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("path", "label", "group"), *clips])
    (tmp_path / "clips").mkdir()
    monkeypatch.chdir(tmp_path)
    exec(compile(script.text, script.name, "exec"), {})  # noqa: S102
    with (tmp_path / "clips/manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    tested = [row for row in rows if row["split"] == "test"]
    assert len(rows) == 5 * len(clips)
    assert sorted(row["path"] for row in tested) == sorted(path for path, *_ in clips)
    assert all(len({row["fold"] for row in tested if row["group"] == f"p{n}"}) == 1 for n in range(people))


@pytest.mark.slow
def test_tutorial_2(tmp_path):
    """Nothing is downloaded: `weights list` stands for `weights fetch`."""
    write_drawn(tmp_path / "drawn")
    directory = prepare(tmp_path / "ous")
    shutil.copytree(tmp_path / "drawn/clips", directory / "clips")
    with (tmp_path / "drawn/manifest.csv").open(newline="") as file:
        rows = [
            (row["path"].removeprefix("clips/"), row["label"], f"person{number % 6}")
            for number, row in enumerate(csv.DictReader(file))
        ]
    with (directory / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "group"), *rows])
    extraction = "--root clips/manifest.csv --cache feats.zarr"
    stand_ins = {
        "weights fetch retinaface-resnet50": "weights list",
        "weights fetch clip-vit-l-14-openai": "weights list",
        "--out sheet.png": "--out sheet.png --detector haar",
        extraction: f"{extraction} {SMALL}",
        "--set optim.batch_size=8": f"--set optim.batch_size=8 {QUICK}",
        "--folds all --seeds 1": f"--folds all --seeds 1 {QUICK} --scheduler sync",
    }
    outputs = follow(PAGE, directory, stand_ins)
    assert (directory / "sheet.png").is_file()
    checked = next(out for line, out in outputs.items() if "data check" in line)
    assert "0 errors, 0 warnings" in checked
    assert "groups     6 named by the dataset" in next(out for line, out in outputs.items() if "info" in line)
    swept = next(out for line, out in outputs.items() if "ablate" in line)
    assert "clips of all 5 folds pooled" in swept
    assert "10 runs, 2 settings" in (directory / "report/report.md").read_text()

"""Tutorial 3, on drawn clips in DFEW's layout, with processes for GPUs and a script for SLURM."""

import json
import shutil
from itertools import cycle
from pathlib import Path

import pytest

from pipeline.datasets.dfew import SET as DFEW
from tests.drawn_run import write_drawn
from tests.official_trees import dfew_tree
from tests.tutorial_pages import ROOT, TUTORIALS, commands, follow, prepare

PAGE = TUTORIALS / "3-dfew.md"
SMALL = "--encoder modest --encoder-weights random --detector haar --frames 4 --precision fp32"
QUICK = "--preset smoke --set schedule.max_epochs=1 --set data.validation=train"


def write_sbatch(directory: Path) -> Path:
    """A stand-in for SLURM: runs the tasks of an array one after the other, with SLURM's variables."""
    directory.mkdir()
    program = directory / "sbatch"
    program.write_text(
        f"#!{shutil.which('python3')}\n"
        "import os, re, subprocess, sys\n"
        "options = [word for word in sys.argv[1:] if word.startswith('--array=')][:1]\n"
        "script, *arguments = [word for word in sys.argv[1:] if word not in options]\n"
        "array = re.search(r'--array=(\\d+)-(\\d+)', ' '.join(options) or open(script).read())\n"
        "first, last = map(int, array.groups())\n"
        "for task in range(first, last + 1):\n"
        "    variables = {'SLURM_ARRAY_TASK_ID': task, 'SLURM_ARRAY_TASK_COUNT': last - first + 1,\n"
        "                 'SLURM_SUBMIT_DIR': os.getcwd()}\n"
        "    environment = os.environ | {name: str(value) for name, value in variables.items()}\n"
        "    subprocess.run(['bash', script, *arguments], env=environment, check=True)\n"
    )
    program.chmod(0o755)
    return directory


def test_the_page_has_a_command_for_every_step():
    words = [command.removeprefix("CACHE=$PWD/dfew.zarr ").split() for command in commands(PAGE)]
    assert [word[0] if word[0] == "sbatch" else word[1] for word in words] == [
        *["data", "weights", "weights", "extract", "extract", "sbatch", "cache", "cache"],
        *["ablate", "sbatch", "report"],
    ]


def test_the_computed_costs_are_those_of_the_record():
    recorded = json.loads((ROOT / "benchmarks/results/bench-cpu.json").read_text())
    speed = recorded["parts"]["pipeline"]["retinaface-resnet50, untrained"]["clips_per_second"]
    num_clips = 11_697
    page = PAGE.read_text()
    assert f"| images to encode | {num_clips * 16 * 2:,} |" in page
    assert f"| about {num_clips / speed / 3600:.0f} hours |" in page
    assert f"{speed:.3f} clips/s" in page


@pytest.mark.slow
def test_tutorial_3(tmp_path):
    """Two folds of 28 drawn clips; two processes for four GPUs in the extraction, and two tasks for eight.

    The job array continues the extraction of the processes, which end after 14 clips.
    """
    drawn = cycle(sorted((write_drawn(tmp_path / "drawn") / "clips").glob("*.mp4")))
    directory = prepare(tmp_path / "ous")
    names = DFEW.published.class_names
    labels = {f"{number + 1:05d}": names[number % len(names)] for number in range(28)}
    ids = sorted(labels)
    splits = {"1": (ids[14:], ids[:14]), "2": (ids[:14], ids[14:])}
    dfew_tree(directory / "DFEW", labels, splits=splits, video=lambda path: shutil.copy(next(drawn), path))
    stand_ins = {
        "weights fetch retinaface-resnet50": "weights list",
        "weights fetch clip-vit-l-14-openai": "weights list",
        "--cache dfew.zarr --dry-run": f"--cache dfew.zarr --dry-run {SMALL}",
        "--cache dfew.zarr --gpus 4": f"--cache dfew.zarr --gpus 0 --workers 2 --limit 14 {SMALL}",
        "--array=1-8": "--array=1-2",
        "array.sbatch --dataset dfew": f"array.sbatch --gpus 0 {SMALL} --dataset dfew",
        "--seeds 3 --gpus 4": f"--seeds 1 --scheduler sync {QUICK}",
        'preset = "default"\n': "",
        "--array=1-5": "--array=1-2",
        "train.sbatch --preset default": f"train.sbatch {QUICK}",
    }
    outputs = follow(
        PAGE, directory, stand_ins, codes={"./cli.py data check": 3}, path=write_sbatch(tmp_path / "slurm")
    )
    array, training = (out for line, out in outputs.items() if "sbatch " in line)
    assert "dfew.zarr: 0 pending, 28 done" in array
    assert training.count("dfew, fold ") == 2
    info = next(out for line, out in outputs.items() if "cache info" in line)
    assert "fold 2     train 14, test 14" in info
    assert "  2/2  " in next(out for line, out in outputs.items() if "ablate" in line)
    report = (directory / "report/report.md").read_text()
    assert "74.10" in report, "the paper's numbers are beside ours"
    assert "SELECTED ON TRAIN" in report

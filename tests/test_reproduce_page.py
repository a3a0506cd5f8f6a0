"""docs/reproduce.md: its commands, numbers of runs and computed costs."""

import json
import re
import shlex
from pathlib import Path

import pytest

from pipeline.datasets.dfew import SET as DFEW
from pipeline.datasets.ferv39k import SET as FERV39K
from trainer.ablate.spec import table
from trainer.presets import paper

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reproduce.md").read_text()
COMMANDS = re.findall(r"^\./cli\.py ablate .+$", PAGE, re.MULTILINE)
NUM_RUNS = dict(re.findall(r"\| `--table (\d)` \| (\d+) \|", PAGE))


def options(command):
    words = shlex.split(command)
    return dict(zip(words[2::2], words[3::2], strict=True))


def test_every_table_of_the_paper_has_a_command_that_chooses_on_the_test_clips():
    found = [options(command) for command in COMMANDS]
    assert sorted(one["--table"] for one in found) == ["3", "4", "5", "6"]
    assert {one["--set"] for one in found} == {"data.validation=test"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_trains_the_stated_number_of_runs_of_the_preset_paper(command):
    given = options(command)
    spec = table(given["--table"])
    assert spec.preset == "paper"
    assert int(NUM_RUNS[given["--table"]]) == len(spec.rows) * int(given["--seeds"])
    assert spec.dataset == given["--cache"].removesuffix(".zarr")
    assert paper() in spec.configs(None, []).values(), "a row is the paper's best setting"


def test_the_reported_runs_are_rows_of_the_sweeps_with_the_papers_best_setting():
    tables = {options(command)["--out"]: options(command)["--table"] for command in COMMANDS}
    reported = re.findall(r"(runs/[\w-]+)/([\w-]+)/fold\d-seed\*", PAGE)
    assert len(reported) == 2
    for out, folder in reported:
        spec = table(tables[out])
        (row,) = [one for one in spec.rows if one.folder == folder]
        assert spec.configs(None, [])[row.name] == paper()
        assert row.paper.war in (74.103, 53.30)


def test_the_wars_of_table_3_are_whole_clips_of_one_test_set_alone():
    wars = [row.paper.war / 100 for row in table("3").rows]
    sizes = {clips for _, clips in DFEW.published.splits.values()} | {sum(DFEW.published.splits["1"])}
    fitting = [n for n in sizes if all(abs(round(war * n) / n - war) <= 0.5e-5 for war in wars)]
    assert fitting == [2340]
    counts = " | ".join(f"{DFEW.published.splits[fold][1]:,}" for fold in "12345")
    assert f"| test clips in the authors' list | {counts} |" in PAGE
    assert f"the published list has {FERV39K.published.splits['1'][1]:,}" in PAGE


def test_the_computed_costs_are_those_of_the_records():
    results = ROOT / "benchmarks/results"
    bench = json.loads((results / "bench-cpu.json").read_text())
    speed = bench["parts"]["pipeline"]["retinaface-resnet50, untrained"]["clips_per_second"]
    dfew, ferv39k = sum(DFEW.published.splits["1"]), FERV39K.published.num_clips
    text = " ".join(PAGE.split())
    assert f"about {dfew / speed / 3600:.0f} hours for the extraction of DFEW" in text
    assert f"about {ferv39k / speed / 3600:.0f} for FERV39k" in text
    epoch = json.loads((results / "epoch-cpu.json").read_text())
    hours = epoch["epoch_of_dfew_hours"]["on_the_cache"]
    assert f"up to {paper().schedule.max_epochs * hours:.0f} hours for one run of 60 epochs" in text
    assert f"FERV39k about {5.2 * ferv39k / dfew:.0f} GB" in text
    runs = sum(map(int, NUM_RUNS.values()))
    assert f"The {runs} runs below would take up to about {15 * runs} hours" in text
    tutorial = (ROOT / "docs/tutorials/3-dfew.md").read_text()
    assert f"about {60 * hours:.0f} minutes | computed" in tutorial
    step = json.loads((results / "training-step-cpu.json").read_text())["step"]["ms"]["fp32"]["median"] / 1e3
    minutes = step * epoch["epoch_of_dfew_hours"]["clips"] / int(epoch["options"]["batch"]) / 60
    earlier = f"{epoch['step_on_the_cache_seconds']:.2f} s"
    assert f"a step of {step:.2f} s in place of {earlier}, which is {minutes:.0f} minutes" in tutorial

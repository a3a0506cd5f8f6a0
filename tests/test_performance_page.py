"""The pages under docs show what was recorded, and nothing else."""

from pathlib import Path

import pytest

from benchmarks import page


@pytest.mark.parametrize("written", page.PAGES, ids=lambda path: path.name)
def test_a_page_shows_the_recorded_numbers(written: Path) -> None:
    text = written.read_text()
    assert page.rendered(text) == text, "write it anew: python -m benchmarks.page"


def test_every_table_has_its_place_on_one_page() -> None:
    texts = "".join(written.read_text() for written in page.PAGES)
    assert [texts.count(f"<!-- {name} -->") for name in page.TABLES] == [1] * len(page.TABLES)


RECORDED = {
    "machine": {"cpu": "CPU", "cores": 2, "gpu": ""},
    "versions": {"torch": "2", "python": "3"},
    "commit": "abc",
    "date": "2026-11-21T00:00:00",
    "goals": [
        {"what": "speed", "value": 1.234567, "at_least": 1, "aim": 2, "met": "yes", "rounds": [0.9, 1.3]},
        {"what": "bytes", "value": 3, "below": 200, "aim": 100, "met": "aim"},
    ],
}


def test_a_goal_is_shown_with_its_limits() -> None:
    assert page.goals_table(RECORDED).splitlines()[-2:] == [
        "| speed | 1.23 | 2: 0.9 to 1.3 | 1 | 2 | yes |",
        "| bytes | 3 | not recorded | at most 200 | 100 | aim |",
    ]


def test_a_missed_goal_is_named_and_an_invalid_one_is_not_judged() -> None:
    parts = {"pipeline": {"rounds": 1}}
    goals = [
        {"what": "whole pipeline / baseline script", "value": 2.78, "at_least": 4, "aim": 6, "met": "no"},
        {
            "what": "trainer's load / reading the same bytes raw",
            "value": 5.2,
            "at_least": 0.5,
            "aim": 0.8,
            "met": "aim",
        },
    ]
    assert page.goals_table({**RECORDED, "parts": parts, "goals": goals}).splitlines()[-4:] == [
        "| whole pipeline / baseline script | 2.78 | 1 | 4 | 6 | no |",
        "| trainer's load / reading the same bytes raw | 5.2 | not recorded | 0.5 | 0.8 | not valid |",
        "",
        "Not met: whole pipeline / baseline script: 2.78.",
    ]


def test_one_core_is_singular() -> None:
    machine = {"cpu": "CPU", "cores": 1, "gpu": ""}
    assert page.goals_table({**RECORDED, "machine": machine}).startswith("CPU, 1 core; torch 2,")


def test_parts_of_a_prediction_have_their_commits_and_machines() -> None:
    part = {name: RECORDED[name] for name in ("versions", "date")}
    result = {"kills": 10, "equal": 9}
    other = {**part, "commit": "def-dirty", "machine": {"cpu": "CPU", "cores": 1}, "result": {"ratio": 0.4}}
    recorded = {
        "kills": {**part, "commit": "abc", "machine": RECORDED["machine"], "result": result},
        "sharing": other,
    }
    first, _, _, _, *rows = page.predict_table(recorded).splitlines()
    assert first == "CPU, 2 cores; torch 2, Python 3 or CPU, 1 core; torch 2, Python 3."
    assert [row.rsplit(" | ", 1)[1] for row in rows] == ["def-dirty, 2026-11-21 |", "abc, 2026-11-21 |"]


def test_the_table_of_transfers_names_the_settings_and_no_full_model() -> None:
    options = {"seeds": 2, "preset": "smoke", "settings": ["model.tfe=false"]}
    rows = [{"row": "full", "trained_on": ["a", "b"], "war": [{"a": 0.5}, {"a": 0.7}]}]
    recorded = {**RECORDED, "options": options, "face_only_bound": {"a": 0.7}, "rows": rows}
    text = page.transfer_table(recorded)
    assert "2 seeds, preset smoke with `model.tfe=false`;" in text
    assert text.endswith("| a and b | face and scene | 60.0 ± 14.1 |")


def test_a_gpus_table_has_its_numbers_and_names_what_is_missing() -> None:
    result = {"measurement": "pass", "settings": {"batch": 64}, "numbers": {"images": 12.3456, "top": [1]}}
    skipped = {"measurement": "graph", "settings": {}, "skipped": "needs CUDA"}
    failed = {"measurement": "pass", "settings": {"batch": 512}, "error": "OutOfMemoryError: 2 GiB | 1 GiB"}
    steps = {
        "encoder": {"state": "done", "results": [result, failed, skipped]},
        "sweep": {"state": "cut off", "results": []},
    }
    assert page.gpu_table({**RECORDED, "steps": steps}).splitlines()[2:] == [
        "| step | measurement | settings | numbers |",
        "|---|---|---|---|",
        "| encoder | pass | batch 64 | images 12.35 |",
        r"| encoder | pass | batch 512 | not measured: OutOfMemoryError: 2 GiB \| 1 GiB |",
        "| encoder | graph | | not measured: needs CUDA |",
        "",
        "Steps without all their numbers: sweep (cut off).",
    ]


def test_a_table_may_have_one_recording_for_each_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    for name in ("gpu-b.json", "gpu-a.json", "gpu.json", "findings.json", "findings-validation.json"):
        (tmp_path / name).touch()
    assert [path.name for path in page.recordings("gpu")] == ["gpu.json", "gpu-a.json", "gpu-b.json"]
    assert [path.name for path in page.recordings("findings")] == ["findings.json"]
    assert page.recordings("bench-gpu") == []


def test_no_ceiling_is_shown_for_a_script_that_was_not_compared() -> None:
    parts = {"encode": {"matmul_ceiling_gflops": 400}, "baseline": {"not_compared": "random weights"}}
    assert "upper limit" not in page.goals_table({**RECORDED, "parts": parts})


def test_the_ceiling_tells_what_the_script_could_be_beaten_by() -> None:
    parts = {
        "encode": {"matmul_ceiling_gflops": 400, "gflop_per_picture": 100, "precision": "bf16"},
        "baseline": {"baseline_clips_per_second": 0.125},
    }
    recorded = {**RECORDED, "config": {"frames": {"num_frames": 8, "num_views": 1}}, "parts": parts}
    text = page.goals_table(recorded)
    assert "upper limit on this machine is 4.00 images/s" in text
    assert text.endswith("2.0 times the speed of the baseline script.")
    assert "clips/s" not in text
    recorded["parts"]["pipeline"] = {"retinaface-resnet50, untrained": {"clips_per_second": 0.25}}
    recorded["config"]["encoder"] = {"name": "ViT"}
    assert "`extract` with ViT and RetinaFace ResNet-50" in page.goals_table(recorded)
    assert ": 0.250 clips/s." in page.goals_table(recorded)

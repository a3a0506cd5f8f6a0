"""`benchmarks.baselines`: rows of a sweep beside the bound of a drawn set."""

import json

import pytest

from benchmarks.baselines import described, measured_row
from benchmarks.tables.results import baselines_table
from tests.tiny_grid import outcome, quick_request, stored
from trainer.ablate.load_results import read_sweep

FOUND = [
    outcome("L_ce", "1", 0, (8, 4)), outcome("L_ce", "1", 1, (10, 6)),
    outcome("L_global + TFE", "1", 0, (9, 9), facts=("C = 1",)),
    outcome("L_global + TFE", "1", 1, (7, 9), facts=("C = 10",)),
]  # fmt: skip


def truth(folder, clips):
    path = folder / "synthetic.json"
    counts = {"train": 40, "test": clips}
    path.write_text(json.dumps({"face_only_bound": 0.7, "chance": 0.5, "clips": counts}))
    return path


def grid(folder, found=FOUND, dataset="synthetic"):
    return read_sweep(stored(folder / "grid", quick_request(dataset=dataset), found))


def test_a_row_has_its_numbers_by_seed_and_the_seeds_above_the_bound(tmp_path):
    rows = [measured_row(row, 0.7) for row in grid(tmp_path).result.rows]
    assert rows[0]["war"] == {0: 0.6, 1: 0.8}
    assert rows[0]["war_mean"] == pytest.approx(0.7)
    assert rows[0]["war_std"] == pytest.approx(0.02**0.5)
    assert [row["seeds_above_the_bound"] for row in rows] == [1, 2]
    assert rows[1]["facts"] == ["C = 1 (1 of 2 runs)", "C = 10 (1 of 2 runs)"]


def test_the_bound_is_that_of_the_description_and_other_clips_are_rejected(tmp_path):
    assert described(truth(tmp_path, 20), grid(tmp_path)) == (0.7, 0.5, 20)
    with pytest.raises(ValueError, match=r"^the sweep is of synthetic, with \[20\] test clips; 140"):
        described(truth(tmp_path, 140), grid(tmp_path))
    with pytest.raises(ValueError, match="^the sweep is of tiny, "):
        described(truth(tmp_path, 20), grid(tmp_path / "other", dataset="tiny"))
    with pytest.raises(ValueError, match="^3 of 4 runs are finished; all are needed"):
        described(truth(tmp_path, 20), grid(tmp_path / "part", FOUND[:3]))


def test_the_table_draws_the_bound_in(tmp_path):
    rows = {row.name: measured_row(row, 0.7) for row in grid(tmp_path).result.rows}
    about = {
        "machine": {"cpu": "CPU", "cores": 2, "gpu": ""}, "versions": {"torch": "2", "python": "3"},
        "commit": "abc", "date": "2026-11-21T00:00:00", "banners": ["RANDOM ENCODER WEIGHTS: x"],
    }  # fmt: skip
    pair = {"first": "a", "second": "b", "mean": 0.1, "interval": [-0.1, 0.3], "shown": "no difference shown"}
    shown = baselines_table(
        about
        | {
            "rows": rows, "pairs": [pair], "preset": "smoke", "seeds": [0, 1], "clips": 20,
            "face_only_bound": 0.7, "chance": 0.5,
        }
    ).splitlines()  # fmt: skip
    assert "| L_ce | 70.0 ± 14.1 | 70.0 ± 14.1 | 1 of 2 | - |" in shown
    assert "| **best possible from faces alone** | **70.0** | **70.0** | | |" in shown
    assert "| a against b | +10.0 (-10.0 to +30.0) | no difference shown |" in shown
    assert shown[0].endswith("RANDOM ENCODER WEIGHTS.")

"""The benchmark of the version ``combined``: facts of its probes, differences and tables."""

import numpy as np
import pytest

from benchmarks.harder.design import CONFIG, kind_of
from benchmarks.harder.probes import facts
from benchmarks.harder.runs import compared, difference
from benchmarks.harder.tables import harder_tables
from pipeline.datasets.synthetic import all_bounds, plan_clips
from pipeline.datasets.synthetic.cues import KINDS
from pipeline.datasets.synthetic.plan import PAIRS


def test_a_difference_has_students_interval_over_common_seeds():
    found = difference({0: 0.5, 1: 0.6, 2: 0.7, 5: 0.0}, {0: 0.4, 1: 0.5, 2: 0.3, 4: 1.0})
    assert found["seeds"] == 3
    assert found["mean"] == pytest.approx(0.2)
    half = 4.302653 * np.std([0.1, 0.1, 0.4], ddof=1) / np.sqrt(3)
    assert found["interval"] == pytest.approx([0.2 - half, 0.2 + half])


def test_rows_are_compared_on_the_seeds_that_all_have():
    found = compared({"full": {"all": {0: 0.5, 1: 0.7, 2: 0.9}}, "other": {"all": {1: 0.6, 0: 0.6}}})
    assert found["rows"]["full"]["all"]["seeds"] == {0: 0.5, 1: 0.7}
    assert found["rows"]["full"]["all"]["mean"] == pytest.approx(0.6)
    assert found["against_full"]["other"]["all"]["mean"] == pytest.approx(0.0)
    with pytest.raises(ValueError, match="1 seeds are common to all rows"):
        compared({"full": {"all": {0: 0.5}}, "other": {"all": {0: 0.5}}})


def test_the_exclusive_ors_are_the_labels_and_their_parts_are_not():
    firsts = {first for first, _ in PAIRS}
    here = [clip for clip in plan_clips(CONFIG) if clip.ambiguous and clip.cues.kind in ("both", "gaze")]
    for name, agrees in (
        ("both agree (exclusive or)", 1.0),
        ("looks at flower or away from thorn", 1.0),
        ("flower or thorn, cue both", 0.5),
        ("warm or cold, cue both", 0.5),
        ("flower or thorn, cue gaze", 0.5),
        ("side of the gaze, cue gaze", 0.5),
    ):
        equal = [facts(clip)[name][1] == (clip.label in firsts) for clip in here if name in facts(clip)]
        assert np.mean(equal) == agrees, name


def test_bounds_by_kind_add_up_to_those_of_all():
    """A reading knows nothing of the kind of a clip, and yet it needs to know nothing: the sums agree."""
    clips = plan_clips(CONFIG)
    tests = [clip for clip in clips if clip.split == "test"]
    whole = all_bounds(clips)
    of_kind = {
        kind: all_bounds([clip for clip in clips if kind_of(clip) == kind]) for kind in ("clear", *KINDS)
    }
    for name in set(whole) - {"chance", "scene"}:
        total = sum(of_kind[kind_of(clip)][name] for clip in tests)
        assert total / len(tests) == pytest.approx(whole[name]), name


def test_the_tables_show_the_record():
    kinds = ("all", "clear", *KINDS)
    runs = {
        "full": {kind: {0: 0.8, 1: 0.9} for kind in kinds},
        "average pooling": {kind: {0: 0.7, 1: 0.86} for kind in kinds},
    }
    clips = plan_clips(CONFIG)
    record = {
        "bounds": {kind: all_bounds(clips) for kind in kinds},
        "subjects_chosen_without_boxes": {"none": {"clips": 4, "no face": 1, "subject": 3}},
        "probes": {
            "light": {
                "stream": "scene",
                "linear": 1.0,
                "linear by frame": 0.5,
                "mlp": 0.6,
                "mlp by frame": 0.7,
            }
        },
        "moment_by_most_certain_frame": 0.9,
        **compared(runs),
    }
    text = harder_tables(record, "About.")
    assert "| full | 85.0 ± 7.1 | 85 | 85 | 85 | 85 | 85 | 85 | 85 | |" in text
    assert "| average pooling | 78.0 ± 11.3 | 78 |" in text
    assert "| -7.0 (-45.1 to +31.1) |" in text
    assert "| light | scene | 100 | 50 | 60 | 70 |" in text
    assert "none: 3 of 4" in text
    assert "90%" in text
    assert "Ideal" not in text
    ideal = harder_tables({**record, "ideal": compared(runs)}, "About.")
    assert "ideal features" in ideal

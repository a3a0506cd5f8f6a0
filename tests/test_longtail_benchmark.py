from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import longtail, page
from pipeline.config import override
from pipeline.types import ClipRef, DatasetIndex, Split

NAMES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


@pytest.fixture
def index(tmp_path):
    """40 training and 20 test clips of each class."""
    clips = [
        ClipRef(
            clip_id=f"clip{number:03d}", path=f"{number}.mp4", label=number % 7,
            splits=(Split.TRAIN if number < 280 else Split.TEST,),
        )
        for number in range(420)
    ]  # fmt: skip
    return DatasetIndex(name="drawn", root=tmp_path, class_names=NAMES, fold_names=("1",), clips=tuple(clips))


def test_training_clips_are_thinned_and_test_clips_are_not(index):
    first, again, other = (longtail.thinned(index, seed) for seed in (0, 0, 1))
    counts = Counter((NAMES[clip.label], clip.splits[0]) for clip in first.clips)
    assert counts == {(name, Split.TRAIN): number for name, number in longtail.CLIPS_OF.items()} | {
        (name, Split.TEST): 20 for name in NAMES
    }
    assert first == again
    assert first != other


def test_votes_follow_the_posterior_and_most_of_them_give_the_label(index):
    many = replace(index, clips=tuple(replace(clip, label=1) for clip in index.clips))
    votes = np.array([clip.votes for clip in longtail.voted(many, 0).clips])
    p_CC = longtail.posterior(NAMES)
    assert p_CC.sum(axis=1) == pytest.approx(np.ones(7))
    assert (p_CC[1, 1], p_CC[1, 0]) == (0.62, 0.3)
    assert votes.sum(axis=1).tolist() == [10] * 420
    assert votes.mean(axis=0) / 10 == pytest.approx(p_CC[1], abs=0.02)
    for clip in longtail.voted(index, 0).clips:
        assert clip.votes[clip.label] == max(clip.votes)


def test_probabilities_of_the_posterior_have_no_error():
    drawn_N = np.arange(7)
    found = longtail.of_votes(np.log(longtail.posterior(NAMES)), drawn_N, NAMES)
    assert (found["kl"], found["ece"], found["total_variation"]) == pytest.approx((0, 0, 0), abs=1e-9)
    sure = longtail.of_votes(20 * np.eye(7), drawn_N, NAMES)
    mean = (6 * 0.62 + 0.9) / 7
    assert (sure["ece"], sure["accuracy"]) == pytest.approx((1 - mean, 1), abs=1e-6)
    assert sure["total_variation"] == pytest.approx(1 - mean, abs=1e-6)


def test_war_is_weighted_by_the_shares_of_the_training_clips():
    drawn_N = np.repeat(np.arange(7), 2)
    logits = np.eye(7)[drawn_N]
    logits[drawn_N == NAMES.index("disgust")] = np.eye(7)[0]
    found = longtail.of_tail(logits, drawn_N, NAMES)
    assert found["recall"]["disgust"] == 0
    assert (found["uar"], found["war"]) == pytest.approx((6 / 7, 1 - 3 / 183))


def test_the_rows_are_those_of_the_spec_on_the_small_model():
    rows = longtail.rows_of("tail")
    assert rows["plain"] == override(longtail.smoke(), longtail.SETTINGS)
    assert len(rows) == 9
    assert longtail.rows_of("votes")["votes"].losses.targets == "votes"


def test_rows_are_compared_within_seeds_and_shown_against_the_base():
    recall = dict.fromkeys(NAMES, 0.5)
    runs = {
        "plain": {
            0: {"uar": 0.5, "war": 0.6, "recall": recall},
            1: {"uar": 0.6, "war": 0.7, "recall": recall},
        },
        "other": {
            0: {"uar": 0.6, "war": 0.5, "recall": recall},
            1: {"uar": 0.8, "war": 0.6, "recall": recall},
        },
    }
    rows = longtail.compared(runs, "plain", ("uar", "war"))
    assert rows["other"]["uar"]["against"]["mean"] == pytest.approx(0.15)
    recorded = {
        "machine": {"cpu": "CPU", "cores": 2, "gpu": ""}, "versions": {"torch": "2", "python": "3"},
        "commit": "abc", "date": "2026-11-29", "options": {"seeds": 2}, "train": 164, "validation": 19,
        "training_clips": longtail.CLIPS_OF, "base": "plain", "rows": rows,
    }  # fmt: skip
    lines = page.tail_table(recorded).splitlines()
    assert lines[-2].startswith("| plain (base) | 55.0 ± 7.1 |  | 65.0 ± 7.1 |  | 50, 50, 50 |")
    assert lines[-1].startswith("| other | 70.0 ± 14.1 | +15.0 (")

import numpy as np
import pytest

from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from trainer.scene_effect import Flips, PairedPredictions, measure_scene_effect, vote_entropy

NAMES = ("joy", "fear", "anger")


def predictions(**changes) -> PairedPredictions:
    """Eight clips: 3 both right, 2 won, 1 lost, 1 from wrong to wrong, 1 wrong alike."""
    values = {
        "class_names": NAMES,
        "clip_ids": tuple("abcdefgh"),
        "label_N": np.array([0, 1, 2, 0, 0, 1, 1, 2]),
        "face_N": np.array([0, 1, 2, 1, 1, 1, 0, 0]),
        "full_N": np.array([0, 1, 2, 0, 0, 0, 2, 0]),
        "polarity_N": np.array([2, 0, 0, 2, 2, 0, 0, -1]),
    }
    return PairedPredictions(**{**values, **changes})


def flips(*, won, lost, both_right) -> Flips:
    return Flips(
        kind="all clips", num_clips=won + lost + both_right, both_right=both_right, won=won, lost=lost,
        moved=0, both_wrong=0,
    )  # fmt: skip


def test_every_clip_is_in_exactly_one_box():
    found = measure_scene_effect(predictions()).overall
    boxes = (found.both_right, found.won, found.lost, found.moved, found.both_wrong)
    assert boxes == (3, 2, 1, 1, 1)
    assert sum(boxes) == found.num_clips == 8
    assert found.net == pytest.approx(1 / 8)


def test_accuracy_of_the_full_model_is_that_of_the_face_plus_the_net_gain():
    generator = np.random.default_rng(0)
    label, face, full = generator.integers(0, 3, (3, 500))
    ids = tuple(str(n) for n in range(500))
    many = predictions(clip_ids=ids, label_N=label, face_N=face, full_N=full, polarity_N=np.zeros(500, int))
    found = measure_scene_effect(many)
    assert np.mean(full == label) == pytest.approx(np.mean(face == label) + found.overall.net)
    for box in ("won", "lost", "moved", "both_right", "both_wrong"):
        assert sum(getattr(row, box) for row in found.by_class) == getattr(found.overall, box)


@pytest.mark.parametrize(
    ("won", "lost", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 * 0.5**5),
        (9, 1, 2 * 11 / 1024),
        (1, 9, 2 * 11 / 1024),
        (4, 4, 1.0),
    ],
)
def test_mcnemars_test_is_exact(won, lost, expected):
    n = won + lost + 3
    label, face, full = np.zeros(n, int), np.zeros(n, int), np.zeros(n, int)
    face[:won] = 1
    full[won : won + lost] = 1
    ids = tuple(str(k) for k in range(n))
    found = measure_scene_effect(
        predictions(clip_ids=ids, label_N=label, face_N=face, full_N=full, polarity_N=np.zeros(n, int))
    )
    assert found.overall.p_value == pytest.approx(expected)


def test_flips_are_told_by_class_polarity_and_direction():
    found = measure_scene_effect(predictions())
    assert [(row.kind, row.num_clips, row.won, row.lost) for row in found.by_class] == [
        ("joy", 3, 2, 0),
        ("fear", 3, 0, 1),
        ("anger", 2, 0, 0),
    ]
    assert [row.kind for row in found.by_polarity] == [
        "positive polarity",
        "negative polarity",
        "unknown polarity",
    ]
    assert found.moves == (
        (("joy", "fear", "joy"), 2),
        (("fear", "fear", "joy"), 1),
        (("fear", "joy", "anger"), 1),
    )
    assert (found.won, found.lost) == (("d", "e"), ("f",))
    assert found.by_entropy == ()


def test_votes_part_the_clips_by_disagreement():
    votes = np.full((8, 3), np.nan, dtype=np.float32)
    votes[0] = 1, 0, 0
    votes[3] = 0.5, 0.5, 0
    votes[4] = 0.5, 0.25, 0.25
    np.testing.assert_allclose(vote_entropy(votes)[[0, 3, 4]], [0.0, 1.0, 1.5], atol=1e-6)
    assert np.isnan(vote_entropy(votes)[1])
    found = measure_scene_effect(predictions(votes_NC=votes))
    assert [(row.kind, row.num_clips, row.won) for row in found.by_entropy] == [
        ("votes 0 to 0.5 bits", 1, 0),
        ("votes 1 to 1.5 bits", 1, 1),
        ("votes 1.5 bits and more", 1, 1),
    ]


def test_the_report_reads_as_a_table():
    lines = lines_of(measure_scene_effect(predictions()))
    assert lines[1].split() == ["all", "clips", "8", "2", "1", "1", "+12.5%", "1"]
    assert lines[-1] == "McNemar's exact test: p = 1 for 2 clips won and 1 lost"
    assert to_json_values(measure_scene_effect(predictions()))["overall"]["gained"] == 2


def test_answers_of_different_numbers_of_clips_are_refused():
    with pytest.raises(ValueError, match="one of each kind per clip"):
        predictions(face_N=np.array([0]))


def test_polarity_that_follows_from_the_class_is_named_as_classes_merged():
    found = measure_scene_effect(predictions(polarity_N=np.array([2, 0, 0, 2, 2, 0, 0, 0])))
    assert found.polarity_of == to_json_values(found)["polarity_of"] == "class"
    assert [(row.kind, row.num_clips) for row in found.by_polarity] == [
        ("negative classes merged: fear, anger", 5)
    ]
    merged, (fear, anger) = found.by_polarity[0], found.by_class[1:]
    assert (merged.won, merged.lost) == (fear.won + anger.won, fear.lost + anger.lost)
    assert lines_of(found)[-2].startswith("Polarity: that of the class, because no clip has its own")


@pytest.mark.parametrize(
    "polarity", [[2, 1, 0, 2, 2, 1, 1, 0], [-1] * 8, [0] * 8, [2, -1, -1, 2, 2, -1, -1, -1]]
)
def test_polarities_that_merge_no_classes_or_all_have_no_rows(polarity):
    found = measure_scene_effect(predictions(polarity_N=np.array(polarity)))
    assert (found.polarity_of, found.by_polarity, found.polarity_note) == ("class", (), "")


def test_a_clip_with_a_polarity_of_its_own_makes_it_the_clips():
    found = measure_scene_effect(predictions())
    assert found.polarity_of == to_json_values(found)["polarity_of"] == "clip"
    assert found.polarity_note == "Polarity: given clip by clip."


def test_clips_of_few_groups_are_tested_by_group():
    """Twelve clips won, of two people: by clip that is no chance, by person it may be."""
    label, face = np.zeros(12, int), np.ones(12, int)
    values = {
        "clip_ids": tuple("abcdefghijkl"), "label_N": label, "face_N": face, "full_N": label,
        "polarity_N": np.zeros(12, int),
    }  # fmt: skip
    by_clip = measure_scene_effect(predictions(**values)).overall
    alone = measure_scene_effect(predictions(**values, group_N=np.arange(12))).overall
    by_group = measure_scene_effect(predictions(**values, group_N=np.arange(12) // 6)).overall
    assert (by_clip.p_value, by_clip.test) == (2 * 0.5**12, "McNemar's exact test")
    assert alone == by_clip
    assert (by_group.p_value, by_group.test) == (0.5, "exact sign-flip test over 2 groups of clips")
    assert to_json_values(by_group)["test"] == by_group.test


def test_the_interval_of_the_net_gain_has_the_true_gain_in_95_of_100_draws():
    generator = np.random.default_rng(0)
    won, lost, num = 0.25, 0.1, 60
    draws = generator.multinomial(num, [won, lost, 1 - won - lost], size=2000)
    inside = 0
    for wins, losses, same in draws.tolist():
        low, high = flips(won=wins, lost=losses, both_right=same).net_interval
        inside += low <= won - lost <= high
    assert 0.94 < inside / len(draws) < 0.97


def test_the_interval_of_the_net_gain_ends_where_gains_do():
    assert flips(won=3, lost=0, both_right=0).net_interval[1] == 1
    low, high = flips(won=0, lost=0, both_right=10).net_interval
    assert low == -high
    assert high > 0

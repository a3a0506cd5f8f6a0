"""Results with and without the clips whose face track may be of another person."""

import json

import numpy as np
import pytest

from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from pipeline.store.reader import FeatureCache
from pipeline.types import DOUBTFUL_NATS
from tests.people_cache import people_cache, people_meta
from tests.tiny_cache import CLASSES, tiny_cache
from tests.written_report import written_report
from trainer.doubtful_tracks import DoubtfulTracks, read_doubtful
from trainer.evaluation import evaluate
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

LABEL = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 2])
QUICK = ["schedule.max_epochs=1", "model.polarity=false"]


def among_six(*doubtful, group_N=None):
    return DoubtfulTracks.of(np.isin(np.arange(6), doubtful), LABEL, PREDICTED, CLASSES, group_N)


def test_rates_without_doubtful_tracks_by_hand():
    """Left: 0 as 0, 0 as 1, 1 as 1, 2 as 2."""
    found = among_six(1, 4)
    assert (found.num_doubtful, found.num_clips, str(found)) == (2, 6, "2 of 6")
    assert found.without.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.without.war == 3 / 4
    assert found.without.uar == pytest.approx((1 / 2 + 1 + 1) / 3)


def test_a_class_without_clips_left_is_no_part_of_uar():
    found = among_six(5, 2)
    assert found.without.recalls == (1.0, 1 / 2, None)
    assert found.without.uar == 3 / 4


def test_no_clips_may_be_left():
    assert among_six(*range(6)) == DoubtfulTracks(num_doubtful=6, num_clips=6, without=None)


def test_nothing_is_found_where_no_track_is_doubtful_or_this_is_not_known():
    assert among_six() is None
    assert DoubtfulTracks.of(None, LABEL, PREDICTED, CLASSES, None) is None


def test_intervals_are_over_the_groups_that_are_left():
    without = among_six(0, 1, 2, group_N=np.array([7, 7, 7, 3, 3, 4])).without
    assert without.groups.number_G.tolist() == [3, 4]
    assert without.groups.support_GC.tolist() == [[0, 2, 0], [0, 0, 1]]


def test_doubtful_is_below_the_margin_and_not_known_without_people(tmp_path):
    margin = np.full(48, np.inf, np.float32)
    margin[[3, 5, 9]] = [0, DOUBTFUL_NATS, np.nextafter(np.float32(DOUBTFUL_NATS), np.float32(0))]
    with FeatureCache.open(people_cache(tmp_path / "people.zarr", track_margin=margin)) as cache:
        assert read_doubtful(cache, np.array([9, 5, 4, 3])).tolist() == [True, False, False, True]
    with FeatureCache.open(tiny_cache(tmp_path / "plain.zarr")) as cache:
        assert read_doubtful(cache, np.array([9, 5])) is None


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A cache with doubtful tracks in clips 33 and 34 of 32 to 47, and in a training clip; two seeds.

    Beside it the same cache without doubtful test clips, and with nothing else.
    """
    folder = tmp_path_factory.mktemp("runs")
    margin = np.full(48, np.inf, np.float32)
    margin[[0, 33, 34]] = [0.1, 1.9, 0.0]
    people_cache(folder / "some.zarr", track_margin=margin)
    people_cache(folder / "none.zarr", track_margin=np.where(np.arange(48) < 32, 0.5, 2.0).astype(np.float32))
    people_cache(folder / "every.zarr", track_margin=np.zeros(48, np.float32))
    for seed in (0, 1):
        train(folder / "some.zarr", folder / f"seed{seed}", override(smoke(), QUICK), seed=seed, device="cpu")
    return folder


def by_hand(run_dir):
    """WAR and UAR of a run without clips 33 and 34, from its predictions of single clips."""
    measured = measure(run_dir, device="cpu")
    kept = ~np.isin(measured.row_N, [33, 34])
    label, right = (
        measured.scores.label_N[kept],
        (measured.scores.predicted_N == measured.scores.label_N)[kept],
    )
    assert len(label) == 14
    return right.mean(), np.mean([right[label == c].mean() for c in range(3)])


def test_evaluate_shows_both(runs):
    result = evaluate(runs / "seed0", device="cpu")
    written = json.loads((runs / "seed0/confusion.json").read_text())
    found = written["doubtful_tracks"]
    war, uar = by_hand(runs / "seed0")
    assert (found["num_doubtful"], found["num_clips"], found["without"]["num_clips"]) == (2, 16, 14)
    assert (found["without"]["war"], found["without"]["uar"]) == pytest.approx((war, uar))
    assert (written["num_clips"], written["war"]) == (16, result.metrics.war)
    lines = lines_of(result)
    start = lines.index(
        "  doubtful face tracks, which may be of another person: 2 of 16 clips; without them:"
    )
    assert [line.split()[:2] for line in lines[start + 1 : start + 3]] == [
        ["WAR", f"{war:.2%}"],
        ["UAR", f"{uar:.2%}"],
    ]


def test_evaluate_shows_nothing_of_test_clips_without_doubt(runs, tmp_path):
    """The training clips are doubtful; the plain cache does not record it."""
    for cache in (runs / "none.zarr", tiny_cache(tmp_path / "plain.zarr")):
        result = evaluate(runs / "seed0", cache=cache, device="cpu")
        assert result.doubtful_tracks is None
        assert "doubtful_tracks" not in to_json_values(result)
        assert not any("doubtful" in line for line in lines_of(result))


def test_evaluate_names_a_split_of_which_every_track_is_doubtful(runs):
    result = evaluate(runs / "seed0", cache=runs / "every.zarr", device="cpu")
    assert to_json_values(result)["doubtful_tracks"] == {"num_doubtful": 16, "num_clips": 16, "without": None}
    counts = "doubtful face tracks, which may be of another person: 16 of 16 clips"
    assert f"  {counts}; no clips are left without them" in lines_of(result)


def test_a_report_shows_both_over_seeds(runs, tmp_path):
    folders = [runs / "seed0", runs / "seed1"]
    made, html, markdown, document = written_report(folders, tmp_path)
    rates = np.array([by_hand(folder) for folder in folders])
    (row,) = made.run_rows
    found = row.summary_without_doubtful.by_fold["1"]
    assert (found["war"].mean, found["uar"].mean) == pytest.approx(tuple(rates.mean(axis=0)))
    (group,) = document["groups"]
    stored = group["summary_without_doubtful_tracks"]
    assert stored.keys() == {"by_fold"}
    assert stored["by_fold"]["1"]["war"] == pytest.approx(
        {"mean": rates[:, 0].mean(), "std": rates[:, 0].std(ddof=1), "n": 2}
    )
    assert [run["doubtful_tracks"]["num_doubtful"] for run in group["runs"]] == [2, 2]
    (line,) = [line for line in markdown.splitlines() if "2 of 16" in line]
    cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
    plain = row.summary.by_fold["1"]

    def shown(mean, std):
        return f"{100 * mean:.2f} ± {100 * std:.2f}"

    assert cells == [
        "ours", "1", "2 of 16",
        shown(plain["uar"].mean, plain["uar"].std), shown(plain["war"].mean, plain["war"].std),
        shown(rates[:, 1].mean(), rates[:, 1].std(ddof=1)),
        shown(rates[:, 0].mean(), rates[:, 0].std(ddof=1)),
    ]  # fmt: skip
    assert cells[3:5] != cells[5:]
    assert all("With and without doubtful face tracks, percent" in text for text in (html, markdown))
    assert "2 of 16" in html


@pytest.mark.parametrize("cache", ["none.zarr", "plain.zarr"])
def test_a_report_shows_nothing_where_no_test_clip_is_doubtful(runs, tmp_path, cache):
    if cache == "plain.zarr":
        tiny_cache(runs / cache)
    made, html, markdown, document = written_report([runs / "seed0"], tmp_path, cache=runs / cache)
    assert made.run_rows[0].summary_without_doubtful is None
    assert all("oubtful" not in text for text in (html, markdown, json.dumps(document)))


def test_a_report_has_the_mean_of_folds_without_doubtful_tracks(tmp_path):
    """Fold 1 has a doubtful test clip, fold 2 none."""
    margin = np.full(48, np.inf, np.float32)
    margin[3] = 0.5
    membership = np.ones((48, 2), np.uint8)
    membership[:16, 0] = membership[16:32, 1] = 3
    meta = people_meta(fold_names=("1", "2"))
    path = people_cache(tmp_path / "feats.zarr", meta, {"membership": membership}, track_margin=margin)
    for fold in (1, 2):
        train(path, tmp_path / f"fold{fold}", override(smoke(), QUICK), fold=fold, device="cpu")
    folders = [tmp_path / "fold1", tmp_path / "fold2"]
    made, _, markdown, document = written_report(folders, tmp_path / "out")
    first, second = (run.metrics_without_doubtful for run in made.runs)
    assert (first.num_clips, second.num_clips) == (15, 16)
    mean = document["groups"][0]["summary_without_doubtful_tracks"]["mean_of_folds"]
    assert mean["war"]["mean"] == pytest.approx((first.war + second.war) / 2)
    table = markdown[markdown.index("With and without doubtful face tracks") :].split("\n\n")[1].splitlines()
    assert [[cell.strip(" *") for cell in line.split("|")[1:4]] for line in table[2:]] == [
        ["ours", "1", "1 of 16"],
        ["ours", "mean of 2", "1 of 32"],
    ]

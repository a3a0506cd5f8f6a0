import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from pipeline.errors import ConfigError
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.config import TrainConfig
from trainer.pages.document import Table
from trainer.presets import smoke
from trainer.report import report
from trainer.report.scene import face_only, scene_section
from trainer.scene_effect import PairedPredictions, measure_scene_effect
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

FULL = ["schedule.max_epochs=1", "model.polarity=false"]
FACE = [*FULL, "model.scene=false"]


class Rows(HTMLParser):
    """The texts of a page's table rows."""

    def __init__(self, text):
        super().__init__()
        self.rows, self._cell = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self._cell = tag in ("td", "th")
        if self._cell:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self._cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self._cell = self._cell and tag not in ("td", "th")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Face-only and full runs of two folds, their clips with votes but for one; labels partly wrong."""
    folder = tmp_path_factory.mktemp("scene")
    votes = np.full((48, 3), [0.5, 0.5, 0], dtype=np.float32)
    votes[47] = np.nan
    membership = np.ones((48, 2), np.uint8)
    membership[24:, 0] = membership[:24, 1] = 3
    label = np.arange(48) % 3
    label[::4] = 0
    cache = tiny_cache(
        folder / "feats.zarr",
        tiny_meta(fold_names=("1", "2")),
        votes=votes,
        membership=membership,
        label=label.astype(np.int16),
    )
    for fold in (1, 2):
        for name, settings in (("face", FACE), ("full", FULL)):
            train(cache, folder / f"{name}{fold}", override(smoke(), settings), fold=fold, device="cpu")
    train(cache, folder / "full1-seed1", override(smoke(), FULL), seed=1, device="cpu")
    return folder


def write(run_dirs, out, **options):
    return report(run_dirs, out, lambda _: None, device="cpu", **options)


def with_config(pair, which, settings):
    run = getattr(pair, which)
    return replace(pair, **{which: replace(run, config=override(run.config, settings))})


def test_every_pair_that_differs_by_the_scene_alone_is_found(runs, tmp_path):
    names = ("face1", "full1-seed1", "full2", "face2", "full1")
    made = write([runs / name for name in names], tmp_path)
    pairs = {(pair.face.run_dir.name, pair.full.run_dir.name) for pair in made.pairs}
    assert pairs == {("face1", "full1"), ("face2", "full2")}
    assert "2 pairs, each with a test; the p values" in (tmp_path / "report.html").read_text()
    assert all(not pair.notes or pair.notes == ("Clips without votes: 1.",) for pair in made.pairs)


def test_without_a_pair_nothing_is_said_of_the_scene(runs, tmp_path):
    assert write([runs / "face1", runs / "full2"], tmp_path).pairs == ()
    assert "Effect of the scene" not in (tmp_path / "report.html").read_text()


def test_counts_are_those_of_the_answers_and_of_the_json(runs, tmp_path):
    made = write([], tmp_path, rigid=(runs / "face1", runs / "full1"))
    (pair,) = made.pairs
    face, full = (run.predicted_N == run.label_N for run in (pair.face, pair.full))
    (document,) = json.loads((tmp_path / "report.json").read_text())["scene"]
    overall = document["overall"]
    assert (overall["gained"], overall["lost"]) == (int((full & ~face).sum()), int((face & ~full).sum()))
    assert overall["net"] == pytest.approx(pair.full.metrics.war - pair.face.metrics.war)
    rows = Rows((tmp_path / "report.html").read_text()).rows
    html = (tmp_path / "report.html").read_text()
    assert "<details><summary>Clips that are won and lost</summary><ul>" in html
    assert f"Won, {overall['gained']}: " in html
    assert f"net of won and lost clips by class, in points: all clips {100 * overall['net']:+.1f}; " in html
    shown = ["all clips", "24", str(overall["gained"]), str(overall["lost"]), f"{100 * overall['net']:+.2f}"]
    assert shown in [row[:5] for row in rows]
    for kind in ([document["overall"]], document["by_entropy"]):
        for values in kind:
            low, high = (100 * end for end in values["net_interval"])
            row = next(row for row in rows if row[:2] == [values["kind"], f"{values['num_clips']}"])
            assert row[6] == f"{low:+.2f} to {high:+.2f}"
            assert low < 100 * values["net"] < high
    kinds = {row[0] for row in rows}
    assert {"positive polarity", "negative polarity", "votes 1 to 1.5 bits"} <= kinds
    num_kinds = sum(len(document[kind]) for kind in ("by_class", "by_polarity", "by_entropy"))
    text = (tmp_path / "report.html").read_text()
    assert f"the {num_kinds} p values below the first are not corrected for their number" in text
    ids = np.array(pair.full.clip_ids)
    assert document["gained"] == ids[full & ~face].tolist()
    assert document["verdict"] in (tmp_path / "report.md").read_text().replace("\\", "")
    assert (document["face_has"], document["full_has"]) == (["model.scene=false"], ["model.scene=true"])
    assert "The face-only run has model.scene=false; the full run has model.scene=true." in text
    assert f"{runs / 'full1'} against {runs / 'face1'}: {document['verdict']}" in lines_of(made)


def test_a_chosen_pair_tells_what_else_differs(runs, tmp_path):
    made = write([runs / "full1"], tmp_path, rigid=(runs / "face1", runs / "full1-seed1"))
    (pair,) = made.pairs
    assert len(made.runs) == 3
    assert "Seeds differ: 0 and 1." in pair.notes
    assert "The runs were trained or selected on different clips." in pair.notes
    other = with_config(pair, "face", ["model.tfe_blocks=1"])
    assert "The face-only run also has model.tfe_blocks=1, and the full run does not." in other.notes
    assert other.differences == (
        "The face-only run has model.scene=false, model.tfe_blocks=1; "
        "the full run has model.scene=true, model.tfe_blocks=2."
    )


def test_a_polarity_that_differs_with_the_scene_is_told(runs, tmp_path):
    (pair,) = write([], tmp_path, rigid=(runs / "face1", runs / "full1")).pairs
    together = "The runs differ by the scene and by the polarity, which is read from it."
    assert not any(together in note for note in pair.notes)
    both = with_config(pair, "full", ["model.polarity=true"])
    assert any(together in note for note in both.notes)
    assert not any(note.startswith("The face-only run also has") for note in both.notes)


def test_votes_are_explained_only_where_a_row_is_of_them(runs, tmp_path):
    (pair,) = write([], tmp_path, rigid=(runs / "face1", runs / "full1")).pairs
    without = replace(pair, found=replace(pair.found, by_entropy=()))
    for one, is_told in ((pair, True), (without, False)):
        tables = [block for block in scene_section([one], []).parts[0].blocks if isinstance(block, Table)]
        assert ("Votes: entropy" in tables[0].note) is is_told


def test_the_verdict_is_that_of_the_test(runs, tmp_path):
    (pair,) = write([], tmp_path, rigid=(runs / "face1", runs / "full1")).pairs

    differ = "These two runs differ, the full run is right on"

    def said(won, lost):
        overall = replace(pair.found.overall, won=won, lost=lost)
        return replace(pair, found=replace(pair.found, overall=overall)).verdict

    assert said(9, 1).startswith(f"{differ} more clips: 9 clips won and 1 lost")
    assert said(1, 9).startswith(f"{differ} fewer clips: 1 clip won and 9 lost")
    assert said(5, 4).startswith("No difference between these two runs is shown: 5 clips")


def test_pairs_that_cannot_be_held_against_each_other_are_refused_before_any_run_is_measured(
    runs, tmp_path, monkeypatch
):
    monkeypatch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured"))
    with pytest.raises(ConfigError, match=r"--rigid: '.*full1' is given twice; give a face-only run"):
        write([], tmp_path, rigid=(runs / "full1", runs / "face1" / ".." / "full1"))
    with pytest.raises(
        ConfigError, match="the first run, '.*full1', has model.scene=true; give the face-only"
    ):
        write([], tmp_path, rigid=(runs / "full1", runs / "face1"))
    with pytest.raises(ConfigError, match="the second run, '.*face2', has model.scene=false"):
        write([], tmp_path, rigid=(runs / "face1", runs / "face2"))
    with pytest.raises(ConfigError, match=r"'.*face1' \(fold 1\) and '.*full2' \(fold 2\) have different"):
        write([], tmp_path, rigid=(runs / "face1", runs / "full2"))


def test_a_config_without_the_scene_looks_at_none_of_it():
    config = face_only(TrainConfig())
    assert (config.model.scene, config.model.polarity) == (False, False)
    assert not config.has_similarity_loss
    assert not config.has_polarity_token


def test_every_form_of_the_report_shows_whose_polarity_it_is(runs, tmp_path):
    """The labels are partly wrong, so that polarity is the clips'; then it is made the classes'."""
    (pair,) = write([], tmp_path, rigid=(runs / "face1", runs / "full1")).pairs
    for name in ("report.html", "report.md"):
        assert "Polarity: given clip by clip." in (tmp_path / name).read_text()
    (document,) = json.loads((tmp_path / "report.json").read_text())["scene"]
    assert document["polarity_of"] == "clip"
    by_class = np.array([2, 0, 0])[pair.full.label_N]
    predictions = PairedPredictions(
        class_names=pair.full.info.class_names, clip_ids=pair.full.clip_ids, label_N=pair.full.label_N,
        face_N=pair.face.predicted_N, full_N=pair.full.predicted_N, polarity_N=by_class,
    )  # fmt: skip
    merged = replace(pair, found=measure_scene_effect(predictions))
    (table, *_) = [block for block in scene_section([merged], []).parts[0].blocks if isinstance(block, Table)]
    assert [row[0] for row in table.rows if "polarity" in row[0] or "merged" in row[0]] == [
        "negative classes merged: neutral, sadness"
    ]
    assert "Polarity: that of the class, because no clip has its own" in table.note
    assert to_json_values(merged)["polarity_of"] == "class"

import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from pipeline.config import override
from pipeline.display.text import lines as lines_of
from pipeline.errors import CheckpointError, ConfigError
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer import ensemble, transfer
from trainer.epochs import METRICS_FILE
from trainer.measured_clips import MeasureRequest, require_measurable
from trainer.presets import smoke
from trainer.report import report
from trainer.report.rows import row_labels
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

SEVEN = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
QUICK = ["schedule.max_epochs=2", "model.polarity=false"]
HOSTILE = "<script>alert(1)</script> | `x` \u202e& \"'\n# no heading"


class Seen(HTMLParser):
    """What a page holds: tags, addresses, texts of table rows, all visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.rows, self.text = set(), [], [], []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag == "tr":
            self.rows.append([])
        self._cell = tag in ("td", "th")
        if self._cell:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text.append(data)
        if self._cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = False


def write(runs, out, **options):
    """The report, its page as seen, its JSON."""
    made = report(runs, out, lambda _: None, device="cpu", **options)
    return made, Seen((out / "report.html").read_text()), json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A cache of no known data set, with two seeds of one setting and one run selected on test."""
    folder = tmp_path_factory.mktemp("tiny")
    cache = tiny_cache(folder / "feats.zarr")
    for name, seed, settings in (("a0", 0, []), ("a1", 1, []), ("b", 0, ["data.validation=test"])):
        train(cache, folder / name, override(smoke(), [*QUICK, *settings]), seed=seed, device="cpu")
    return folder


@pytest.fixture(scope="module")
def dfew(tmp_path_factory):
    """A cache that says it is DFEW's, with trained weights; a run on each of its five folds."""
    folder = tmp_path_factory.mktemp("dfew")
    meta = tiny_meta(
        dataset="dfew", class_names=SEVEN, fold_names=tuple("12345"), num_clips=70, encoder_weights="trained"
    )
    membership = np.ones((70, 5), np.uint8)
    for fold in range(5):
        membership[14 * fold : 14 * (fold + 1), fold] = 3
    cache = tiny_cache(folder / "feats.zarr", meta, membership=membership)
    one = ["schedule.max_epochs=1", "model.polarity=false"]
    for fold in range(1, 6):
        train(cache, folder / f"fold{fold}", override(smoke(), one), fold=fold, device="cpu")
    return folder


def test_warnings_come_first_and_say_of_how_many_runs(tiny, tmp_path):
    made, page, document = write([tiny / "a0", tiny / "b"], tmp_path)
    random = "RANDOM ENCODER WEIGHTS: these numbers say nothing about the method"
    assert made.banners == (random, "SELECTED ON TEST (1 of 2 runs)")
    texts = [text.strip() for text in page.text if text.strip()]
    body = texts[texts.index("!! " + random) :]
    assert body[1] == "!! SELECTED ON TEST (1 of 2 runs)"
    assert body[2].startswith("OUS on tiny")
    assert (tmp_path / "report.md").read_text().startswith(f"> **!! {random}**")
    assert lines_of(made)[0] == f"!! {random}"
    assert document["banners"] == list(made.banners)


def test_a_leak_is_rejected_or_marked_on_the_whole_page(tmp_path):
    sha256 = np.array([f"{row:064x}" for row in range(48)], dtype=object)
    sha256[40] = sha256[0]
    cache = tiny_cache(tmp_path / "feats.zarr", source_sha256=sha256)
    train(cache, tmp_path / "run", override(smoke(), QUICK), device="cpu")
    with pytest.raises(CheckpointError, match="'clip040' with 'clip000'.*--allow-leak"):
        write([tmp_path / "run"], tmp_path / "out")
    made, page, document = write([tmp_path / "run"], tmp_path / "out", allow_leak=True)
    banner = "LEAK: 1 of 16 test clips share footage with clips that the run has seen"
    assert banner in made.banners
    assert f"!! {banner}" in [text.strip() for text in page.text]
    assert banner in (tmp_path / "out/report.md").read_text()
    assert {row[0] for row in page.rows if row and row[0].startswith("ours")} == {"ours (LEAK)"}
    (group,) = document["groups"]
    assert (group["label"], banner in group["runs"][0]["banners"]) == ("ours (LEAK)", True)
    assert group["runs"][0]["leak"]["clips"] == ["clip040"]


def test_all_runs_that_cannot_be_measured_are_named_before_any_is_measured(tiny, tmp_path, monkeypatch):
    sha256 = np.array([f"{row:064x}" for row in range(48)], dtype=object)
    sha256[40] = sha256[0]
    leaky, gone = (tmp_path / name for name in ("leaky", "gone"))
    for seed, run in enumerate((leaky, gone)):
        place = tiny_cache(run.with_suffix(".zarr"), source_sha256=sha256)
        train(place, run, override(smoke(), QUICK), seed=seed, device="cpu")
    shutil.rmtree(tmp_path / "gone.zarr")
    monkeypatch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured"))
    out = tmp_path / "new" / "out"
    with pytest.raises(
        CheckpointError,
        match=r"^2 of 3 runs cannot be measured\. '.*leaky': 1 of the 16 test clips of .* 'clip040' with "
        r"'clip000'.*\. '.*gone': '.*gone' was trained on the cache '.*gone.zarr', which is not there\.",
    ):
        write([tiny / "a0", leaky, gone], out)
    with pytest.raises(CheckpointError, match="2 of 2 runs cannot be measured"):
        transfer([leaky, gone], [tmp_path / "leaky.zarr", tiny / "feats.zarr"], out, device="cpu")
    with pytest.raises(CheckpointError, match="2 of 3 runs cannot be measured"):
        ensemble([tiny / "a0", leaky, gone], out, device="cpu")
    with pytest.raises(CheckpointError, match="'clip040' with 'clip000'"):
        write([tiny / "a0", leaky], out)
    with pytest.raises(ConfigError, match=r"^'.*a0': fold is '7'; this cache has 1: 1\."):
        require_measurable(
            [MeasureRequest(run_dir=tiny / "a0", fold="7"), MeasureRequest(run_dir=tiny / "a1")]
        )
    assert not (tmp_path / "new").exists()


def test_many_runs_that_cannot_be_measured_are_all_named(tiny):
    requests = [MeasureRequest(run_dir=tiny / name, split="none") for name in ("a0", "a1", "b")]
    requests.append(MeasureRequest(run_dir=tiny / "missing"))
    with pytest.raises(CheckpointError, match=r"^4 of 4 runs .* Also: '.*missing'\.$") as caught:
        require_measurable(requests)
    assert len(str(caught.value).splitlines()) == 1


def test_every_row_of_a_setting_selected_on_test_says_so(tiny, tmp_path):
    made, page, document = write([tiny / "a0", tiny / "b"], tmp_path)
    labels = ["ours, smoke", "ours, smoke, data.validation=test (selected on test)"]
    assert [group["label"] for group in document["groups"]] == labels
    assert [row[0] for row in page.rows if row[0].startswith("ours")] == labels
    assert any(line.startswith(f"tiny, {labels[1]}: ") for line in lines_of(made))


FACE = ("model.polarity=false", "model.scene=false")


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ([("smoke", ("model.tfe=false",))], ["ours"]),
        ([("default", ()), ("default", FACE)], ["ours, default", "ours, default, face only"]),
        ([("smoke", ("a=1",)), ("smoke", ("a=1", "b=2"))], ["ours, smoke", "ours, smoke, b=2"]),
        ([("smoke", ("a=1",)), ("paper", ("a=2",))], ["ours, smoke, a=1", "ours, paper, a=2"]),
        ([("smoke", ())] * 3, ["ours, smoke", "ours, smoke (2)", "ours, smoke (3)"]),
        (
            [("smoke", ("a=1", "b=1", "c=1", "d=1")), ("smoke", ("a=2", "b=1", "c=3"))],
            ["ours, smoke, a=1, c=1, d=1", "ours, smoke, a=2, c=3"],
        ),
        (
            [("smoke", (*FACE, "c=1", "d=1", "e=1")), ("smoke", FACE)],
            ["ours, smoke, c=1, d=1, e=1", "ours, smoke"],
        ),
        (
            [("smoke", ("b=1", "c=1", "d=1", "e=1")), ("smoke", ())],
            ["ours, smoke, b=1, c=1, 2 other changes", "ours, smoke"],
        ),
    ],
)
def test_rows_are_named_by_the_changes_that_distinguish_them(settings, labels):
    assert row_labels(settings) == labels


def test_the_page_needs_nothing_from_outside(tiny, tmp_path):
    _, page, _ = write([tiny / "a0", tiny / "a1"], tmp_path)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed"})
    outside = [a for a in page.addresses if not a.startswith(("#", "data:image/png;base64,"))]
    assert outside == []
    assert sum(address.startswith("data:") for address in page.addresses) == 3  # two curves, one layout
    text = (tmp_path / "report.html").read_text()
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "report.json", "report.md"]


def test_the_pages_numbers_are_those_of_the_json(tiny, tmp_path):
    made, page, document = write([tiny / "a0", tiny / "a1"], tmp_path)
    (group,) = document["groups"]
    for run, data in zip(made.runs, group["runs"], strict=True):
        assert data["metrics"]["confusion"] == run.metrics.confusion.tolist()
    metrics = group["runs"][0]["metrics"]
    low, high = metrics["war_interval_95"]
    assert ["WAR", "16", f"{100 * metrics['war']:.2f}", f"{100 * low:.2f} to {100 * high:.2f}"] in page.rows
    assert f"95% intervals: {metrics['interval_method']}." in page.text
    for name, counts in zip(metrics["class_names"], metrics["confusion"], strict=True):
        assert [name, *map(str, counts)] in page.rows
    both = group["summary"]["by_fold"]["1"]["war"]
    (row,) = [row for row in page.rows if row[:2] == ["ours", "1"]]
    assert row[3] == f"{100 * both['mean']:.2f} ± {100 * both['std']:.2f}"
    assert row[-2:] == ["2", "16"]


def test_the_calibration_of_each_run_is_shown_with_the_reason_of_one_without_a_temperature(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "tiny")
    values = json.loads((tmp_path / "tiny/a0/run.json").read_text())
    fitted = values | {"temperature": 2.5, "ece_before": 0.2, "ece_after": 0.1, "not_calibrated": ""}
    (tmp_path / "tiny/a0/run.json").write_text(json.dumps(fitted))
    _, page, document = write([tmp_path / "tiny/a0", tmp_path / "tiny/a1"], tmp_path / "out")
    first, second = (run["calibration"] for run in document["groups"][0]["runs"])
    assert first["temperature"] == 2.5
    cells = ["fold 1, seed 0", f"{100 * first['ece']:.2f}", "2.5", f"{100 * first['ece_calibrated']:.2f}"]
    assert cells in page.rows
    assert ["fold 1, seed 1", f"{100 * second['ece']:.2f}", "-", "-"] in page.rows
    reason = "Fold 1, seed 1 has no temperature: 3 validation clips; 50 or more are needed."
    assert reason in " ".join(page.text)
    assert second["reason"] == "3 validation clips; 50 or more are needed"


def test_without_a_row_of_the_paper_nothing_stands_beside_ours(tiny, tmp_path):
    _, page, document = write([tiny / "a0"], tmp_path)
    assert "The paper has no numbers on 'tiny' to compare with." in page.text
    assert document["groups"][0]["paper_percent"] == {}
    assert not any("OUS, the paper" in row for row in page.rows)


def test_five_folds_have_a_mean_apart_from_single_folds_beside_the_paper(dfew, tmp_path):
    made, page, document = write([dfew / f"fold{fold}" for fold in range(1, 6)], tmp_path)
    assert made.banners == ()
    (group,) = document["groups"]
    recalls = dict(zip(SEVEN, (92.40, 75.23, 76.03, 74.33, 65.98, 0.00, 44.12), strict=True))
    ous = document["groups"][0]["paper_percent"]["table_1"][-1]
    assert (ous["uar"], ous["war"], ous["recalls"]) == (60.94, 74.10, recalls)
    printed = ["OUS, the paper", "as printed", "60.94", "74.10", *(f"{recalls[n]:.2f}" for n in SEVEN)]
    assert [*printed, "-", "-"] in page.rows
    assert ["OUS, the paper", "as printed", "60.94", "74.10"] in page.rows
    singles = [row for row in page.rows if row[0] == "ours" and row[1] in "12345"]
    assert [row[1] for row in singles] == list("12345")
    wars = [run["metrics"]["war"] for run in group["runs"]]
    (mean,) = [row for row in page.rows if row[:2] == ["ours", "mean of 5 ± over folds"]]
    assert mean[3] == f"{100 * np.mean(wars):.2f} ± {100 * np.std(wars, ddof=1):.2f}"
    (pooled,) = [row for row in page.rows if row[:2] == ["ours", "5 pooled"]]
    right = sum(np.trace(run["metrics"]["confusion"]) for run in group["runs"])
    assert pooled[3] == f"{100 * right / 70:.2f}"
    assert "one test set of 2,340 clips" in " ".join(page.text)


def test_folds_that_share_test_clips_have_a_mean_and_are_not_pooled(tmp_path):
    membership = np.ones((48, 2), np.uint8)
    membership[24:, 0] = membership[:26, 1] = 3
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(fold_names=("1", "2")), membership=membership)
    one = override(smoke(), ["schedule.max_steps=1", "model.polarity=false"])
    for fold, seed in ((1, 0), (2, 0), (1, 1), (2, 1)):
        train(cache, tmp_path / f"{fold}{seed}", one, fold=fold, seed=seed, device="cpu")
    folders = [tmp_path / name for name in ("10", "20", "11", "21")]
    _, page, document = write(folders, tmp_path / "out")
    over = [row[1] for row in page.rows if row[0] == "ours" and "mean" in row[1]]
    assert over == ["mean of 2 ± over folds", "mean of 2 ± over seeds"]
    assert not any("pooled" in cell for row in page.rows for cell in row)
    assert "ours: not pooled, 2 clips measured in several folds would count more than once." in page.text
    assert document["groups"][0]["clips_of_several_folds"] == 2
    assert document["groups"][0]["summary"]["pooled"] == {}


def test_four_folds_have_no_mean(dfew, tmp_path):
    made, page, document = write([dfew / f"fold{fold}" for fold in range(1, 5)], tmp_path)
    assert "ours: no mean of folds, 4 of 5 are here (1, 2, 3, 4)." in page.text
    assert not any("mean of" in cell for row in page.rows for cell in row)
    assert set(document["groups"][0]["summary"]) == {"num_runs", "by_fold"}
    assert not any("mean of" in line for line in lines_of(made))


def test_another_split_has_no_paper_beside_it_and_says_so_first(dfew, tmp_path):
    made, page, document = write([dfew / "fold1"], tmp_path, split="validation")
    assert made.banners == ("MEASURED ON THE VALIDATION SPLIT: no held-out test clips",)
    assert document["groups"][0]["paper_percent"] == {}
    assert not any("OUS, the paper" in row for row in page.rows)


def test_settings_are_told_by_the_nearest_preset_and_every_difference(tiny, tmp_path):
    _, page, document = write([tiny / "a0", tiny / "b"], tmp_path)
    first, second = document["groups"]
    assert first["preset"] == "smoke"
    assert first["changes"] == ["model.polarity=false", "schedule.max_epochs=2"]
    assert second["changes"] == ["data.validation=test", *first["changes"]]
    told = " ".join(page.text)
    assert "preset smoke with data.validation=test, model.polarity=false, schedule.max_epochs=2" in told
    run = first["runs"][0]
    assert run["cache_fingerprint"] in told
    assert f"Trained on {run['hardware']}, with {', '.join(run['packages'])}" in told
    assert run["hardware"].startswith("CPU, ")


def require_shown_and_harmless(page, out):
    """`HOSTILE` stands in a table as text, and nowhere as anything else."""
    assert "script" not in page.tags
    assert any("<script>alert(1)</script>" in cell for row in page.rows for cell in row)
    for name in ("report.html", "report.md"):
        text = (out / name).read_text()
        assert "<script" not in text
        assert "\u202e" not in text
        assert "\n# no heading" not in text


def test_hostile_names_are_shown_and_never_obeyed(tmp_path):
    names = (HOSTILE, "neutral", "sadness")
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(class_names=names, dataset=HOSTILE))
    run = tmp_path / HOSTILE.replace("/", "_")
    train(cache, run, override(smoke(), ["schedule.max_steps=1", "model.polarity=false"]), device="cpu")
    _, page, document = write([run], tmp_path / "out")
    require_shown_and_harmless(page, tmp_path / "out")
    markdown = (tmp_path / "out" / "report.md").read_text()
    tables = [line for line in markdown.splitlines() if line.startswith("| ") and "alert" in line]
    assert tables
    assert all("\\|" in line and "\\`x\\`" in line for line in tables)
    assert document["groups"][0]["class_names"][0] == HOSTILE


def test_curves_that_are_not_there_are_told_and_damaged_ones_refused(tiny, tmp_path):
    run = shutil.copytree(tiny / "a0", tmp_path / "run")
    (run / METRICS_FILE).unlink()
    _, page, _ = write([run], tmp_path / "out")
    assert f"No curves: '{run}' has no metrics.jsonl." in page.text
    for damaged in ("{", "[]", '{"epoch": 1}', '{"epoch": 1e999}', "\x00"):
        (run / METRICS_FILE).write_text(damaged)
        with pytest.raises(CheckpointError, match=r"metrics.jsonl' does not hold one epoch a line"):
            write([run], tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_refused_before_any_run_is_measured(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--out '.*file/out' cannot be created: Not a directory; give"):
        write([tiny / "a0"], tmp_path / "file" / "out")
    (tmp_path / "out" / "report.md").mkdir(parents=True)
    with pytest.raises(
        ConfigError, match=r"--out '.*out/report.md' is a directory; a regular file is needed\. Rem"
    ):
        write([tiny / "a0"], tmp_path / "out")


def test_a_spread_is_told_only_where_there_is_one(tiny, tmp_path):
    _, page, _ = write([tiny / "a0"], tmp_path)
    assert "Single folds, percent, one run each: no spread" in page.text
    _, page, _ = write([tiny / "a0", tiny / "a1"], tmp_path)
    assert "Single folds, percent, mean ± standard deviation over seeds" in page.text


def test_wrong_inputs_are_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match="report needs runs"):
        write([], tmp_path)
    with pytest.raises(ConfigError, match="'.*a0' is given twice; give each run once"):
        write([tiny / "a0", tiny / "b" / ".." / "a0"], tmp_path)
    copy = shutil.copytree(tiny / "a0", tmp_path / "copy")
    with pytest.raises(ConfigError, match="Fold '1' with seed 0 is given twice"):
        write([tiny / "a0", copy], tmp_path)
    with pytest.raises(ConfigError, match="--split is 'dev'; allowed: test, validation, train"):
        write([tiny / "a0"], tmp_path, split="dev")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--out '.*file' is a file; give a directory"):
        write([tiny / "a0"], tmp_path / "file")
    with pytest.raises(CheckpointError, match="is neither a training run"):
        write([tmp_path], tmp_path)

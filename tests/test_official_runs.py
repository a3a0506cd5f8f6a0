"""Official trees all the way: extracted once, every fold trained from one cache, more clips appended."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from cli import app
from pipeline import runner
from pipeline.config import override
from pipeline.datasets import read_dataset
from pipeline.datasets.dfew import SET as DFEW
from pipeline.errors import DatasetError
from pipeline.relabel import relabel
from pipeline.runner import RunOptions, executor_of, read_as
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import ReadOptions, Split
from tests.official_trees import SHEET_HEADER, dfew_tree, invented, votes_rows, write_lines, write_sheet
from tests.small_clips import small_models_with, write_video
from trainer.folds import fold_rows
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

FOLDS = ("1", "2", "3")
EXTRA = ("00900", "00901", "00902")
"""Clips that no list names; the first is of one emotion by the workbook, the others of none."""


def extract(root: Path, cache: Path, **options: object) -> runner.RunReport:
    models = small_models_with(detector={"name": "haar"})
    index = read_dataset("dfew", root, ReadOptions(**options))  # type: ignore[arg-type]
    return runner.extract(index, models.config, executor_of(models), cache, RunOptions())


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """DFEW's tree with three folds, seven clips for each, three clips beside them, and the votes."""
    root = tmp_path_factory.mktemp("dfew")
    labels = invented(DFEW)
    numbers = {clip: DFEW.published.class_names.index(name) + 1 for clip, name in labels.items()}

    def video(path: Path) -> None:
        write_video(path, num_frames=5, seed=int(path.stem))

    dfew_tree(root, labels, FOLDS, video=video)
    for clip_id in EXTRA:
        video(root / f"Clip/original/{int(clip_id)}.mp4")
    rows = votes_rows({**numbers, EXTRA[0]: 3, EXTRA[1]: 0, EXTRA[2]: 0})
    write_sheet(root / "Annotation/annotation.xlsx", [SHEET_HEADER, *rows])
    return root


@pytest.fixture(scope="module")
def cache(tree, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cache") / "feats.zarr"
    found = extract(tree, path)
    assert (found.counts["done"] + found.counts["done_without_face"], found.counts["failed"]) == (21, 0)
    return path


def listed(tree: Path, fold: str, split: str) -> set[str]:
    lines = (tree / f"EmoLabel_DataSplit/{split}(single-labeled)/set_{fold}.csv").read_text().splitlines()
    return {f"{int(line.split(',')[0]):05d}" for line in lines[1:]}


@pytest.mark.parametrize("fold", FOLDS)
def test_a_fold_trains_validates_and_tests_on_exactly_its_own_clips(tree, cache, fold):
    with FeatureCache.open(cache) as opened:
        assert opened.meta.fold_names == FOLDS
        rows = fold_rows(opened, fold, smoke().data, seed=0)
        ids = opened.read("clip_id")
    train_ids, held, test = ({*ids[part].tolist()} for part in (rows.train, rows.validation, rows.test))
    assert train_ids | held == listed(tree, fold, "train")
    assert not train_ids & held
    assert test == listed(tree, fold, "test")


def test_training_of_a_fold_does_not_know_its_test_clips(cache, tmp_path):
    config = override(smoke(), ["schedule.max_epochs=2"])
    other = Path(shutil.copytree(cache, tmp_path / "other.zarr"))
    with FeatureCache.open(other) as opened:
        test = opened.read("membership")[:, 1] == Split.TEST
        writer = CacheWriter.resume(other)
        for start in range(0, opened.meta.num_clips, opened.meta.block_clips):
            rows = writer.read_block(start)
            hidden = test[start : start + opened.meta.block_clips]
            for name in ("face/embedding", "scene/embedding", "scene/early"):
                rows[name][hidden] = np.float16(777.0)
            writer.write_block(start, rows)
    assert 0 < test.sum() < len(test)
    one = train(cache, tmp_path / "one", config, fold="2", device="cpu").run_dir
    two = train(other, tmp_path / "two", config, fold="2", device="cpu").run_dir
    seeing = train(other, tmp_path / "seeing", config, fold="3", device="cpu").run_dir
    unspoilt = train(cache, tmp_path / "unspoilt", config, fold="3", device="cpu").run_dir

    def weights(run: Path) -> dict[str, list[float]]:
        return {name: value.tolist() for name, value in load_file(run / "best.safetensors").items()}

    def losses(run: Path) -> list[float]:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["validation"]["loss"] for line in lines if "validation" in line]

    assert weights(one) == weights(two)
    assert losses(one) == losses(two)
    assert losses(seeing) != losses(unspoilt)  # of fold 3 they are training clips: there it shows


def test_votes_come_as_shares_of_ten(cache):
    with FeatureCache.open(cache) as opened:
        votes, label = opened.read("votes"), opened.read("label")
        names = opened.meta.class_names
    assert names == DFEW.published.class_names
    np.testing.assert_allclose(votes.sum(axis=1), 1.0, rtol=1e-6)
    assert (votes.argmax(axis=1) == label).all()
    np.testing.assert_allclose(votes.max(axis=1), 0.8, rtol=1e-6)


def test_clips_of_no_list_are_appended_and_stay_out_of_every_fold(tree, cache, tmp_path):
    path = Path(shutil.copytree(cache, tmp_path / "feats.zarr"))
    grown = extract(tree, path, all_clips=True)
    assert (grown.processed, grown.counts["pending"]) == (3, 0)
    with FeatureCache.open(path) as opened:
        assert opened.read("clip_id")[-3:].tolist() == list(EXTRA)
        assert (opened.read("membership")[-3:] == Split.ABSENT).all()
        assert [opened.meta.class_names[n] if n >= 0 else "" for n in opened.read("label")[-3:]] == [
            "neutral", "", "",
        ]  # fmt: skip
        assert np.isfinite(opened.read("votes")[-3:]).all()
    again = extract(tree, path)
    assert again.processed == 0
    assert "3 clips of the cache are not in the dataset as read now" in " ".join(again.notes)


def test_a_cache_is_relabelled_by_its_data_set_read_as_it_was(tree, cache, tmp_path):
    path = Path(shutil.copytree(cache, tmp_path / "feats.zarr"))
    extract(tree, path, all_clips=True)
    with FeatureCache.open(path) as opened:
        as_then = read_as(opened)
        assert as_then == ReadOptions(all_clips=True)
        lists = str(tree / "EmoLabel_DataSplit")
        assert read_as(opened, ReadOptions(lists=(lists,))) == ReadOptions(lists=(lists,), all_clips=True)
        assert read_as(opened, ReadOptions(source="video")).source == "video"
    found = CliRunner().invoke(app, ["cache", "relabel", str(path), "--lists", lists])
    assert found.exit_code == 0
    assert found.stdout == f"{path}: nothing to change\n"


def test_another_fold_comes_in_by_relabelling(tree, cache, tmp_path):
    path = Path(shutil.copytree(cache, tmp_path / "feats.zarr"))
    more = Path(shutil.copytree(tree, tmp_path / "dfew"))
    for split in ("train", "test"):
        lines = (more / f"EmoLabel_DataSplit/{split}(single-labeled)/set_1.csv").read_text().splitlines()
        write_lines(more / f"EmoLabel_DataSplit/{split}(single-labeled)/set_4.csv", lines)
    changes = relabel(path, read_dataset("dfew", more))
    assert changes.lines_of_change == (
        "folds: 1, 2, 3  ->  1, 2, 3, 4",
        "fold 4 is new: 14 train, 0 validation, 7 test",
    )
    with FeatureCache.open(path) as opened, FeatureCache.open(cache) as before:
        new = fold_rows(opened, "4", smoke().data, seed=0)
        old = fold_rows(before, "1", smoke().data, seed=0)
    assert new.test.tolist() == old.test.tolist()


def test_labels_that_most_votes_contradict_are_refused(tree, tmp_path):
    other = Path(shutil.copytree(tree, tmp_path / "dfew"))
    alphabetical = {name: n for n, name in enumerate(DFEW.published.orders["alphabetical"], start=1)}
    for path in sorted(other.rglob("set_*.csv")):
        header, *lines = path.read_text().splitlines()
        pairs = [line.split(",") for line in lines]
        names = [DFEW.published.class_names[int(number) - 1] for _, number in pairs]
        rows = [f"{clip},{alphabetical[name]}" for (clip, _), name in zip(pairs, names, strict=True)]
        write_lines(path, [header, *rows])
    with pytest.raises(
        DatasetError, match=r"votes in .*annotation.xlsx contradict the labels of .*--label-order"
    ):
        read_dataset("dfew", other)
    again = read_dataset("dfew", other, ReadOptions(label_order="alphabetical"))
    assert [clip.label for clip in again.clips] == [clip.label for clip in read_dataset("dfew", tree).clips]

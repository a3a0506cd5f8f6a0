"""Clips without a label, from the manifest to a trained run and back."""

from dataclasses import replace

import pytest

from pipeline import runner
from pipeline.datasets import read_dataset
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.errors import CacheError, ConfigError
from pipeline.relabel import relabel
from pipeline.runner import RunOptions, executor_of
from pipeline.store.export import export_hdf5
from pipeline.store.reader import FeatureCache
from pipeline.store.summary import summarise
from pipeline.verify import verify
from tests.small_clips import small_models, write_video
from trainer.config import DataConfig
from trainer.folds import fold_rows

BOX = "20,10,60,70"


@pytest.fixture
def clips(tmp_path):
    for number in range(5):
        write_video(tmp_path / f"{number}.mp4", seed=number)
    return tmp_path


def listed(root, *rows, header="path,label,split"):
    """The data set of a manifest with one face box for all clips."""
    shown = [f"{header},x0,y0,x1,y1", *(f"{row},{BOX}" for row in rows)]
    (root / "manifest.csv").write_text("\n".join(shown))
    return read_dataset("manifest", root)


def extracted(index, path):
    return runner.extract(index, small_models().config, executor_of(small_models()), path, RunOptions())


def left_out(path):
    with FeatureCache.open(path) as cache:
        return fold_rows(cache, 1, DataConfig(validation="train"), seed=0).left_out


def test_a_manifest_of_paths_alone_is_served_and_labelled_later(clips, tmp_path):
    path = tmp_path / "feats.zarr"
    made = extracted(listed(clips, *(f"{n}.mp4" for n in range(5)), header="path"), path)
    assert (made.counts["done"], made.num_failed) == (5, 0)
    with FeatureCache.open(path) as cache:
        assert (cache.meta.class_names, cache.meta.fold_names) == ((), ("1",))
        assert {"  classes    none", "  unlabelled 5"} <= set(lines(summarise(cache)))
        assert verify(cache, 0).findings == ()
        export_hdf5(cache, tmp_path / "feats.h5")
        with pytest.raises(ConfigError, match="None of the 5 clips of .* has a label"):
            fold_rows(cache, 1, DataConfig(), seed=0)
    with FeatureCache.open(tmp_path / "feats.h5") as cache:
        assert cache.read("votes").shape == (5, 0)
        assert cache.read("label").tolist() == [-1] * 5
    rows = ("0.mp4,joy,train", "1.mp4,rage,train", "2.mp4,joy,test", "3.mp4,,", "4.mp4,,test")
    index = listed(clips, *rows)
    with pytest.raises(CacheError, match="class_names.*`cache relabel` changes labels"):
        extracted(index, path)
    assert "label: 2 clips  no label -> joy" in lines(relabel(path, index))
    assert left_out(path) == {"unlabelled": 2}
    assert extracted(index, path).processed == 0


def test_clips_without_a_label_are_counted_in_their_fold_and_outside_of_all(clips, tmp_path):
    rows = ("0.mp4,joy,train,1", "0.mp4,joy,test,2", "1.mp4,,,1", "2.mp4,,train,2", "3.mp4,rage,train,1")
    index = listed(clips, *rows, header="path,label,split,fold")
    path = tmp_path / "feats.zarr"
    assert extracted(index, path).counts["done"] == 4
    assert left_out(path) == {"unlabelled": 1}, "fold 1: 1.mp4 is in no fold, 2.mp4 in another one"


def test_labels_may_be_taken_back(clips, tmp_path):
    path = tmp_path / "feats.zarr"
    extracted(listed(clips, "0.mp4,joy,train", "1.mp4,rage,test"), path)
    changes = relabel(path, listed(clips, "0.mp4", "1.mp4", header="path"))
    assert "label: 1 clips  joy -> no label" in lines(changes)
    with FeatureCache.open(path) as cache:
        assert (cache.meta.class_names, cache.read("label").tolist()) == ((), [-1, -1])


def test_a_run_reports_footage_that_splits_share(clips, tmp_path):
    (clips / "copy.mp4").write_bytes((clips / "0.mp4").read_bytes())
    made = extracted(listed(clips, "0.mp4,joy,train", "copy.mp4,joy,test"), tmp_path / "feats.zarr")
    (note,) = to_json_values(made)["notes"]
    assert note.startswith("LEAK in fold 1: 1 clip with footage that another split has too: ")
    assert "'copy.mp4' (test) with '0.mp4' (train)" in note
    assert f"!! {note}" in lines(made)
    shown_before = replace(made, known_leaks=made.leaks)
    assert to_json_values(shown_before)["notes"] == [note]
    assert not any("LEAK" in line for line in lines(shown_before))

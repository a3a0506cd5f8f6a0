import dataclasses

import numpy as np
import pytest

from pipeline import runner
from pipeline.datasets.polarities import read_polarities
from pipeline.errors import CacheError
from pipeline.relabel import relabel
from pipeline.repair import repair
from pipeline.runner import RunOptions, dataset_of, executor_of
from pipeline.store.lock import Shard
from pipeline.store.reader import FeatureCache
from pipeline.types import DatasetIndex
from pipeline.verify import verify
from tests.small_clips import small_models, write_clips


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> DatasetIndex:
    """Twenty clips; of them two are no videos."""
    return write_clips(tmp_path_factory.mktemp("clips"), num_good=18)


def part(index: DatasetIndex, *left_out: str) -> DatasetIndex:
    """The index without some clips."""
    clips = tuple(clip for clip in index.clips if clip.clip_id not in left_out)
    return dataclasses.replace(index, clips=clips)


OUT = tuple(f"clips/good{n}.mp4" for n in (0, 3, 4, 5, 8, 10, 12, 13, 17))


def extract(index, path, **options):
    models = small_models()
    return runner.extract(index, models.config, executor_of(models), path, RunOptions(**options))


def by_id(path) -> dict[str, dict[str, object]]:
    """Every array of every clip."""
    with FeatureCache.open(path) as cache:
        rows = {spec.name: cache.read(spec.name) for spec in cache.meta.arrays()}
    return {
        clip: {name: value[row] for name, value in rows.items()} for row, clip in enumerate(rows["clip_id"])
    }


def test_clips_under_other_spellings_of_the_class_and_fold_names_are_appended(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(
        dataclasses.replace(part(everything, *OUT), class_names=("Happy", "rage"), fold_names=("1.0",)), path
    )
    grown = extract(everything, path)
    assert (grown.processed, grown.counts["pending"]) == (len(OUT), 0)
    assert "the cache keeps its class names: 'joy' is 'Happy' there" in grown.notes
    assert "the cache keeps its fold names: '1' is '1.0' there" in grown.notes
    with FeatureCache.open(path) as cache:
        assert (cache.meta.class_names, cache.meta.fold_names) == (("Happy", "rage"), ("1.0",))
        labels = dict(zip(cache.read("clip_id"), cache.read("label").tolist(), strict=True))
    assert labels == {clip.clip_id: clip.label for clip in everything.clips}


def test_clips_that_are_new_are_appended_and_nothing_is_encoded_twice(everything, tmp_path):
    path, fresh = tmp_path / "feats.zarr", tmp_path / "fresh.zarr"
    extract(part(everything, *OUT), path)
    kept = [p for p in path.rglob("c/0*") if "clips-" not in str(p) and p.is_file()]
    times = {p: p.stat().st_mtime_ns for p in kept}
    grown = extract(everything, path)
    assert (grown.processed, grown.counts["pending"]) == (len(OUT), 0)
    assert f"{len(OUT)} clips are new, and `extract` appends them (clips/good0.mp4" in " ".join(grown.notes)
    assert times
    assert {p: p.stat().st_mtime_ns for p in kept} == times
    extract(everything, fresh)
    one, other = by_id(path), by_id(fresh)
    assert list(one) == [c.clip_id for c in part(everything, *OUT).clips] + sorted(OUT)
    assert set(one) == set(other)
    for clip, values in one.items():
        for name, value in values.items():
            np.testing.assert_array_equal(value, other[clip][name], f"{clip}: {name}")
    assert extract(everything, path).processed == 0


def test_workers_that_filled_a_cache_before_know_when_it_has_grown(everything, tmp_path):
    path, models = tmp_path / "feats.zarr", small_models()
    executor = executor_of(models)
    runner.extract(part(everything, *OUT), models.config, executor, path)
    grown = runner.extract(everything, models.config, executor, path)
    assert (grown.processed, grown.counts["pending"]) == (len(OUT), 0)
    extract(everything, tmp_path / "fresh.zarr")
    fresh = by_id(tmp_path / "fresh.zarr")
    for clip, values in by_id(path).items():
        np.testing.assert_array_equal(values["scene/early"], fresh[clip]["scene/early"], clip)


def test_a_grown_cache_verifies_and_repairs_by_its_own_order(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(part(everything, *OUT), path)
    extract(everything, path)
    before = by_id(path)
    lost = sorted((path / "scene" / "early" / "c").iterdir())[-1]
    for chunk in [lost] if lost.is_file() else lost.rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    from tests.small_clips import SETTINGS

    assert SETTINGS["encoder"]["weights"] == "random"
    assert repair(path).is_whole
    for clip, values in by_id(path).items():
        np.testing.assert_array_equal(values["scene/early"], before[clip]["scene/early"], clip)
    with FeatureCache.open(path) as cache:
        assert verify(cache, 4).findings == ()


def test_a_cache_with_clips_that_the_data_set_has_lost_verifies_by_the_others(tmp_path):
    index, path = write_clips(tmp_path / "data", num_good=4), tmp_path / "feats.zarr"
    extract(index, path)
    manifest = tmp_path / "data" / "manifest.csv"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(line for line in lines if "good0" not in line and "good2" not in line))
    with FeatureCache.open(path) as cache:
        found = verify(cache, 4)
        assert set(found.recomputed.clip_ids) == {"clips/good1.mp4", "clips/good3.mp4"}
        assert found.findings == ()
        manifest.write_text("path,label,split\nother.mp4,joy,train\n")
        (finding,) = verify(cache, 1).findings
    assert "no clip with features is in the dataset at" in str(finding)


def test_an_index_of_fewer_clips_goes_on_with_those_alone(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(everything, path, limit=3)
    fewer = extract(part(everything, "clips/good17.mp4", "clips/good9.mp4"), path)
    assert (fewer.processed, fewer.counts["pending"]) == (15, 2)
    assert "2 clips of the cache are not in the dataset as read now" in " ".join(fewer.notes)
    assert extract(everything, path).processed == 2


def test_a_set_that_lost_clips_and_has_others_is_another_set(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(part(everything, "clips/good1.mp4"), path, limit=1)
    message = (
        "1 of its clips are not in this dataset, first 'clips/good2.mp4', and 1 of this dataset are "
        "not in it, first 'clips/good1.mp4'. Give another --cache"
    )
    with pytest.raises(CacheError, match=message):
        extract(part(everything, "clips/good2.mp4"), path)
    assert len(by_id(path)) == 19


def test_shares_do_not_append(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(part(everything, *OUT), path, limit=1)
    with pytest.raises(CacheError, match=r"clips are not in .* yet, and a shard \(--blocks\) cannot append"):
        extract(everything, path, shard=Shard(1, 2))
    assert len(by_id(path)) == 11


def test_a_plan_counts_what_would_be_appended_and_appends_nothing(everything, tmp_path):
    path, models = tmp_path / "feats.zarr", small_models()
    extract(part(everything, *OUT), path)
    plan = runner.plan(everything, models.config, executor_of(models), path, RunOptions())
    assert (plan.outline.num_clips, plan.outline.workload.num_clips) == (20, 9)
    assert len(by_id(path)) == 11


def test_a_class_that_is_new_asks_for_relabelling_first(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    few = part(everything, *OUT)
    extract(few, path)
    names = ("fear", "joy", "rage")
    clips = tuple(dataclasses.replace(clip, label=clip.label + 1) for clip in everything.clips)
    wider = dataclasses.replace(everything, class_names=names, clips=clips)
    with pytest.raises(CacheError, match=r'class_names: \["fear", .*`cache relabel` changes'):
        extract(wider, path)
    changes = relabel(path, wider)
    assert changes.lines_of_change == ("classes: joy, rage  ->  fear, joy, rage",)
    assert len(changes.new) == len(OUT)
    assert extract(wider, path).processed == len(OUT)


def test_polarities_of_the_users_own_are_kept_and_told(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(part(everything, *OUT), path)
    (tmp_path / "map.csv").write_text("class,polarity\njoy,neutral\n")
    relabel(path, None, read_polarities(tmp_path / "map.csv"))
    grown = extract(everything, path)
    assert "polarity of 6 clips, first 'clips/bad.mp4': 2 here, 1 there: the cache keeps its own" in " ".join(
        grown.notes
    )
    with FeatureCache.open(path) as cache:
        assert set(cache.read("polarity")[: 20 - len(OUT)].tolist()) == {1, -1}


def test_the_data_set_of_a_cache_is_read_again_as_it_was(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(everything, path, limit=1)
    with FeatureCache.open(path) as cache:
        again = dataset_of(cache)
    assert again.clips == everything.clips
    assert again.options == everything.options


def test_groups_that_a_cache_lacks_are_noted_and_only_new_clips_get_them(everything, tmp_path):
    path = tmp_path / "feats.zarr"
    extract(part(everything, *OUT), path)
    named = dataclasses.replace(
        everything, clips=tuple(dataclasses.replace(clip, group="anna") for clip in everything.clips)
    )
    again = extract(part(named, *OUT), path)
    assert again.processed == 0
    assert any(note.startswith(f"group of {20 - len(OUT)} clips, first ") for note in again.notes)
    grown = extract(named, path)
    assert grown.processed == len(OUT)
    with FeatureCache.open(path) as cache:
        groups = dict(zip(cache.read("clip_id").tolist(), cache.read("group").tolist(), strict=True))
        assert cache.meta.num_groups == 1
    assert groups == {clip.clip_id: "anna" if clip.clip_id in OUT else "" for clip in everything.clips}
    assert relabel(path, named).lines_of_change == (f"group: of {20 - len(OUT)} clips  (1 group -> 1 group)",)
    assert extract(named, path).processed == 0
    with FeatureCache.open(path) as cache:
        assert not verify(cache, 0).findings

"""The cache's contract: what every array must be, its shape, and attributes that survive storage."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.errors import CacheError
from pipeline.store.meta import FORMAT, VERSION, CacheMeta
from pipeline.store.schema import ARRAYS, BY_NAME, ArraySpec

META = CacheMeta(
    dataset="folder",
    class_names=("happiness", "sadness"),
    fold_names=("1", "2", "3"),
    num_clips=5,
    block_clips=2,
    num_views=2,
    num_frames=16,
    embed_width=768,
    encoder_width=1024,
    num_tokens=17,
    encoder_name="ViT-L-14-quickgelu",
    encoder_weights="openai",
    encoder_sha256="aa",
    text_sha256="bb",
    identity={"frames": {"num_frames": 16}},
    fingerprint="cc",
    config={"limit": None},
    warnings=("first", "second"),
    packages={"torch": "2.14.1"},
    command_line=("extract", "--frames", "16"),
)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("face/embedding", (5, 2, 16, 768)),
        ("scene/early", (5, 2, 16, 4, 3, 1024)),
        ("scene/tokens", (5, 2, 16, 17, 1024)),
        ("face_box", (5, 2, 16, 4)),
        ("source_size", (5, 2)),
        ("membership", (5, 3)),
        ("status", (5,)),
    ],
)
def test_the_shape_of_an_array_follows_from_the_attributes(name: str, shape: tuple[int, ...]) -> None:
    assert META.shape(BY_NAME[name]) == shape


def test_token_arrays_are_there_only_when_tokens_were_asked_for() -> None:
    with_tokens = {spec.name for spec in META.arrays()}
    without = {spec.name for spec in replace(META, num_tokens=0).arrays()}
    of_people = {"face_absence", "shot", "cuts", "track_margin", "num_people"}
    assert with_tokens == {spec.name for spec in ARRAYS} - {"group"} - of_people
    follows = replace(META, identity={**META.identity, "track": {"version": 1, "method": "motion"}})
    assert {spec.name for spec in follows.arrays()} - with_tokens == of_people
    assert with_tokens - without == {"face/tokens", "scene/tokens"}


def test_array_names_are_unique() -> None:
    assert len(BY_NAME) == len(ARRAYS)


@pytest.mark.parametrize("spec", ARRAYS, ids=lambda spec: spec.name)
def test_every_array_keeps_the_rules_of_the_contract(spec: ArraySpec) -> None:
    assert spec.dims[0] == "clip"
    assert spec.doc.endswith(".")
    if spec.dtype == "str":
        assert spec.fill == ""
    else:
        stored = np.array(spec.fill, dtype=spec.dtype)
        assert np.array_equal(stored, np.array(spec.fill), equal_nan=stored.dtype.kind == "f")
    if spec.is_feature:
        assert np.isnan(spec.fill), "a block of zeros would equal a fill value of 0 and not be stored"
        assert spec.per_block


def test_features_are_exactly_the_encoder_outputs() -> None:
    features = {spec.name for spec in ARRAYS if spec.is_feature}
    assert features == {"face/embedding", "scene/embedding", "scene/early", "face/tokens", "scene/tokens"}


def test_attributes_come_back_from_json_as_they_were() -> None:
    stored = json.loads(json.dumps(META.to_attributes()))
    assert stored["format"] == FORMAT
    assert stored["version"] == VERSION
    assert CacheMeta.from_attributes(stored, "feats.zarr") == META


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": "zoo"},
            r"^feats\.zarr is not a feature cache: its attribute 'format' is 'zoo', not 'ous-features'\.$",
        ),
        ({"format": None}, r"is not a feature cache: its attribute 'format' is None"),
        ({"version": 1}, r"has cache version 1; this program reads 2\. Extract it again\.$"),
        ({"num_clips": "5"}, r"attribute 'num_clips' is '5'; a whole number is needed"),
        ({"num_clips": True}, r"attribute 'num_clips' is True; a whole number is needed"),
        ({"num_clips": 5.0}, r"attribute 'num_clips' is 5\.0; a whole number is needed"),
        ({"dataset": None}, r"attribute 'dataset' is None; a text is needed"),
        ({"class_names": "happiness"}, r"attribute 'class_names' is 'happiness'; a list of texts is needed"),
        ({"class_names": [0, 1]}, r"attribute 'class_names' is \[0, 1\]; a list of texts is needed"),
        ({"identity": []}, r"attribute 'identity' is \[\]; an object is needed"),
    ],
)
def test_attributes_of_another_format_version_or_type_are_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CacheError, match=message):
        CacheMeta.from_attributes({**META.to_attributes(), **change}, "feats.zarr")


@pytest.mark.parametrize("name", sorted(set(CacheMeta.__dataclass_fields__) - {"num_groups"}))
def test_an_attribute_that_is_missing_is_named(name: str) -> None:
    attributes = {key: value for key, value in META.to_attributes().items() if key != name}
    with pytest.raises(CacheError, match=f"attribute '{name}' is None.*The cache is damaged"):
        CacheMeta.from_attributes(attributes, "feats.zarr")


def test_a_cache_of_an_earlier_version_has_no_groups() -> None:
    attributes = {key: value for key, value in META.to_attributes().items() if key != "num_groups"}
    meta = CacheMeta.from_attributes(attributes, "feats.zarr")
    assert meta == META
    assert "group" not in [spec.name for spec in meta.arrays()]
    assert [spec.name for spec in replace(meta, num_groups=2).arrays()][-1] == "group"


def test_random_weights_are_told_apart_from_trained_ones() -> None:
    assert replace(META, encoder_weights="random").has_random_weights
    assert not META.has_random_weights

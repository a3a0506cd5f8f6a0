"""Caches that are not to be trusted: each opens, or ends in a CacheError of one line, and nothing else."""

import asyncio
import copy
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.clip_model import encoder_of
from pipeline.display.text import lines
from pipeline.errors import CacheError
from pipeline.store import hdf5_probe
from pipeline.store.export import export_hdf5
from pipeline.store.location import Location
from pipeline.store.meta import MAX_CHUNK_BYTES
from pipeline.store.reader import HDF5_META, FeatureCache
from pipeline.store.sandboxed_store import ConfinedStore
from pipeline.store.summary import summarise
from pipeline.store.writer import CacheWriter
from pipeline.verify import recompute_sample
from tests.mutants import ROUNDS, mutate, read_in_children
from tests.small_cache import IDENTITY, small_cache, small_meta

GROUPS = ("", "face", "scene")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache(tmp_path_factory.mktemp("whole") / "feats.zarr")


@pytest.fixture
def cache(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "feats.zarr"))


@pytest.fixture
def exported(whole: Path, tmp_path: Path) -> Path:
    with FeatureCache.open(whole) as cache:
        export_hdf5(cache, tmp_path / "feats.h5")
    return tmp_path / "feats.h5"


def read_all(path: Path) -> None:
    with FeatureCache.open(path) as cache:
        for spec in cache.meta.arrays():
            cache.read(spec.name)
        cache.clips_sha256()
        cache.status_counts()


def message_of(path: Path) -> str:
    """What speaks against the cache; empty when nothing does."""
    try:
        read_all(path)
    except CacheError as error:
        return str(error)
    return ""


def refused(path: Path, message: str) -> None:
    """Reading the cache ends in one line that says so, and takes no memory to speak of."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CacheError, match=message) as caught:
        read_all(path)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 700
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def rewrite(document: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(document.read_text())
    change(content)
    document.write_text(json.dumps(content))


# Attributes

DEEP: dict[str, Any] = {}
for _ in range(500):
    DEEP = {"a": DEEP}
ATTRIBUTES = {
    "no clips": ({"num_clips": 0}, r"attribute 'num_clips' is 0; allowed: 1 to 10000000\.$"),
    "10^12 clips": ({"num_clips": 10**12}, r"attribute 'num_clips' is 1000000000000; allowed: 1 to 1000"),
    "negative": ({"num_frames": -4}, r"attribute 'num_frames' is -4; allowed: 1 to 512\.$"),
    "nan": ({"num_views": float("nan")}, r"attribute 'num_views' is nan; a whole number is needed"),
    "infinite": ({"num_views": float("inf")}, r"attribute 'num_views' is inf; a whole number"),
    "half": ({"num_views": 1.5}, r"attribute 'num_views' is 1.5; a whole number"),
    "truth": ({"num_views": True}, r"attribute 'num_views' is True; a whole number"),
    "many digits": ({"num_clips": 10**3000}, r"attribute 'num_clips' is 1000+\.\.\.; allowed"),
    "no block": ({"block_clips": 0}, r"attribute 'block_clips' is 0; allowed: 1 to 65536"),
    "wide": ({"embed_width": 10**9}, r"attribute 'embed_width' is 1000000000; allowed: 1 to 65536"),
    "tokens": ({"num_tokens": 10**6}, r"attribute 'num_tokens' is 1000000; allowed: 0 to 4096"),
    "a block of terabytes": (
        {"num_clips": 10**6, "block_clips": 60_000, "num_frames": 500, "embed_width": 60_000},
        rf"attribute 'block_clips' is 60000; allowed: so few that a block of 'face/embedding' has "
        rf"{MAX_CHUNK_BYTES} bytes, not \d+\.$",
    ),
    "frames in all": (
        {"num_clips": 10**7, "num_frames": 512, "num_views": 16},
        r"attribute 'num_clips' is 10000000; allowed: 1073741824 frames, and places in folds, in all",
    ),
    "folds": (
        {"fold_names": [str(i) for i in range(2000)]},
        r"attribute 'fold_names' is \('0', .*\.\.\.; al",
    ),
    "no fold": ({"fold_names": []}, r"attribute 'fold_names' is \(\); allowed: 1 to 1000"),
    "same names": (
        {"class_names": ["joy", "joy"]},
        r"attribute 'class_names' is .*; allowed: names that differ",
    ),
    "a name of megabytes": (
        {"class_names": ["joy", "x" * 2_000_000]},
        r"attribute 'class_names' is \('joy', 'x+\.\.\.; allowed: names of 1000 characters\.$",
    ),
    "a long name": (
        {"dataset": "x" * 1001},
        r"attribute 'dataset' is 'x+\.\.\.; allowed: names of 1000",
    ),
    "lines": ({"dataset": ["a\nb"]}, r"attribute 'dataset' is \['a\\nb'\]; a text is needed"),
    "deep": ({"identity": DEEP}, r"attribute 'identity' is \{'a': .*\.\.\.; allowed: 20 levels of objects"),
    "long": ({"config": "x" * 10**6}, r"attribute 'config' is 'x+\.\.\.; an object is needed"),
    "version": ({"version": "1" * 10**6}, r"has cache version '1+\.\.\.; this program reads 2"),
    "other claims": (
        {"num_clips": 7},
        r"array 'face/embedding' has shape \(6, 1, 2, 3\); \(7, 1, 2, 3\) is ne",
    ),
}


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_a_claim_of_the_attributes_is_refused(cache, case):
    change, message = ATTRIBUTES[case]
    rewrite(cache / "zarr.json", lambda document: document["attributes"].update(change))
    refused(cache, message)


def test_what_would_be_refused_is_not_made(tmp_path):
    with pytest.raises(CacheError, match=r"attribute 'num_frames' is 4096; allowed: 1 to 512"):
        CacheWriter.create(tmp_path / "feats.zarr", small_meta(num_frames=4096), {})
    assert not any(tmp_path.iterdir())


CONFIG = {"detector": {"name": "haar"}, "streams": {"scene": "x", "scene_fit": "y"}}
SAID = {"identity": IDENTITY, "config": CONFIG, "encoder_name": "ViT-S-32"}


def said(tmp_path: Path, **changes: Any) -> Path:
    """A cache whose attributes say what a summary shows."""
    path = small_cache(tmp_path / "said.zarr", **SAID)
    rewrite(path / "zarr.json", lambda document: document["attributes"].update(changes))
    return path


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"identity": {}}, "identity.features.precision' is None"),
        ({"identity": {"features": 3}}, "identity.features.precision' is None"),
        ({"identity": IDENTITY | {"detector": {}}}, "identity.detector.precision' is None"),
        ({"config": CONFIG | {"detector": {"name": ["haar"]}}}, r"config.detector.name' is \['haar'\]"),
    ],
)
def test_a_summary_needs_what_it_shows(tmp_path, change, setting):
    with FeatureCache.open(said(tmp_path)) as cache:
        assert any("haar" in line for line in lines(summarise(cache)))
    shutil.rmtree(tmp_path / "said.zarr")
    message = rf"said.zarr': attribute '{setting}; str is needed"
    with (
        FeatureCache.open(said(tmp_path, **change)) as cache,
        pytest.raises(CacheError, match=message),
    ):
        summarise(cache)


@pytest.mark.parametrize("config", [{}, {"dataset": 3}, {"dataset": {"root": 3}}])
def test_a_data_set_without_a_root_is_not_looked_for(tmp_path, config):
    message = r"said.zarr': attribute 'config.dataset.root' is (None|3); str is needed"
    with FeatureCache.open(said(tmp_path, config=config)) as cache, pytest.raises(CacheError, match=message):
        recompute_sample(cache, 1)


@pytest.mark.parametrize("encoder", [3, {"seed": "x"}, {"seed": [1]}])
def test_a_seed_that_is_none_is_refused(encoder):
    with pytest.raises(CacheError, match=r"attribute 'config.encoder' holds .*, no seed"):
        encoder_of(small_meta(config={"encoder": encoder}))


# Arrays


def chunked(shape: list[int]) -> Callable[[Any], None]:
    return lambda document: document["chunk_grid"]["configuration"].update(chunk_shape=shape)


def coded(*codecs: dict[str, Any]) -> Callable[[Any], None]:
    return lambda document: document.update(codecs=list(codecs))


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
SHARDED = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": [1, 1, 2, 3],
        "codecs": [LITTLE],
        "index_codecs": [LITTLE, {"name": "crc32c"}],
    },
}
ARRAYS = {
    "one chunk": (
        chunked([6, 1, 2, 3]),
        r"'face/embedding' has chunks \(6, 1, 2, 3\); \(4, 1, 2, 3\) is needed",
    ),
    "huge chunk": (chunked([10**9, 10**9, 2, 3]), r"'face/embedding' has chunks \(1000000000, "),
    "zipped": (
        coded(LITTLE, {"name": "gzip", "configuration": {"level": 1}}),
        r"has codecs \['BytesCodec', 'Gzip",
    ),
    "packed": (
        coded(LITTLE, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}),
        r"'ZstdCodec'\]",
    ),
    "unchecked": (coded(LITTLE), r"has codecs \['BytesCodec'\]; \['BytesCodec', 'Crc32cCodec'\] is needed"),
    "shards": (coded(SHARDED), r"'ShardingCodec'|has chunks"),
    "big-endian": (
        coded({"name": "bytes", "configuration": {"endian": "big"}}, {"name": "crc32c"}),
        r"'face/embedding' has byte order big; little is needed",
    ),
    "other separator": (
        lambda d: d["chunk_key_encoding"].update(configuration={"separator": "."}),
        r"'face/embedding' has chunk names default with '\.'; default with '/' is needed",
    ),
    "names of version 2": (
        lambda d: d.update(chunk_key_encoding={"name": "v2", "configuration": {"separator": "/"}}),
        r"'face/embedding' has chunk names v2 with '/'; default with '/' is needed",
    ),
    "unknown": (coded(LITTLE, {"name": "https://example.org/codec"}), r"is not a readable feature cache: "),
    "no codecs": (coded(), r"is not a readable feature cache: "),
    "type": (
        lambda d: d.update(data_type="float64", fill_value="NaN"),
        r"has type float64; float16 is needed",
    ),
    "objects": (lambda d: d.update(data_type="object"), r"is not a readable feature cache: "),
    "text": (
        lambda d: d.update(data_type="string", fill_value="", codecs=[{"name": "vlen-utf8"}]),
        r"has type str",
    ),
    "shape": (
        lambda d: d.update(shape=[10**12, 1, 2, 3]),
        r"has shape \(1000000000000, 1, 2, 3\); \(6, 1, 2, 3\)",
    ),
    "a group": (
        lambda d: (d.clear(), d.update(zarr_format=3, node_type="group")),
        r"has no array 'face/embedding'",
    ),
    "format 2": (
        lambda d: d.update(zarr_format=2),
        r"has no array 'face/embedding'|not a readable feature cache",
    ),
    "transformers": (
        lambda d: d.update(storage_transformers=[{"name": "s3", "configuration": {"url": "s3://a/b"}}]),
        r"has storage transformers 1; 0 is needed|is not a readable feature cache: ",
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_that_is_stored_otherwise_is_refused(cache, case):
    change, message = ARRAYS[case]
    rewrite(cache / "face" / "embedding" / "zarr.json", change)
    refused(cache, message)


def test_consolidated_metadata_are_not_believed(cache):
    lie = json.loads((cache / "clips-1" / "label" / "zarr.json").read_text()) | {"shape": [10**12]}
    rewrite(
        cache / "zarr.json",
        lambda d: d.update(
            consolidated_metadata={
                "kind": "inline",
                "must_understand": False,
                "metadata": {"clips-1/label": lie},
            }
        ),
    )
    read_all(cache)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b"[]", b'{"zarr_format": 3}']
)
@pytest.mark.parametrize("name", ["zarr.json", "clips-1/label/zarr.json"])
def test_a_document_that_is_none_is_refused(cache, name, content):
    (cache / name).write_bytes(content)
    refused(cache, r"feats.zarr'? (is not a|has no array 'label')")


def test_a_chunk_that_is_none_is_refused_when_it_is_read(cache):
    for content in (b"", b"x", b"x" * 10**6):
        (cache / "clips-1" / "clip_id" / "c" / "0").write_bytes(content)
        refused(cache, r"array 'clip_id', clips 0 to 5, cannot be read \(.*\)\. The cache is damaged")


def test_texts_that_claim_to_be_many_are_refused(cache):
    import google_crc32c  # of zarr's

    content = b"\xff\xff\xff\x7f" + bytes(100)
    check = google_crc32c.value(content).to_bytes(4, "little")
    (cache / "clips-1" / "clip_id" / "c" / "0").write_bytes(content + check)
    refused(cache, r"array 'clip_id', clips 0 to 5, cannot be read")


# Links, pipes and sizes on the disk


def lead_out(path: Path, outside: Path) -> None:
    """Put the real thing elsewhere and a link in its place."""
    shutil.move(path, outside)
    path.symlink_to(outside)


LINKED = [
    "zarr.json",
    "clips-1/label/zarr.json",
    "clips-1/label/c/0",
    "clips-1/label/c",
    "clips-1/label",
    "clips-1",
    "face",
    "face/embedding/c/1/0/0",
]


@pytest.mark.parametrize("name", LINKED)
def test_a_link_inside_a_cache_is_not_followed(cache, tmp_path, name):
    lead_out(cache / name, tmp_path / "outside")
    refused(cache, rf"feats.zarr': '{name}' is not a plain (file|folder) but a link, a device or the like")


def test_a_link_inside_a_cache_is_not_written_through(cache, tmp_path):
    writer = CacheWriter.resume(cache)
    lead_out(cache / "face" / "embedding" / "c", tmp_path / "outside")
    before = {path: path.read_bytes() for path in (tmp_path / "outside").rglob("*") if path.is_file()}
    with pytest.raises(CacheError, match=r"'face/embedding/c' is not a plain folder but a link"):
        writer.write_block(0, writer.empty_rows(0))
    assert {path: path.read_bytes() for path in before} == before


def test_the_cache_itself_may_be_a_link(cache, tmp_path):
    (tmp_path / "link.zarr").symlink_to(cache)
    read_all(tmp_path / "link.zarr")


@pytest.mark.parametrize("name", ["zarr.json", "status/c/0"])
def test_a_pipe_is_not_waited_for(cache, name):
    (cache / name).unlink()
    os.mkfifo(cache / name)
    refused(cache, rf"'{name}' is not a plain file but a link, a device or the like")


@pytest.mark.parametrize(
    ("name", "size", "allowed"), [("zarr.json", 1 << 30, 16 << 20), ("status/c/0", 1 << 40, 4 << 30)]
)
def test_a_file_beyond_all_measure_is_not_read(cache, name, size, allowed):
    os.truncate(cache / name, size)
    refused(cache, rf"feats.zarr': '{name}' has {size} bytes; allowed: {allowed}\. The cache is damaged")


# HDF5


def relinked(file: h5py.File, name: str, link: Any) -> None:
    del file[name]
    file[name] = link


def test_references_out_of_an_exported_file_are_not_followed(exported, tmp_path):
    secret = tmp_path / "secret.h5"
    shutil.copy(exported, secret)
    for number, (name, link, kind) in enumerate(
        [
            ("label", h5py.ExternalLink(str(secret), "label"), "ExternalLink"),
            ("face", h5py.ExternalLink(str(secret), "face"), "ExternalLink"),
            ("face/embedding", h5py.SoftLink("/scene/embedding"), "SoftLink"),
        ]
    ):
        path = tmp_path / f"{number}.h5"
        shutil.copy(exported, path)
        with h5py.File(path, "r+") as file:
            relinked(file, name, link)
        array = "face/embedding" if name == "face" else name
        refused(
            path, rf"'{array}' is a reference \({kind}\) to another place; nothing outside a cache is read"
        )


def test_a_dataset_kept_in_other_files_is_refused(exported, tmp_path):
    virtual, raw = tmp_path / "virtual.h5", tmp_path / "raw.h5"
    shutil.copy(exported, virtual)
    shutil.copy(exported, raw)
    with h5py.File(virtual, "r+") as file:
        del file["label"]
        layout = h5py.VirtualLayout(shape=(6,), dtype="i2")
        layout[:] = h5py.VirtualSource(str(exported), "label", shape=(6,))
        file.create_virtual_dataset("label", layout)
    with h5py.File(raw, "r+") as file:
        del file["label"]
        file.create_dataset("label", shape=(6,), dtype="i2", external=[("/etc/hostname", 0, 12)])
    for path in (virtual, raw):
        refused(path, r"array 'label' has place other files; the file is needed")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (10**12,), "dtype": "i2", "chunks": (1 << 20,)}, r"has shape \(1000000000000,\); \(6,\)"),
        ({"shape": (6,), "dtype": "i8"}, r"'label' has type int64; int16 is needed"),
        ({"shape": (6,), "dtype": "S9"}, r"'label' has type .*; int16 is needed"),
        (
            {"shape": (6,), "dtype": "i2", "chunks": (6,), "compression": "gzip"},
            r"has place chunks; the file",
        ),
        ({"shape": (6,), "dtype": "i2"}, r"'label' has bytes 0; 12 is needed"),
    ],
)
def test_a_dataset_that_is_stored_otherwise_is_refused(exported, options, message):
    with h5py.File(exported, "r+") as file:
        del file["label"]
        file.create_dataset("label", **options)
    refused(exported, message)


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 10_000, "null", "{", 3, np.zeros(9), b"\xff"])
def test_attributes_of_a_file_that_are_none_are_refused(exported, value):
    with h5py.File(exported, "r+") as file:
        file.attrs[HDF5_META] = value
    refused(exported, r"feats.h5'? is not a (readable )?feature cache")


def test_a_pipe_or_folder_named_as_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "folder.h5").mkdir()
    for name in ("pipe.h5", "folder.h5"):
        refused(tmp_path / name, rf"{name}' is not a file; an exported HDF5 file is needed")


# Values and bytes changed at random

JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([10**12, -1, 2**63, "NaN", "string", "float16", "https://example.org", "../x", "gzip"])
)
VALUES = st.recursive(
    JUNK,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_metadata_changed_at_random_open_or_end_in_a_cache_error(whole, data):
    name = data.draw(
        st.sampled_from(
            [
                "zarr.json",
                "zarr.json",
                "clips-1/label/zarr.json",
                "clips-1/clip_id/zarr.json",
                "face/zarr.json",
            ]
        )
    )
    original = (whole / name).read_text()
    document = json.loads(original)
    for _ in range(data.draw(st.integers(1, 2))):
        if at := list(places(document)):
            path = data.draw(st.sampled_from(at))
            document = changed(document, path, data.draw(VALUES), drop=data.draw(st.booleans()))
    (whole / name).write_text(json.dumps(document))
    try:
        message = message_of(whole)
    finally:
        (whole / name).write_text(original)
    assert len(message.splitlines()) <= 1


def outcomes_of_mutants(whole: Path, folder: Path, seeds: range) -> list[str]:
    content = whole.read_bytes()
    paths = [folder / f"{seed}.h5" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        path.write_bytes(mutate(content, seed))
    untried = read_in_children("caches_untried", paths)
    tried = read_in_children("caches", [Path(path) for path in untried.deaths])
    for path in paths:
        path.unlink()
    assert tried.deaths == {}
    assert all("is not a readable HDF5 file: " in told for told in tried.told.values()), tried.told
    return [*untried.told.values(), *tried.told.values()]


@pytest.mark.slow
def test_exported_files_changed_at_random_open_or_end_in_a_cache_error(exported, tmp_path):
    told = outcomes_of_mutants(exported, tmp_path, range(150))
    assert len(told) == 150
    assert "done" in told
    assert len(set(told)) > 5


@pytest.mark.slow
def test_many_exported_files_changed_at_random(exported, tmp_path):
    for first in range(1000, 1000 + 200 * ROUNDS, 200):
        assert len(outcomes_of_mutants(exported, tmp_path, range(first, first + 200))) == 200


def test_a_file_on_which_the_library_hangs_is_refused_by_a_child(exported, monkeypatch):
    content = exported.read_bytes()
    heap = content.index(b"GCOL")  # where texts lie; one of no length is passed over for ever
    exported.write_bytes(content[: heap + 1900] + bytes(600) + content[heap + 2500 :])
    monkeypatch.setattr(hdf5_probe, "_SECONDS", 2)
    refused(exported, r"feats.h5' is not a readable HDF5 file: the HDF5 library does not finish within 2 s")


def test_a_clip_table_that_is_a_link_is_not_removed_with_its_target(cache, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/victim").write_text("mine")
    store = Location.of(cache).zarr_store(read_only=False)
    (cache / "clips-0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match=r"clips-0' is a link to '.*/elsewhere'; a directory is needed"):
        asyncio.run(store.delete_dir("clips-0"))
    assert (tmp_path / "elsewhere/victim").read_text() == "mine"
    asyncio.run(store.delete_dir("clips-1"))
    asyncio.run(store.delete_dir("never"))
    assert not (cache / "clips-1").exists()


def test_a_file_is_decided_upon_once_it_is_open(cache, monkeypatch):
    """Whatever took its place since it was looked at."""
    monkeypatch.setattr(ConfinedStore, "_require_plain", lambda *_: None)
    for name in ("zarr.json", "status/c/0"):
        (cache / name).unlink()
        os.mkfifo(cache / name)
        store = ConfinedStore(cache, read_only=True)
        with pytest.raises(CacheError, match=f"{name}' is a pipe; a regular file is needed"):
            store.get_sync(name)

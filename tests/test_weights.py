"""The published weight files: where they are looked for, how they are downloaded and checked."""

import hashlib
import importlib.util
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from open_clip.pretrained import get_pretrained_cfg

from pipeline import weights
from pipeline.errors import ConfigError, WeightsError

CONTENT = b"the bytes of a weight file" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "retinaface-resnet50"
FILE = weights.PUBLISHED[NAME].file_name


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "store"
    monkeypatch.setenv("OUS_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a file of CONTENT at an address of this machine, in the place of the real entry."""

    def put(content: bytes = CONTENT, **changes: Any) -> Path:
        served = tmp_path / "served" / FILE
        served.parent.mkdir(exist_ok=True)
        served.write_bytes(content)
        entry = replace(
            weights.PUBLISHED[NAME],
            **{"address": served.as_uri(), "sha256": SHA256, "num_bytes": None} | changes,
        )
        monkeypatch.setitem(weights.PUBLISHED, NAME, entry)
        return served

    return put


@pytest.fixture
def web_address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{FILE}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_address_of_the_resnet_is_the_one_its_package_publishes() -> None:
    (folder,) = importlib.util.find_spec("retinaface").submodule_search_locations
    source = Path(folder, "pre_trained_models.py").read_text()
    entry = weights.PUBLISHED["retinaface-resnet50"]
    assert f'"{entry.address}"' in source
    assert entry.file_name == entry.address.rsplit("/", 1)[1]
    assert f"-{entry.sha256}." in entry.file_name


def test_the_address_of_clip_is_the_one_open_clip_uses_and_holds_its_hash() -> None:
    entry = weights.PUBLISHED["clip-vit-l-14-openai"]
    assert entry.address == get_pretrained_cfg("ViT-L-14-quickgelu", "openai")["url"]
    assert entry.address.split("/")[-2:] == [entry.sha256, entry.file_name]


def test_the_folder_is_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    assert weights.weights_dir() == store
    monkeypatch.delenv("OUS_WEIGHTS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.weights_dir() == tmp_path / ".cache" / "ous" / "weights"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"'resnet'; allowed: retinaface-resnet50, retinaface-mobilenet0.25, "
    ):
        weights.locate("resnet")


def test_missing_weights_name_file_address_place_and_what_to_do(store: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        weights.locate("retinaface-resnet50")
    entry = weights.PUBLISHED["retinaface-resnet50"]
    assert str(caught.value) == (
        "The weights retinaface-resnet50 are not on this machine. Where there is internet, run "
        f"`cli.py weights fetch retinaface-resnet50` or download {entry.address} (sha256 f168fae3c...); "
        f"put it at {store}/{entry.file_name} or give --detector-weights PATH. "
        "--detector haar needs no download."
    )


def test_missing_weights_without_an_address_say_what_file_is_needed(store: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"No address of retinaface_mobilenet0.25.pth \(sha256 2979b33f.*haar"
    ):
        weights.locate("retinaface-mobilenet0.25")
    with pytest.raises(WeightsError, match=r"retinaface-mobilenet0.25 cannot be fetched. No address"):
        weights.fetch("retinaface-mobilenet0.25", store)


def test_a_given_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"No weights at '{tmp_path}/a.pth'"):
        weights.locate(NAME, tmp_path / "a.pth")


def test_locate_prefers_the_given_path(store: Path, tmp_path: Path) -> None:
    store.mkdir()
    (store / FILE).write_bytes(b"")
    (tmp_path / "mine.pth").write_bytes(b"")
    assert weights.locate(NAME) == store / FILE
    assert weights.locate(NAME, tmp_path / "mine.pth") == tmp_path / "mine.pth"


def test_fetch_downloads_once_and_reports_progress(publish: Callable[..., Path], store: Path) -> None:
    served = publish()
    told: list[tuple[int, int | None]] = []
    assert weights.fetch(NAME, store, lambda done, total: told.append((done, total))) == store / FILE
    assert (store / FILE).read_bytes() == CONTENT
    assert told == [(len(CONTENT), len(CONTENT))]
    served.unlink()
    assert weights.fetch(NAME, store) == store / FILE
    assert weights.obtain(NAME) == store / FILE


def test_fetch_over_http(web_address: str, publish: Callable[..., Path], store: Path) -> None:
    publish(address=web_address)
    assert weights.fetch(NAME, store).read_bytes() == CONTENT


def test_fetch_names_what_the_server_said(
    web_address: str, publish: Callable[..., Path], store: Path
) -> None:
    publish(address=web_address + ".gone")
    with pytest.raises(
        WeightsError, match=rf"{FILE} could not be downloaded \(File not found\). Where there is"
    ):
        weights.fetch(NAME, store)
    assert list(store.iterdir()) == []


def test_obtain_downloads_what_is_missing(publish: Callable[..., Path], store: Path) -> None:
    publish()
    assert weights.obtain(NAME) == store / FILE
    assert weights.verify_file(NAME, store / FILE) == SHA256


def test_without_a_connection_the_error_says_how_to_get_the_file(
    publish: Callable[..., Path], store: Path
) -> None:
    publish(address="http://127.0.0.1:9/" + FILE)
    with pytest.raises(
        WeightsError, match=r"could not be downloaded \(.*refused\).*put it at .*--detector haar"
    ):
        weights.obtain(NAME)


def test_a_wrong_download_leaves_nothing(publish: Callable[..., Path], store: Path) -> None:
    publish(content=b"a login page")
    actual = hashlib.sha256(b"a login page").hexdigest()
    with pytest.raises(WeightsError, match=rf"is not {FILE}: its sha256 is {actual}, {SHA256} is needed"):
        weights.fetch(NAME, store)
    assert list(store.iterdir()) == []


def test_a_wrong_file_that_is_there_is_refused_and_kept(publish: Callable[..., Path], store: Path) -> None:
    publish()
    store.mkdir()
    (store / FILE).write_bytes(b"other")
    actual = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(WeightsError, match=rf"not the published {FILE}: its sha256 is {actual}, {SHA256} is"):
        weights.fetch(NAME, store)
    assert (store / FILE).read_bytes() == b"other"


def test_a_folder_that_cannot_be_written_is_named(publish: Callable[..., Path], tmp_path: Path) -> None:
    publish()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        WeightsError, match=rf"Cannot write {FILE} to '{tmp_path}/file/in' \(Not a directory\)"
    ):
        weights.fetch(NAME, tmp_path / "file" / "in")


def test_a_published_prefix_is_that_of_the_file_or_of_the_pth_in_it(
    publish: Callable[..., Path], tmp_path: Path
) -> None:
    archive = _zip(tmp_path / "a.zip", {"net.pth": CONTENT})
    whole = hashlib.sha256(archive.read_bytes()).hexdigest()
    for prefix in (whole[:9], SHA256[:9]):
        publish(sha256=prefix)
        assert weights.verify_file(NAME, archive) == whole
    publish(sha256="0" * 9)
    with pytest.raises(WeightsError, match=rf"its sha256 is {whole}, 000000000\.\.\. is needed"):
        weights.verify_file(NAME, archive)


def test_the_pth_in_a_zip_does_not_count_where_the_whole_hash_is_known(
    publish: Callable[..., Path], tmp_path: Path
) -> None:
    publish(sha256=SHA256)
    with pytest.raises(WeightsError, match=f"{SHA256} is needed"):
        weights.verify_file(NAME, _zip(tmp_path / "a.zip", {"net.pth": CONTENT}))


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_bomb_is_not_unpacked_to_be_hashed(
    publish: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sha256="f168fae3c")
    monkeypatch.setattr("pipeline.weights.download.MAX_BYTES", 1 << 16)
    bomb = _zip(tmp_path / "bomb.zip", {"net.pth": bytes(1 << 20)})
    with pytest.raises(WeightsError, match=r"bomb.zip' holds more than 65536 bytes once unpacked"):
        weights.verify_file(NAME, bomb)

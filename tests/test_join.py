"""Schedulers that are joined: what Dask's configuration of certificates means for them."""

import json
import os
import runpy
import stat
from pathlib import Path

import dask
import pytest

from pipeline.errors import FileError, OusError
from pipeline.executor.cluster.join import join, plain_warning

ROOT = Path(__file__).parents[1]
TLS = "tls://127.0.0.1:9"


@pytest.fixture
def certificates(tmp_path):
    """What docs/slurm/certificates.py makes."""
    runpy.run_path(str(ROOT / "docs/slurm/certificates.py"))["main"](tmp_path / "tls")
    return tmp_path / "tls"


def test_tls_without_certificates_is_one_line():
    with pytest.raises(
        OusError, match=rf"^{TLS} needs certificates, and Dask's configuration has none; name ca-"
    ):
        join(TLS)


def test_certificates_that_cannot_be_read_are_one_line(certificates):
    settings = dask.config.merge(dask.config.config, json.loads((certificates / "dask.yaml").read_text()))
    (certificates / "key.pem").write_text("no key")
    with (
        dask.config.set(settings),
        pytest.raises(
            OusError, match=r"^The certificates of Dask's configuration cannot be used \(.*\); name ca"
        ),
    ):
        join(TLS)


def test_a_plain_scheduler_is_rejected_where_the_configuration_requires_tls(certificates):
    settings = dask.config.merge(dask.config.config, json.loads((certificates / "dask.yaml").read_text()))
    with (
        dask.config.set(settings),
        pytest.raises(
            OusError, match=r"tcp://127.0.0.1:9 is without TLS, and Dask's configuration requires it"
        ),
    ):
        join("tcp://127.0.0.1:9")


def test_a_file_that_is_no_scheduler_file_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.executor.cluster.join._WRITING_SECONDS", 0)
    for content in ("", "[]", "{}", "\0", "[" * 100_000):
        (tmp_path / "scheduler.json").write_text(content)
        with pytest.raises(
            OusError, match=r"scheduler.json' has no address; give the file of `dask scheduler"
        ):
            join(str(tmp_path / "scheduler.json"))
    with pytest.raises(FileError, match="a directory"):
        join(str(tmp_path))
    os.truncate(tmp_path / "scheduler.json", 1 << 40)
    with pytest.raises(FileError, match="scheduler.json' has 1099511627776 bytes; allowed: 1048576"):
        join(str(tmp_path / "scheduler.json"))


def test_a_file_that_is_being_written_is_read_when_it_is_whole(tmp_path, monkeypatch):
    file = tmp_path / "scheduler.json"
    file.touch()
    whole = json.dumps({"address": TLS})
    monkeypatch.setattr("pipeline.executor.cluster.join.time.sleep", lambda _: file.write_text(whole))
    with pytest.raises(OusError, match=f"^{TLS} needs certificates"):
        join(str(file))


def test_what_a_plain_scheduler_means_is_one_line():
    assert plain_warning("tls://10.0.0.1:8786") == ""
    warning = plain_warning("tcp://10.0.0.1:8786")
    assert warning.startswith("tcp://10.0.0.1:8786 is without TLS: everybody who can connect to it")
    assert "\n" not in warning


def test_certificates_are_their_owners_alone_and_never_overwritten(certificates):
    assert stat.S_IMODE(certificates.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in certificates.iterdir()} == {
        "cluster.pem": 0o600, "dask.yaml": 0o600, "key.pem": 0o600
    }  # fmt: skip
    with pytest.raises(FileExistsError):
        runpy.run_path(str(ROOT / "docs/slurm/certificates.py"))["main"](certificates)


def test_the_configuration_names_the_files_and_requires_tls(certificates):
    comm = json.loads((certificates / "dask.yaml").read_text())["distributed"]["comm"]
    pair = {"cert": str(certificates / "cluster.pem"), "key": str(certificates / "key.pem")}
    assert comm == {
        "require-encryption": True,
        "tls": {"ca-file": pair["cert"], "scheduler": pair, "worker": pair, "client": pair},
    }

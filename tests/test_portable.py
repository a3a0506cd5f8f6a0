import getpass
import json
from pathlib import Path

import pytest

from pipeline.portable import located, portable, portable_values


@pytest.fixture(autouse=True)
def kim(monkeypatch, tmp_path):
    """A user named kim; the home directory is a link, as on many clusters."""
    real = tmp_path / "disk7" / "kim"
    real.mkdir(parents=True)
    home = tmp_path / "home"
    home.mkdir()
    (home / "kim").symlink_to(real)
    monkeypatch.setenv("HOME", str(home / "kim"))
    monkeypatch.setenv("LOGNAME", "kim")
    return home / "kim"


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("{home}/DFEW", "~/DFEW"),
        ("{home}", "~"),
        ("{real}/DFEW", "~/DFEW"),
        ("/scratch/kim/feats.zarr", "/scratch/$USER/feats.zarr"),
        ("../../kim/feats.zarr", "../../$USER/feats.zarr"),
        ("/scratch/kimono/kim.zarr", "/scratch/kimono/kim.zarr"),
        ("/data/DFEW", "/data/DFEW"),
        ("clips/manifest.csv", "clips/manifest.csv"),
        ("openai", "openai"),
        ("s3://bucket/kim/feats.zarr", "s3://bucket/kim/feats.zarr"),
    ],
)
def test_a_stored_path_does_not_name_the_user_and_is_found_by_the_same_user(kim, path, stored):
    path = path.format(home=kim, real=kim.resolve())
    assert portable(path) == stored
    assert Path(located(stored)).resolve() == Path(path).resolve()
    assert portable(stored) == stored


def test_paths_within_a_message_too(kim):
    text = f"No file '{kim}/a b.mp4' (see {kim}); --root={kim}/x, /mnt{kim}, \"{kim}\": {kim}2"
    expected = f"No file '~/a b.mp4' (see ~); --root=~/x, /mnt{kim.parent}/$USER, \"~\": {kim}2"
    assert portable(text) == expected


def test_every_text_of_a_document(kim):
    document = {"dataset": {"root": f"{kim}/DFEW", "lists": [f"{kim}/a.csv"]}, "number": 1.5, "none": None}
    stored = portable_values(document)
    assert stored == {"dataset": {"root": "~/DFEW", "lists": ["~/a.csv"]}, "number": 1.5, "none": None}
    assert "kim" not in json.dumps(stored)


def test_another_user_finds_own_place(monkeypatch):
    monkeypatch.setenv("HOME", "/home/lee")
    monkeypatch.setenv("LOGNAME", "lee")
    assert located("~/DFEW") == "/home/lee/DFEW"
    assert located("/scratch/$USER/DFEW") == "/scratch/lee/DFEW"
    assert portable("/home/kim/DFEW") == "/home/kim/DFEW"


@pytest.mark.parametrize("home", ["/", "relative"])
def test_a_home_that_is_no_directory_of_a_user_replaces_nothing(monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    assert portable("/data/DFEW") == "/data/DFEW"
    assert located("~/DFEW") == "~/DFEW"


def test_root_is_nobodys_name_and_a_user_may_have_none(monkeypatch):
    monkeypatch.setenv("LOGNAME", "root")
    assert portable("/data/root/DFEW") == "/data/root/DFEW"

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setenv("LOGNAME", "")
    assert portable("/data/kim") == "/data/kim"
    assert located("/data/$USER") == "/data/$USER"

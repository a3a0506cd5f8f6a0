"""Records that are published name no directory, host or user of the machine that they were made on."""

import json
import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from pipeline.bench.result import ROOT, about_this_run, published

RECORDS = sorted((ROOT / "benchmarks" / "results").rglob("*"))
OF_A_MACHINE = re.compile(
    r"""(^|[\s"'=,:(\[]) (/+\w | ~ | \.\.(/|$) | file: )   # a path that is not relative to the repository
    | \b[A-Za-z]:[\\/]                                     # a drive
    | \w@\w | \b(10|127|172|192)(\.\d{1,3}){3}\b | \b(tcp|ssh)://  # a user, an address
    """,
    re.VERBOSE,
)
NAMES_OF_A_MACHINE = {"host", "hostname", "node", "nodename", "user", "username", "cwd", "home"}


def texts_of(value: Any) -> Iterator[str]:
    """Every name and text in a JSON document."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, str):
        yield value


def of_a_machine(document: Any) -> list[str]:
    texts = list(texts_of(document))
    return [text for text in texts if OF_A_MACHINE.search(text) or text.lower() in NAMES_OF_A_MACHINE]


def test_there_are_records() -> None:
    assert any(path.suffix == ".json" for path in RECORDS)


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.name)
def test_a_record_names_nothing_of_the_machine(record: Path) -> None:
    assert record.suffix == ".json"
    assert of_a_machine(json.loads(record.read_text())) == []


@pytest.mark.parametrize(
    "text",
    ["/data/clips", "~/clips", "--clips=/data/x", "../shared/x", "x in '/data/x'", "C:\\clips", "me@login1",
     "10.0.0.7", "tcp://login1:8786", "file:///x", "hostname"],
)  # fmt: skip
def test_what_names_a_machine_is_found(text: str) -> None:
    assert of_a_machine({"options": [text]}) == of_a_machine({text: 1}) == [text]


@pytest.mark.parametrize(
    "text", ["clips/s/core / OpenCV", "a / b", "demo-out/feats.zarr", "./cli.py", "1..2"]
)
def test_a_ratio_or_a_relative_path_names_none(text: str) -> None:
    assert of_a_machine([text]) == []


def test_paths_are_recorded_without_the_directories_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(
        sys, "argv", ["cli.py", "bench", "--clips", str(clips), f"--set=detector.weights={clips}"]
    )
    about = about_this_run(
        {"detector": {"weights": "~/weights/face.pth"}},
        {"clips": clips, "cache": "../feats.zarr", "grid": str(ROOT / "demo-out" / "grid"), "steps": 3},
    )
    assert about["command"] == ["cli.py", "bench", "--clips", "clips", "--set=detector.weights=clips"]
    assert about["options"] == {"clips": "clips", "cache": "feats.zarr", "grid": "demo-out/grid", "steps": 3}
    assert about["config"] == {"detector": {"weights": "face.pth"}}
    assert of_a_machine(about) == []
    assert not {os.uname().nodename, str(Path.home())} & set(texts_of(about))


def test_the_command_of_a_record_is_that_of_the_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "benchmarks/stores/__main__.py"), "--clips", "64"])
    spec = ModuleSpec("benchmarks.stores.__main__", None)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    assert about_this_run({}, {})["command"] == ["python", "-m", "benchmarks.stores", "--clips", "64"]


def test_other_settings_are_recorded_as_they_are() -> None:
    settings = {"only": ("encode", "seek"), "lr": 1e-3, "name": "ViT-B/32", "graphed": True, "none": None}
    assert published(settings) == settings | {"only": ["encode", "seek"]}

"""Sections that ensembles, transfers and searches store, and that a report shows."""

import json

import pytest

from pipeline.display.text import lines
from pipeline.errors import CheckpointError
from pipeline.own_dir import OwnDir
from trainer.pages.document import Figure, Items, Section, Table, Text
from trainer.pages.stored_section import SECTION_FILE, read_section, section_json
from trainer.report import report

SECTION = Section(
    title="A <title>",
    banners=["RANDOM"],
    blocks=[
        Text(text="some & text"),
        Table(title="T", columns=["a", "b"], rows=[["1", "2"], ["x", "-"]], note="n"),
        Items(items=["one"], summary="s"),
    ],
    parts=[Section(title="part", blocks=[Text(text="inner")])],
)


def stored(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / SECTION_FILE).write_text(text)
    return OwnDir.of(folder)


def test_a_section_is_read_back(tmp_path):
    read = read_section(stored(tmp_path, section_json(SECTION)))
    assert section_json(read) == section_json(SECTION)
    assert read.parts[0].blocks[0] == Text(text="inner")


def test_a_section_with_a_figure_is_not_stored():
    with pytest.raises(TypeError, match="a section with a Figure cannot be stored"):
        section_json(Section(title="t", blocks=[Figure(title="f", image=b"", alt="")]))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"blocks": [{"other": 1}]},
        {"blocks": [{"text": 1}]},
        {"blocks": [{"table": "t", "columns": ["a"], "rows": [["1", "2"]], "note": ""}]},
        {"blocks": "x"},
        {"banners": [1]},
        {"parts": [{"title": "x"}]},
    ],
)
def test_a_damaged_section_is_rejected_in_one_line(tmp_path, change):
    values = json.loads(section_json(SECTION)) | change
    with pytest.raises(
        CheckpointError, match=r"section.json' cannot be shown \(.*run the command that"
    ) as caught:
        read_section(stored(tmp_path, json.dumps(values)))
    assert "\n" not in str(caught.value)


def test_sections_too_deep_are_rejected(tmp_path):
    section = Section(title="last")
    for _ in range(9):
        section = Section(title="t", parts=[section])
    with pytest.raises(CheckpointError, match="too deep"):
        read_section(stored(tmp_path, section_json(section)))


def test_a_report_shows_stored_sections_alone_and_their_warnings(tmp_path):
    stored(tmp_path / "ens", section_json(SECTION))
    found = report([tmp_path / "ens"], tmp_path / "out", lambda _: None)
    assert found.banners == ("RANDOM",)
    html = (tmp_path / "out/report.html").read_text()
    assert "A &lt;title&gt;" in html
    assert "some &amp; text" in html
    markdown = (tmp_path / "out/report.md").read_text()
    assert "| x | - |" in markdown
    assert "OUS: 1 other result" in markdown
    assert json.loads((tmp_path / "out/report.json").read_text())["results"][0]["title"].startswith(
        "A <title>"
    )
    shown = lines(found)
    assert any(line.startswith("A <title> (") for line in shown)
    assert any(line.split() == ["x", "-"] for line in shown)

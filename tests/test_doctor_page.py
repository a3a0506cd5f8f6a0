"""docs/checking-data.md lists the findings that there are."""

import re
from pathlib import Path

from pipeline.doctor.finding_kinds import KINDS
from pipeline.doctor.page import kinds_table

PAGE = Path(__file__).parent.parent / "docs" / "checking-data.md"


def test_the_page_holds_the_table_that_the_generator_prints() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert kinds_table() in page, "findings have changed: put in what `python -m pipeline.doctor.page` prints"


def test_every_kind_has_one_row_with_what_to_do() -> None:
    rows = kinds_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(KINDS)
    assert all(len(cell.strip()) > 3 for row in rows for cell in row.strip("|").split(" | "))


def test_what_the_example_finds_are_kinds_with_their_remedies() -> None:
    example = PAGE.read_text(encoding="utf-8").split("## An example")[1].split("```")[1]
    findings = example.split("ERRORS")[1]
    named = re.findall(r"^  (\S+)  ", findings, flags=re.MULTILINE)
    assert len(named) >= 5
    assert set(named) <= set(KINDS)
    told = " ".join(findings.split())
    assert all(f"do: {KINDS[kind].remedy}" in told for kind in named)

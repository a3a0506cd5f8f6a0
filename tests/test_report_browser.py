"""The page in a real browser: nothing is wider than a phone, what scrolls is seen to, figures are shown."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import cv2
import pytest

from trainer.pages.document import Figure, Items, Page, Section, Table, Text
from trainer.pages.html import as_html

pytestmark = pytest.mark.browser

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "demo.png"
PROBE = """<script>addEventListener("load", () => {
const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".wide")
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName);
parent.document.title = JSON.stringify({width: innerWidth, page: document.documentElement.scrollWidth, wide,
  shown: [...document.images].map(i => i.complete && i.naturalWidth > 0),
  scrolls: [...document.querySelectorAll(".wide")].map(e => e.scrollWidth > e.clientWidth),
  banner: document.querySelector(".banner").getBoundingClientRect().top})})</script>"""

BOXES = """<script>addEventListener("load", () => {
const boxes = [...document.querySelectorAll(".wide")];
boxes[1].scrollLeft = 1e6;
parent.document.title = JSON.stringify(boxes.map(e => {
  const box = e.getBoundingClientRect();
  return [box.top, box.bottom, box.right].map(Math.round)}))})</script>"""


@pytest.fixture(scope="module")
def chromium():
    found = [
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    ]
    if not found:
        pytest.skip("needs Chromium")
    return found[0]


def page() -> str:
    """A page of everything, with words and tables far wider than a phone; a probe measures it."""
    columns = ["", *(f"a long column {n}" for n in range(12))]
    blocks = [
        Text(text="/a/very/long/path/without/blanks" * 9),
        Items(items=["model.some_setting=value," * 20]),
        Table(title="wide", columns=columns, rows=[["row" * 30, *["100.00 ± 12.34"] * 12]], ours=[0]),
        Table(title="narrow", columns=["", "n"], rows=[["a", "1"]], shade=[[0.7]]),
        Figure(title="figure", image=PICTURE.read_bytes(), alt="a picture"),
    ]
    parts = [Section(title="part", blocks=blocks)]
    banners = ["UNFINISHED: a long warning of a section " * 9]
    sections = [Section(title="section" * 20, banners=banners, blocks=blocks, parts=parts)]
    return probed(Page(title="report", banners=["RANDOM ENCODER WEIGHTS"], sections=sections), PROBE)


def probed(page: Page, probe: str) -> str:
    allowed = as_html(page).replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    return allowed.replace("</body>", probe + "</body>")


def framed(html: str, width: int) -> str:
    frame = f'<iframe srcdoc="{escape(html)}" style="width:{width}px;height:800px;border:0"></iframe>'
    return f'<!doctype html><title></title><body style="margin:0">{frame}</body>'


def browse(chromium: str, page: str, folder: Path, *flags: str) -> Any:
    """What a page's probe has seen."""
    path = folder / "page.html"
    path.write_text(page)
    always = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1400,900"]
    always += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    command = [chromium, *always, *flags, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr
    return json.loads(unescape(title[1]))


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window_and_every_figure_is_shown(chromium, width, tmp_path):
    seen = browse(chromium, framed(page(), width), tmp_path)
    assert seen["width"] == width
    assert (seen["page"], seen["wide"]) == (width, [])
    assert seen["shown"] == [True, True]
    assert seen["scrolls"][0], "the wide table scrolls in its own box"
    assert not seen["scrolls"][1]
    assert seen["banner"] < 50


@pytest.mark.parametrize("kind", ["plain", "ours", "shaded"])
def test_a_table_that_goes_on_beside_its_box_fades_there_until_it_is_scrolled_to_its_end(
    chromium, kind, tmp_path
):
    """Empty cells in the lower half of each box: its right edge is darker than what lies left of it."""
    wide = Table(
        title="table",
        columns=["", *["averylongcolumn"] * 6],
        rows=[["row", *[""] * 6]] * 6,
        ours=range(6) if kind == "ours" else (),
        shade=[[0.0] * 6] * 6 if kind == "shaded" else (),
    )
    narrow = Table(title="table", columns=["", "n"], rows=[["row", ""]] * 6)
    html = probed(
        Page(title="", banners=[], sections=[Section(title="", blocks=[wide, wide, narrow])]), BOXES
    )
    picture = tmp_path / "page.png"
    boxes = browse(chromium, framed(html, 360), tmp_path, f"--screenshot={picture}")
    grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE).astype(float)
    fades = []
    for top, bottom, right in boxes:
        rows = slice((top + bottom) // 2, bottom - 10)
        fades.append(grey[rows, right - 60 : right - 40].mean() - grey[rows, right - 5 : right - 2].mean())
    assert fades[0] > 40
    assert max(map(abs, fades[1:])) < 8

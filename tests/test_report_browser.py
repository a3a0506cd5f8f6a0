"""The page in a real browser: nothing is wider than a phone, every figure is shown."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

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
    html = as_html(Page(title="report", banners=["RANDOM ENCODER WEIGHTS"], sections=sections))
    allowed = html.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    return allowed.replace("</body>", PROBE + "</body>")


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window_and_every_figure_is_shown(chromium, width, tmp_path):
    path = tmp_path / "page.html"
    frame = f'<iframe srcdoc="{escape(page())}" style="width:{width}px;height:800px;border:0"></iframe>'
    path.write_text(f"<!doctype html><title></title><body>{frame}</body>")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1400,900"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [chromium, *flags, path.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr
    seen = json.loads(unescape(title[1]))
    assert seen["width"] == width
    assert (seen["page"], seen["wide"]) == (width, [])
    assert seen["shown"] == [True, True]
    assert seen["scrolls"][0], "the wide table scrolls in its own box"
    assert not seen["scrolls"][1]
    assert seen["banner"] < 50

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "demo.json"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = page.read_text()
    assert "@@" not in text
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    for target in targets:
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_pages_show_the_numbers_of_the_recorded_demo(page):
    recorded, readme = json.loads(RESULT.read_text()), (ROOT / page).read_text()
    assert f"chance (most frequent class)                  {recorded['chance']:6.1%}" in readme
    assert f"the most that faces alone can give            {recorded['face_only_bound']:6.1%}" in readme
    for name, key in (("face-only model", "face_only"), ("full model", "full")):
        low, high = recorded[key]["war_interval_95"]
        assert f"  {name:<44} {recorded[key]['war']:7.1%}  (95% {low:.1%} to {high:.1%})" in readme


def test_the_readme_shows_the_time_of_the_recorded_demo():
    recorded, readme = json.loads(RESULT.read_text()), (ROOT / "README.md").read_text()
    minutes, seconds = divmod(round(sum(recorded["seconds"].values())), 60)
    text = " ".join(readme.split())
    assert f"it took {minutes} min {seconds} s, of which" in text
    assert f"of which extraction {recorded['seconds']['extracting']:.0f} s," in text


def test_the_recorded_demo_shows_what_it_is_to_show():
    recorded = json.loads(RESULT.read_text())
    assert recorded["full"]["war_interval_95"][0] > recorded["face_only_bound"]
    assert recorded["face_only"]["war_interval_95"][0] <= recorded["face_only_bound"]
    assert recorded["face_found_share"] >= 0.95
    assert {"commit", "command", "machine"} <= recorded.keys()


def test_the_page_of_the_synthetic_set_shows_what_was_recorded():
    page = (ROOT / "docs" / "findings.md").read_text()
    recorded = json.loads((RESULT.parent / "synthetic.json").read_text())
    found, frames = recorded["haar_frames_found"]
    leak, both = recorded["leak_probe_on_face_features"], recorded["face_and_scene"]
    for shown in (
        f"{found:,} of {frames:,} ({found / frames:.1%})",
        f"{leak['right']} of {leak['clips']}, {leak['right'] / leak['clips']:.3f}",
        f"{recorded['face_only_test']}; **{recorded['face_only_bound']:.3f}**",
        f"{both['cross_validated_in_train']}; {both['test']}",
    ):
        assert shown in page


def test_the_glossary_has_one_row_per_term_and_every_command_line_term():
    page = (ROOT / "docs" / "glossary.md").read_text()
    terms = re.findall(r"^\| (?!term|-)([^|]+) \|", page, re.MULTILINE)
    names = [name for term in terms for name in term.split(", ")]
    assert len(names) == len(set(names))
    assert {"TFE", "WAR", "UAR", "fold", "split", "block", "cache", "run", "sweep", "worker"} <= set(names)

"""The documentation site: its pages, its navigation, the messages it quotes, and its build."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import cli
from pipeline.config import to_dict
from pipeline.process import ExtractConfig
from trainer.baselines.settings import BaselineSettings
from trainer.config import TrainConfig
from trainer.export import card
from trainer.prediction.results import NOTICE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"commands.md", "settings.md", "changelog.md", "notebooks/first-steps.md"}
PLACEHOLDER = "..."
needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed; `make install` installs it"
)


class Loader(yaml.SafeLoader):
    """Loader of mkdocs.yml, whose tags name Python functions."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    return loaded


@pytest.fixture
def page_modules(monkeypatch):
    """The modules that write pages from the code, as the hooks import them."""
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    import command_page
    import settings_page

    yield command_page, settings_page
    for name in ("command_page", "settings_page"):
        sys.modules.pop(name)


def pages_of(nav: list[Any]) -> list[str]:
    """Return the pages of a navigation in order, with each `*` replaced by what it matches."""
    pages: list[str] = []
    for entry in nav:
        content = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(content, list):
            pages += pages_of(content)
        else:
            found = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob(content))
            pages += found if "*" in content else [content]
    return pages


def templates(path: Path) -> list[str]:
    """Return the texts of a module, each value in an f-string replaced by the placeholder."""
    texts: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = (
                str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values
            )
            texts.append("".join(parts))
        if not isinstance(node, ast.JoinedStr):
            for child in ast.iter_child_nodes(node):
                visit(child)

    visit(ast.parse(path.read_text()))
    return texts


def quoted_messages() -> list[str]:
    return re.findall(r"^### `(.+)`$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)


def test_every_page_is_in_the_navigation_once(config):
    pages = pages_of(config["nav"])
    assert len(pages) == len(set(pages))
    assert set(pages) - GENERATED == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(pages) >= GENERATED
    assert [name for name in GENERATED if (DOCS / name).exists()] == []


def test_pages_link_to_no_page_that_only_the_site_has():
    """Pages are also read on a code host, where such a link leads nowhere."""
    links = {
        (path.name, target)
        for path in DOCS.rglob("*.md")
        for target in re.findall(r"\]\(([^)#]+)", path.read_text())
        if Path(target).name in {Path(page).name for page in GENERATED}
    }
    assert links == set()


def test_quoted_messages_exist():
    sources = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "trainer").rglob("*.py"), ROOT / "cli.py"]
    known = [text for path in sources for text in templates(path)]
    messages = quoted_messages()
    assert len(messages) >= 40
    assert len(messages) == len(set(messages))
    assert [message for message in messages if not any(message in text for text in known)] == []


def test_each_quoted_message_has_its_cause_and_its_fix():
    sections = re.split(r"^##+ ", (DOCS / "troubleshooting.md").read_text(), flags=re.MULTILINE)[1:]
    short = [section for section in sections if section[0] == "`" and len(section.split("\n", 1)[1]) < 40]
    assert short == []


def test_every_option_is_on_the_page_of_commands(page_modules):
    command_page, _ = page_modules
    page = command_page.command_page(cli.app)
    commands = {command.name: command for command in command_page.list_commands(cli.app)}
    assert {"extract", "predict", "cache info", "weights fetch"} <= commands.keys()
    assert all(f"\n## {name}\n" in page for name in commands)
    train = {option.names.split()[0]: option for option in commands["train"].options}
    assert (train["--seed"].default, train["--seed"].section) == ("0", "Model")
    assert train["--run"].default == "runs/CACHE-foldF-seedS"
    assert train["--run"].meaning == "Write the run to this new directory."
    assert [o.names for c in commands.values() for o in c.options if not o.meaning.strip(".")] == []
    split = next(option for option in commands["evaluate"].options if option.names == "--split")
    assert split.choices == ("test", "validation", "train")
    (run,) = [option for option in commands["evaluate"].options if option.section == "Arguments"]
    assert run.default == "required"


def test_every_setting_is_on_the_page_of_settings(page_modules):
    _, settings_page = page_modules
    page = settings_page.settings_page()
    for config in (BaselineSettings(), ExtractConfig(), TrainConfig()):
        keys = [f"{section}.{key}" for section, values in to_dict(config).items() for key in values]
        listed = {setting.key: setting for setting in settings_page.list_settings(type(config))}
        assert list(listed) == keys
        assert all(f"| `{key}` |" in page for key in keys)
        assert [key for key, setting in listed.items() if not setting.meaning.strip()] == []
    assert listed["data.validation"].values == "`auto`, `holdout`, `given`, `test`, `train`"
    assert (listed["optim.lr"].default, listed["optim.lr"].values) == ("`0.0002`", "number")
    assert "| `optim.lr` | 0.0002 | 0.002 | 0.0002 | 0.0005 |" in page


def test_a_setting_without_a_description_is_an_error(page_modules):
    _, settings_page = page_modules
    from dataclasses import make_dataclass

    section = make_dataclass("Section", [("key", int, 1)])
    section.__doc__ = "A section.\n\nAttributes:\n    other: Text.\n"
    settings_page._below_fields = lambda kind: ()
    with pytest.raises(ValueError, match=r"a\.key has no description; add it to the docstring of .*Section"):
        settings_page.list_settings(make_dataclass("Config", [("a", section)]))


def test_the_page_of_exported_models_quotes_their_card():
    page = (DOCS / "export.md").read_text()
    quoted = page.partition("<!-- card -->")[2].partition("<!-- end -->")[0].replace("\n> ", "\n")
    uses = f"Not for: {card._NOT_FOR}."
    own = "\n".join(card._law()).removeprefix("## Before you film people").replace("\n> ", "\n")
    assert quoted.split() == f"{uses} {own}".split()


def test_the_limits_name_what_every_output_states():
    limits = " ".join((DOCS / "limits.md").read_text().split())
    purpose = NOTICE.partition("Not for ")[2]
    assert purpose.startswith("decisions about people")
    assert f"not for {purpose}" in limits


@needs_mkdocs
def test_the_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    loads = re.compile(
        r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 60
    assert [(page.name, url) for page in pages for url in loads.findall(page.read_text())] == []
    assert [path.name for path in site.rglob("*.css") if "//fonts." in path.read_text()] == []
    assert "encoder.activation=gelu|quickgelu" in (site / "weights.html").read_text()
    index = (site / "search/search_index.js").read_text()
    assert index.startswith("var __index = ")
    assert "retinaface-pytorch is missing" in index
    assert "command_page.py" not in {path.name for path in site.rglob("*")}

"""Hooks of mkdocs: pages that are written from the code at every build; `*` in the navigation."""

import re
from pathlib import Path
from typing import Any

import command_page
import notebook_page
import settings_page
from mkdocs.structure.files import File, Files

import cli

ROOT = Path(__file__).parents[2]
PAGES = {
    "commands.md": lambda: command_page.command_page(cli.app),
    "settings.md": settings_page.settings_page,
    "changelog.md": lambda: (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    "notebooks/first-steps.md": lambda: notebook_page.notebook_page(
        ROOT / "docs/notebooks/first-steps.ipynb"
    ),
}
"""Path below docs -> its text."""
SEARCH_BOOST = {"troubleshooting.md": 4, "decisions/": 0.2, "changelog.md": 0.2}
"""Start of a page's path -> factor of its score in a search."""

_CELL = re.compile(r"<t[dh]\b.*?</t[dh]>", re.DOTALL)


def on_config(config: Any) -> Any:
    """Replace each entry of the navigation with `*` by the pages that it matches, sorted by name."""
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are written from the code."""
    for path, text in PAGES.items():
        files.append(File.generated(config, path, content=text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> None:
    """Set the place of a page among the results of a search: messages first, records last."""
    path = page.file.src_uri
    for start, boost in SEARCH_BOOST.items():
        if path.startswith(start):
            page.meta["search"] = {"boost": boost}


def on_page_content(html: str, **_: Any) -> str:
    """Remove the backslash before a bar of code in a cell, which code hosts need and mkdocs shows."""
    return _CELL.sub(lambda cell: cell[0].replace(r"\|", "|"), html)


def _expanded(nav: list[Any], docs: Path) -> list[Any]:
    """Return the navigation without `*`. A section without pages is left out."""
    expanded: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, content),) = entry.items()
            inner = _expanded(content, docs) if isinstance(content, list) else content
            expanded += [{title: inner}] if inner else []
        elif "*" in entry:
            expanded += sorted(path.relative_to(docs).as_posix() for path in docs.glob(entry))
        else:
            expanded.append(entry)
    return expanded

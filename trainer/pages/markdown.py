"""A page -> Markdown, with descriptions instead of images."""

import re
from collections.abc import Iterator, Sequence

from pipeline.errors import printable
from pipeline.portable import portable
from trainer.pages.document import Block, Figure, Items, Page, Section, Table, Text


def as_markdown(page: Page) -> str:
    """Return the page as Markdown, with warnings first."""
    lines = [*_banners(page.banners), f"# {_safe(page.title)}", ""]
    lines += [line for section in page.sections for line in _section(section, 2)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _banners(banners: Sequence[str]) -> Iterator[str]:
    for banner in banners:
        yield from (f"> **!! {_safe(banner)}**", "")


def _section(section: Section, level: int) -> Iterator[str]:
    yield from (f"{'#' * level} {_safe(section.title)}", "")
    yield from _banners(section.banners)
    for block in section.blocks:
        yield from _block(block)
        yield ""
    for part in section.parts:
        yield from _section(part, level + 1)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Text():
            yield _safe(block.text)
        case Items():
            yield from (f"- {_safe(item)}" for item in block.items)
        case Table():
            yield from _table(block)
        case Figure():
            yield from (
                f"**{_safe(block.title)}**: {_safe(block.alt)}; the figure is in the HTML page.",
                *_note(block.note),
            )


def _table(table: Table) -> Iterator[str]:
    yield from (f"**{_safe(table.title)}**", "")
    yield _piped(table.columns)
    yield _piped(["---", *["---:"] * (len(table.columns) - 1)], is_safe=True)
    for number, row in enumerate(table.rows):
        cells = [_safe(cell) for cell in row]
        yield _piped([f"**{cells[0]}**", *cells[1:]] if number in table.ours else cells, is_safe=True)
    yield from _note(table.note)


def _note(text: str) -> Sequence[str]:
    return ["", _safe(text)] if text else []


def _piped(cells: Sequence[str], *, is_safe: bool = False) -> str:
    return f"| {' | '.join(cell if is_safe else _safe(cell) for cell in cells)} |"


def _safe(text: str) -> str:
    """Escape a text for Markdown, replace unprintable characters, and remove the user's name from paths.

    An underscore between letters or digits is not markup, and is not escaped.
    """
    return (
        re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", printable(portable(text), "\ufffd"))
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )

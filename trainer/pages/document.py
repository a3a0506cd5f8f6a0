"""What a page is made of, whatever it is written as: sections of texts, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns have names; the first one holds texts, the others numbers.

    ours: the places of the rows to be marked. shade: of each cell but the first column's, 0 to 1.
    note: stands under it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    ours: Sequence[int] = ()
    shade: Sequence[Sequence[float]] = ()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture. kind: png or jpeg. alt: what it shows, in words. note: stands under it."""

    title: str
    image: bytes
    alt: str
    note: str = ""
    kind: str = "png"


Block = Text | Items | Table | Figure


@dataclass(frozen=True, kw_only=True)
class Section:
    """Blocks under a heading, then parts with headings of their own. banners: what must be read before."""

    title: str
    banners: Sequence[str] = ()
    blocks: Sequence[Block] = ()
    parts: Sequence["Section"] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page. banners: what must be read first."""

    title: str
    banners: Sequence[str]
    sections: Sequence[Section]

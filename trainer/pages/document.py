"""Parts of a page, independent of its format: sections of texts, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list. With a summary, HTML folds it away under this line."""

    items: Sequence[str]
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table. The first column has texts, the others numbers.

    Attributes:
        note: Text under the table.
        ours: Indices of rows to mark.
        shade: Shade of each cell except those of the first column, 0 to 1.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    ours: Sequence[int] = ()
    shade: Sequence[Sequence[float]] = ()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An image.

    Attributes:
        image: Bytes of the file.
        alt: Description of the content.
        note: Text under the image.
        kind: png or jpeg.
    """

    title: str
    image: bytes
    alt: str
    note: str = ""
    kind: str = "png"


Block = Text | Items | Table | Figure


@dataclass(frozen=True, kw_only=True)
class Section:
    """Blocks under a heading, then parts with their own headings. banners are warnings above the blocks."""

    title: str
    banners: Sequence[str] = ()
    blocks: Sequence[Block] = ()
    parts: Sequence["Section"] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page. banners are warnings at its top."""

    title: str
    banners: Sequence[str]
    sections: Sequence[Section]

"""A section of texts and tables -> section.json in the directory of a result, and back, for `report`."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import CheckpointError, FileError, first_line
from pipeline.own_dir import OwnDir
from pipeline.portable import portable_values
from pipeline.strict_json import from_json, to_json
from trainer.pages.document import Block, Items, Section, Table, Text

SECTION_FILE = "section.json"
FORMAT, VERSION = "ous-section", 1
_MOST_BYTES = 16 << 20
_DEEPEST = 8


def section_json(section: Section) -> str:
    """Return the text of section.json. Raises TypeError for a section with figures."""
    return to_json(portable_values({"format": FORMAT, "version": VERSION, **_values(section)})) + "\n"


def read_section(folder: OwnDir) -> Section:
    """Read the section of a directory.

    Raises CheckpointError for a file that is damaged or of another version.
    """
    try:
        values = from_json(folder.read_text(SECTION_FILE, _MOST_BYTES))
        _require_version(values)
        return _section(values, _DEEPEST)
    except (FileError, ValueError, TypeError, KeyError, RecursionError) as error:
        where = folder.path / SECTION_FILE
        msg = f"'{where}' cannot be shown ({first_line(error)}); run the command that made it again."
        raise CheckpointError(msg) from error


def _values(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "banners": list(section.banners),
        "blocks": [_block_values(block) for block in section.blocks],
        "parts": [_values(part) for part in section.parts],
    }


def _block_values(block: Block) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"text": block.text}
    if isinstance(block, Items):
        return {"items": list(block.items), "summary": block.summary}
    if isinstance(block, Table):
        rows = [list(row) for row in block.rows]
        return {"table": block.title, "columns": list(block.columns), "rows": rows, "note": block.note}
    msg = f"a section with a {type(block).__name__} cannot be stored"
    raise TypeError(msg)


def _require_version(values: Mapping[str, Any]) -> None:
    if (values["format"], values["version"]) != (FORMAT, VERSION):
        msg = f"format {values['format']!r:.40}, version {values['version']!r:.40}"
        raise ValueError(msg)


def _section(values: Mapping[str, Any], depth: int) -> Section:
    if not depth:
        msg = "sections within sections, too deep"
        raise ValueError(msg)
    return Section(
        title=_text(values["title"]),
        banners=_texts(values["banners"]),
        blocks=[_block(block) for block in _list(values["blocks"])],
        parts=[_section(part, depth - 1) for part in _list(values["parts"])],
    )


def _block(values: Mapping[str, Any]) -> Block:
    if "text" in values:
        return Text(text=_text(values["text"]))
    if "items" in values:
        return Items(items=_texts(values["items"]), summary=_text(values["summary"]))
    return _table(values)


def _table(values: Mapping[str, Any]) -> Table:
    columns, rows = _texts(values["columns"]), [_texts(row) for row in _list(values["rows"])]
    if any(len(row) != len(columns) for row in rows):
        msg = "a table whose rows have not as many cells as columns"
        raise ValueError(msg)
    return Table(title=_text(values["table"]), columns=columns, rows=rows, note=_text(values["note"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        msg = f"{value!r:.40} is no text"
        raise TypeError(msg)
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        msg = f"{value!r:.40} is no list"
        raise TypeError(msg)
    return value


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in _list(value)]

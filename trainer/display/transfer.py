"""Terminal and JSON form of a table of transfer."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from trainer.pages.document import Items, Table
from trainer.pages.text import table_lines
from trainer.transfer_table import TransferResult


@to_json_values.register
def _(result: TransferResult) -> dict[str, Any]:
    return field_values(result, "names", "shared_classes", "banners", "cells")


@lines.register
def _(result: TransferResult) -> list[str]:
    shown = [f"!! {banner}" for banner in result.banners]
    for section in result.page().sections:
        shown.append(section.title)
        for block in section.blocks:
            if isinstance(block, Table):
                shown += ["", *table_lines(block)]
            elif isinstance(block, Items):
                shown += ["", *(f"note: {item}" for item in block.items)]
    return [*shown, *(f"wrote {path}" for path in result.files)]

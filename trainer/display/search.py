"""Terminal and JSON form of a search."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from trainer.ablate.search_page import chosen_text, search_banners, search_head, search_table
from trainer.ablate.search_result import SearchResult
from trainer.pages.text import table_lines


@to_json_values.register
def _(result: SearchResult) -> dict[str, Any]:
    names = ("candidates", "chosen", "num_runs", "is_cut_short")
    return {
        "search": to_json_values(result.spec),
        **field_values(result, *names),
        "final": to_json_values(result.final),
    }


@lines.register
def _(result: SearchResult) -> list[str]:
    """Return the best candidates, the chosen one, and the final sweep."""
    table = search_table(result)
    return [
        *(f"!! {banner}" for banner in search_banners(result)),
        search_head(result),
        "",
        *table_lines(table),
        *([table.note] if table.note else []),
        "",
        chosen_text(result),
        "",
        *lines(result.final),
    ]

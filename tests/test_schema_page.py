"""docs/schema.md says what the contract says."""

from pathlib import Path

from pipeline.store.meta import CacheMeta
from pipeline.store.schema import ARRAYS
from pipeline.store.schema_page import schema_page

PAGE = Path(__file__).parent.parent / "docs" / "schema.md"


def test_the_page_in_docs_is_what_the_generator_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == schema_page(), "the contract has changed: run `make schema`"


def test_every_array_and_attribute_has_exactly_one_row() -> None:
    rows = [line for line in schema_page().splitlines() if line.startswith("| `")]
    for name in [spec.name for spec in ARRAYS] + list(CacheMeta.__dataclass_fields__):
        assert sum(line.startswith(f"| `{name}` |") for line in rows) == 1, name


def test_a_row_says_dimensions_type_fill_and_range() -> None:
    assert (
        "| `face_score` | clip, view, frame | float32 | by block | 0.0 | 0 to 1 | Detector's score, "
        "1 for given boxes and crops; 0 if the box was interpolated, or the crop is a neighbouring frame's. |"
    ) in schema_page().splitlines()

"""Lists of test files elsewhere name files that exist: a renamed one would be left out in silence."""

import re
from pathlib import Path

import pytest

from tests import conftest, smoke

TESTS = Path(__file__).parent
TEXTS = [*TESTS.parent.glob("*.md"), *TESTS.parent.glob("docs/*.md"), TESTS / "mutation.toml"]


@pytest.mark.parametrize(
    "names", [smoke.TESTS, [f"test_{name}" for name in conftest.LONGEST]], ids=["smoke", "longest"]
)
def test_lists_of_test_files_are_right(names):
    assert [name for name in names if not (TESTS / f"{name}.py").is_file()] == []


def test_pages_name_test_files_that_exist():
    named = {name for text in TEXTS for name in re.findall(r"tests/(\w+\.py)", text.read_text())}
    assert "test_process.py" in named
    assert [name for name in sorted(named) if not (TESTS / name).is_file()] == []

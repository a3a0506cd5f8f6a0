"""Results are data: a display module registers how they are shown, and is found when one is shown."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.display import SUBJECTS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [*SUBJECTS, *SUBJECTS.values()])
def test_every_subject_and_its_display_module_exist(name: str) -> None:
    import_module(name)


def test_no_result_shows_itself() -> None:
    showing = {
        str(path.relative_to(ROOT / "pipeline"))
        for path in (ROOT / "pipeline").rglob("*.py")
        for kind in ast.walk(ast.parse(path.read_text()))
        if isinstance(kind, ast.ClassDef)
        for method in kind.body
        if isinstance(method, ast.FunctionDef)
        if method.name == "to_dict" or (method.name == "lines" and ast.unparse(method.returns) == "list[str]")
    }
    assert showing == set()

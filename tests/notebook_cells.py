"""Run the code cells of a notebook in order, as Jupyter does, in this process: Jupyter is not in the lock."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the code cells of a notebook."""
    cells = json.loads(notebook.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run_cells(notebook: Path, stand_ins: Mapping[str, str] | None = None) -> tuple[dict[str, Any], list[str]]:
    """Run all code cells of a notebook in one namespace.

    Args:
        notebook: The notebook.
        stand_ins: Texts of cells, and what replaces them. Each must occur.

    Returns:
        The namespace, and what Jupyter would show below each cell whose last line is an expression: its HTML
        if the value has one, else its repr.

    Raises:
        AssertionError: A stand-in replaces nothing.
    """
    sources = ["".join(cell["source"]) for cell in code_cells(notebook)]
    for shown, used in (stand_ins or {}).items():
        assert any(shown in source for source in sources), f"{notebook.name} has no {shown!r}"
        sources = [source.replace(shown, used) for source in sources]
    namespace: dict[str, Any] = {}
    outputs: list[str] = []
    for number, source in enumerate(sources, start=1):
        name = f"{notebook.name}, code cell {number}"
        body = ast.parse(source, name).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), name, "exec"), namespace)  # noqa: S102
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)  # noqa: S307
            html = getattr(value, "_repr_html_", None)
            outputs.append(html() if html else repr(value))
    return namespace, outputs

"""The page of a notebook: its texts and its code, without outputs."""

import json
from pathlib import Path


def notebook_page(notebook: Path) -> str:
    """Return a notebook as Markdown, with a link to the file after its first cell.

    Args:
        notebook: A file of Jupyter's format 4, whose first cell is a text with the title.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    parts.insert(1, f"The notebook: [{notebook.name}]({notebook.name}).")
    return "\n\n".join(parts) + "\n"

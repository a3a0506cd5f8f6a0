"""Manifests written for tests."""

import json
from pathlib import Path

HEADER = "path,label,split"


def manifest(folder: Path, text: str | bytes, name: str = "manifest.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def jsonl(folder: Path, *rows: object) -> Path:
    return manifest(folder, "\n".join(json.dumps(row) for row in rows), "manifest.jsonl")

"""A CLIP model of a few thousand weights that processes of their own know as soon as they load open_clip."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

NAME = "modest"
ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": 64, "patch_size": 8, "layers": 5, "width": 64, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
"""Its embeddings are wide enough for classes to be learnt from: F = 192, D = 64."""


class _Factory(MetaPathFinder):
    """Adds the model to `open_clip.factory` when a process imports it; most processes never do."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "open_clip.factory":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Taught(spec.loader)
        return spec


class _Taught(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        module._MODEL_CONFIGS[NAME] = ARCHITECTURE  # type: ignore[attr-defined]


def teach_open_clip() -> None:
    """Let this process know the model. Light: nothing is imported for it."""
    sys.meta_path.insert(0, _Factory())

"""Search for the display module of a result, which is imported when the first such result is shown.

Commands and tests show results of any type by `text.lines` and `json_values.to_json_values`. The package
`display` of each root package contains `SUBJECTS`, which maps the module or package of results to the display
module that registers their types.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def registered(form: Any, kind: type) -> Callable[[Any], Any] | None:
    """Return the function that a display module registers for a type, or None if there is none.

    Args:
        form: A function of `functools.singledispatch`: `lines` or `to_json_values`.
        kind: Type of the result.
    """
    name = kind.__module__
    subjects = _subjects(name.partition(".")[0])
    while name and name not in subjects:
        name = name.rpartition(".")[0]
    if name:
        import_module(subjects[name])
    found: Callable[[Any], Any] = form.dispatch(kind)
    return None if found is form.dispatch(object) else found


def _subjects(root: str) -> Mapping[str, str]:
    """Return the display modules of a root package; none if it has no package `display`."""
    try:
        subjects: Mapping[str, str] = import_module(f"{root}.display").SUBJECTS
    except ModuleNotFoundError as error:
        if error.name not in (root, f"{root}.display"):
            raise
        return {}
    return subjects

"""Fonts that have the letters of a text, the one of Matplotlib or one of this machine; names to draw."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont, features

from pipeline.errors import printable
from trainer.prediction.results import Prediction

PLACES = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path("~/.local/share/fonts"),
    Path("~/.fonts"),
)
"""Directories that are searched for fonts."""
_SUFFIXES = (".ttf", ".otf", ".ttc")
_MOST_FONTS = 2_000
_SIZE_PX = 24
_NO_LETTER = "\U0010ffff"
_FROM_RIGHT = ("R", "AL")


@lru_cache(maxsize=1)
def default_font() -> Path | None:
    """Return DejaVu Sans, which Matplotlib contains; None where it is not installed."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        return None
    font = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return font if font.is_file() else None


@lru_cache(maxsize=512)
def font_with(text: str) -> Path | None:
    """Return a font that has all letters of a text; None if there is none, or Pillow cannot order them."""
    is_from_right = any(unicodedata.bidirectional(letter) in _FROM_RIGHT for letter in text)
    if is_from_right and not features.check("raqm"):
        return None
    default = default_font()
    if default is not None and _has(default, text):
        return default
    return next((font for font in _fonts_of_machine() if _has(font, text)), None)


def can_draw(text: str) -> bool:
    """Return whether a font has all letters of a text."""
    return font_with(text) is not None or (default_font() is None and text.isascii())


def drawn_names(prediction: Prediction) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the texts for names of people and classes, and remarks on those that are others.

    A name that no font of this machine can draw is replaced: by the place among people, such as ``P2``, or by
    the place among classes.
    """
    people = [person.name for person in prediction.people]
    others = {**{name: f"class {n}" for n, name in enumerate(prediction.class_names, 1)}}
    for n, person in enumerate(prediction.people, 1):
        others[person.name] = f"P{n}" if f"P{n}" not in people else person.tracks[0]
    names = {name: name if can_draw(printable(name)) else other for name, other in others.items()}
    notes = tuple(
        f"{shown} stands for '{printable(name)}' in the annotated video, because no font of this machine has "
        "its letters; install one, such as Noto Sans CJK"
        for name, shown in names.items()
        if name != shown
    )
    return names, notes


@lru_cache(maxsize=1)
def _fonts_of_machine() -> tuple[Path, ...]:
    """Return the fonts of this machine in sorted order, regular ones first."""
    found = [
        path for place in PLACES for path in place.expanduser().rglob("*") if path.suffix.lower() in _SUFFIXES
    ]
    return tuple(sorted(found, key=lambda path: ("regular" not in path.stem.lower(), path))[:_MOST_FONTS])


def _has(font: Path, text: str) -> bool:
    """Return whether a font draws every letter as something else than the box of letters that it lacks."""
    try:
        loaded = ImageFont.truetype(font, _SIZE_PX)
        box = _drawn(loaded, _NO_LETTER)
        return all(_drawn(loaded, letter) != box for letter in set(text) if not letter.isspace())
    except (OSError, ValueError):  # no font that Pillow reads
        return False


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)

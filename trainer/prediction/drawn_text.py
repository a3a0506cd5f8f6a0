"""Text on frames: lines of text as masks, drawn once and kept, and blended onto pixels.

Letters that no font of this machine has are drawn as boxes; `fonts.can_draw` tests this before.

Letters: H, W height and width of a frame.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import printable
from pipeline.types import Bytes, Floats
from trainer.prediction.fonts import default_font, font_with

Colour = tuple[int, int, int]
_LEAST_PX = 6


@lru_cache(maxsize=64)
def _font(file: Path | None, size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font of a file; Pillow's own font, without accents, for None."""
    size = max(size_px, _LEAST_PX)
    return ImageFont.load_default(size) if file is None else ImageFont.truetype(file, size)


@lru_cache(maxsize=512)
def text_mask(text: str, size_px: int) -> Floats:
    """Return the opacity of a line of text, float32 [height, width, 1], 0 to 1; lines are equally high."""
    shown = printable(text)
    font = _font(font_with(shown) or default_font(), size_px)
    width = max(1, round(font.getlength(shown)))
    image = Image.new("L", (width, line_height(size_px)))
    ImageDraw.Draw(image).text((0, 0), shown, fill=255, font=font)
    mask: Floats = np.asarray(image, dtype=np.float32)[..., None] / np.float32(255)
    return mask


def line_height(size_px: int) -> int:
    """Return the height of a line of text, in pixels."""
    return round(1.3 * max(size_px, _LEAST_PX))


def text_width(text: str, size_px: int) -> int:
    """Return the width of a line of text, in pixels."""
    return int(text_mask(text, size_px).shape[1])


def put_text(rgb_HWC: Bytes, text: str, left: int, top: int, size_px: int, colour: Colour) -> None:
    """Draw a line of text with its upper left corner at a pixel; parts outside of the frame are left out."""
    mask = text_mask(text, size_px)
    area, part = _overlap(rgb_HWC.shape, mask.shape, left, top)
    under = rgb_HWC[area].astype(np.float32)
    opacity = mask[part]
    rgb_HWC[area] = np.rint(under + opacity * (np.array(colour, np.float32) - under)).astype(np.uint8)


def fill(
    rgb_HWC: Bytes, left: int, top: int, right: int, bottom: int, colour: Colour, opacity: float = 1.0
) -> None:
    """Fill a rectangle, the right and lower ends excluded; parts outside of the frame are left out."""
    area = (slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right)))
    if opacity >= 1:
        rgb_HWC[area] = colour
        return
    under = rgb_HWC[area].astype(np.float32)
    rgb_HWC[area] = np.rint(under + opacity * (np.array(colour, np.float32) - under)).astype(np.uint8)


def wrapped(text: str, size_px: int, width_px: int) -> list[str]:
    """Return the lines of a text that is broken between words to fit a width."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size_px) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _overlap(
    frame: tuple[int, ...], mask: tuple[int, ...], left: int, top: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the rows and columns of a frame that a mask covers, and those of the mask."""
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = max(y0, min(frame[0], top + mask[0])), max(x0, min(frame[1], left + mask[1]))
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))

"""Drawing of a prediction on frames: everyone's box, name and answer, class bars, polarity, warnings.

Letters: H, W height and width of a frame.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import cv2

from pipeline.types import Bytes
from trainer.prediction.drawn_text import Colour, fill, line_height, put_text, text_width, wrapped
from trainer.prediction.fonts import drawn_names
from trainer.prediction.overlay_tracks import GREY, Box, OverlayTrack, tracks_of
from trainer.prediction.people_summary import WINDOW_PROBABILITY
from trainer.prediction.results import NOTICE, Prediction, WindowAnswer
from trainer.prediction.spans import axis_of

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""

NOTICE_SECONDS = 3.0
"""Time from the start of the video for which the whole notice is shown."""
FOOTER = "Automatic emotion recognition: not what a person feels"
"""Line at the bottom of every later frame."""
LEGEND = f"p, bars: {WINDOW_PROBABILITY} of this time"
"""Line under the notice."""
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_BANNER: Colour = (170, 20, 20)
_BAR: Colour = (190, 190, 190)
_POLARITIES: Mapping[str, tuple[str, Colour]] = {
    "negative": ("-", (213, 94, 0)),
    "neutral": ("0", (150, 150, 150)),
    "positive": ("+", (86, 180, 233)),
}
_DARK_SUM = 380
"""Sum of red, green and blue below which text on a colour is white."""
_MOST_TEXT_PX, _LEAST_TEXT_PX, _LINES_PER_FRAME = 40, 9, 34


class Overlay:
    """Drawing of a prediction on the frames of its video.

    Args:
        prediction: The prediction.
        height, width: Size of the frames, in pixels.

    Attributes:
        notes: Remarks on names that no font of this machine can draw.
    """

    def __init__(self, prediction: Prediction, height: int, width: int) -> None:
        self._prediction = prediction
        self._height, self._width = height, width
        size = min(height, width) // _LINES_PER_FRAME
        self._text_px = min(max(size, _LEAST_TEXT_PX), _MOST_TEXT_PX)
        self._axis = axis_of(prediction)
        self._names, self.notes = drawn_names(prediction)
        self._tracks = tracks_of(prediction, self._names)
        self._free = 0, height  # rows between the warnings and the notice of the present frame

    def draw(self, rgb_HWC: Bytes, number: int, seconds: float | None, reason: str | None = None) -> None:
        """Draw on a frame in place.

        Args:
            rgb_HWC: The frame, uint8 [H, W, 3].
            number: Its number.
            seconds: Its time; None without times.
            reason: Why it did not decode, so that an earlier one stands for it; None if it did.
        """
        time = float(number) if seconds is None or not self._axis.has_times else seconds
        is_start = seconds is None or seconds < NOTICE_SECONDS
        notices = [NOTICE, LEGEND] if is_start else [FOOTER]
        warnings = self._warnings(reason)
        self._free = (
            self._height_of(warnings, at_top=True),
            self._height - self._height_of(notices, at_top=False),
        )
        boxes = [(track, box) for track in self._tracks if (box := track.box_at(number)) is not None]
        taken = [_rounded(box) for _, box in boxes]
        for track, box in boxes:
            self._draw_person(rgb_HWC, _rounded(box), track, self._window_at(track, time), taken)
        self._draw_lines(rgb_HWC, notices, _BLACK, at_top=False)
        self._draw_lines(rgb_HWC, warnings, _BANNER, at_top=True)  # last: nothing may cover a warning

    @property
    def tracks(self) -> Sequence[OverlayTrack]:
        """Faces and answers of every track."""
        return self._tracks

    def _window_at(self, track: OverlayTrack, time: float) -> WindowAnswer | None:
        """Return the window that a time belongs to; None if there is none."""
        place = bisect_right(track.starts, time) - 1
        if place < 0 or time >= track.spans[place].end:
            return None
        return self._prediction.windows[track.spans[place].index]

    def _draw_person(
        self,
        rgb_HWC: Bytes,
        box: Rectangle,
        track: OverlayTrack,
        window: WindowAnswer | None,
        taken: list[Rectangle],
    ) -> None:
        """Draw a person; `taken` are rectangles that bars should not cover, to which the bars are added."""
        x0, y0, x1, y1 = box
        px = max(2, self._text_px // 8)
        cv2.rectangle(rgb_HWC, (x0, y0), (x1, y1), _BLACK, px + 2)
        cv2.rectangle(rgb_HWC, (x0, y0), (x1, y1), track.colour, px)
        has_answer = window is not None and window.answer is not None
        colour = track.colour if has_answer else GREY
        self._draw_label(rgb_HWC, self._label(track.name, window), x0, y0, colour, window)
        if window is not None and window.probability is not None:
            self._draw_bars(rgb_HWC, window.probability, box, track.colour, taken)

    def _draw_label(
        self, rgb_HWC: Bytes, text: str, x0: int, y0: int, colour: Colour, window: WindowAnswer | None
    ) -> None:
        """Draw name and answer above a box, or in it at the upper edge, and a dot for the polarity."""
        size, height = self._text_px, line_height(self._text_px)
        pad = size // 3
        polarity = None if window is None else window.polarity
        dot = height if polarity else 0
        width = text_width(text, size) + 2 * pad + dot
        left = max(0, min(x0, self._width - width))
        top = self._within(y0 - height, height)
        fill(rgb_HWC, left, top, left + width, top + height, colour)
        put_text(rgb_HWC, text, left + pad, top, size, _text_on(colour))
        if polarity:
            sign, shade = _POLARITIES[max(polarity, key=lambda name: polarity[name])]
            centre = (left + width - height // 2 - pad // 2, top + height // 2)
            cv2.circle(rgb_HWC, centre, height // 2 - 1, _BLACK, -1, cv2.LINE_AA)
            cv2.circle(rgb_HWC, centre, max(1, height // 2 - 2), shade, -1, cv2.LINE_AA)
            at = (centre[0] - text_width(sign, size) // 2, top)
            put_text(rgb_HWC, sign, *at, size, _text_on(shade))

    def _draw_bars(
        self,
        rgb_HWC: Bytes,
        probability: Mapping[str, float],
        box: Rectangle,
        colour: Colour,
        taken: list[Rectangle],
    ) -> None:
        """Draw a row per class with its name and a bar, at a free place beside the box."""
        size = max(_LEAST_TEXT_PX, round(0.7 * self._text_px))
        row, pad = line_height(size), size // 3
        names = max(text_width(self._names[name], size) for name in probability)
        bar = 4 * size
        width, height = names + bar + 3 * pad, row * len(probability) + 2 * pad
        left, top = self._free_place(box, width, height, taken)
        taken.append((left, top, left + width, top + height))
        fill(rgb_HWC, left, top, left + width, top + height, _BLACK, opacity=0.55)
        best = max(probability, key=lambda name: probability[name])
        for place, (name, value) in enumerate(probability.items()):
            y, x = top + pad + place * row, left + 2 * pad + names
            shade = colour if name == best else _BAR
            put_text(rgb_HWC, self._names[name], left + pad, y, size, _WHITE)
            fill(rgb_HWC, x, y + row // 4, x + max(1, round(bar * value)), y + row - row // 4, shade)

    def _free_place(
        self, box: Rectangle, width: int, height: int, taken: Sequence[Rectangle]
    ) -> tuple[int, int]:
        """Return left and top of a rectangle beside a box that covers nothing, else below the box.

        Right, left and below are tried, in this order, between the warnings and the notice.
        """
        x0, y0, x1, y1 = box
        gap = max(2, self._text_px // 4)
        below = max(0, min(x0, self._width - width)), self._within(y1 + gap, height)
        beside = self._within(y0, height)
        for left, top in ((x1 + gap, beside), (x0 - gap - width, beside), below):
            place = (left, top, left + width, top + height)
            is_inside = left >= 0 and place[2] <= self._width
            if is_inside and not any(_overlap(place, other) for other in taken):
                return left, top
        return below

    def _label(self, name: str, window: WindowAnswer | None) -> str:
        if window is None or window.answer is None or window.probability is None:
            return f"{name}: no answer"
        return f"{name}: {self._names[window.answer]} p={window.probability[window.answer]:.0%}"

    def _within(self, top: int, height: int) -> int:
        """Return the nearest top of something of this height that neither warnings nor notice cover."""
        upper, lower = self._free
        return max(upper, min(top, lower - height))

    def _warnings(self, reason: str | None) -> list[str]:
        missing = [] if reason is None else [f"This frame does not decode: {reason}"]
        return [*self._prediction.banners, *missing]

    def _wrapped(self, texts: Sequence[str], *, at_top: bool) -> tuple[list[str], int]:
        """Return the lines of texts over the whole width, and the size of their letters."""
        size = self._text_px if at_top else max(_LEAST_TEXT_PX, round(0.75 * self._text_px))
        return [line for text in texts for line in wrapped(text, size, self._width - 2 * (size // 3))], size

    def _height_of(self, texts: Sequence[str], *, at_top: bool) -> int:
        lines, size = self._wrapped(texts, at_top=at_top)
        return line_height(size) * len(lines) + size // 3 if lines else 0

    def _draw_lines(self, rgb_HWC: Bytes, texts: Sequence[str], colour: Colour, *, at_top: bool) -> None:
        """Draw texts over the whole width, wrapped, at the top or the bottom."""
        lines, size = self._wrapped(texts, at_top=at_top)
        if not lines:
            return
        pad, row = size // 3, line_height(size)
        height = self._height_of(texts, at_top=at_top)
        top = 0 if at_top else self._height - height
        fill(rgb_HWC, 0, top, self._width, top + height, colour, opacity=1.0 if at_top else 0.6)
        for place, line in enumerate(lines):
            put_text(rgb_HWC, line, pad, top + place * row, size, _WHITE)


def _rounded(box: Box) -> Rectangle:
    x0, y0, x1, y1 = (round(value) for value in box)
    return x0, y0, x1, y1


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    """Return whether two rectangles share a pixel."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _text_on(colour: Colour) -> Colour:
    return _WHITE if sum(colour) < _DARK_SUM else _BLACK

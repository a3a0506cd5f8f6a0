"""Tracks of a prediction, as they are drawn: colour, answers, and the box on every frame."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.prediction.drawn_text import Colour
from trainer.prediction.results import UNKNOWN, Prediction, TrackedFace, WindowAnswer
from trainer.prediction.spans import Span, axis_of, spans_of

PERSON_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0),
    (0, 114, 178),
)  # fmt: skip
"""Colours that colour-blind people can distinguish (Okabe and Ito); an eighth person has the first again."""
GREY: Colour = (150, 150, 150)
"""Colour of tracks that may be of several people."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True, kw_only=True)
class OverlayTrack:
    """Faces and answers of one track.

    Attributes:
        name: Name of the person.
        colour: Colour of the person.
        frames: Numbers of the frames with a detection, rising.
        faces: The detections.
        starts: Starts of the spans, rising.
        spans: Spans of the track's windows.
        extent: First frame of the track's windows, and the first frame after them.
        reach: Frames beside a sampled one that it stands for: half the distance of two sampled frames.
        stride_frames, stride_seconds: From one window to the next; None if it is not constant, or without
            times.
    """

    name: str
    colour: Colour
    frames: Sequence[int]
    faces: Sequence[TrackedFace]
    starts: Sequence[float]
    spans: Sequence[Span]
    extent: tuple[int, int]
    reach: int
    stride_frames: int | None
    stride_seconds: float | None

    def box_at(self, number: int) -> Box | None:
        """Return the box of the track on a frame.

        Between two detections at most one stride apart, it moves evenly. Only sampled frames have detections;
        before the first one and after the last one of a row, the box stays for the frames that a sampled
        frame stands for, within the windows of the track.
        """
        place = bisect_right(self.frames, number) - 1
        before = self.faces[place] if place >= 0 else None
        after = self.faces[place + 1] if place + 1 < len(self.faces) else None
        if before is not None and before.frame == number:
            return before.box_xyxy_px
        if before is None or after is None or not self._is_near(before, after):
            return self._held(number, before, after)
        weight = (number - before.frame) / (after.frame - before.frame)
        pairs = zip(before.box_xyxy_px, after.box_xyxy_px, strict=True)
        x0, y0, x1, y1 = (one + weight * (other - one) for one, other in pairs)
        return x0, y0, x1, y1

    def _is_near(self, one: TrackedFace, other: TrackedFace) -> bool:
        """Return whether two detections are at most one stride apart."""
        if self.stride_frames is not None:
            return other.frame - one.frame <= self.stride_frames
        if self.stride_seconds is None or one.seconds is None or other.seconds is None:
            return False
        return other.seconds - one.seconds <= self.stride_seconds + 1e-6

    def _held(self, number: int, before: TrackedFace | None, after: TrackedFace | None) -> Box | None:
        """Return the box of the nearest of two detections; None if neither stands for a frame."""
        if not self.extent[0] <= number < self.extent[1]:
            return None
        near = [
            face for face in (before, after) if face is not None and abs(face.frame - number) <= self.reach
        ]
        return min(near, key=lambda face: abs(face.frame - number)).box_xyxy_px if near else None


def tracks_of(prediction: Prediction, names: Mapping[str, str]) -> tuple[OverlayTrack, ...]:
    """Return every track with its person, its faces and the spans of its windows."""
    axis, faces = axis_of(prediction), defaultdict[str, list[TrackedFace]](list)
    for face in sorted(prediction.faces, key=lambda face: face.frame):
        faces[face.track].append(face)
    named = [person for person in prediction.people if person.name != UNKNOWN]
    colours = {person.name: PERSON_COLOURS[n % len(PERSON_COLOURS)] for n, person in enumerate(named)}
    windows = defaultdict[str, list[WindowAnswer]](list)
    for window in prediction.windows:
        windows[window.track].append(window)
    found = []
    for track, name in prediction.person_of.items():
        spans, own = spans_of(prediction, axis, [track]), windows[track]
        found.append(
            OverlayTrack(
                name=names[name],
                colour=colours.get(name, GREY),
                frames=[face.frame for face in faces[track]],
                faces=faces[track],
                starts=[span.start for span in spans],
                spans=spans,
                extent=(
                    min((window.first_frame for window in own), default=0),
                    max((window.first_frame + window.num_frames for window in own), default=0),
                ),
                reach=max(
                    (math.ceil(window.num_frames / max(1, window.num_sampled) / 2) for window in own),
                    default=0,
                ),
                stride_frames=prediction.settings.stride_frames,
                stride_seconds=prediction.settings.stride_seconds,
            )
        )
    return tuple(found)

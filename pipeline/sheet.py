"""Drawings: faces on frames, and contact sheets of a clip's two streams.

Letters: U frames; H, W image; S side of a stream image. All images are uint8 RGB.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from pipeline.errors import ClipError, FileError, OusError, counted
from pipeline.own_dir import OwnDir
from pipeline.plain_file import read_given
from pipeline.process import PreparedClip
from pipeline.types import DOUBTFUL_NATS, Absence, Bytes, Faces, FaceTrack, Floats

_MAX_PICTURE_BYTES = 256 << 20
_SUBJECT, _OTHER, _GUESSED, _INK = (60, 220, 90), (240, 190, 40), (235, 80, 60), (235, 235, 235)
_GAP_PX, _CAPTION_PX, _BACKGROUND = 4, 22, 24
_LETTER_PX, _LINE_PX = 8, 18
_LABEL_SCALE = 0.45
_PEOPLE = ((60, 220, 90), (240, 190, 40), (90, 160, 250), (230, 110, 220), (80, 220, 220), (250, 140, 60))
_CUT_PX, _CUT = 5, (250, 60, 200)
_ABSENCES: Mapping[int, str] = {
    Absence.OUT_OF_VIEW: "subject out of view",
    Absence.OTHER_SHOT: "subject in another shot",
}


def read_picture(path: Path) -> Bytes:
    """Return an image file as RGB [H, W, 3], 0 to 255, without its transparency.

    Raises:
        ClipError: The file is not a readable image.
    """
    try:
        encoded = np.frombuffer(read_given(path, _MAX_PICTURE_BYTES), dtype=np.uint8)
    except FileError as error:
        raise ClipError("open", str(error)) from error
    bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if bgr is None:
        raise ClipError("open", "not a readable image")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def write_png(picture: Bytes, path: Path) -> None:
    """Write an RGB image [H, W, 3] as PNG. Its directory is created if it is missing.

    Raises:
        FileError: Something other than a regular file has its name, such as a link.
    """
    ok, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        msg = f"The image of shape {picture.shape} for '{path}' could not be encoded as PNG."
        raise OusError(msg)
    directory = OwnDir.of(path.parent)
    directory.make()
    directory.write_bytes(path.name, encoded.tobytes())


def draw_faces(picture: Bytes, faces: Faces) -> Bytes:
    """Return a copy of an RGB image [H, W, 3] with the bounding box, score and landmarks of every face."""
    drawn = picture.copy()
    for box, score in zip(faces.box_xyxy_px, faces.score, strict=True):
        _rectangle(drawn, box, _OTHER)
        _label(drawn, f"{score:.2f}", box, _OTHER)
    _draw_landmarks(drawn, faces.landmark_xy_px)
    return drawn


def _label(picture: Bytes, text: str, box: Floats, colour: tuple[int, int, int]) -> None:
    """Write a short text above a box; inside the picture, also where the box is at its edge."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _LABEL_SCALE, 1)
    x = max(0, min(int(box[0]), picture.shape[1] - width))
    corner = (x, max(12, int(box[1]) - 4))
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, _LABEL_SCALE, colour, 1, cv2.LINE_AA)


def _draw_landmarks(picture: Bytes, landmark_K52: Floats) -> None:
    for x, y in landmark_K52.reshape(-1, 2):
        if math.isfinite(x) and math.isfinite(y):
            cv2.circle(picture, (round(float(x)), round(float(y))), 2, _SUBJECT, -1, cv2.LINE_AA)


def stream_sheet(prepared: PreparedClip, rgb_UHWC: Bytes, columns: int = 8) -> Bytes:
    """Draw a clip's sampled frames with all faces and the subject's track, above its two streams.

    The first line states people, cuts and the certainty of the track. The caption of each frame has a line
    with its number and time, and a line on its face. Everyone has a number and a colour; the subject's box is
    thick, green if the face was detected, and red if the track interpolates it. The first frame of a new shot
    has a bright edge.

    Args:
        prepared: The clip.
        rgb_UHWC: The pixels of its sampled frames.
        columns: Most frames in a row.

    Returns:
        RGB [H, W, 3]; each cell is as wide as a stream image.
    """
    side = prepared.streams.face_U3SS.shape[-1]
    cells = []
    for u, frame in enumerate(rgb_UHWC):
        drawn = _draw_frame(frame, prepared, u, side / max(frame.shape[:2]))
        face, scene = _shown(prepared.streams.face_U3SS[u]), _shown(prepared.streams.scene_U3SS[u])
        captions = (f"frame {prepared.frames.index_U[u]}{_time(prepared, u)}", _state(prepared.track, u))
        lines = [_caption(caption, side) for caption in captions]
        cell = np.vstack([*lines, _centred(drawn, side, side), face, scene])
        if u and prepared.frames.shot_U[u] != prepared.frames.shot_U[u - 1]:
            cell[:, :_CUT_PX] = _CUT
        cells.append(cell)
    sheet = tile(cells, columns)
    heading = people_summary(prepared)
    return np.vstack([_caption(heading, sheet.shape[1]), sheet]) if heading else sheet


def people_summary(prepared: PreparedClip) -> str:
    """Return a line on people, cuts and the certainty of the track; empty where no one was followed."""
    if not prepared.follows_everyone:
        return ""
    cuts, margin = prepared.frames.cuts, prepared.track.margin
    where = cuts_in_words(cuts)
    people = f"{counted(len(prepared.people), 'person', 'people')}, the subject's box thick; {where}"
    if math.isinf(margin):
        return people
    doubt = " (DOUBTFUL: may be another person)" if margin < DOUBTFUL_NATS else ""
    return f"{people}; margin of the track {margin:.1f} nats{doubt}"


def cuts_in_words(cuts: Sequence[int] | None) -> str:
    """Return the frames of a clip's cuts as a phrase; None if they were not searched."""
    if cuts is None:
        return "cuts not searched"
    return f"cuts at {', '.join(map(str, cuts))}" if cuts else "no cut"


def _draw_frame(frame: Bytes, prepared: PreparedClip, u: int, scale: float) -> Bytes:
    """Return sampled frame `u`, [H, W, 3], at a scale, with all faces and the subject's box."""
    small = cv2.resize(frame, _scaled_size(frame, scale), interpolation=cv2.INTER_AREA)
    drawn = np.asarray(small, np.uint8)
    faces, track = prepared.faces[u], prepared.track
    if prepared.people:
        for person in prepared.people:
            colour = _PEOPLE[(person.number - 1) % len(_PEOPLE)]
            for tracklet in person.tracklets:
                for box in tracklet.box_N4[tracklet.frame_N == u] * scale:
                    _rectangle(drawn, box, colour)
                    _label(drawn, f"P{person.number}", box, colour)
        _draw_landmarks(drawn, faces.landmark_xy_px * scale)
    else:
        drawn = draw_faces(
            drawn,
            Faces(
                box_xyxy_px=faces.box_xyxy_px * scale,
                score=faces.score,
                landmark_xy_px=faces.landmark_xy_px * scale,
            ),
        )
    if track.has_boxes and track.in_view_U[u]:
        colour = _SUBJECT if track.found[u] else _GUESSED
        _rectangle(drawn, track.box_xyxy_px[u] * scale, colour, 2)
    return drawn


def _time(prepared: PreparedClip, u: int) -> str:
    seconds = float(prepared.frames.seconds_U[u])
    return "" if math.isnan(seconds) else f", {seconds:.2f} s"


def _state(track: FaceTrack, u: int) -> str:
    if track.found[u]:
        return "found" if track.has_boxes else "ready crop"
    if not track.has_face:
        return "no face"
    if track.absence_U[u] in _ABSENCES:
        return _ABSENCES[track.absence_U[u]]
    return "not found, box kept" if track.has_boxes else "a neighbour's crop"


def stream_row(prepared: PreparedClip, frame: Bytes, u: int, caption: str) -> Bytes:
    """Draw one sampled frame beside its face crop and its scene frame, under a caption.

    Args:
        prepared: The clip.
        frame: The frame, RGB [H, W, 3].
        u: Row of the frame among the sampled ones.
        caption: Text of one line; its start is cut where it is too long.

    Returns:
        RGB [H, W, 3], as high as a stream image and the caption.
    """
    side = prepared.streams.face_U3SS.shape[-1]
    height, width, _ = frame.shape
    scaled = cv2.resize(frame, (round(width * side / height), side), interpolation=cv2.INTER_AREA)
    row = np.hstack([scaled, _shown(prepared.streams.face_U3SS[u]), _shown(prepared.streams.scene_U3SS[u])])
    return np.vstack([_caption(caption, row.shape[1]), row])


def clip_card(prepared: PreparedClip, frame: Bytes, u: int, caption: str, height: int) -> Bytes:
    """Draw a sampled frame with all faces and the subject's box, its face crop and its scene frame.

    Cards of one height have one size; a frame is fitted into 16:9. Boxes are drawn as in `stream_sheet`.

    Args:
        prepared: The clip.
        frame: The frame, RGB [H, W, 3].
        u: Row of the frame among the sampled ones.
        caption: Text of one line; its start is cut where it is too long.
        height: Height of the three images in pixels, without the caption.

    Returns:
        RGB [H, W, 3].
    """
    width = _card_frame_width(height)
    scale = min(width / frame.shape[1], height / frame.shape[0])
    drawn = _draw_frame(frame, prepared, u, scale)
    streams = (prepared.streams.face_U3SS[u], prepared.streams.scene_U3SS[u])
    squares = [
        cv2.resize(_shown(stream), (height, height), interpolation=cv2.INTER_AREA) for stream in streams
    ]
    gap = np.full((height, _GAP_PX, 3), _BACKGROUND, np.uint8)
    row = np.hstack([_centred(drawn, height, width), gap, squares[0], gap, squares[1]])
    state = "" if prepared.track.found[u] else f"   {_state(prepared.track, u)}"
    return np.vstack([_caption(caption + state, row.shape[1]), np.asarray(row, np.uint8)])


def text_card(text: str, caption: str, height: int) -> Bytes:
    """Draw a card of the size of a `clip_card`, with a text in red.

    Args:
        text: The text, wrapped to the width.
        caption: Text of one line; its start is cut where it is too long.
        height: Height in pixels, without the caption.

    Returns:
        RGB [H, W, 3].
    """
    width = _card_frame_width(height) + 2 * (height + _GAP_PX)
    card = np.full((height, width, 3), _BACKGROUND, np.uint8)
    for number, line in enumerate(textwrap.wrap(text, width // _LETTER_PX)[: height // _LINE_PX - 1]):
        place = (8, _LINE_PX * (number + 1))
        cv2.putText(card, _drawable(line), place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _GUESSED, 1, cv2.LINE_AA)
    return np.vstack([_caption(caption, width), card])


def _card_frame_width(height: int) -> int:
    return round(height * 16 / 9)


def shrunk(picture: Bytes, scale: float) -> Bytes:
    """Return an image [H, W, 3] at a scale from 0 to 1."""
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def tile(cells: Sequence[Bytes], columns: int) -> Bytes:
    """Return cells [H, W, 3] of one size as one image, in rows of `columns`, on a dark background."""
    height, width, _ = cells[0].shape
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    ground = np.full(
        (rows * (height + _GAP_PX) + _GAP_PX, columns * (width + _GAP_PX) + _GAP_PX, 3), _BACKGROUND, np.uint8
    )
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        top, left = _GAP_PX + row * (height + _GAP_PX), _GAP_PX + column * (width + _GAP_PX)
        ground[top : top + height, left : left + width] = cell
    return ground


def _shown(stream_3SS: torch.Tensor) -> Bytes:
    return np.asarray(stream_3SS.permute(1, 2, 0).cpu().numpy(), dtype=np.uint8)


def _rectangle(picture: Bytes, box_xyxy_px: Floats, colour: tuple[int, int, int], width: int = 1) -> None:
    x0, y0, x1, y1 = (round(float(value)) for value in box_xyxy_px)
    cv2.rectangle(picture, (x0, y0), (x1, y1), colour, width)


def _caption(text: str, width: int) -> Bytes:
    strip = np.full((_CAPTION_PX, width, 3), _BACKGROUND, dtype=np.uint8)
    kept = max(1, width // _LETTER_PX)
    shown = text if len(text) <= kept else f"...{text[3 - kept :]}"
    cv2.putText(strip, _drawable(shown), (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return strip


def _scaled_size(picture: Bytes, scale: float) -> tuple[int, int]:
    """Return width and height of an image at a scale."""
    height, width, _ = picture.shape
    return max(1, round(width * scale)), max(1, round(height * scale))


def _centred(picture: Bytes, height: int, width: int) -> Bytes:
    """Return the image in the middle of a dark background."""
    ground = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    ground[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return ground


def _drawable(text: str) -> str:
    """Return the text in ASCII, which the drawn font has; other letters become question marks."""
    return text.encode("ascii", "replace").decode()

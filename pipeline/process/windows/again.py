"""One person in one window, made again from the source: the stream images that the engine has made.

Frames are decoded and faces detected again. The detections of a track are found by their stored boxes, so
that the frames before the window are not needed.

Letters: K faces of a frame; U sampled frames of a window, each once; T frames per view; S side of an image.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline import faces as face_step
from pipeline import streams as stream_step
from pipeline.cancel import CancelToken
from pipeline.errors import ClipError
from pipeline.frames import PartDecoder, stream_frames
from pipeline.looks import LOOK_WIDTH
from pipeline.process.follow import looks_on, searched_rows
from pipeline.process.models import Models
from pipeline.process.windows.person import masks_of, track_of
from pipeline.process.windows.pictures import encodings_of, features_of
from pipeline.process.windows.plan import Window, meta_of
from pipeline.process.windows.samples import WindowOptions, in_view_of
from pipeline.process.windows.seen import SeenFrame
from pipeline.types import Bools, Faces, Features, Floats, Ints, SourceScan, StreamedFrame, Streams

_ROUNDED_PX = 0.006
"""Largest difference between a detected edge and a stored one, which is rounded to two decimals."""

_OWN = 0


@dataclass(frozen=True, kw_only=True)
class WindowAgain:
    """The stream images of one person in one window.

    Attributes:
        streams: The images of T frames.
        frame_T: Numbers of the frames in the source.
        valid_T: False where the last frame of a short window is repeated.
        in_view_T: The valid frames on which the person is in view; all valid ones if there are none.
        area: The part of a scene image that shows the frame: left, top, right and bottom in its pixels.
    """

    streams: Streams
    frame_T: Ints
    valid_T: Bools
    in_view_T: Bools
    area: stream_step.Rectangle


def make_again(
    path: Path,
    scan: SourceScan,
    window: Window,
    boxes: Mapping[int, Floats] | None,
    others: Mapping[int, Sequence[Floats]],
    models: Models,
    options: WindowOptions,
    decoder: PartDecoder,
    cancel: CancelToken | None = None,
) -> WindowAgain:
    """Make the images of one person in a window again, equal to the bit to those of the engine.

    With the mask ``everyone``, this holds unless a weak detection continued a track without a name.

    Args:
        path: The source.
        scan: Its scan.
        window: The window.
        boxes: Stored boxes of the person, [4] each, by number of the frame; None for the subject that is
            chosen among everyone (``people=main``).
        others: Stored boxes of other people, by number of the frame; only the mask ``everyone`` needs them.
        models: Detector and encoder.
        options: Settings of the prediction.
        decoder: Decodes the frames.
        cancel: Ends the work early; checked while frames are decoded.

    Raises:
        ClipError: A frame does not decode now, or a stored box is not detected again; names the step.
        TaskCancelledError: `cancel` is cancelled.
    """
    with closing(stream_frames(path, scan, window.index_U.tolist(), decoder, cancel=cancel)) as frames:
        seen = _seen(list(frames), boxes, others, models, fills_everyone=options.mask == "everyone")
    height, width = seen[0].pixels.shape[1:]
    meta = meta_of(window, scan.seconds_N, models.config, height, width)
    meta, track, seen = track_of(meta, seen, None if boxes is None else _OWN, models.config)
    config, side = models.config.streams, models.images.side_px
    fill = stream_step.fill_on(models.device, models.images.fill_rgb)
    squares = stream_step.face_squares(track, config, height, width)
    masks_U = masks_of(track, meta, seen, models.config, options.mask)
    position_T, valid_T = meta.position_VT[0], meta.valid_VT[0]
    faces = [
        stream_step.face_image(seen[squares[u].frame].pixels, squares[u], side, fill)
        for u in position_T.tolist()
    ]
    scenes = [
        stream_step.scene_image(seen[u].pixels, masks_U[u], config, side, fill) for u in position_T.tolist()
    ]
    return WindowAgain(
        streams=Streams(face_U3SS=torch.cat(faces), scene_U3SS=torch.cat(scenes)),
        frame_T=np.array([seen[u].number for u in position_T.tolist()], np.int64),
        valid_T=valid_T,
        in_view_T=in_view_of(track.absence_U[position_T], valid_T),
        area=stream_step.scene_area(config, side, height, width),
    )


def encode_streams(
    streams: Streams, models: Models, *, has_scene: bool, on_batch: Callable[[int], None] | None = None
) -> Features:
    """Return the features of T pairs of images as those of one view.

    Args:
        streams: The images.
        models: The encoder.
        has_scene: Whether the scene stream is needed.
        on_batch: Called with the number of images after each batch.

    Raises:
        ClipError: A feature is beyond the range of float16.
    """
    encoder = models.encoder
    faces = encodings_of(encoder.encode(streams.face_U3SS, early=False, on_batch=on_batch))
    scenes = []
    if has_scene:
        scenes = encodings_of(encoder.encode(streams.scene_U3SS, early=True, on_batch=on_batch))
    return features_of(faces, scenes)


def _seen(
    frames: Sequence[StreamedFrame],
    boxes: Mapping[int, Floats] | None,
    others: Mapping[int, Sequence[Floats]],
    models: Models,
    *,
    fills_everyone: bool,
) -> list[SeenFrame]:
    """Detect faces where the engine has detected them, and find those with stored boxes."""
    for frame in frames:
        if frame.rgb_HWC is None:
            raise ClipError("decode", f"frame {frame.number}: {frame.reason}")
    images = [frame.rgb_HWC for frame in frames if frame.rgb_HWC is not None]
    rows = searched_rows(np.zeros(len(frames), np.int64), models.config)
    device_U = torch.from_numpy(np.stack(images)).to(models.device)
    found = dict(zip(rows, models.detector.detect(device_U[rows]), strict=True))
    seen = []
    for u, (frame, rgb_HWC) in enumerate(zip(frames, images, strict=True)):
        if u in found:
            faces = found[u]
            (looks,) = looks_on([rgb_HWC], [faces])
            own = None if boxes is None else boxes.get(frame.number)
            held = _held(frame.number, faces, own, others.get(frame.number, ()))
            if fills_everyone:  # a face above this score has a track, perhaps one without a name
                strong = np.flatnonzero(faces.score > models.config.detector.score).tolist()
                held |= {len(held) + n: face for n, face in enumerate(strong, 1)}
        else:
            faces, looks, held = face_step.no_faces(), np.empty((0, LOOK_WIDTH), np.float32), {}
        seen.append(
            SeenFrame(
                number=frame.number,
                faces=faces,
                looks=looks,
                held=held,
                rgb_HWC=rgb_HWC,
                frame_3HW=device_U[u].permute(2, 0, 1),
            )
        )
    return seen


def _held(number: int, faces: Faces, own: Floats | None, others: Sequence[Floats]) -> dict[int, int]:
    """Return the places of the faces with stored boxes, by tracklet: 0 for the person, then the others."""
    held = {_OWN + n: _place_of(box, faces, number) for n, box in enumerate(others, 1)}
    if own is not None:
        held[_OWN] = _place_of(own, faces, number)
    return held


def _place_of(box: Floats, faces: Faces, number: int) -> int:
    """Return the place of the face with a stored box. Raises ClipError if there is none."""
    if len(faces.score):
        difference_K = np.abs(faces.box_xyxy_px - box).max(axis=1)
        place = int(difference_K.argmin())
        if difference_K[place] <= _ROUNDED_PX:
            return place
    raise ClipError("detect", f"the stored face of frame {number} is not detected again")

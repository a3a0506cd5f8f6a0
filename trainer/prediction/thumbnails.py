"""A face of every person of a prediction, as a small JPEG."""

from collections.abc import Mapping
from contextlib import closing

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.process.windows import PartDecoder, stream_frames
from trainer.prediction.results import Prediction, TrackedFace
from trainer.prediction.source import PlannedSource

_SIDE_PX, _MARGIN, _QUALITY = 96, 1.4, 80


def face_thumbnails(
    prediction: Prediction, planned: PlannedSource, decoder: PartDecoder
) -> Mapping[str, bytes]:
    """Return a JPEG of 96 x 96 pixels by the name of each person: the face that is detected best and largest.

    People without a detected face, or whose frame does not decode, have none.
    """
    best: dict[str, TrackedFace] = {}
    person_of = prediction.person_of
    for face in prediction.faces:
        name = person_of.get(face.track)
        if name is not None and (name not in best or _rank(face) > _rank(best[name])):
            best[name] = face
    wanted = sorted({face.frame for face in best.values()})
    if not wanted:
        return {}
    with closing(stream_frames(planned.path, planned.scan, wanted, decoder)) as frames:
        images = {
            (name, frame.number): _cropped(frame.rgb_HWC, face)
            for frame in frames
            for name, face in best.items()
            if face.frame == frame.number and frame.rgb_HWC is not None
        }
    return {name: image for (name, _), image in images.items()}


def _rank(face: TrackedFace) -> float:
    x0, y0, x1, y1 = face.box_xyxy_px
    return face.score * min(x1 - x0, y1 - y0)


def _cropped(rgb_HWC: npt.NDArray[np.uint8], face: TrackedFace) -> bytes:
    """Return the square around a face as a JPEG; parts outside of the frame repeat its edge."""
    height, width, _ = rgb_HWC.shape
    x0, y0, x1, y1 = face.box_xyxy_px
    half = max(1, round(_MARGIN * max(x1 - x0, y1 - y0) / 2))
    columns = np.clip(np.arange(-half, half) + round((x0 + x1) / 2), 0, width - 1)
    rows = np.clip(np.arange(-half, half) + round((y0 + y1) / 2), 0, height - 1)
    square = np.ascontiguousarray(rgb_HWC[rows][:, columns, ::-1])
    small = cv2.resize(square, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    content: bytes = encoded.tobytes()
    return content

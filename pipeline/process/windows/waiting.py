"""Samples of windows in the order of the plan, until the images of each are encoded.

Letters: U sampled frames of a window, each once; T frames per view.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile

from pipeline import streams as stream_step
from pipeline.errors import ClipError
from pipeline.process.models import Models
from pipeline.process.windows.person import masks_of
from pipeline.process.windows.pictures import Key, PictureMemo, features_of
from pipeline.process.windows.samples import WindowOptions, WindowSample
from pipeline.process.windows.seen import SeenFrame
from pipeline.types import FaceTrack, FrameMeta


@dataclass
class _Waiting:
    """A person in a window whose images wait to be encoded."""

    place: int
    """Place of the window in the plan."""
    sample: WindowSample
    face_keys_T: list[Key] = field(default_factory=list)
    scene_keys_T: list[Key] = field(default_factory=list)


class WaitingSamples:
    """Samples that wait for the features of their images, each image encoded once.

    Args:
        models: Detector and encoder.
        options: Settings.

    Attributes:
        num_wanted: Images of all samples that were taken, each counted as often as it is in one.
    """

    def __init__(self, models: Models, options: WindowOptions) -> None:
        self._models, self._options = models, options
        self._fill = stream_step.fill_on(models.device, models.images.fill_rgb)
        self._faces, self._scenes = PictureMemo(early=False), PictureMemo(early=True)
        self._waiting: deque[_Waiting] = deque()
        self.num_wanted = 0

    @property
    def num_images(self) -> int:
        """Images that wait to be encoded."""
        return len(self._faces) + len(self._scenes)

    @property
    def num_encoded(self) -> tuple[int, int]:
        """Numbers of faces and scenes that were encoded."""
        return self._faces.num_encoded, self._scenes.num_encoded

    def count_earlier(self, num_wanted: int, num_faces: int, num_scenes: int) -> None:
        """Set the numbers of images that were taken and encoded before an interruption."""
        self.num_wanted, self._faces.num_encoded, self._scenes.num_encoded = num_wanted, num_faces, num_scenes

    def add(self, place: int, sample: WindowSample) -> None:
        """Add a sample that needs no images; `place` is that of its window in the plan."""
        self._waiting.append(_Waiting(place, sample))

    def add_person(
        self, place: int, sample: WindowSample, meta: FrameMeta, track: FaceTrack, seen: Sequence[SeenFrame]
    ) -> None:
        """Add a sample, and request the features of its images.

        Args:
            place: Place of its window in the plan.
            sample: The sample, without features.
            meta: Facts about the window's frames.
            track: The person's face on these U frames.
            seen: The frames.
        """
        waiting = _Waiting(place, sample)
        all_config, side = self._models.config, self._models.images.side_px
        config = all_config.streams
        squares = stream_step.face_squares(track, config, meta.height_px, meta.width_px)
        masks_U = masks_of(track, meta, seen, all_config, self._options.mask)
        for u in meta.position_VT[0].tolist():
            square = squares[u]
            shown = seen[square.frame]
            key = (shown.number, square.left, square.top, square.side)
            waiting.face_keys_T.append(key)
            self._faces.want(key, partial(stream_step.face_image, shown.pixels, square, side, self._fill))
            if self._options.has_scene:
                scene_key = (seen[u].number, masks_U[u])
                waiting.scene_keys_T.append(scene_key)
                make = partial(stream_step.scene_image, seen[u].pixels, masks_U[u], config, side, self._fill)
                self._scenes.want(scene_key, make)
        self._waiting.append(waiting)

    def encode(self, on_batch: Callable[[int], None], *, encode_all: bool) -> None:
        """Encode the images that wait: all of them, or as many as fill batches."""
        self._faces.encode(self._models.encoder, on_batch, encode_all=encode_all)
        self._scenes.encode(self._models.encoder, on_batch, encode_all=encode_all)

    def take_ready(self) -> tuple[list[WindowSample], int | None]:
        """Return the samples of all windows that are ready, and the place of the last one; None without any.

        A window is ready when the images of all its samples are encoded, and all windows before it are ready.
        """
        samples: list[WindowSample] = []
        last = None
        while self._waiting and self._is_window_ready():
            last = self._waiting[0].place
            while self._waiting and self._waiting[0].place == last:
                samples.append(self._with_features(self._waiting.popleft()))
        return samples, last

    def forget_before(self, first: int | None) -> None:
        """Forget the features of images of frames before `first`; of all frames if it is None."""
        for memo in (self._faces, self._scenes):
            memo.forget(lambda key: first is None or key[0] < first)  # type: ignore[index]

    def _is_window_ready(self) -> bool:
        """Return whether all images of the first window that waits are encoded."""
        place = self._waiting[0].place
        return all(
            self._faces.knows(one.face_keys_T) and self._scenes.knows(one.scene_keys_T)
            for one in takewhile(lambda one: one.place == place, self._waiting)
        )

    def _with_features(self, waiting: _Waiting) -> WindowSample:
        """Return a sample with its features, or with the reason why it has none."""
        sample = waiting.sample
        if sample.reason:
            return sample
        self.num_wanted += len(waiting.face_keys_T) + len(waiting.scene_keys_T)
        try:
            faces, scenes = self._faces.of(waiting.face_keys_T), self._scenes.of(waiting.scene_keys_T)
        except ClipError as error:
            return replace(sample, reason=error.reason)
        return replace(sample, features=features_of(faces, scenes))

"""From the frames of a long source, in order, to the features of every person in every window.

A window has the features that `extract` computes for a clip with its times, to the bit: the same steps see
the same frames. With ``people=all``, they see one person's detections at a time, with ``main`` those of
everyone, and choose the subject of the window by themselves.

Letters: K faces of a frame; U sampled frames of a window, each once; T frames per view; F, D widths.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline import faces as face_step
from pipeline.errors import counted
from pipeline.looks import LOOK_WIDTH
from pipeline.process.follow import looks_on, searched_rows
from pipeline.process.models import Models
from pipeline.process.windows import seen as seen_step
from pipeline.process.windows.person import track_of
from pipeline.process.windows.plan import Seconds, Window, WindowPlan, clock_of, meta_of
from pipeline.process.windows.samples import (
    ALL,
    MAIN,
    FoundFace,
    WindowOptions,
    WindowSample,
    in_view_of,
    least_found,
    reason_for,
    without_face,
)
from pipeline.process.windows.seen import SeenFrame, owner_of, reason_of_none
from pipeline.process.windows.track_parts import TrackPart
from pipeline.process.windows.tracks import LEAST_DETECTIONS, TrackTable
from pipeline.process.windows.waiting import WaitingSamples
from pipeline.types import Faces, FrameMeta, StreamedFrame


class WindowEngine:
    """Makes samples of the windows of a plan, from frames that are added in order.

    Args:
        models: Detector and encoder.
        plan: The windows.
        seconds_N: Times of the source's frames; NaN without times.
        options: Settings.
        state: Arrays of `to_arrays`, to continue from there; None for the start.
        parts: All results of `tracks.take_parts` up to there.
    """

    def __init__(
        self,
        models: Models,
        plan: WindowPlan,
        seconds_N: Seconds,
        options: WindowOptions,
        state: Mapping[str, npt.NDArray[Any]] | None = None,
        parts: Iterable[TrackPart] = (),
    ) -> None:
        self._models, self._plan, self._options = models, plan, options
        self._config = models.config
        self._seconds_N = seconds_N
        self._clock_N = clock_of(seconds_N)
        self._searched = _searched_frames(plan, models)
        self._needed_from = _needed_from(plan.windows)
        self._last_use = {n: int(w.index_U[-1]) for w in plan.windows for n in w.index_U.tolist()}
        self._waiting = WaitingSamples(models, options)
        self._found: list[FoundFace] = []
        self._seen: dict[int, SeenFrame] = {}
        self._made = self._ready = 0  # windows
        self.tracks = TrackTable(self._config)
        if state is not None:
            self._continue(state, parts)

    @property
    def num_ready(self) -> int:
        """Windows whose samples `flush` has returned."""
        return self._ready

    @property
    def first_needed(self) -> int | None:
        """The first frame that windows need whose samples `flush` has not returned; None if there are none.

        An engine that continues from `to_arrays` starts with this frame.
        """
        return self._first_of(self._ready)

    @property
    def num_waiting(self) -> int:
        """Images that wait to be encoded."""
        return self._waiting.num_images

    @property
    def num_encoded(self) -> int:
        """Images that were encoded."""
        return sum(self._waiting.num_encoded)

    @property
    def num_wanted(self) -> int:
        """Images of all samples that `flush` has returned, each counted as often as it is in one."""
        return self._waiting.num_wanted

    def add(self, frames: Sequence[StreamedFrame]) -> None:
        """Add the next frames: detect and link their faces, and make the windows that are complete.

        Raises:
            ClipError: A step fails; names the step.
        """
        self._see(frames)
        latest, windows, made = frames[-1].number, self._plan.windows, self._made
        while self._made < len(windows) and int(windows[self._made].index_U[-1]) <= latest:
            self._make(windows[self._made])
            self._made += 1
        if self._made > made:
            first = self._first_of(self._made)
            for seen in self._seen.values():
                if first is None or seen.number < first:
                    seen.release()

    def flush(
        self, on_batch: Callable[[int], None] = lambda _: None, *, encode_all: bool = False
    ) -> list[WindowSample]:
        """Encode the images that fill batches, and return the samples of all windows that are ready then.

        Args:
            on_batch: Called with the number of images after each batch.
            encode_all: Encode all images that wait. The features do not depend on it.
        """
        self._waiting.encode(on_batch, encode_all=encode_all)
        samples, last = self._waiting.take_ready()
        if last is not None:
            self._ready = last + 1
        self._drop_frames()
        return samples

    def _first_of(self, place: int) -> int | None:
        """Return the first frame that windows from a place of the plan on need; None after the last."""
        return self._needed_from[place] if place < len(self._needed_from) else None

    def take_faces(self) -> list[FoundFace]:
        """Return the faces of named tracks on frames that no later window needs, since the last call."""
        found, self._found = self._found, []
        return found

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state after `flush`, from which an equal engine continues to the bit.

        It has the open windows and tracklets. `tracks.take_parts` returns the tracks, which grow.
        """
        return {
            **{f"linker_{name}": value for name, value in self.tracks.to_arrays().items()},
            **seen_step.to_arrays(list(self._seen.values())),
            "counts": np.array([self._ready, self.num_wanted, *self._waiting.num_encoded]),
        }

    def _continue(self, state: Mapping[str, npt.NDArray[Any]], parts: Iterable[TrackPart]) -> None:
        """Take over a state. Raises ValueError, KeyError, IndexError or TypeError for one that is none."""
        prefix = "linker_"
        linker = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
        self.tracks = TrackTable.restored(linker, parts, self._config)
        self._seen = {one.number: one for one in seen_step.from_arrays(state)}
        held = [(len(one.faces.score), *pair) for one in self._seen.values() for pair in one.held.items()]
        if not all(self.tracks.has(tracklet) and 0 <= face < count for count, tracklet, face in held):
            msg = "frames have faces of tracklets that the state does not have"
            raise ValueError(msg)
        counts = [int(count) for count in state["counts"].tolist()]
        self._ready, num_wanted, num_faces, num_scenes = counts
        self._waiting.count_earlier(num_wanted, num_faces, num_scenes)
        self._made = self._ready

    def _see(self, frames: Sequence[StreamedFrame]) -> None:
        """Detect and link the faces on new frames; frames that were seen before get their pixels."""
        device = self._models.device
        pixels = [frame.rgb_HWC for frame in frames if frame.rgb_HWC is not None]
        on_device = iter(torch.from_numpy(np.stack(pixels)).to(device) if pixels else ())
        tensors = [None if frame.rgb_HWC is None else next(on_device) for frame in frames]
        is_new = [
            frame.number not in self._seen and frame.number in self._searched and frame.rgb_HWC is not None
            for frame in frames
        ]
        searched = [tensor for tensor, new in zip(tensors, is_new, strict=True) if new and tensor is not None]
        found = iter(self._models.detector.detect(torch.stack(searched)) if searched else ())
        for frame, tensor, new in zip(frames, tensors, is_new, strict=True):
            if frame.number not in self._seen:
                faces = next(found) if new else face_step.no_faces()
                self._seen[frame.number] = self._linked(frame, faces, is_searched=new)
            seen = self._seen[frame.number]
            seen.rgb_HWC, seen.reason = frame.rgb_HWC, frame.reason or ""
            seen.frame_3HW = None if tensor is None else tensor.permute(2, 0, 1)

    def _linked(self, frame: StreamedFrame, faces: Faces, *, is_searched: bool) -> SeenFrame:
        number, rgb_HWC = frame.number, frame.rgb_HWC
        if not is_searched or rgb_HWC is None:
            looks = np.empty((0, LOOK_WIDTH), np.float32)
            return SeenFrame(number=number, faces=face_step.no_faces(), looks=looks, held={})
        (looks,) = looks_on([rgb_HWC], [faces])
        seconds, shot = float(self._clock_N[number]), self._plan.shot_of(number)
        held = self.tracks.add(number, seconds, shot, faces, looks)
        return SeenFrame(number=number, faces=faces, looks=looks, held=held)

    def _make(self, window: Window) -> None:
        """Make the samples of a window, and request the features of their images."""
        seen = [self._seen[number] for number in window.index_U.tolist()]
        height, width = next((one.rgb_HWC.shape[:2] for one in seen if one.rgb_HWC is not None), (1, 1))
        meta = meta_of(window, self._seconds_N, self._config, height, width)
        gaps = [one for one in seen if one.rgb_HWC is None]
        last = int(window.index_U[-1])
        followed = self._tracklets_in(seen, last, self._needed(window, meta))
        if gaps:
            lost = counted(len(gaps), "frame")
            reason = f"{lost} of {len(seen)} did not decode: {gaps[0].reason or 'unknown reason'}"
            names = [self.tracks.given_name(tracklet, last) for tracklet in followed] or [""]
            for name in names:
                self._waiting.add(self._made, without_face(window, meta, name, reason, has_gap=True))
        elif self._options.people == MAIN:
            self._make_person(window, meta, seen, None)
        elif not followed:
            self._waiting.add(self._made, without_face(window, meta, "", reason_of_none(seen)))
        else:
            for tracklet in followed:
                self._make_person(window, meta, seen, tracklet)

    def _needed(self, window: Window, meta: FrameMeta) -> int:
        """Return the number of detections from which a tracklet is a person in a window.

        A short shot has few sampled frames. There, those that an answer needs suffice.
        """
        if not window.is_short:
            return LEAST_DETECTIONS
        return min(LEAST_DETECTIONS, least_found(len(np.unique(meta.position_VT[0])), self._options))

    def _tracklets_in(self, seen: Sequence[SeenFrame], last: int, needed: int) -> list[int]:
        """Return the tracklets with a name on frames, in the order of their numbers, or the heaviest few."""
        numbers = sorted({tracklet for one in seen for tracklet in one.held})
        named = [number for number in numbers if self.tracks.name(number, last, least=needed)]
        people = self._options.people
        if people == ALL:
            return named
        heaviest = sorted(named, key=lambda number: self.tracks.weight(number, last), reverse=True)
        return sorted(heaviest[: 1 if people == MAIN else int(people)])

    def _make_person(
        self, window: Window, meta: FrameMeta, seen: Sequence[SeenFrame], tracklet: int | None
    ) -> None:
        """Make the sample of a tracklet in a window, or of the subject that is chosen among everyone."""
        meta, track, seen = track_of(meta, seen, tracklet, self._config)
        used_U = np.unique(meta.position_VT[0])
        found_U = track.found[used_U]
        owner = tracklet if tracklet is not None else owner_of(seen, track.box_xyxy_px, track.found)
        last = int(window.index_U[-1])
        name = "" if owner is None else self.tracks.name(owner, last, least=1)
        boxes = track.box_xyxy_px[used_U][found_U]
        sample = WindowSample(
            window=window,
            track=name,
            frames_found=int(found_U.sum()),
            num_sampled=len(used_U),
            box_xyxy_px=boxes.mean(axis=0, dtype=np.float64).astype(np.float32) if len(boxes) else None,
            is_doubtful=owner is not None and self.tracks.is_doubtful(owner, window.first, last + 1),
            has_gap=False,
            reason=reason_for(boxes, len(used_U), self._options),
            features=None,
            valid_T=meta.valid_VT[0],
            in_view_T=in_view_of(track.absence_U[meta.position_VT[0]], meta.valid_VT[0]),
        )
        if sample.reason:
            self._waiting.add(self._made, sample)
        else:
            self._waiting.add_person(self._made, sample, meta, track, seen)

    def _drop_frames(self) -> None:
        """Forget the frames that no window needs, and keep the faces of named tracks on them."""
        first = self.first_needed
        for number in [n for n in self._seen if first is None or n < first]:
            seen = self._seen.pop(number)
            for tracklet, face in seen.held.items():
                if name := self.tracks.given_name(tracklet, self._last_use[number]):
                    box, score = seen.faces.box_xyxy_px[face], float(seen.faces.score[face])
                    self._found.append(FoundFace(frame=number, track=name, box_xyxy_px=box, score=score))
        self._waiting.forget_before(first)


def _searched_frames(plan: WindowPlan, models: Models) -> set[int]:
    """Return the numbers of the frames on which a window's faces are detected."""
    searched: set[int] = set()
    for window in plan.windows:
        rows = searched_rows(np.zeros(len(window.index_U), np.int64), models.config)
        searched.update(window.index_U[rows].tolist())
    return searched


def _needed_from(windows: Sequence[Window]) -> list[int]:
    """Return the first frame that each window or a later one uses."""
    firsts = [int(window.index_U[0]) for window in windows]
    return list(accumulate(reversed(firsts), min))[::-1]

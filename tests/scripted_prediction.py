"""A prediction of a scripted video by a small run; as a program, one that is slow enough to be killed."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from pipeline.frames import InlineDecoder
from pipeline.own_dir import OwnDir
from pipeline.process.windows import reader
from pipeline.types import SourceFile, SourceScan, StreamedFrame
from tests.scripted_video import HEIGHT, RATE, WIDTH, ScriptedVideo
from trainer.prediction.extraction import RunModels
from trainer.prediction.predict import Predictor
from trainer.prediction.results import Settings
from trainer.prediction.source import PlannedSource, PredictOptions
from trainer.runs import Run, load_run

IDENTITY = {"encoder": {"name": "modest"}}


def visitors(number: int) -> dict[int, tuple[float, float]]:
    """Two people, of whom one leaves for a while, and a third one who comes for a moment."""
    found = {1: (3.0 + 0.3 * number, 10.0)}
    if not 30 <= number < 62:
        found[2] = (80.0 - 0.2 * number, 52.0)
    if number in (40, 41, 42, 44):
        found[3] = (84.0, 2.0)
    return found


def make_video(num_frames: int = 100, **changes: object) -> ScriptedVideo:
    return ScriptedVideo(script=visitors, num_frames=num_frames, cuts=(57,), **changes)  # type: ignore[arg-type]


def scan_of(video: ScriptedVideo, sha256: str = "a" * 64) -> SourceScan:
    assert video.seconds_N is not None
    return SourceScan(
        seconds_N=video.seconds_N,
        end_seconds=float(video.seconds_N[-1]) + 1 / RATE,
        cuts=video.cuts,
        keys=(0,),
        height_px=HEIGHT,
        width_px=WIDTH,
        frame_rate=RATE,
        can_jump=True,
        has_sound=False,
        source=SourceFile(num_bytes=1, sha256=sha256),
    )


def planned_of(video: ScriptedVideo, options: PredictOptions, sha256: str = "a" * 64) -> PlannedSource:
    scan = scan_of(video, sha256)
    settings = Settings(
        window_seconds=video.plan.window_seconds,
        stride_seconds=video.plan.stride_seconds,
        window_frames=video.plan.window_frames,
        stride_frames=video.plan.stride_frames,
        people=options.people,
        min_face_px=options.min_face_px,
        min_share=options.min_share,
        mask=options.mask or "subject",
    )
    return PlannedSource(path=Path("video.mp4"), scan=scan, plan=video.plan, settings=settings, notes=())


class Scripted:
    """A predictor of a scripted video; the frames are those of the script."""

    def __init__(
        self, run: Run, options: PredictOptions | None = None, *, seconds_per_frame: float = 0.0
    ) -> None:
        self.video, self.options = make_video(), options or PredictOptions(min_face_px=0)
        self.planned = planned_of(self.video, self.options)
        models = RunModels(models=self.video.models, identity=IDENTITY, banners=())
        self.predictor = Predictor(run, models, self.options, InlineDecoder())
        self._seconds_per_frame = seconds_per_frame

    def stream(
        self, path: Path, scan: SourceScan, wanted: Sequence[int], decoder: object
    ) -> Iterator[StreamedFrame]:
        for number in wanted:
            time.sleep(self._seconds_per_frame)
            yield from self.video.frames([number])

    def predict(self, out: Path, **more: object) -> object:
        place = OwnDir.of(out)
        place.make()
        with (
            mock.patch.object(reader, "stream_frames", self.stream),
            mock.patch.object(reader, "_CHUNK_FRAMES", 3),
            mock.patch.object(reader, "_BATCHES", 1),
        ):
            return self.predictor.predict(self.planned, place, **more)  # type: ignore[arg-type]


def main() -> None:
    run, out, seconds = sys.argv[1:]
    np.seterr(all="raise", under="ignore")
    Scripted(load_run(run, device="cpu"), seconds_per_frame=float(seconds)).predict(Path(out))


if __name__ == "__main__":
    main()

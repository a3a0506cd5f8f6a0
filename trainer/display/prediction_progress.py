"""Progress bars of `predict` in a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from pipeline.errors import counted
from pipeline.terminal import progress_bar, say
from trainer.display.prediction import clock
from trainer.prediction.inputs import Input
from trainer.prediction.outcomes import PredictedVideo, PredictObserver
from trainer.prediction.source import PlannedSource
from trainer.prediction.video_progress import Progress


@contextmanager
def predict_observer(num_videos: int, *, is_spread: bool) -> Iterator[PredictObserver]:
    """Yield the observer of a prediction.

    In this process, it shows a progress bar for each part of the work on a video; over the workers of a
    cluster, one over all videos.

    Args:
        num_videos: Number of videos.
        is_spread: Whether they are spread over workers.
    """
    with ExitStack() as bars:

        def bar(activity: str, total: float | None, unit: str) -> Callable[..., None]:
            bars.close()
            start, advance = bars.enter_context(progress_bar(activity, unit))
            if total is not None:
                start(total)
            return advance

        def on_scan(one: Input) -> Callable[[float], None]:
            advance, done = bar(f"scanning {one.path.name}", None, "s"), 0.0

            def show(seconds: float) -> None:
                nonlocal done
                if seconds > done:
                    advance(seconds - done, f"{clock(seconds)} scanned")
                    done = seconds

            return show

        def on_windows(one: Input, planned: PlannedSource) -> Callable[[Progress], None]:
            has_times = planned.scan.has_times
            total = planned.scan.end_seconds if has_times else float(planned.scan.num_frames)
            advance = bar(one.path.name, total, "s" if has_times else "frames")
            began, first, done = time.monotonic(), None, 0.0

            def show(progress: "Progress") -> None:
                nonlocal first, done
                if first is None:
                    first = progress.seconds
                speed = (progress.seconds - first) / max(time.monotonic() - began, 1e-9)
                people = counted(progress.num_people, "person", "people")
                times = f"{clock(progress.seconds)} of {clock(total)}, {speed:.2g}x real time, {people}"
                if progress.seconds > done:
                    advance(progress.seconds - done, times if has_times else people)
                    done = progress.seconds

            return show

        def on_drawing(one: Input, planned: PlannedSource) -> Callable[[float], None]:
            total = planned.scan.end_seconds if planned.scan.has_times else None
            advance, done = bar(f"drawing {one.path.name}", total, "s"), 0.0

            def show(seconds: float) -> None:
                nonlocal done
                if seconds > done:
                    advance(seconds - done)
                    done = seconds

            return show

        def on_explaining(one: Input) -> Callable[[int, int], None]:
            advance: Callable[..., None] | None = None

            def show(done: int, total: int) -> None:
                nonlocal advance
                if advance is None:
                    advance = bar(f"explaining {one.path.name}", float(total), "windows")
                advance(1)

            return show

        def log(text: str) -> None:
            if not is_spread:
                bars.close()
            say(text)

        num_done = 0

        def on_video(video: PredictedVideo) -> None:
            nonlocal num_done
            num_done += 1
            place = f" ({num_done} of {num_videos})" if num_videos > 1 else ""
            if video.failure:
                log(f"{video.name}: {video.failure}{place}")
                return
            for note in video.notes if is_spread else ():
                log(f"note: {video.name}: {note}")
            if num_videos > 1:
                windows = f"{counted(video.num_windows, 'window')}, {video.num_answers} with an answer"
                log(f"{video.name}: {windows}, in {video.seconds:.0f} s{place}")

        advance_videos = bar("predicting", float(num_videos), "videos") if is_spread else None

        yield PredictObserver(
            on_scan=on_scan,
            on_windows=on_windows,
            on_drawing=on_drawing,
            on_explaining=on_explaining,
            on_note=lambda note: log(f"note: {note}"),
            on_video=on_video,
            on_videos=advance_videos or (lambda _: None),
        )

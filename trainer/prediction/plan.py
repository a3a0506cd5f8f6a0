"""Sources -> the windows and images of a prediction, without any weights: `predict --dry-run`."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ClipError, OusError
from pipeline.process import ExtractConfig
from pipeline.process.windows import PartDecoder
from trainer.prediction.inputs import Input
from trainer.prediction.results import Settings
from trainer.prediction.source import PredictOptions, plan_source
from trainer.runs import Run
from trainer.scene_sample import uses_scene


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """Plan for one source.

    Attributes:
        name: Name of its output.
        num_windows: Windows of one person who is always in view.
        num_shots: Shots.
        num_frames: Frames that are read in pixels.
        num_images: Images to encode for each person who is always in view: faces and scenes, without those
            that differ from window to window because of smoothed boxes.
        duration_seconds: Length; None without times.
        settings: Settings as they take effect; None after a failure.
        notes: Remarks for the user.
        failure: Why it cannot be predicted; empty if it can.
    """

    name: str
    num_windows: int = 0
    num_shots: int = 0
    num_frames: int = 0
    num_images: int = 0
    duration_seconds: float | None = None
    settings: Settings | None = None
    notes: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class PredictionPlan:
    """Plan for all sources."""

    videos: tuple[VideoPlan, ...]


def plan_all(
    inputs: Sequence[Input], config: ExtractConfig, run: Run, options: PredictOptions, decoder: PartDecoder
) -> PredictionPlan:
    """Scan sources and count their windows and images.

    Args:
        inputs: The sources.
        config: Settings that the features of the run were made with.
        run: The run.
        options: Options of the prediction.
        decoder: Decodes the sources.

    Raises:
        ConfigError: An option does not fit the only source; of several sources, it is the failure of one.
    """
    has_scene = uses_scene(run.config)
    videos = []
    for one in inputs:
        try:
            planned = plan_source(one.path, config, run.info, options, decoder)
        except OusError as error:
            if len(inputs) == 1 and not isinstance(error, ClipError):
                raise
            videos.append(VideoPlan(name=one.name, failure=str(error)))
            continue
        num_frames = len(planned.plan.wanted)
        videos.append(
            VideoPlan(
                name=one.name,
                num_windows=len(planned.plan.windows),
                num_shots=len(planned.plan.shots) - 1,
                num_frames=num_frames,
                num_images=(1 + has_scene) * num_frames,
                duration_seconds=planned.source.duration_seconds,
                settings=planned.settings,
                notes=planned.notes,
            )
        )
    return PredictionPlan(videos=tuple(videos))

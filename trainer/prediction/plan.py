"""Sources -> the windows, images and time of a prediction: `predict --dry-run`. Weights may be missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pipeline.errors import ClipError, OusError
from pipeline.process import ExtractConfig
from pipeline.process.windows import GRID, PartDecoder
from trainer.prediction.explanation_choice import most_windows
from trainer.prediction.inputs import Input
from trainer.prediction.outputs import OutputOptions
from trainer.prediction.results import Settings
from trainer.prediction.source import PlannedSource, PredictOptions, plan_source
from trainer.prediction.step_times import StepTimes, time_steps
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
        num_images_explaining: Images to encode for the explanations of such a person, at most.
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
    num_images_explaining: int = 0
    duration_seconds: float | None = None
    settings: Settings | None = None
    notes: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class PredictionPlan:
    """Plan for all sources.

    Attributes:
        videos: The sources.
        times: Times of the steps on this machine; None if no source can be read.
        face_run: Name of the face-only run whose answers will be shown beside; None without one.
        names: Person or track -> its name in the people file; None without one. Whether the video has them is
            known after the prediction.
    """

    videos: tuple[VideoPlan, ...]
    times: StepTimes | None = None
    face_run: str | None = None
    names: Mapping[str, str] | None = None

    @property
    def seconds_one_person(self) -> float | None:
        """Estimated time of detector and encoder for all sources, with one person who is always in view."""
        if self.times is None:
            return None
        return sum(
            self.times.seconds(video.num_frames, video.num_images + video.num_images_explaining)
            for video in self.videos
        )

    @property
    def seconds_each_further_person(self) -> float | None:
        """Estimated time of the encoder for each further person who is always in view."""
        if self.times is None:
            return None
        return sum(
            self.times.seconds(0, video.num_images + video.num_images_explaining) for video in self.videos
        )


def plan_all(
    inputs: Sequence[Input],
    config: ExtractConfig,
    run: Run,
    device: torch.device,
    options: PredictOptions,
    outputs: OutputOptions,
    decoder: PartDecoder,
    on_timing: Callable[[], None] = lambda: None,
) -> PredictionPlan:
    """Scan sources, count their windows and images, and time detector and encoder on the first of them.

    Args:
        inputs: The sources.
        config: Settings that the features of the run were made with.
        run: The run.
        device: Where the models would compute.
        options: Options of the prediction.
        outputs: Options of the outputs.
        decoder: Decodes the sources.
        on_timing: Called before models are loaded for the timing.

    Raises:
        ConfigError: An option does not fit the only source; of several sources, it is the failure of one.
        WeightsError: Weights are damaged.
    """
    has_scene = uses_scene(run.config)
    videos: list[VideoPlan] = []
    first: PlannedSource | None = None
    for one in inputs:
        try:
            planned = plan_source(one.path, config, run.info, options, decoder)
        except OusError as error:
            if len(inputs) == 1 and not isinstance(error, ClipError):
                raise
            videos.append(VideoPlan(name=one.name, failure=str(error)))
            continue
        first = first or planned
        num_frames = len(planned.plan.wanted)
        videos.append(
            VideoPlan(
                name=one.name,
                num_windows=len(planned.plan.windows),
                num_shots=len(planned.plan.shots) - 1,
                num_frames=num_frames,
                num_images=(1 + has_scene) * num_frames,
                num_images_explaining=has_scene * _explaining(outputs, planned, config),
                duration_seconds=planned.source.duration_seconds,
                settings=planned.settings,
                notes=planned.notes,
            )
        )
    if first is None:
        return PredictionPlan(videos=tuple(videos))
    on_timing()
    return PredictionPlan(videos=tuple(videos), times=time_steps(first, config, device, decoder))


def _explaining(outputs: OutputOptions, planned: PlannedSource, config: ExtractConfig) -> int:
    """Return the images that are encoded to explain windows of a person, one for each cell and frame."""
    if "html" not in outputs.formats:
        return 0
    num_windows = most_windows(outputs.explain, len(planned.plan.windows))
    return num_windows * GRID * GRID * config.frames.num_frames

"""`predict` for videos: its options, its plan, its progress and its result."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, counted
from pipeline.terminal import say

if TYPE_CHECKING:
    from pipeline.cancel import CancelToken
    from pipeline.executor.choice import WorkerOptions
    from pipeline.process import ExtractConfig
    from trainer.prediction.inputs import Input
    from trainer.prediction.labels import Labels
    from trainer.prediction.outcomes import PredictReport
    from trainer.prediction.outputs import OutputOptions
    from trainer.prediction.plan import PredictionPlan
    from trainer.prediction.source import PredictOptions
    from trainer.runs import Run

STOPPING = "stopping; the files of everything that is done are written. Ctrl-C again ends at once."
_STOPPING_WORKERS = (
    "stopping the workers; the windows of unfinished videos are kept. Ctrl-C again ends at once."
)

Cancelled = Callable[[str], AbstractContextManager["CancelToken"]]
"""Function of a text to a context with a token that Ctrl-C cancels, with this text."""


@dataclass(frozen=True, kw_only=True)
class VideosRequest:
    """A call of `predict` with videos, every option of which is read and fits the others.

    Attributes:
        on: The workers.
        device: Where the models compute.
        options: Options of the prediction.
        outputs: Options of the outputs.
        inputs: The videos.
        is_collection: Whether there is a directory per video below `out`, and a page over all.
        out: Directory of the files.
        names: Names of people, and the file that has them; None without one.
        run: Directory of the run. `PredictSetup` explains the others of the same name.
        labels: File of labels; None without one.
    """

    on: "WorkerOptions"
    device: str
    options: "PredictOptions"
    outputs: "OutputOptions"
    inputs: "list[Input]"
    is_collection: bool
    out: Path
    names: tuple[dict[str, tuple[int, str]], str] | None
    run: Path
    face_run: Path | None
    cache: str | None
    encoder_weights: str | None
    detector_weights: str | None
    decoders: int | None
    labels: Path | None
    restart: bool

    @classmethod
    def of(cls, given: dict[str, Any]) -> "VideosRequest":
        """Return the options of a call. No model is loaded.

        Raises:
            ConfigError: An option is not allowed, or does not fit another one.
            FileError: A file that an option names cannot be read, or --out cannot be written.
        """
        from pipeline.executor.choice import WorkerOptions
        from trainer.prediction.early_checks import check_sources, require_possible
        from trainer.prediction.inputs import find_inputs
        from trainer.prediction.outputs import OutputOptions
        from trainer.prediction.people_file import read_people_file
        from trainer.prediction.source import PredictOptions

        on = WorkerOptions(**{name: given[name] for name in ("gpus", "workers", "scheduler")})
        device = given["device"]
        if device != "auto" and on.device != "auto":
            msg = f"--device {device} with --gpus or --workers, which choose the device; leave out --device."
            raise ConfigError(msg)
        options = PredictOptions(
            window_seconds=given["window"], stride_seconds=given["stride"], people=given["people"],
            min_face_px=given["min_face"], min_share=given["min_share"], mask=given["mask"],
            start_seconds=given["start"], end_seconds=given["end"], shots=given["shots"], rate=given["rate"],
        )  # fmt: skip
        outputs = OutputOptions.parse(
            given["formats"], **{name: given[name] for name in ("embed", "thumbnails", "explain")}
        )
        inputs, is_collection = find_inputs(given["videos"])
        people_file = given["people_file"]
        if people_file is not None and is_collection:
            videos = counted(len(inputs), "video")
            msg = f"--people-file names the people of one video, and {videos} are given."
            raise ConfigError(msg)
        names = None if people_file is None else (read_people_file(people_file), str(people_file))
        check_sources([one.path for one in inputs], options, outputs)
        default = given["videos"][0].resolve().name if is_collection else inputs[0].name
        out = given["out"] or Path("predictions") / default
        if not given["dry_run"]:
            require_possible(out)
        same = ("run", "face_run", "cache", "encoder_weights", "detector_weights", "decoders", "labels")
        request = cls(
            on=on,
            device=device if on.device == "auto" else on.device,
            options=options,
            outputs=outputs,
            inputs=inputs,
            is_collection=is_collection,
            out=out,
            names=names,
            restart=given["restart"],
            **{name: given[name] for name in same},
        )
        return request._on_any_machine() if request.is_shared else request

    @property
    def is_shared(self) -> bool:
        """Whether the workers are those of a cluster that runs already."""
        from pipeline.executor.choice import SYNC

        return self.on.scheduler not in (None, SYNC)

    def _on_any_machine(self) -> "VideosRequest":
        """Return the options for workers that may have another working directory."""
        from trainer.prediction.source import AUTO, NONE

        shots = self.options.shots
        shots = shots if shots in (AUTO, NONE) else str(_absolute(shots))
        return replace(
            self,
            out=self.out.absolute(),
            inputs=[replace(one, path=one.path.absolute()) for one in self.inputs],
            options=replace(self.options, shots=shots),
            cache=_absolute(self.cache),
            encoder_weights=_absolute(self.encoder_weights),
            detector_weights=_absolute(self.detector_weights),
        )

    def checked(self) -> "tuple[Run, ExtractConfig, Labels | None]":
        """Return the run, the settings that its features were made with, and the labels.

        Raises OusError if something does not fit the run.
        """
        import torch

        from pipeline.device import choose_device
        from trainer.prediction.early_checks import check_run
        from trainer.prediction.labels import read_labels
        from trainer.runs import load_run

        run = load_run(self.run, device="cpu")
        labels = None if self.labels is None else read_labels(self.labels, self.inputs, run.class_names)
        config = check_run(
            run,
            torch.device("cpu") if self.is_shared else choose_device(self.device),
            face_run=self.face_run,
            cache=self.cache,
            encoder_weights=self.encoder_weights,
            detector_weights=self.detector_weights,
        )
        return run, config, labels


def plan_videos(request: VideosRequest) -> "PredictionPlan":
    """Count the windows and images of videos, and estimate the time. Raises OusError."""
    from pipeline.device import choose_device
    from pipeline.executor.machine import available_cores, decoders_for
    from pipeline.process import DecodePool
    from trainer.prediction.plan import plan_all

    run, config, _ = request.checked()
    here = choose_device(request.device)
    with DecodePool(request.decoders or decoders_for(here, len(available_cores()))) as decoder:
        plan = plan_all(
            request.inputs,
            config,
            run,
            here,
            request.options,
            request.outputs,
            decoder,
            lambda: say("loading the models for a short timing"),
        )
    return replace(
        plan,
        face_run=None if request.face_run is None else request.face_run.name,
        names=None if request.names is None else {key: name for key, (_, name) in request.names[0].items()},
    )


def predict_videos(request: VideosRequest, cancelled: Cancelled) -> "PredictReport":
    """Predict videos with progress bars. Raises OusError.

    Args:
        request: The options.
        cancelled: Returns a context whose token Ctrl-C cancels.
    """
    from pipeline.executor.choice import executor_for
    from trainer.display.prediction_progress import predict_observer
    from trainer.prediction.session import predict_all
    from trainer.prediction.worker import PredictSetup

    run, _, labels = request.checked()
    for banner in run.banners:
        say(f"!! {banner}")
    on = request.on
    with (
        predict_observer(len(request.inputs), is_spread=not on.is_local) as observer,
        cancelled(STOPPING if on.is_local else _STOPPING_WORKERS) as cancel,
    ):
        setup = PredictSetup(
            run=request.run.absolute(),
            face_run=None if request.face_run is None else request.face_run.absolute(),
            cache=request.cache,
            encoder_weights=request.encoder_weights,
            detector_weights=request.detector_weights,
            options=request.options,
            outputs=request.outputs,
            labels=labels,
            restart=request.restart,
            device=request.device,
            decoders=request.decoders,
            only=None if request.is_collection else request.inputs[0].path,
            names=request.names,
            observer=observer if on.is_local else None,
            cancel=cancel if on.is_local else None,
        )
        with closing(executor_for(setup, on)) as executor:
            for warning in executor.warnings:
                say(f"!! {warning}")
            say(f"{run.info.encoder_name}, {executor.where}; loading the models")
            return predict_all(
                request.inputs,
                run,
                executor,
                request.out,
                is_collection=request.is_collection,
                labels=labels,
                observer=observer,
                cancel=cancel,
            )


def _absolute(text: str | None) -> str | None:
    """Return the absolute path if something is at this path; else the text, such as a tag or an address."""
    return str(Path(text).absolute()) if text and "://" not in text and Path(text).exists() else text

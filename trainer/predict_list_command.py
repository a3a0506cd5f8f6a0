"""`predict` for a list of clips: its options, its progress and its result."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.errors import ConfigError
from pipeline.terminal import progress_bar, say

if TYPE_CHECKING:
    from pipeline.cancel import CancelToken
    from pipeline.process import ExtractConfig
    from trainer.prediction.clip_list import ClipList
    from trainer.prediction.clip_results import ClipPlan, ClipReport
    from trainer.prediction.source import PredictOptions
    from trainer.runs import Run

_ALLOWED = frozenset(
    ("videos", "run", "face_run", "out", "people", "min_face", "min_share", "formats", "cache",
     "encoder_weights", "detector_weights", "device", "decoders", "dry_run", "restart", "strict", "json_")
)  # fmt: skip
"""Parameters of the command that a list has."""
_INSTEAD = {
    **dict.fromkeys(
        ("gpus", "workers", "scheduler"),
        "a list of clips is predicted in this process; use extract and evaluate for a cluster",
    ),
    **dict.fromkeys(("window", "stride"), "each row is one clip with one answer"),
    **dict.fromkeys(("start", "end"), "its columns start_seconds and end_seconds have the times"),
    "labels": "its column label has the labels",
    "mask": "its scenes are made as in training",
}
"""Parameters -> what a list has in their place."""


@dataclass(frozen=True, kw_only=True)
class ListRequest:
    """Options of `predict` that a list of clips has. `PredictSetup` explains those of the same name.

    Attributes:
        file: The list.
        out: Directory of the files.
        formats: Formats as the user wrote them.
    """

    file: Path
    run: Path
    out: Path
    face_run: Path | None
    min_face_px: float
    min_share: float
    formats: str
    cache: str | None
    encoder_weights: str | None
    detector_weights: str | None
    device: str
    decoders: int | None
    restart: bool

    @classmethod
    def of(cls, context: typer.Context) -> "ListRequest":
        """Return the options of a call of `predict` with a list.

        Raises ConfigError if an option is given that has no meaning for a list of clips.
        """
        _require_options_of_a_list(context)
        given, file = context.params, Path(context.params["videos"][0])
        same = ("face_run", "cache", "encoder_weights", "detector_weights", "device", "decoders", "restart")
        return cls(
            file=file,
            run=given["run"],
            out=given["out"] or Path("predictions") / file.stem,
            min_face_px=given["min_face"],
            min_share=given["min_share"],
            formats=given["formats"] if _is_given(context, "formats") else "all",
            **{name: given[name] for name in same},
        )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _require_options_of_a_list(context: typer.Context) -> None:
    for parameter in context.command.params:
        name = parameter.name or ""
        if not _is_given(context, name):
            continue
        if name not in _ALLOWED:
            flags = "/".join([*parameter.opts, *parameter.secondary_opts])
            why = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
            msg = f"{flags} does not apply to a list of clips{why}. Leave it out."
            raise ConfigError(msg)
        if name == "people" and context.params[name] != "main":
            msg = (
                f"--people is '{context.params[name]}'; allowed for a list of clips: main, the subject that "
                "`extract` chooses in each clip."
            )
            raise ConfigError(msg)


def plan_list(request: ListRequest) -> "ClipPlan":
    """Count the clips and images of a list. Raises OusError."""
    from trainer.prediction.clip_session import parse_formats, plan_clips

    parse_formats(request.formats)
    _options(request)
    clips, run, config = _read(request)
    plan = plan_clips(clips, config, run)
    return replace(plan, face_run=None if request.face_run is None else request.face_run.name)


def predict_list(request: ListRequest, cancel: "CancelToken") -> "ClipReport":
    """Predict a list of clips with a progress bar.

    Args:
        request: The options.
        cancel: Ends the work early; everything up to the last block is kept.

    Raises:
        OusError: As for `predict_clips`.
    """
    from pipeline.own_dir import OwnDir
    from trainer.prediction.clip_session import (
        ClipObserver,
        check_clips,
        notes_of,
        parse_formats,
        predict_clips,
    )
    from trainer.prediction.outputs import OutputOptions
    from trainer.prediction.worker import PredictSetup

    formats = parse_formats(request.formats)
    options = _options(request)
    clips, run, config = _read(request)
    out = OwnDir.of(request.out)
    check_clips(clips, config, run.class_names, out, formats)
    for banner in run.banners:
        say(f"!! {banner}")
    say(f"{run.info.encoder_name}; loading the models")
    worker = PredictSetup(
        run=request.run,
        face_run=request.face_run,
        cache=request.cache,
        encoder_weights=request.encoder_weights,
        detector_weights=request.detector_weights,
        options=options,
        outputs=OutputOptions(formats=formats),
        restart=request.restart,
        takes_provided_faces=True,
        device=request.device,
        decoders=request.decoders,
    ).start()
    try:
        predictor = worker.predictor
        for note in (*predictor.notes, *notes_of(clips, predictor.models.models.config)):
            say(f"note: {note}")
        with progress_bar(request.file.name, "clips") as (start, advance):
            observer = ClipObserver(on_start=start, on_progress=advance)
            return predict_clips(clips, worker, out, formats=formats, observer=observer, cancel=cancel)
    finally:
        worker.close()


def _options(request: ListRequest) -> "PredictOptions":
    from trainer.prediction.source import PredictOptions

    return PredictOptions(people="main", min_face_px=request.min_face_px, min_share=request.min_share)


def _read(request: ListRequest) -> "tuple[ClipList, Run, ExtractConfig]":
    """Return the list, the run, and the settings that its features were made with. No model is loaded."""
    from pipeline.device import choose_device
    from trainer.prediction.clip_list import read_clip_list
    from trainer.prediction.early_checks import check_run
    from trainer.runs import load_run

    clips, run = read_clip_list(request.file), load_run(request.run, device="cpu")
    config = check_run(
        run,
        choose_device(request.device),
        face_run=request.face_run,
        cache=request.cache,
        encoder_weights=request.encoder_weights,
        detector_weights=request.detector_weights,
        takes_provided_faces=True,
    )
    return clips, run, config

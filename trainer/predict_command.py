"""`predict`: answers of a trained run for videos, per person over time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.choices import SceneMask
from pipeline.commands.help_sections import DATA, MACHINE, MODEL, OUTPUT, Command
from pipeline.commands.options import (
    EXIT_FAILED_CHECK,
    EXIT_INTERRUPTED,
    DetectorWeights,
    Device,
    Gpus,
    Json,
    Scheduler,
    Workers,
)
from pipeline.terminal import answer, say

if TYPE_CHECKING:
    from pipeline.cancel import CancelToken
    from trainer.prediction.clip_results import ClipReport
    from trainer.prediction.outcomes import PredictReport

app = typer.Typer()


@app.command(
    cls=Command, epilog="Example: cli.py predict interview.mp4 --run runs/dfew-fold1-seed0 --out interview"
)
def predict(
    context: typer.Context,
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO|DIRECTORY|LIST...",
            help="Videos, directories of videos, a directory of images, or one list of clips (.csv).",
        ),
    ],
    run: Annotated[
        Path, typer.Option(help="Answer with the model of this training run.", rich_help_panel=MODEL)
    ],
    face_run: Annotated[
        Path | None,
        typer.Option(
            help="Show the answers of this face-only run beside, trained on the same cache [none].",
            rich_help_panel=MODEL,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write files to this directory [predictions/NAME].", rich_help_panel=OUTPUT),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            help="Answer for windows of this many seconds [the median training clip].", rich_help_panel=DATA
        ),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(
            help="Begin a window every so many seconds; more than --window leaves gaps, and is faster "
            "[a quarter of --window].",
            rich_help_panel=DATA,
        ),
    ] = None,
    people: Annotated[
        str,
        typer.Option(
            help="Answer for all people, for main (the one that `extract` would choose in a window), or for "
            "this many people per window.",
            rich_help_panel=DATA,
        ),
    ] = "all",
    min_face: Annotated[
        float,
        typer.Option(
            help="Give no answer for faces with a shorter side than this, in pixels.", rich_help_panel=DATA
        ),
    ] = 24.0,
    min_share: Annotated[
        float,
        typer.Option(
            help="Give no answer if the face is found on a smaller share of a window's sampled frames.",
            rich_help_panel=DATA,
        ),
    ] = 0.5,
    mask: Annotated[
        SceneMask | None,
        typer.Option(
            help="Fill these faces in the scene; another value than in training is marked [as trained].",
            rich_help_panel=MODEL,
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            help="Write these formats, separated by commas: jsonl, csv, eaf, srt, vtt, mp4, html, or all.",
            rich_help_panel=OUTPUT,
        ),
    ] = "jsonl,csv,html",
    explain: Annotated[
        str,
        typer.Option(
            help="Explain this many windows per person on the page, all or none: which frames and which "
            "places of the scene change the answer. Each takes as many images as 16 windows.",
            rich_help_panel=OUTPUT,
        ),
    ] = "3",
    people_file: Annotated[
        Path | None,
        typer.Option(
            help="Rename and merge people by this file of lines such as `P2 = Anna`; nothing is computed "
            "again [their numbers].",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    embed: Annotated[
        bool,
        typer.Option("--embed", help="Put a video of up to 20 MB inside the page.", rich_help_panel=OUTPUT),
    ] = False,
    thumbnails: Annotated[
        bool, typer.Option(help="Show a face of each person on the page.", rich_help_panel=OUTPUT)
    ] = True,
    start: Annotated[
        float | None,
        typer.Option(help="Begin at this time of the video, in seconds [its start].", rich_help_panel=DATA),
    ] = None,
    end: Annotated[
        float | None,
        typer.Option(help="End at this time of the video, in seconds [its end].", rich_help_panel=DATA),
    ] = None,
    shots: Annotated[
        str,
        typer.Option(
            help="Search cuts with auto, treat the video as one shot with none, or read their times in "
            "seconds from this file.",
            rich_help_panel=DATA,
        ),
    ] = "auto",
    rate: Annotated[
        float | None,
        typer.Option(help="Images per second of a directory of images [no times].", rich_help_panel=DATA),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Compare the answers with the labels in this CSV file, with the columns path and label, and "
            "optionally start_seconds, end_seconds and person [none].",
            rich_help_panel=DATA,
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="Read from this training cache how the features were made, for runs of earlier versions "
            "[the run's cache].",
            rich_help_panel=MODEL,
        ),
    ] = None,
    encoder_weights: Annotated[
        str | None,
        typer.Option(
            help="Load the encoder's weights from this file or tag [as at extraction].", rich_help_panel=MODEL
        ),
    ] = None,
    detector_weights: DetectorWeights = None,
    device: Device = "auto",
    gpus: Gpus = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    decoders: Annotated[
        int | None,
        typer.Option(
            help="Start this many decoding processes per worker [by cores].", rich_help_panel=MACHINE
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            help="Show windows, images and an estimate of the time; write nothing.", rich_help_panel=OUTPUT
        ),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Replace a prediction that is there.", rich_help_panel=OUTPUT)
    ] = False,
    strict: Annotated[
        bool, typer.Option(help="Exit with code 3 if a video or a clip failed.", rich_help_panel=OUTPUT)
    ] = False,
    json_: Json = False,
) -> None:
    """Answer for videos with a trained run, per person over time. The same command resumes a stopped one."""
    from pipeline.config import require_range
    from trainer.predict_list_command import ListRequest, plan_list, predict_list
    from trainer.predict_videos_command import STOPPING, VideosRequest, plan_videos, predict_videos
    from trainer.prediction.clip_list import is_clip_list

    if decoders is not None:
        require_range("--decoders", decoders, 1)
    if is_clip_list(videos):
        request = ListRequest.of(context)
        if dry_run:
            answer(plan_list(request), json_)
            return
        with _cancelled_by_signals(STOPPING) as cancel:
            listed = predict_list(request, cancel)
        _end(listed, listed.num_rows, as_json=json_, strict=strict)
        return
    asked = VideosRequest.of(context.params)
    if dry_run:
        plan = plan_videos(asked)
        answer(plan, json_)
        _exit_if_failed(sum(bool(video.failure) for video in plan.videos), len(plan.videos), strict=strict)
        return
    report = predict_videos(asked, _cancelled_by_signals)
    _end(report, len(report.videos), as_json=json_, strict=strict)


def _end(report: "PredictReport | ClipReport", num_inputs: int, *, as_json: bool, strict: bool) -> None:
    """Print the result, and exit with the code for it."""
    answer(report, as_json)
    if report.is_interrupted:
        say("stopped; everything up to here is kept, and the same command resumes (without --restart).")
        raise typer.Exit(EXIT_INTERRUPTED)
    _exit_if_failed(report.num_failed, num_inputs, strict=strict)


def _exit_if_failed(num_failed: int, num_inputs: int, *, strict: bool) -> None:
    """Exit with code 1 if every input has failed, and with 3 if one has and `strict` is set."""
    if num_failed and (strict or num_failed == num_inputs):
        raise typer.Exit(EXIT_FAILED_CHECK if strict else 1)


@contextmanager
def _cancelled_by_signals(text: str) -> Iterator["CancelToken"]:
    """Yield a token that the first Ctrl-C or SIGTERM cancels, with this text; the second one ends at once."""
    from pipeline.cancel import CancelToken

    cancel = CancelToken()

    def stop(number: int, frame: Any) -> None:
        if cancel.is_cancelled:
            raise KeyboardInterrupt
        cancel.cancel()
        say(text)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Requests to a decoder and its answers, in any process."""

import gc
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

from pipeline.errors import ClipError, first_line
from pipeline.frames.crops import find_crops
from pipeline.frames.cuts import ShotConfig
from pipeline.frames.decode import decode_clip
from pipeline.frames.file_hashes import source_of, source_of_both
from pipeline.frames.folder import decode_folder
from pipeline.frames.sampling import FrameConfig
from pipeline.frames.scan_jobs import BrokenOff, HashJob, Outline, OutlineJob, Progress, ScanJob, ScannedPart
from pipeline.frames.scan_part import outline, scan_part
from pipeline.frames.segment import ImagesJob, SegmentJob, decode_segment, read_images
from pipeline.pictures import PictureFolder
from pipeline.types import ClipFailed, Crops, Frames, SourceFile, StreamedFrame


@dataclass(frozen=True, kw_only=True)
class DecodeJob:
    """Request for the sampled frames of a clip.

    Attributes:
        path: A video, or a directory of images.
        config: Settings of the sampling.
        start_seconds: Start of the clip in a video; None for the start of the file.
        end_seconds: End of the clip in a video; None for the end of the file.
        face_path: Directory of face crops, of which those of the sampled frames are decoded too; None for
            no crops.
        inside: Directory that links to images must not leave; None for each directory of images itself.
        cuts: Settings of the search for cuts; None for no search.
        rate: Frames per second that are decoded besides the sampled ones, for detection; 0 for none.
    """

    path: Path
    config: FrameConfig
    start_seconds: float | None = None
    end_seconds: float | None = None
    face_path: Path | None = None
    inside: Path | None = None
    cuts: ShotConfig | None = None
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Decoded clip.

    Attributes:
        frames: Sampled frames.
        crops: Face crops of the dataset, if they were requested.
        source: Size and hash of the clip's files.
        seconds: Time of one core for the decoding.
    """

    frames: Frames
    crops: Crops | None
    source: SourceFile
    seconds: float


DecodeAnswer: TypeAlias = Decoded | ClipFailed
Job: TypeAlias = DecodeJob | OutlineJob | HashJob | ScanJob | SegmentJob | ImagesJob
Answer: TypeAlias = DecodeAnswer | Outline | SourceFile | Progress | ScannedPart | StreamedFrame


@dataclass(frozen=True, kw_only=True)
class Part:
    """Message of a decoder about a job. A job has any number of parts, and a clip has one.

    Attributes:
        answer: The answer; None if the job ends without a further one.
        is_last: Whether the job has ended.
    """

    answer: Answer | None
    is_last: bool


class Decoder(Protocol):
    """Decoder of clips, in this process or in others."""

    def stream(self, jobs: Sequence[DecodeJob]) -> Generator[tuple[int, DecodeAnswer], None, None]:
        """Yield the place of each job and its answer, in the order in which they become ready.

        When the caller takes the next answer, the pixels of the previous one may be overwritten.
        """
        ...


class PartStream(Protocol):
    """Answers to one job. Close it, because an unfinished job may keep a decoder busy."""

    def __iter__(self) -> Iterator[Answer]:
        """Yield the answers. A `ClipFailed` is the last one."""
        ...

    def close(self) -> None:
        """End the job if it has not ended."""
        ...


class PartDecoder(Protocol):
    """Decoder of jobs with several answers each, in this process or in others."""

    @property
    def num_children(self) -> int:
        """Number of jobs that are decoded at a time; 0 if jobs are decoded while answers are read."""
        ...

    def parts(self, job: Job, *, waiting_bytes: int = 0) -> PartStream:
        """Begin a job.

        Args:
            job: The job.
            waiting_bytes: Most bytes of pixels that wait for the caller. A larger frame waits alone.
        """
        ...


class InlineDecoder:
    """Decoder in the caller's thread, one clip after the other: the reference for other decoders."""

    num_children = 0

    def stream(self, jobs: Sequence[DecodeJob]) -> Generator[tuple[int, DecodeAnswer], None, None]:
        """Yield every job's place and answer, in order."""
        for place, job in enumerate(jobs):
            yield place, decode_job(job)

    def parts(self, job: Job, *, waiting_bytes: int = 0) -> Generator[Answer, None, None]:
        """Yield the answers to a job; nothing waits, because the caller's thread decodes."""
        del waiting_bytes
        for part in parts_of(job):
            if part.answer is not None:
                yield part.answer


def parts_of(job: Job) -> Iterator[Part]:
    """Yield the parts of a job. Errors become a ClipFailed with the step and the reason, the last part."""
    if isinstance(job, DecodeJob):
        yield Part(answer=decode_job(job), is_last=True)
    else:
        yield from _long_job(job)
    gc.collect()  # frees the decoders of passes that were left early, which PyAV keeps in cycles


def _long_job(job: OutlineJob | HashJob | ScanJob | SegmentJob | ImagesJob) -> Iterator[Part]:
    try:
        for answer in _answers(job):
            yield Part(answer=answer, is_last=False)
    except ClipError as error:
        yield Part(answer=ClipFailed(stage=error.stage, reason=error.reason), is_last=True)
    except MemoryError:
        reason = "its frames do not fit into the decoder's memory"
        yield Part(answer=BrokenOff(stage="decode", reason=reason), is_last=True)
    except Exception as error:  # noqa: BLE001 - the boundary of a job: an error ends only this job
        yield Part(answer=BrokenOff(stage="decode", reason=_unexpected(error).reason), is_last=True)
    else:
        yield Part(answer=None, is_last=True)


def rest_of(job: Job, done: int) -> Job:
    """Return what remains of a job, for another decoder if one ends.

    Args:
        job: The job.
        done: Number of the last frame that was answered; -1 for none.
    """
    if isinstance(job, SegmentJob):
        return replace(job, wanted=tuple(number for number in job.wanted if number > done))
    if isinstance(job, ImagesJob):
        left = slice(sum(number <= done for number in job.wanted), None)
        return replace(job, wanted=job.wanted[left], names=job.names[left], seconds=job.seconds[left])
    return job


def _answers(job: OutlineJob | HashJob | ScanJob | SegmentJob | ImagesJob) -> Iterator[Answer]:
    if isinstance(job, OutlineJob):
        yield outline(job)
    elif isinstance(job, HashJob):
        is_folder = job.path.is_dir()
        yield source_of(PictureFolder.at(job.path, job.inside) if is_folder else job.path)
    elif isinstance(job, ScanJob):
        yield from scan_part(job)
    elif isinstance(job, SegmentJob):
        yield from decode_segment(job)
    else:
        yield from read_images(job)


def decode_job(job: DecodeJob) -> DecodeAnswer:
    """Decode a clip. Errors become a ClipFailed with the step and the reason."""
    began = time.monotonic()
    try:
        frames, crops, source = _decoded(job)
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason)
    except MemoryError:
        return ClipFailed(stage="decode", reason="its frames do not fit into the decoder's memory")
    except Exception as error:  # noqa: BLE001 - the boundary of a clip: an error ends only this clip
        return _unexpected(error)
    return Decoded(frames=frames, crops=crops, source=source, seconds=time.monotonic() - began)


def _unexpected(error: Exception) -> ClipFailed:
    return ClipFailed(stage="decode", reason=f"unexpected {type(error).__name__}: {first_line(error)}")


def _decoded(job: DecodeJob) -> tuple[Frames, Crops | None, SourceFile]:
    numbers: tuple[int | str, ...] | None = None
    if job.path.is_dir():
        _refuse_window(job)
        folder = PictureFolder.at(job.path, job.inside)
        clip = decode_folder(folder, job.config, cuts=job.cuts, rate=job.rate)
        frames, numbers, source = clip.frames, clip.numbers, source_of(folder)
    else:
        frames = decode_clip(
            job.path,
            job.config,
            start_seconds=job.start_seconds,
            end_seconds=job.end_seconds,
            cuts=job.cuts,
            rate=job.rate,
        )
        source = source_of(job.path)
    if job.face_path is None:
        return frames, None, source
    _refuse_window(job)
    if not job.face_path.is_dir():
        note = f"no directory of face crops '{job.face_path.name}'"
        return frames, Crops.none(len(frames.meta.index_U), note), source
    faces = PictureFolder.at(job.face_path, job.inside)
    return frames, find_crops(faces, frames, numbers), source_of_both(source, source_of(faces))


def _refuse_window(job: DecodeJob) -> None:
    if job.start_seconds is not None or job.end_seconds is not None:
        raise ClipError(
            "open",
            "start_seconds or end_seconds with a directory of images, which has no times; leave them out, "
            "and put the images of each clip into a directory of its own",
        )
